//! Every kind of mistake in a configuration, and what `check` says of it: `mistakes/NAME.toml` is the mistake, `NAME.txt`
//! what is printed, `NAME.json` the same with `--json`. `OXHERD_WRITE_SNAPSHOTS=1` writes both anew; read what changed.
//!
//! A line that begins with `#% ` is for this test: `env NAME=VALUE`, `set KEY=VALUE` and `redis URL` for the command,
//! `run ARGUMENTS` in place of `-c NAME.toml`; `file PATH` for what follows; `mode OCTAL PATH`, `bytes PATH HEX`,
//! `long PATH BYTES`, `many DIR FILES EXTENSION`, `deep DIR LEVELS`, `link TO PATH`, `dir PATH` and `remove PATH`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::harness::{Ended, Oxherd};
use crate::literals::literals;

/// What no configuration can be made to say here.
const UNSHOWN: &[(&str, &str)] = &[
    ("cannot list directory {}: {e}", "root may list every directory"),
    ("--set has no '='", "refused before it gets there, as an argument"),
    ("{text:?} is not a duration", "said by the verbs that take one as an argument"),
    ("{text:?} is not a size", "said by the verbs that take one as an argument"),
    ("the files have been changing for {} s, and were not read to the end", "only a reload waits for writers"),
    ("reload when they are written", "only a reload waits for writers"),
    ("placeholders in data", "no mistake: why BullMQ has no place for a schedule"),
    ("duplicate key", "what the parser says; put into our words"),
    ("ignore missing", "read in templates"),
    ("the configuration", "the name of a path without a key, in the documentation of the code"),
    ("{pad} {} help: {}", "how a problem is printed"),
    ("{key} = 0", "how the key of --set is read"),
    ("-----BEGIN CERTIFICATE-----", "what a file of certificates holds"),
    ("job id", "ids stand in no configuration"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/mistakes")
}

fn mistakes() -> Vec<PathBuf> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

/// One mistake in a directory of its own, ready to be checked.
struct Mistake {
    oxherd: Oxherd,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
}

impl Mistake {
    fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_str().unwrap();
        let oxherd = Oxherd::new();
        let mut mistake = Self {
            oxherd,
            arguments: vec!["check".to_owned(), "-c".into(), name.to_owned()],
            // what the host says of itself differs
            env: vec![("TZ".to_owned(), "Europe/Oslo".to_owned())],
        };
        let text = fs::read_to_string(path).unwrap();
        let (mut file, mut content, mut orders) = (name, String::new(), Vec::new());
        for line in text.split_inclusive('\n') {
            match line.trim_end().strip_prefix("#% ").map(|order| order.split_once(' ').unwrap_or((order, ""))) {
                Some(("file", next)) => {
                    mistake.oxherd.file(file, &std::mem::take(&mut content));
                    file = next;
                }
                Some(order) => orders.push(order),
                None => content += line,
            }
        }
        mistake.oxherd.file(file, &content);
        for (order, rest) in orders {
            mistake.obey(order, rest);
        }
        mistake
    }

    fn obey(&mut self, order: &str, rest: &str) {
        let path = |name: &str| self.oxherd.directory.path().join(name);
        let words: Vec<&str> = rest.split(' ').collect();
        let count = |n: usize| words[n].parse::<usize>().unwrap();
        match order {
            "env" => {
                let (name, value) = rest.split_once('=').unwrap();
                self.env.push((name.to_owned(), value.to_owned()));
            }
            "set" => self.arguments.extend(["--set".to_owned(), rest.to_owned()]),
            "redis" => self.arguments.extend(["--redis".to_owned(), rest.to_owned()]),
            "run" => {
                self.arguments.truncate(1);
                self.arguments.extend(rest.split_whitespace().map(str::to_owned));
            }
            "mode" => {
                let mode = u32::from_str_radix(words[0], 8).unwrap();
                fs::set_permissions(path(words[1]), fs::Permissions::from_mode(mode)).unwrap();
            }
            "bytes" => {
                let digits = words[1].as_bytes().chunks(2);
                let bytes: Vec<u8> =
                    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect();
                fs::write(self.oxherd.file(words[0], ""), bytes).unwrap();
            }
            "long" => drop(self.oxherd.file(words[0], &"#".repeat(count(1)))),
            "many" => {
                for n in 0..count(1) {
                    self.oxherd.file(&format!("{}/{n:04}.{}", words[0], words[2]), "");
                }
            }
            "deep" => {
                for n in 0..count(1) {
                    self.oxherd.file(&format!("{}/{n}.toml", words[0]), &format!("include = \"{}.toml\"\n", n + 1));
                }
            }
            "link" => symlink(words[0], path(words[1])).unwrap(),
            "dir" => fs::create_dir_all(path(rest)).unwrap(),
            "remove" => fs::remove_file(path(rest)).unwrap(),
            _ => panic!("there is no order {order:?}"),
        }
    }

    fn check(&self, more: &[&str]) -> Ended {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let mut command = self.oxherd.command(&arguments);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Ended::new(&command.output().unwrap())
    }
}

#[test]
fn each_is_told_as_it_was_read_and_approved() {
    let writes = std::env::var_os("OXHERD_WRITE_SNAPSHOTS").is_some();
    let mut wrong = Vec::new();
    let mistakes = mistakes();
    assert!(mistakes.len() > 30, "only {} mistakes", mistakes.len());
    for path in mistakes {
        let mistake = Mistake::new(&path);
        let (text, json) = (mistake.check(&[]), mistake.check(&["--json"]));
        let is_refused = json.json()["ok"] == false;
        assert_eq!((text.code, json.code), if is_refused { (78, 78) } else { (0, 0) }, "{}", path.display());
        assert_eq!(text.stderr, "", "{}", path.display());
        let at = mistake.oxherd.directory.path().canonicalize().unwrap().display().to_string();
        let pretty = serde_json::to_string_pretty(&json.json()).unwrap() + "\n";
        for (extension, now) in [("txt", text.stdout), ("json", pretty)] {
            let (file, now) = (path.with_extension(extension), now.replace(&at, "/directory"));
            if writes {
                fs::write(&file, now).unwrap();
                continue;
            }
            let approved = fs::read_to_string(&file).unwrap_or_default();
            if let Some((was, is)) = first_difference(&approved, &now) {
                wrong.push(format!("{}\n  approved: {was}\n  now:      {is}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "if it is better now, OXHERD_WRITE_SNAPSHOTS=1 approves it:\n{}", wrong.join("\n"));
}

fn first_difference<'a>(a: &'a str, b: &'a str) -> Option<(&'a str, &'a str)> {
    let end = "(the end)";
    let lines = a.lines().chain(std::iter::repeat(end)).zip(b.lines().chain(std::iter::repeat(end)));
    lines.take(a.lines().count().max(b.lines().count())).find(|(a, b)| a != b)
}

#[test]
fn every_message_and_every_remedy_of_the_loader_is_among_them() {
    let mut said = Vec::new();
    for path in mistakes() {
        let json = fs::read_to_string(path.with_extension("json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for problem in json["problems"].as_array().unwrap() {
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            assert!(!text("message").is_empty() && problem["help"] != "", "{}: {problem}", path.display());
            said.push(format!("{}; {}", text("message"), text("help")));
            said.extend(problem["place"]["source"].as_str().map(str::to_owned));
        }
    }
    let templates = literals();
    assert!(templates.len() > 400, "only {} messages found in the sources", templates.len());
    let is_said = |template: &str| said.iter().any(|text| covers(template, text));
    let unsaid: Vec<_> = templates.iter().filter(|template| !is_said(&template.text)).collect();
    let missing: Vec<_> =
        unsaid.iter().filter(|template| !UNSHOWN.iter().any(|(text, _)| *text == template.text)).collect();
    assert!(missing.is_empty(), "no mistake in tests/cli/mistakes shows these: {missing:#?}");
    for (text, _) in UNSHOWN {
        assert!(unsaid.iter().any(|template| template.text == *text), "{text:?} is shown by now, or gone");
    }
}

/// Whether a text can have come from a template of `format!`: its plain parts are there, in their order.
fn covers(template: &str, text: &str) -> bool {
    let mut rest = text;
    plain_parts(template).iter().all(|part| match rest.find(part.as_str()) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn plain_parts(template: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in template.chars() {
        match c {
            '{' => {
                depth += 1;
                parts.push(String::new());
            }
            '}' if depth > 0 => depth -= 1,
            '}' => parts.push(String::new()),
            c if depth == 0 => parts.last_mut().expect("there is one").push(c),
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
