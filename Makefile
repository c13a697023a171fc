.PHONY: help run test container-test service-test package-test fault golden golden-data lint setup bench packages check-deps

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

run: ## build and start the demo: embedded Redis, five queues, a trickle of jobs
	@scripts/run.sh

test: setup lint ## everything a change has to pass
	@scripts/test.sh

container-test: setup ## build the images and run the compose file with docker or podman; minutes
	@scripts/container-test.sh

fault: setup ## the fault tests, those that take minutes too
	@OXHERD_SOAK=1 scripts/test.sh --test fault

golden: ## compare what oxherd and BullMQ leave in Redis, and print where oxherd differs and why
	@PATH="$$(dirname "$$(scripts/redis.sh)"):$$PATH" cargo test --locked --lib golden -- --nocapture

golden-data: setup ## write the dumps of tests/golden/data anew, with the bullmq packages
	@OXHERD_REDIS_SERVER=$$(scripts/redis.sh) node tests/golden/generate/generate.mjs

lint: ## formatting, clippy with warnings as errors, and the library without the daemon
	cargo fmt --all --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo check --locked --no-default-features

setup: ## install what the tests need: a Redis server, the Node and Python clients
	@scripts/setup-tests.sh

service-test: ## the systemd units for real: reload, watchdog, sandbox, in a container with systemd (needs root)
	@scripts/service-test.sh

bench: ## measure against the neighbours on one Redis and print the ratios
	@scripts/bench.sh

check-deps: ## licences, sources and duplicates of the dependencies (cargo install cargo-deny)
	cargo deny check licenses bans sources

packages: ## a .deb and an .rpm in target/packages, around a release build
	@scripts/packages.sh

package-test: ## build both packages around a debug build, look at them, install, start, upgrade and remove them
	@scripts/package-test.sh
