//! The files of `deploy/systemd`, and what `docs/service.md` has people write beside them, as systemd itself reads them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::root;

const UNITS: [&str; 2] = ["oxherd.service", "oxherd@.service"];
/// What systemd before 253 says of `Type=notify-reload`; the line before it holds then.
const TOO_OLD: &str = "Failed to parse service type, ignoring: notify-reload";
/// Tenths of the highest exposure that is all right.
const EXPOSURE: &str = "15";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn unit(name: &str) -> String {
    read(&format!("deploy/systemd/{name}"))
}

fn systemd_analyze(arguments: &[&str], path: &Path) -> Output {
    let output = Command::new("systemd-analyze").args(arguments).arg(path).env("SYSTEMD_COLORS", "0").output();
    output.unwrap_or_else(|error| panic!("systemd-analyze: {error}; run make setup"))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The unit with the program that was built, in a directory.
fn copy(name: &str, directory: &Path) -> PathBuf {
    let path = directory.join(name);
    let text = unit(name).replace("/usr/bin/oxherd", env!("CARGO_BIN_EXE_oxherd"));
    std::fs::write(&path, text).unwrap();
    path
}

fn version_of_systemd() -> u32 {
    let said = said(&systemd_analyze(&["--version"], Path::new("")));
    let version = said.split_whitespace().nth(1).and_then(|word| word.split('.').next()?.parse().ok());
    version.unwrap_or_else(|| panic!("no version in {said:?}"))
}

/// What it says of a unit, and of the drop-ins beside it, but for what one that is too old says of the unit's type.
fn complaints(path: &Path) -> Vec<String> {
    let output = systemd_analyze(&["verify"], path);
    let said = said(&output);
    let is_too_old = version_of_systemd() < 253;
    let lines = said.lines().filter(|line| !(line.is_empty() || is_too_old && line.ends_with(TOO_OLD)));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    if !output.status.success() {
        lines.push(output.status.to_string());
    }
    lines
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let directory = tempfile::tempdir().unwrap();
    for name in UNITS {
        let path = copy(name, directory.path());
        assert_eq!(complaints(&path), Vec::<String>::new(), "{name}");
    }
    let wrong = directory.path().join("wrong.service");
    std::fs::write(&wrong, format!("{}\n[Service]\nNoSuch=yes\n", unit("oxherd.service"))).unwrap();
    assert!(complaints(&wrong).iter().any(|line| line.contains("NoSuch")), "{:?}", complaints(&wrong));
}

#[test]
fn the_units_are_exposed_to_1_5_at_most() {
    let directory = tempfile::tempdir().unwrap();
    for name in UNITS {
        let threshold = format!("--threshold={EXPOSURE}");
        let arguments = ["security", "--offline=true", "--no-pager", &threshold];
        let output = systemd_analyze(&arguments, &copy(name, directory.path()));
        let said = said(&output);
        assert!(said.contains("Overall exposure level"), "{name}: {said}");
        assert!(output.status.success(), "{name}: {said}");
    }
}

#[test]
fn the_units_differ_in_their_names_alone() {
    let body = |name: &str| {
        let lines = unit(name).lines().skip_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
        lines
            .replace(" (%i)", "")
            .replace("/etc/oxherd/%i.toml", "/etc/oxherd/oxherd.toml")
            .replace("oxherd-%i", "oxherd")
            .replace("%i-redis-password", "redis-password")
    };
    assert_eq!(body("oxherd@.service"), body("oxherd.service"));
    assert!(unit("oxherd@.service").matches("%i").count() >= 5);
}

#[test]
fn every_drop_in_of_the_manual_can_be_used() {
    let page = read("docs/service.md");
    let blocks: Vec<&str> =
        page.split("```ini\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in blocks {
        let directory = tempfile::tempdir().unwrap();
        let path = copy("oxherd.service", directory.path());
        let beside = directory.path().join("oxherd.service.d");
        std::fs::create_dir(&beside).unwrap();
        let there = block.replace("/usr/local/bin/oxherd", env!("CARGO_BIN_EXE_oxherd"));
        std::fs::write(beside.join("local.conf"), there).unwrap();
        assert_eq!(complaints(&path), Vec::<String>::new(), "{block}");
        // it is really read
        std::fs::write(beside.join("wrong.conf"), "[Service]\nNoSuch=yes\n").unwrap();
        assert!(complaints(&path).iter().any(|line| line.contains("NoSuch")), "{block}");
    }
}
