//! What the files and directories of a configuration were when they were read, to tell a whole one from one that somebody
//! is still writing. Nobody writes all files at once: editors, copies and configuration management leave a moment in
//! which a file is empty, half of it is there, or one of two has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::glob;

/// What tells a file from itself a moment ago; `None` where there is nothing.
type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// Everything that was looked at.
#[derive(Debug, Default)]
pub struct Seen {
    files: Vec<(PathBuf, Stamp)>,
    /// Directories that were listed: others may write there what is none of ours, so their age is all that counts.
    directories: Vec<(PathBuf, Stamp)>,
    /// Where was looked for what, and what was found.
    found: Vec<(PathBuf, String, Vec<PathBuf>)>,
    /// There was a file with nothing in it.
    pub has_empty_file: bool,
}

impl Seen {
    /// To be called before a file is read. A link is followed: it may lead elsewhere by then.
    pub fn file(&mut self, path: &Path) {
        self.files.push((path.to_owned(), stamp(path)));
    }

    /// To be called before a directory is listed.
    pub fn directory(&mut self, path: &Path) {
        self.directories.push((path.to_owned(), stamp(path)));
    }

    /// What [`glob`] has found.
    pub fn found(&mut self, directory: &Path, pattern: &str, files: &[PathBuf]) {
        self.found.push((directory.to_owned(), pattern.to_owned(), files.to_vec()));
    }

    /// Whether anything is not what was read.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let finds_other = |(directory, pattern, files): &(PathBuf, String, Vec<PathBuf>)| {
            glob(directory, pattern, &mut Self::default()).is_ok_and(|now| now != *files)
        };
        self.files.iter().any(|(path, before)| stamp(path) != *before) || self.found.iter().any(finds_other)
    }

    /// For how long nothing had been changed by `now`. A time to come, as another host's clock may give, is none.
    #[must_use]
    pub fn quiet_for(&self, now: SystemTime) -> Duration {
        let times = self.files.iter().chain(&self.directories).filter_map(|(_, stamp)| {
            let (.., (seconds, nanos)) = (*stamp)?;
            let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
            now.duration_since(SystemTime::UNIX_EPOCH + since).ok()
        });
        times.min().unwrap_or(Duration::MAX)
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    // the last is set by the system with every change, also of the name
    Some((meta.dev(), meta.ino(), meta.size(), (meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_change_a_file_shows() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a.toml"), dir.path().join("b"));
        let seen = |path: &Path| {
            let mut seen = Seen::default();
            seen.file(path);
            seen
        };
        let listed = |found: &[&Path]| {
            let mut seen = Seen::default();
            seen.directory(dir.path());
            seen.found(dir.path(), "*.toml", &found.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>());
            seen
        };
        let nothing = listed(&[]);
        let missing = seen(&file);
        fs::write(&file, "a").unwrap();
        assert!(missing.has_changed() && nothing.has_changed());
        let same = seen(&file);
        assert!(!same.has_changed() && same.quiet_for(SystemTime::now()) < Duration::from_secs(60));
        // as editors save: beside it, and then in its place
        fs::write(&other, "b").unwrap();
        let one = listed(&[&file]);
        assert!(!one.has_changed() && one.quiet_for(SystemTime::now()) < Duration::from_secs(60));
        fs::rename(&other, &file).unwrap();
        assert!(same.has_changed());
        let replaced = seen(&file);
        fs::write(&file, "longer").unwrap();
        assert!(replaced.has_changed());
        // a link to another version, as orchestrators do it
        std::os::unix::fs::symlink(&file, &other).unwrap();
        let linked = seen(&other);
        fs::write(dir.path().join("c"), "longer").unwrap();
        fs::remove_file(&other).unwrap();
        std::os::unix::fs::symlink("c", &other).unwrap();
        assert!(linked.has_changed());
        let to_come = SystemTime::UNIX_EPOCH;
        assert_eq!(linked.quiet_for(to_come), Duration::MAX);
    }
}
