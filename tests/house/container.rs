//! The container files agree with each other and with what they are made of. `make container-test` builds and runs them;
//! here is what can be read.

use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oxherd::config::Shutdown;

use super::{none, root, sources};

fn text(path: &str) -> String {
    read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The instructions of a Dockerfile with their arguments, continued lines joined, comments left out.
fn instructions(path: &str) -> Vec<(String, String)> {
    let text = text(path);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let split = joined.lines().filter_map(|line| line.split_once(' '));
    split.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// The arguments of every instruction of that name.
fn all(path: &str, word: &str) -> Vec<String> {
    instructions(path).into_iter().filter(|(it, _)| it == word).map(|(_, rest)| rest).collect()
}

/// The default of a build argument.
fn argument(name: &str) -> String {
    let arguments = all("Dockerfile", "ARG");
    let value = arguments.iter().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the Dockerfile has no ARG {name}")).to_owned()
}

/// What stands behind `key:` in a line of the compose file, without its comment.
fn composed(key: &str) -> Vec<String> {
    let text = text("docker-compose.yml");
    let lines =
        text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(':'));
    lines.map(|value| value.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn any_builder_reads_the_dockerfiles() {
    for path in ["Dockerfile", "deploy/examples/container-node/Dockerfile"] {
        assert!(!text(path).to_lowercase().contains("# syntax"), "{path}: a syntax line has to be downloaded");
        for run in all(path, "RUN") {
            assert!(!run.contains("--mount"), "{path}: not every builder knows RUN {run}");
        }
        // nothing of it needs a shell, which the image has not
        for word in ["HEALTHCHECK", "ENTRYPOINT", "CMD"] {
            let found = all(path, word);
            assert_eq!(found.len(), 1, "{path}: {word}");
            let command = &found[0][found[0].find('[').unwrap_or_else(|| panic!("{path}: {word} {}", found[0]))..];
            serde_json::from_str::<Vec<String>>(command)
                .unwrap_or_else(|error| panic!("{path}: {word} {command}: {error}"));
        }
        let user = all(path, "USER").pop().unwrap_or_default();
        assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{path}: USER {user}");
    }
}

#[test]
fn the_image_is_built_as_a_release() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let release = &manifest["profile"]["release"];
    assert_eq!(argument("LTO"), release["lto"].as_str().unwrap());
    assert_eq!(argument("CODEGEN_UNITS"), release["codegen-units"].as_integer().unwrap().to_string());
    assert_eq!(argument("VERSION"), env!("CARGO_PKG_VERSION"));
    let least = manifest["package"]["rust-version"].as_str().unwrap();
    let text = text("Dockerfile");
    assert!(text.contains("rust:1-"), "the image to build in is to have at least Rust {least}");
}

#[test]
fn what_the_binary_is_made_of_gets_into_the_image() {
    let ignored: Vec<String> = text(".dockerignore").lines().map(str::to_owned).collect();
    let is_ignored = |path: &str| {
        let first = path.split('/').next().unwrap_or_default();
        first.starts_with('.') || ignored.iter().any(|line| line == first || line == path)
    };
    let mut needed: Vec<String> =
        ["Cargo.toml", "Cargo.lock", "src", "deploy/helpers"].into_iter().map(str::to_owned).collect();
    for source in sources("src") {
        let folder = Path::new(&source.path).parent().unwrap().to_owned();
        for (_, line) in source.code() {
            for macro_name in ["include_str!(\"", "include_bytes!(\""] {
                let Some((_, rest)) = line.split_once(macro_name) else { continue };
                let file = rest.split('"').next().unwrap_or_default();
                let path = root().join(&folder).join(file).canonicalize();
                let path = path.unwrap_or_else(|error| panic!("{}: {file}: {error}", source.path));
                needed.push(path.strip_prefix(root().canonicalize().unwrap()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert!(needed.len() > 4, "no file was found that the sources include");
    needed.retain(|path| is_ignored(path));
    none("left out by .dockerignore, but the binary is made of it", &needed);
    assert!(is_ignored("rust-toolchain.toml"), "the image would fetch a second compiler");
    assert!(is_ignored(".git/config") && is_ignored("target/debug"));
}

#[test]
fn the_compose_file_mounts_what_is_there_and_waits_for_the_drain() {
    let mount = composed("./config").pop().expect("docker-compose.yml mounts ./config");
    let (inside, options) = mount.split_once(':').unwrap();
    assert_eq!(options, "ro");
    let config = composed("OXHERD_CONFIG").pop().expect("docker-compose.yml names the configuration");
    let name = config.strip_prefix(inside).unwrap_or_else(|| panic!("{config} is not in {inside}"));
    let path = format!("config{name}");
    let table: toml::Table = text(&path).parse().unwrap();
    assert_eq!(table["daemon"]["state_dir"].as_str(), all("Dockerfile", "WORKDIR").last().map(String::as_str));
    assert!(!table.contains_key("shutdown"), "{path}: with a [shutdown] of its own the grace below is another");
    let Shutdown { drain, cancel } = Shutdown::default();
    let grace = composed("stop_grace_period").pop().expect("docker-compose.yml says stop_grace_period");
    let grace = Duration::from_secs(grace.strip_suffix('s').unwrap().parse().unwrap());
    assert!(
        grace >= drain + cancel + Duration::from_secs(3),
        "a stop may take {:?}, the grace is {grace:?}",
        drain + cancel
    );
    // no program of its handlers is missing in the image, for there are none
    let handlers = table["handlers"].as_table().unwrap();
    for (name, handler) in handlers {
        let kinds: Vec<_> = handler.as_table().unwrap().keys().collect();
        assert!(kinds.iter().all(|kind| ["log", "http", "smtp"].contains(&kind.as_str())), "{name} is {kinds:?}");
    }
    let check = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(["check", "-c", &path])
        .env("REDIS_URL", composed("REDIS_URL").pop().unwrap())
        .current_dir(root())
        .output()
        .unwrap();
    assert!(check.status.success(), "{path}: {}", String::from_utf8_lossy(&check.stderr));
}
