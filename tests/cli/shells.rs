//! Completions, in the shells themselves, and the manual, read by a program for manuals.

use std::fs;
use std::process::Command;

use crate::harness::Oxherd;

/// The completions for a shell, saved, and what a script in that shell prints.
fn said(shell: &[&str], script: &str) -> String {
    let oxherd = Oxherd::new();
    let name = shell[0];
    let completions = oxherd.run(&["completions", name]).exits(0).stdout;
    oxherd.file("completions", &completions);
    let mut command = Command::new(name);
    command.args(&shell[1..]).args(["-c", script]).current_dir(oxherd.directory.path()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", oxherd.directory.path()).env("TERM", "dumb");
    let output = command.output().unwrap_or_else(|error| panic!("{name}: {error}; make setup installs it"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{name}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn bash_completes_verbs_and_options() {
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let script = format!(
            "source ./completions; COMP_WORDS=({line}); COMP_CWORD={}; \
             _oxherd oxherd '{}' '{}'; printf '%s ' \"${{COMPREPLY[@]}}\"",
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        said(&["bash", "--norc", "--noprofile"], &script)
    };
    assert_eq!(complete("oxherd que"), "queue ");
    assert_eq!(complete("oxherd queue res"), "resume ");
    assert_eq!(complete("oxherd config show --ori"), "--origin ");
    assert_eq!(complete("oxherd --log-format js"), "json ");
}

#[test]
fn zsh_takes_the_completions() {
    let script = "autoload -U compinit && compinit -D -u && source ./completions && print -- $_comps[oxherd]";
    assert_eq!(said(&["zsh", "-f"], script), "_oxherd\n");
}

#[test]
fn fish_completes_verbs_and_options() {
    let complete = |line: &str| said(&["fish", "--no-config"], &format!("source ./completions; complete -C '{line}'"));
    assert!(complete("oxherd que").starts_with("queue\t"));
    assert!(complete("oxherd config show --ori").starts_with("--origin\t"));
}

#[test]
fn the_other_shells_have_completions_too() {
    let oxherd = Oxherd::new();
    for shell in ["elvish", "powershell"] {
        let completions = oxherd.run(&["completions", shell]).exits(0).stdout;
        assert!(completions.contains("healthcheck"), "{shell}");
    }
    oxherd.run(&["completions", "cmd"]).exits(2);
}

#[test]
fn the_manual_has_a_page_for_every_verb_and_every_key() {
    let oxherd = Oxherd::new();
    oxherd.run(&["man", "--dir", "pages/man"]).exits(0);
    let directory = oxherd.directory.path().join("pages/man");
    let pages: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    for name in ["oxherd.1", "oxherd-run.1", "oxherd-queue-obliterate.1", "oxherd-config-show.1", "oxherd.toml.5"] {
        assert!(pages.iter().any(|page| page.ends_with(name)), "{name} is missing");
    }
    assert_eq!(fs::read_to_string(directory.join("oxherd.1")).unwrap(), oxherd.run(&["man"]).exits(0).stdout);
    // a page without a date, and the breaks around options, are no mistakes
    let allowed = ["missing date", "cannot parse date", "skipping paragraph macro: br"];
    for page in &pages {
        let mut command = Command::new("mandoc");
        let output = command.args(["-T", "lint", "-W", "warning"]).arg(page).output();
        let output = output.unwrap_or_else(|error| panic!("mandoc: {error}; make setup installs it"));
        let said = String::from_utf8(output.stdout).unwrap();
        let wrong: Vec<&str> = said.lines().filter(|line| !allowed.iter().any(|known| line.contains(known))).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    let output =
        Command::new("mandoc").args(["-T", "ascii", "-O", "width=200"]).arg(directory.join("oxherd.toml.5")).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    // struck over for printers
    let text: String = text.split('\u{8}').map(|part| &part[..part.len().saturating_sub(1)]).collect();
    for said in [
        "[queues.NAME]",
        "[handlers.NAME.smtp]",
        "backoff.jitter  number from 0 to 1; default 0.2",
        "workers.max  whole number from 1 to 10000; default 1",
        "exit.NAME.after  duration, or false",
        "How long running jobs may go on after TERM.",
    ] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
}
