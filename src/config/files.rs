//! Reads the files and what they include, bounded in size, number and depth.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Place, Problem};
use super::expand::expand;
use super::locate::{Document, Kind, Sources};
use super::path::KeyPath;
use super::seen::Seen;

/// Longest file, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;
/// Most files of one configuration.
const MOST: usize = 1000;
/// Deepest include.
const DEEPEST: usize = 8;

/// Reads file after file.
pub struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    sources: Sources,
    problems: Vec<Problem>,
    /// Real paths of the files read so far.
    seen: Vec<PathBuf>,
    /// Real paths of the files whose includes are being followed, and their names.
    open: Vec<(PathBuf, String)>,
}

impl<'a> Reader<'a> {
    pub fn new(env: &'a BTreeMap<String, String>) -> Self {
        Self { env, sources: Sources::default(), problems: Vec::new(), seen: Vec::new(), open: Vec::new() }
    }

    /// Reads a file, or every `*.toml` of a directory in the order of their names.
    pub fn read(&mut self, path: &Path) {
        if !path.is_dir() {
            self.file(path, None);
            return;
        }
        match glob(path, "*.toml", &mut self.sources.seen) {
            Ok(files) if files.is_empty() => {
                let problem = Problem::error(format!("there is no *.toml in directory {}", path.display()));
                self.problems.push(problem.with_help("put one there, or name a file"));
            }
            Ok(files) => files.iter().for_each(|file| self.file(file, None)),
            Err(e) => self.problems.push(Problem::error(format!("cannot list directory {}: {e}", path.display()))),
        }
    }

    /// What was read.
    pub fn finish(self, problems: &mut Vec<Problem>) -> Sources {
        problems.extend(self.problems);
        self.sources
    }

    /// Reads one file and what it includes. `from` is the include that names it.
    fn file(&mut self, path: &Path, from: Option<&Place>) {
        let name = path.display().to_string();
        self.sources.seen.file(path);
        let mut refuse = |message: String, help: &str| {
            let problem = Problem::error(message).with_help(help);
            self.problems.push(match from {
                Some(place) => Problem { key: "include".into(), ..problem.with_place(place.clone()) },
                None => problem,
            });
        };
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(e) => return refuse(format!("cannot read {name}: {e}"), "check the path and its permissions"),
        };
        if let Some(at) = self.open.iter().position(|(open, _)| *open == real) {
            let mut round: Vec<&str> = self.open[at..].iter().map(|(_, name)| name.as_str()).collect();
            round.push(&name);
            return refuse(format!("include loop: {}", round.join(" -> ")), "remove one of the includes");
        }
        if self.seen.contains(&real) {
            return refuse(format!("{name} is read twice"), "name or include each file once");
        }
        if self.open.len() > DEEPEST {
            return refuse(format!("{name} is included more than {DEEPEST} levels deep"), "include it from further up");
        }
        if self.seen.len() >= MOST {
            return refuse(format!("more than {MOST} files"), "include fewer");
        }
        let text = match fs::metadata(&real) {
            Ok(meta) if meta.is_dir() => {
                return refuse(format!("{name} is a directory"), "include its files: \"DIR/*.toml\"");
            }
            Ok(meta) if !meta.is_file() => return refuse(format!("{name} is not a regular file"), "name a file"),
            Ok(meta) if meta.len() > LONGEST => {
                return refuse(format!("{name} is longer than {} MiB", LONGEST >> 20), "split it");
            }
            _ => match fs::read(&real).map(String::from_utf8) {
                Ok(Ok(text)) => text,
                Ok(Err(e)) => {
                    let at = e.utf8_error().valid_up_to();
                    let line = e.as_bytes()[..at].split(|byte| *byte == b'\n').count();
                    return refuse(format!("{name} is not UTF-8 in line {line}"), "save it as UTF-8");
                }
                Err(e) => return refuse(format!("cannot read {name}: {e}"), "check the path and its permissions"),
            },
        };
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        self.sources.seen.has_empty_file |= text.is_empty();
        // an editor's mark of UTF-8 says nothing
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let (document, wrong) = Document::parse(name.clone(), &directory, text);
        let document = Document { is_included: from.is_some(), ..document };
        self.problems.extend(wrong);
        let includes = self.includes(&document);
        self.seen.push(real.clone());
        self.sources.documents.push(document);
        self.open.push((real.clone(), name));
        for (pattern, place) in includes {
            self.include(&directory, &pattern, &place, &real);
        }
        self.open.pop();
    }

    /// The patterns of `include`, and where they stand.
    fn includes(&mut self, document: &Document) -> Vec<(String, Place)> {
        let path = KeyPath::default().key("include");
        let Some(node) = document.find(&path) else { return Vec::new() };
        let nodes = match &node.kind {
            Kind::List(nodes) => nodes.iter().collect(),
            _ => vec![node],
        };
        let mut patterns = Vec::new();
        for node in nodes {
            let place = document.place(node.span.start);
            let mut refuse = |problem: Problem| {
                self.problems.push(Problem { key: "include".into(), ..problem.with_place(place.clone()) });
            };
            match &node.kind {
                Kind::Text(text) if text.is_empty() => {
                    refuse(
                        Problem::error("include must not be empty").with_help("write include = [\"conf.d/*.toml\"]"),
                    );
                }
                Kind::Text(text) => {
                    // a missing variable is reported with the other values
                    if let Ok(expanded) = expand(text, self.env) {
                        patterns.push((expanded.unwrap_or_else(|| text.clone()), place));
                    }
                }
                _ => refuse(
                    Problem::error("include must be a list of paths").with_help("write include = [\"conf.d/*.toml\"]"),
                ),
            }
        }
        patterns
    }

    fn include(&mut self, directory: &Path, pattern: &str, place: &Place, from: &Path) {
        if !pattern.contains(['*', '?']) {
            self.file(&directory.join(pattern), Some(place));
            return;
        }
        match glob(directory, pattern, &mut self.sources.seen) {
            // a glob that matches the file it stands in does not mean it
            Ok(files) => {
                for file in files.iter().filter(|file| fs::canonicalize(file).is_ok_and(|real| real != from)) {
                    self.file(file, Some(place));
                }
            }
            Err(e) => {
                let problem = Problem::error(format!("cannot list {pattern:?}: {e}"))
                    .with_help("check the directory and its permissions");
                self.problems.push(Problem { key: "include".into(), ..problem.with_place(place.clone()) });
            }
        }
    }
}

/// The files a pattern matches, sorted. `*` and `?` stand for characters within one name; names
/// that begin with a dot are only matched by patterns that do. A directory that is not there
/// holds nothing.
pub(super) fn glob(directory: &Path, pattern: &str, seen: &mut Seen) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { directory.to_owned() }];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?']) {
            for path in &mut paths {
                path.push(part);
            }
            paths.retain(|path| path.exists());
            continue;
        }
        let mut matching = Vec::new();
        for path in &paths {
            let listed = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            seen.directory(listed);
            let entries = match fs::read_dir(listed) {
                Ok(entries) => entries,
                Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(e) => return Err(e),
            };
            for entry in entries {
                let name = entry?.file_name();
                let text = name.to_string_lossy();
                let hidden = text.starts_with('.') && !part.starts_with('.');
                if !hidden && matches(part.as_bytes(), text.as_bytes()) {
                    matching.push(path.join(&name));
                }
            }
        }
        paths = matching;
    }
    paths.retain(|path| !path.is_dir());
    paths.sort();
    seen.found(directory, pattern, &paths);
    Ok(paths)
}

fn matches(glob: &[u8], name: &[u8]) -> bool {
    // row n says whether the pattern so far covers the first n bytes
    let mut covers = vec![false; name.len() + 1];
    covers[0] = true;
    for part in glob {
        let mut next = vec![false; name.len() + 1];
        for n in 0..=name.len() {
            next[n] = match part {
                b'*' => covers[n] || (n > 0 && next[n - 1]),
                b'?' => n > 0 && covers[n - 1],
                byte => n > 0 && covers[n - 1] && name[n - 1] == *byte,
            };
        }
        covers = next;
    }
    covers[name.len()]
}
