//! The house rules that reading the source can check: which room may know which, and what is
//! deliberately absent. When a rule and the code disagree, one of the two is wrong.

mod container;
mod links;
mod proofs;
mod units;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rooms, left to right. A room may use any room to its left and none to its right.
const ROOMS: [&str; 10] = ["job", "config", "store", "app", "handler", "engine", "metrics", "daemon", "admin", "cli"];

/// A source file as the rules see it.
struct Source {
    /// From the root of the project, with `/`.
    path: String,
    /// Its lines without comments, each with its number.
    lines: Vec<(usize, String)>,
    /// From this line on there are tests only.
    tests_from: usize,
}

impl Source {
    /// The room it belongs to; none for `lib.rs` and `main.rs`.
    fn room(&self) -> Option<&str> {
        let name = self.path.strip_prefix("src/")?.split(['/', '.']).next()?;
        ROOMS.contains(&name).then_some(name)
    }

    /// Lines that are part of the product.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.lines.iter().take_while(|(number, _)| *number < self.tests_from);
        lines.map(|(number, line)| (*number, line.as_str()))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the project.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.sort();
    let sources: Vec<Source> = files.iter().map(|path| read(path)).collect();
    assert!(sources.len() > 5, "{folder} holds only {} Rust files", sources.len());
    sources
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(path: &Path) -> Source {
    let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let is_test = name.ends_with("tests.rs")
        || name.ends_with("testing.rs")
        || ["/golden/", "/model/", "/scale/", "/tests/"].iter().any(|folder| name.contains(folder));
    let inline = text.lines().collect::<Vec<_>>().windows(2).position(|two| {
        two[0].trim() == "#[cfg(test)]" && two[1].trim_start().starts_with("mod ") && two[1].ends_with('{')
    });
    let tests_from = if is_test { 0 } else { inline.map_or(usize::MAX, |at| at + 1) };
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line).to_owned()));
    Source { path: name, lines: lines.collect(), tests_from }
}

/// Cuts a comment off; addresses in texts (`http://`) are none.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" // ").map_or(line, |(code, _)| code)
}

/// Fails with every place where a rule is broken.
#[track_caller]
fn none(rule: &str, places: &[String]) {
    assert!(
        places.is_empty(),
        "{rule}:\n{}",
        places.iter().fold(String::new(), |mut text, place| {
            let _ = writeln!(text, "  {place}");
            text
        })
    );
}

/// Places outside `allowed` whose code matches.
fn found(sources: &[Source], allowed: &[&str], is_found: impl Fn(&str) -> bool) -> Vec<String> {
    let mut places = Vec::new();
    for source in sources.iter().filter(|source| !allowed.iter().any(|path| source.path.starts_with(path))) {
        let lines = source.code().filter(|(_, line)| is_found(line));
        places.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    places
}

/// The rooms a line names: `crate::store::…`, `crate::{config, daemon}`.
fn named(line: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, start) in line.match_indices("crate::") {
        // `mycrate::` and `pub(crate)::` are something else
        if line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &line[at + start.len()..];
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
        let names = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for name in names {
            let name = name.trim();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            if ROOMS.contains(&&name[..end]) {
                rooms.push(&name[..end]);
            }
        }
    }
    rooms
}

#[test]
fn imports_point_to_the_left() {
    let position = |room: &str| ROOMS.iter().position(|known| *known == room).unwrap();
    let mut arrows = 0;
    let mut wrong = Vec::new();
    for source in sources("src") {
        let Some(room) = source.room() else { continue };
        // tests too: a room that is tested through its neighbours is not understood without them
        for (number, line) in &source.lines {
            for used in named(line) {
                arrows += 1;
                if position(used) > position(room) {
                    wrong.push(format!("{}:{number}: {room} uses {used}", source.path));
                }
            }
        }
    }
    assert!(arrows > 100, "only {arrows} imports were seen");
    none("a room may use the rooms to its left only", &wrong);
}

#[test]
fn every_file_belongs_to_a_room() {
    let strangers: Vec<String> = sources("src")
        .into_iter()
        .filter(|source| source.room().is_none() && !["src/lib.rs", "src/main.rs"].contains(&source.path.as_str()))
        .map(|source| source.path)
        .collect();
    none("files outside every room", &strangers);
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    assert_eq!(named("use crate::{config, daemon::logging, Error};"), ["config", "daemon"]);
    assert_eq!(named("    let x: crate::job::Job = crate::store::f();"), ["job", "store"]);
    assert_eq!(named("pub(crate) fn f() {} use othercrate::cli;"), Vec::<&str>::new());
    assert_eq!(without_comment("let a = \"http://x\"; // crate::cli"), "let a = \"http://x\";");
}

#[test]
fn the_redis_client_stays_in_the_store() {
    let places = found(&sources("src"), &["src/store/"], |line| line.contains("fred::"));
    none("fred outside store", &places);
}

#[test]
fn keys_are_spelled_in_one_file() {
    let endings = [
        "wait",
        "paused",
        "active",
        "delayed",
        "prioritized",
        "completed",
        "failed",
        "waiting-children",
        "stalled",
        "stalled-check",
        "marker",
        "meta",
        "events",
        "lock",
        "limiter",
        "pc",
        "logs",
        "repeat",
        "dependencies",
        "processed",
        "unsuccessful",
        "metrics",
        "de",
        "dn",
        "id",
    ];
    let places = found(&sources("src"), &["src/store/keys.rs", "src/store/keys/"], |line| {
        // every odd part is inside quotes, near enough
        let texts = line.split('"').skip(1).step_by(2);
        texts.into_iter().any(|text| {
            endings.iter().any(|ending| text.ends_with(&format!(":{ending}")) || text.contains(&format!(":{ending}:")))
        })
    });
    none("redis keys outside store/keys.rs", &places);
}

#[test]
fn printing_has_one_place() {
    let words = ["println!", "print!(", "dbg!"];
    let places = found(&sources("src"), &["src/cli/print.rs"], |line| words.iter().any(|word| line.contains(word)));
    none("printing outside cli/print.rs", &places);
}

#[test]
fn exiting_has_one_place() {
    let words = ["process::exit", "process::abort", "libc::_exit"];
    // a keeper is a process of its own, which has no `main` to return to
    let own = ["src/main.rs", "src/handler/keeper/serve.rs"];
    let places = found(&sources("src"), &own, |line| words.iter().any(|word| line.contains(word)));
    none("ending the process outside main.rs", &places);
}

#[test]
fn jobs_do_not_know_the_time() {
    let words =
        ["Instant::now", "SystemTime::now", "Utc::now", "Local::now", "UNIX_EPOCH", "tokio", "std::fs", "std::net"];
    let sources = sources("src");
    let jobs: Vec<Source> = sources.into_iter().filter(|source| source.room() == Some("job")).collect();
    assert!(jobs.len() > 3, "the room has only {} files", jobs.len());
    none("the clock or the world in job", &found(&jobs, &[], |line| words.iter().any(|word| line.contains(word))));
}

#[test]
fn nothing_global_changes() {
    let cells = ["Mutex<", "RwLock<", "Atomic", "OnceLock<", "OnceCell<", "RefCell<", "Cell<", "ArcSwap<"];
    let places = found(&sources("src"), &[], |line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        line.starts_with("static mut ")
            || line.contains("thread_local!")
            || (line.starts_with("static ") && cells.iter().any(|cell| line.contains(cell)))
    });
    none("global state", &places);
}

#[test]
fn nothing_is_put_off() {
    let words =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["todo", "!("].concat(), ["unimple", "mented!"].concat()];
    let mut places = Vec::new();
    for folder in ["src", "tests", "benches"] {
        let mut files = Vec::new();
        walk(&root().join(folder), &mut files);
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            // the raw text: what is put off is put off in comments
            let lines = text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
            places.extend(lines.map(|(at, line)| format!("{}:{}: {}", path.display(), at + 1, line.trim())));
        }
    }
    none("put off", &places);
}

#[test]
fn no_room_is_an_attic() {
    let attics = ["util", "utils", "helper", "helpers", "common", "misc"];
    let is_attic = |part: &std::ffi::OsStr| attics.iter().any(|attic| part == *attic);
    let sources = sources("src");
    let places: Vec<String> = sources
        .into_iter()
        .filter(|source| Path::new(&source.path).with_extension("").iter().any(is_attic))
        .map(|source| source.path)
        .collect();
    none("a helper lives with the idea it serves", &places);
}
