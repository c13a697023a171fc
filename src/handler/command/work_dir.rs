//! A directory per attempt, and nothing of it left afterwards.
//!
//! Below the directory of the configuration each handler has one of its own, which it holds locked, and each attempt one
//! within that. What a process that was killed has left is known by its lock, which ended with it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Uid};

/// What our own directories are called, and a random part.
const PREFIX: &str = "oxherd-";
/// How often the removal is tried again while something still writes there.
const TRIES: u32 = 20;

/// Where the directories of one handler are made.
pub(super) struct WorkDirs {
    base: PathBuf,
    owner: Option<(Uid, Gid)>,
    held: Mutex<Option<Held>>,
}

struct Held {
    path: PathBuf,
    made: u64,
    _lock: Flock<File>,
}

impl WorkDirs {
    /// Removes, in the background, what handlers that are gone have left.
    pub(super) fn new(base: PathBuf, owner: Option<(Uid, Gid)>) -> Self {
        let old = base.clone();
        std::thread::spawn(move || sweep(&old));
        Self { base, owner, held: Mutex::new(None) }
    }

    /// A new directory that nobody but its owner may look into. Blocks for a few system calls.
    pub(super) fn make(&self) -> io::Result<WorkDir> {
        let mut held = self.held.lock().expect("no code panics while holding this lock");
        let held = match &mut *held {
            // somebody may have cleaned up too well
            Some(held) if held.path.is_dir() => held,
            other => other.insert(hold(&self.base)?),
        };
        held.made += 1;
        let path = held.path.join(held.made.to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        let made = WorkDir { path: Some(path.clone()) };
        if let Some((user, group)) = self.owner {
            chown(&path, Some(user.as_raw()), Some(group.as_raw()))?;
        }
        Ok(made)
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // not while an attempt is left in it
        let _ = fs::remove_dir(&self.path);
    }
}

/// The directory of one attempt. Dropping it removes it in the background.
pub(super) struct WorkDir {
    path: Option<PathBuf>,
}

impl WorkDir {
    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Removes it with all there is in it. Cancel safe: the removal goes on.
    pub(super) async fn remove(mut self) {
        if let Some(path) = self.path.take() {
            // an error would be a panic, and has been told
            let _ = tokio::task::spawn_blocking(move || remove(&path)).await;
        }
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            std::thread::spawn(move || remove(&path));
        }
    }
}

/// Takes a new directory below `base`. Until it is locked, a sweep takes it for one that was left behind.
fn hold(base: &Path) -> io::Result<Held> {
    loop {
        // others pass through on the way to what is theirs, and see nothing
        DirBuilder::new().recursive(true).mode(0o711).create(base)?;
        let path = base.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        DirBuilder::new().mode(0o711).create(&path)?;
        match lock(&path) {
            Ok(lock) if is_at(&lock, &path) => return Ok(Held { path, made: 0, _lock: lock }),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WouldBlock) => {}
            Err(error) => {
                let _ = fs::remove_dir(&path);
                return Err(error);
            }
        }
    }
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    // the mask of the process may have taken something away
    fs::set_permissions(path, Permissions::from_mode(0o711))?;
    Flock::lock(File::open(path)?, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &fs::Metadata, b: &fs::Metadata| a.ino() == b.ino() && a.dev() == b.dev();
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// Removes directories that nobody holds.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        if is_ours
            && let Ok(file) = File::open(&path)
            && let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        {
            tracing::info!(path = %path.display(), "removing work directories that were left behind");
            remove(&path);
        }
    }
}

fn remove(path: &Path) {
    for again in (0..TRIES).rev() {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) if again == 0 => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a work directory; the next start tries again");
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => open_up(path),
            // what a program has started may not be gone yet
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A program may have closed its own directories to itself, which keeps others but root from removing them.
fn open_up(path: &Path) {
    let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_nobody_holds_is_swept() {
        let base = tempfile::tempdir().unwrap();
        let dirs = WorkDirs::new(base.path().join("new"), None);
        let base = dirs.base();
        let made = dirs.make().unwrap();
        assert_eq!(fs::metadata(made.path()).unwrap().mode() & 0o7777, 0o700);
        fs::write(made.path().join("file"), "x").unwrap();
        // whole at once: the sweep of the beginning may come late
        let left = base.with_file_name("left");
        fs::create_dir_all(left.join("1/closed/deep")).unwrap();
        fs::set_permissions(left.join("1/closed"), Permissions::from_mode(0o000)).unwrap();
        fs::rename(left, base.join("oxherd-left")).unwrap();
        fs::create_dir(base.join("others")).unwrap();
        sweep(base);
        assert!(made.path().join("file").exists(), "it is in use");
        while base.join("oxherd-left").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut left = names(base);
        left.sort();
        assert!(left.len() == 2 && left[0] == "others", "{left:?}");
        let path = made.path().to_owned();
        remove(&path);
        drop(dirs);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn a_sweep_at_the_same_time_keeps_nobody_from_a_directory() {
        let base = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let holding = scope.spawn(|| (0..2000).try_for_each(|_| hold(base.path()).map(drop)));
            while !holding.is_finished() {
                sweep(base.path());
            }
            holding.join().unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn each_is_new_and_goes_with_all_in_it() {
        let base = tempfile::tempdir().unwrap();
        let dirs = WorkDirs::new(base.path().into(), None);
        let (one, two) = (dirs.make().unwrap(), dirs.make().unwrap());
        assert_ne!(one.path(), two.path());
        fs::create_dir(one.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("/etc", one.path().join("link")).unwrap();
        let path = one.path().to_owned();
        one.remove().await;
        assert!(!path.exists() && Path::new("/etc/passwd").exists());
        // somebody has removed all of it
        fs::remove_dir_all(two.path().parent().unwrap()).unwrap();
        assert!(dirs.make().unwrap().path().is_dir());
    }
}
