.PHONY: help run test fault lint setup bench check-deps

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

run: ## build and start the demo: embedded Redis, five queues, a trickle of jobs
	@scripts/run.sh

test: setup lint ## everything a change has to pass
	@scripts/test.sh

fault: setup ## the fault tests, those that take minutes too
	@OXHERD_SOAK=1 scripts/test.sh --test fault

lint: ## formatting, clippy with warnings as errors, and the library without the daemon
	cargo fmt --all --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo check --locked --no-default-features

setup: ## install what the tests need: a Redis server, the Node and Python clients
	@scripts/setup-tests.sh

bench: ## measure against the neighbours on one Redis and print the ratios
	@scripts/bench.sh

check-deps: ## licences, sources and duplicates of the dependencies (cargo install cargo-deny)
	cargo deny check licenses bans sources
