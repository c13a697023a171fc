//! Reads a configuration that somebody may just be writing. A reload calls it, and who judges files for one; a start
//! reads what is there.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use super::error::{Error, Problem};
use super::load::{LoadOptions, Loaded, look};
use super::seen::Seen;

/// How long nothing must have changed for a reading to count.
const QUIET: Duration = Duration::from_millis(100);
/// The same for one that makes no sense, has no queues, or holds an empty file: the rest may be on its way.
const DOUBTFUL: Duration = Duration::from_secs(1);
/// How long writers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// As [`super::load`], once nobody writes any more. Keeps its thread busy for up to some seconds; after ten of them
/// files that still change are refused.
pub fn load_settled(options: &LoadOptions) -> Loaded {
    let until = Instant::now() + PATIENCE;
    loop {
        let (loaded, seen) = look(options);
        let is_doubtful = seen.has_empty_file || loaded.as_ref().map_or(true, |(config, _)| config.queues.is_empty());
        let quiet = if is_doubtful { DOUBTFUL } else { QUIET };
        if settles(&seen, quiet, until) {
            return loaded;
        }
        if Instant::now() >= until {
            let message =
                format!("the files have been changing for {} s, and were not read to the end", PATIENCE.as_secs());
            let help = "reload when they are written";
            return Err(Error { problems: vec![Problem::error(message).with_help(help)] });
        }
    }
}

/// Waits until nothing has changed for so long; `false` when it is not what was read any more.
fn settles(seen: &Seen, quiet: Duration, until: Instant) -> bool {
    loop {
        if seen.has_changed() {
            // not again and again what is being written
            sleep(LOOK);
            return false;
        }
        if seen.quiet_for(SystemTime::now()) >= quiet {
            return true;
        }
        if Instant::now() >= until {
            // somebody writes other things beside our files
            return true;
        }
        sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn options(file: &Path) -> LoadOptions {
        LoadOptions { files: vec![file.to_owned()], ..LoadOptions::default() }
    }

    const WHOLE: &str = "[queues.a]\nhandler = \"h\"\n[queues.b]\nhandler = \"h\"\n[handlers.h.log]\n";

    #[test]
    fn f131_a_half_written_file_is_read_again_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oxherd.toml");
        // empty, torn within a line, torn between tables, and whole but for the handler
        for torn in ["", "[queues.a]\nhand", "[handlers.h.log]\n", &WHOLE[..WHOLE.len() - "[handlers.h.log]\n".len()]] {
            fs::write(&file, torn).unwrap();
            let (begun, late) = (Instant::now(), file.clone());
            let writer = std::thread::spawn(move || {
                sleep(QUIET / 2);
                fs::write(late, WHOLE).unwrap();
            });
            let (config, _) = load_settled(&options(&file)).unwrap();
            writer.join().unwrap();
            assert_eq!(config.queues.len(), 2, "{torn:?}");
            assert!(begun.elapsed() >= QUIET, "{torn:?}");
        }
    }

    #[test]
    fn f131_a_file_that_comes_into_an_included_directory_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oxherd.toml");
        fs::write(&file, "include = [\"conf.d/*.toml\"]\n[handlers.h.log]\n").unwrap();
        let below = dir.path().join("conf.d");
        fs::create_dir(&below).unwrap();
        let writer = std::thread::spawn(move || {
            sleep(QUIET / 2);
            fs::write(below.join("a.toml"), "[queues.a]\nhandler = \"h\"\n").unwrap();
        });
        let (config, _) = load_settled(&options(&file)).unwrap();
        writer.join().unwrap();
        assert_eq!(config.queues.len(), 1);
    }

    #[test]
    fn f131_a_file_that_stays_broken_is_refused_soon() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oxherd.toml");
        fs::write(&file, "[queues.a\n").unwrap();
        let begun = Instant::now();
        assert!(load_settled(&options(&file)).is_err());
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        // and at once by then
        let begun = Instant::now();
        assert!(load_settled(&options(&file)).is_err());
        assert!(begun.elapsed() < DOUBTFUL, "{:?}", begun.elapsed());
    }
}
