//! What this process takes of its machine, under the names every exporter uses. Read from `/proc`; where there is none, what is
//! not known is left out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::page::{Kind, Page};

/// Ticks of processor time a second: the kernel's promise to programs, whatever its own clock does.
const TICKS: f64 = 100.0;

pub(super) fn write(page: &mut Page, started: SystemTime) {
    let mut put = |name, kind, help, value: Option<f64>| {
        let mut family = page.family(name, kind, help);
        if let Some(value) = value {
            family.put(&[], value);
        }
    };
    put("process_cpu_seconds_total", Kind::Counter, "Processor time used, user and system.", cpu());
    put("process_resident_memory_bytes", Kind::Gauge, "Memory in use.", kibibytes("VmRSS:"));
    put("process_virtual_memory_bytes", Kind::Gauge, "Address space in use.", kibibytes("VmSize:"));
    put("process_threads", Kind::Gauge, "Threads.", status("Threads:"));
    put("process_open_fds", Kind::Gauge, "Open file descriptors.", open_fds());
    put("process_max_fds", Kind::Gauge, "File descriptors that may be open.", max_fds());
    let since = started.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64());
    put("process_start_time_seconds", Kind::Gauge, "When the process started, in seconds since 1970.", since);
}

fn cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // the program's name may hold blanks and brackets
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn kibibytes(field: &str) -> Option<f64> {
    status(field).map(|kibibytes| kibibytes * 1024.0)
}

fn status(field: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    // the one that is open for reading them is one of them
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that many")]
fn max_fds() -> Option<f64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let mut page = Page::default();
        write(&mut page, SystemTime::now());
        let text = page.into_text();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} in {text}")).parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") < value("process_max_fds"));
        assert!(value("process_threads") >= 1.0 && value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_start_time_seconds") > 1.7e9);
    }
}
