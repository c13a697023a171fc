//! The JSON Schema of the configuration, in the program that checks TOML in editors: taplo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether taplo lets all files of a directory pass that match, and what it says. They name their schema themselves.
fn check(directory: &Path, files: &str) -> (bool, String) {
    let program = root().join("tests/interop/node/node_modules/.bin/taplo");
    let output = Command::new(&program).args(["check", files]).current_dir(directory).env("NO_COLOR", "1").output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run make setup", program.display()));
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Every TOML block of a page.
fn blocks(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("```").enumerate().filter(|(n, _)| n % 2 == 1);
    blocks.filter_map(|(_, block)| block.strip_prefix("toml\n")).map(str::to_owned).collect()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn an_editor_agrees_with_what_is_documented_and_marks_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let schema = Command::new(env!("CARGO_BIN_EXE_oxherd")).args(["config", "schema"]).output().unwrap();
    assert!(schema.status.success());
    fs::write(directory.path().join("oxherd.schema.json"), schema.stdout).unwrap();
    let write = |folder: &str, name: &str, text: &str| {
        let folder = directory.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), format!("#:schema ../oxherd.schema.json\n{text}")).unwrap();
    };
    let mut good = 0;
    for page in [files("docs", "md"), files("docs/handlers", "md"), vec![root().join("README.md")]].concat() {
        for block in blocks(&page) {
            good += 1;
            let block = block.replace("#:schema", "#");
            write("good", &format!("{good}-{}.toml", page.file_stem().unwrap().display()), &block);
        }
    }
    for file in files("config", "toml") {
        good += 1;
        write("good", &file.file_name().unwrap().to_string_lossy(), &fs::read_to_string(&file).unwrap());
    }
    assert!(good > 20, "only {good} files");
    let (passes, said) = check(directory.path(), "good/*.toml");
    assert!(passes && said.contains(&format!("total={good} ")), "{said}");

    let wrong = [
        ("unknown-key", "[queues.q]\nhandler = \"a\"\nattemps = 3\n", "'attemps' was unexpected"),
        ("unknown-section", "[queue.q]\nhandler = \"a\"\n", "'queue' was unexpected"),
        ("wrong-type", "[queues.q]\nconcurrency = \"many\"\n", "\"many\""),
        ("out-of-bounds", "[queues.q]\nconcurrency = 0\n", "0 is less than the minimum of 1"),
        ("no-unit", "[queues.q]\ntimeout = 30\n", "30 is not of type \"string\""),
        ("no-duration", "[queues.q]\ntimeout = \"soon\"\n", "\"soon\" does not match"),
        ("wrong-word", "[queues.q]\nunmatched = \"drop\"\n", "\"drop\" is not valid"),
        ("no-url", "[handlers.a.http]\nsocket = \"/s\"\n", "\"url\" is a required property"),
        ("two-kinds", "[handlers.a.log]\n[handlers.a.http]\nurl = \"http://x\"\n", "has more than 1 property"),
        ("two-sources", "[redis]\npassword = { env = \"A\", file = \"b\" }\n", "is not valid"),
    ];
    for (name, text, _) in wrong {
        write("bad", &format!("{name}.toml"), text);
    }
    let (passes, said) = check(directory.path(), "bad/*.toml");
    assert!(!passes);
    for (name, _, message) in wrong {
        assert!(said.contains(&format!("bad/{name}.toml")) && said.contains(message), "{name}: {message}\n{said}");
    }
}
