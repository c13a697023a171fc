//! Programs that handlers are to run and this machine does not have. Nothing is wrong with such a configuration: the
//! programs may be installed later, or elsewhere. `cli/check.rs` and `cli/run.rs` tell of it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::{Config, Handler, Problem, Program};

/// A warning for each that could not be started as things are.
#[must_use]
pub fn missing(config: &Config) -> Vec<Problem> {
    let programs = config.handlers.iter().filter_map(|(name, handler)| match handler {
        Handler::Command(handler) => Some((name, "command", &handler.program)),
        Handler::Process(handler) => Some((name, "process", &handler.program)),
        _ => None,
    });
    programs
        .filter_map(|(name, kind, program)| {
            let (key, why) = shortcoming(program)?;
            let help = "its jobs are put off until that is mended";
            let mut problem = Problem::warning(format!("handler {name:?} cannot run: {why}")).with_help(help);
            problem.key = format!("handlers.{name}.{kind}.{key}");
            Some(problem)
        })
        .collect()
}

fn shortcoming(program: &Program) -> Option<(&'static str, String)> {
    let directory = program.directory.as_deref();
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Some(("directory", format!("there is no directory {}", directory.display())));
    }
    let name = program.argv.first()?;
    let places: Vec<PathBuf> = if name.contains('/') {
        vec![directory.unwrap_or(Path::new("")).join(name)]
    } else {
        let path = program.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
        std::env::split_paths(&path.unwrap_or_default()).map(|place| place.join(name)).collect()
    };
    let files: Vec<&PathBuf> = places.iter().filter(|place| place.is_file()).collect();
    let Some(first) = files.first() else { return Some(("argv", format!("there is no program {name}"))) };
    let Some(found) = files.iter().find(|file| access(file.as_path(), AccessFlags::X_OK).is_ok()) else {
        return Some(("argv", format!("{} may not be executed", first.display())));
    };
    let interpreter = interpreter(found)?;
    let is_there = directory.unwrap_or(Path::new("")).join(&interpreter).is_file();
    (!is_there).then(|| ("argv", format!("{} wants {}, which is not there", found.display(), interpreter.display())))
}

/// What the first line of a script asks for.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line);
    text.split_whitespace().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn f89_what_cannot_be_started_is_told_beforehand() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        };
        let why = |argv: &str, directory: Option<&Path>| {
            let mut program = Program::new(vec![argv.to_owned()]);
            program.directory = directory.map(Path::to_owned);
            shortcoming(&program)
        };
        let text = |found: Option<(&str, String)>| found.map(|(key, why)| format!("{key}: {why}")).unwrap_or_default();
        assert_eq!(why("sh", None), None);
        assert_eq!(text(why("no-such-program", None)), "argv: there is no program no-such-program");
        assert_eq!(text(why("/no/such", None)), "argv: there is no program /no/such");
        assert_eq!(text(why("sh", Some(Path::new("/no/such")))), "directory: there is no directory /no/such");
        let plain = file("plain", "#!/bin/sh\n", 0o644);
        assert_eq!(text(why(&plain, None)), format!("argv: {plain} may not be executed"));
        let strange = file("strange", "#! /no/such/interpreter -x\n", 0o755);
        assert_eq!(
            text(why(&strange, None)),
            format!("argv: {strange} wants /no/such/interpreter, which is not there")
        );
        let good = file("good", "#!/bin/sh\n", 0o755);
        assert_eq!(why(&good, None), None);
        assert_eq!(why("./good", Some(directory.path())), None);
    }
}
