//! The handler with real programs.

mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::AsRawFd;
use tempfile::TempDir;

use super::*;
use crate::config::{Answer, ExitMeaning};
use crate::handler::program::INHERITED;
use crate::handler::testing::{context, job};
use crate::handler::{CancelReason, Standing};
use crate::job::Failure;

fn config(argv: &[&str]) -> CommandHandler {
    CommandHandler::new(argv.iter().map(|text| (*text).to_owned()).collect())
}

fn shell(script: &str) -> CommandHandler {
    config(&["sh", "-c", script])
}

async fn run(config: CommandHandler, job: Job) -> Outcome {
    Command::new(config).unwrap().run(Arc::new(job), context()).await
}

async fn script(script: &str) -> Outcome {
    run(shell(script), job("null")).await
}

fn returned(outcome: Outcome) -> String {
    match outcome {
        Outcome::Complete(value) => value.get().to_owned(),
        other => panic!("expected complete, got {other:?}"),
    }
}

/// A string that came back, without its quotes.
fn text(outcome: Outcome) -> String {
    serde_json::from_str(&returned(outcome)).unwrap()
}

fn fail_reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Fail(failure) => failure.message,
        other => panic!("expected fail, got {other:?}"),
    }
}

fn retry(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Retry { failure, after: None } => failure,
        other => panic!("expected retry, got {other:?}"),
    }
}

fn defer_reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Defer { reason, after } if after == Duration::from_secs(30) => reason,
        other => panic!("expected a deferral of 30 s, got {other:?}"),
    }
}

fn put_off_reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::PutOff { reason, .. } => reason,
        other => panic!("expected put off, got {other:?}"),
    }
}

/// Resolves once the claim holds; the test hangs and is killed when it never does.
async fn until(mut claim: impl FnMut() -> bool) {
    while !claim() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Processes write their pids into files of this folder, one each.
struct Pids(TempDir);

impl Pids {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    async fn wait_for(&self, name: &str) -> Pid {
        pid_in(&self.0.path().join(name)).await
    }
}

async fn pid_in(path: &Path) -> Pid {
    let mut pid = None;
    until(|| {
        pid = std::fs::read_to_string(path).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
        pid.is_some()
    })
    .await;
    Pid::from_raw(pid.unwrap())
}

fn exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Gone, or dead and not yet collected by its parent.
fn is_dead(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[tokio::test]
async fn the_envelope_comes_on_stdin_and_json_goes_back() {
    let data = r#"{"big": 12345678901234567890123}"#;
    let value = returned(run(config(&["cat"]), job(data)).await);
    assert_eq!(value.as_bytes(), wire::envelope(&job(data), &context(), None));
    assert_eq!(returned(script("echo hello").await), "\"hello\\n\"");
    assert_eq!(returned(script("echo; echo ' {\"a\": 1.10} '").await), "{\"a\": 1.10}");
    assert_eq!(returned(script("true").await), "null");
}

#[tokio::test]
async fn f92_a_placeholder_is_one_argument_and_no_shell_sees_it() {
    let data = r#"{"x":"a b;$(touch /tmp/never) 'c' *","n":7,"empty":""}"#;
    let argv =
        ["sh", "-c", "printf '%s|' \"$@\"", "{name}", "{data.x}", "{data.n}", "{data.empty}", "{}", r#"{"a":{}}"#];
    assert_eq!(text(run(config(&argv), job(data)).await), "a b;$(touch /tmp/never) 'c' *|7||{}|{\"a\":{}}|");
}

#[tokio::test]
async fn f92_a_value_must_not_become_an_option() {
    let print = "printf '%s|' \"$@\"";
    let data = r#"{"dashes":"--","x":"-rf"}"#;
    let reason = fail_reason(run(config(&["sh", "-c", print, "sh", "{data.x}"]), job(data)).await);
    assert!(reason.starts_with("data.x starts with '-', and the program may take argument 4 "), "{reason}");
    // a "--" that comes from the job does not count
    let reason = fail_reason(run(config(&["echo", "{data.dashes}", "{data.x}"]), job(data)).await);
    assert!(reason.starts_with("data.dashes starts with '-'"), "{reason}");
    let argv = ["sh", "-c", print, "sh", "--", "{data.x}"];
    assert_eq!(text(run(config(&argv), job(data)).await), "--|-rf|");
}

#[test]
fn f92_a_value_must_not_become_code() {
    for script in ["process {data.file}", "{name}; ls", "--id={id}", "a{queue}", "{\"n\":{attempt}}"] {
        let text = Command::new(config(&["sh", "-c", script])).err().expect(script).to_string();
        assert!(text.contains("make it an argument of its own"), "{script}: {text}");
    }
    for script in ["echo ${name}", "awk '{print $1}'", "f() { id; }", "{a,b}", "{", "}{"] {
        assert!(Command::new(config(&["sh", "-c", script])).is_ok(), "{script}");
    }
}

#[tokio::test]
async fn arguments_a_job_cannot_fill_fail_it() {
    assert_eq!(
        fail_reason(run(config(&["echo", "{data.x}"]), job("{}")).await),
        "the job has no data.x, and argument 1 needs it"
    );
    assert!(fail_reason(run(config(&["echo", "{data.x}"]), job(r#"{"x":"a\u0000b"}"#)).await).contains("NUL"));
    let mut named = job("null");
    named.name = "a\0b".into();
    assert!(fail_reason(run(config(&["true"]), named).await).starts_with("OXHERD_JOB_NAME would hold a NUL"));
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(200 * 1024));
    assert!(fail_reason(run(config(&["echo", "{data.x}"]), job(&long)).await).starts_with("cannot start echo: E2BIG"));
}

#[tokio::test]
async fn f93_the_environment_holds_what_is_documented_and_nothing_else() {
    let mut config = config(&["env"]);
    config.program.env = BTreeMap::from([("OWN".into(), "set".into())]);
    // some variable of ours; there is always one, from cargo or the shell
    let (allowed, _) = std::env::vars()
        .find(|(name, value)| !INHERITED.contains(&name.as_str()) && name != "OWN" && !value.contains('\n'))
        .unwrap();
    config.program.env_allow = vec![allowed.clone(), "OXHERD_NOT_SET_ANYWHERE".into()];
    let output = text(run(config, job(r#"{"secret":"payload"}"#)).await);
    let mut names: Vec<_> = output.lines().map(|line| line.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    assert!(names.contains(&allowed.as_str()));
    names.retain(|name| !INHERITED.contains(name) && *name != allowed);
    assert_eq!(
        names,
        [
            "OWN",
            "OXHERD_ATTEMPT",
            "OXHERD_DEADLINE_MS",
            "OXHERD_IDEMPOTENCY_KEY",
            "OXHERD_JOB_ID",
            "OXHERD_JOB_NAME",
            "OXHERD_MAX_ATTEMPTS",
            "OXHERD_QUEUE"
        ]
    );
    for line in ["OWN=set", "OXHERD_QUEUE=email", "OXHERD_JOB_ID=1042", "OXHERD_JOB_NAME=welcome", "OXHERD_ATTEMPT=1"] {
        assert!(output.lines().any(|l| l == line), "{line} is missing: {output}");
    }
    assert!(output.contains("OXHERD_MAX_ATTEMPTS=3\n") && output.contains("OXHERD_DEADLINE_MS=1788253260000\n"));
    assert!(!output.contains("payload"));
}

#[tokio::test]
async fn f93_descriptors_above_3_are_closed() {
    // what another library in the process might leave open across exec
    let leaked = nix::unistd::dup(std::io::stderr()).unwrap();
    let look = format!("test -e /proc/$$/fd/{} && echo open || echo closed", leaked.as_raw_fd());
    let plain = std::process::Command::new("sh").args(["-c", &look]).output().unwrap();
    assert_eq!(plain.stdout, b"open\n", "without our care it would be open");
    assert_eq!(text(script(&look).await), "closed\n");
    assert_eq!(text(script("test -e /proc/$$/fd/3 && echo open").await), "open\n");
}

#[tokio::test]
async fn the_directory_is_the_configured_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let mut config = shell("pwd -P");
    config.program.directory = Some(path.clone());
    assert_eq!(text(run(config, job("null")).await).trim(), path.to_str().unwrap());
}

#[tokio::test]
async fn f83_every_exit_code_of_the_table() {
    for code in [64, 65] {
        let reason = fail_reason(script(&format!("echo 'no such thing' >&2; exit {code}")).await);
        assert_eq!(reason, format!("exit code {code}: no such thing"));
    }
    assert_eq!(defer_reason(script("exit 75").await), "exit code 75");
    for code in [126, 127] {
        let reason = defer_reason(script(&format!("exit {code}")).await);
        assert_eq!(reason, format!("handler broken: sh ended with exit code {code}"));
    }
    for code in [1, 2, 63, 66, 74, 76, 125, 128, 255] {
        let failure = retry(script(&format!("exit {code}")).await);
        assert_eq!((failure.message, failure.stack), (format!("exit code {code}"), None));
    }
}

#[tokio::test]
async fn f83_death_by_signal_says_which_and_leaves_no_dump() {
    for (name, want) in [("SEGV", "killed by SIGSEGV: oh no"), ("KILL", "killed by SIGKILL: oh no")] {
        match script(&format!("echo oh no >&2; kill -{name} $$")).await {
            Outcome::Crashed(failure) => assert_eq!(failure.message, want),
            other => panic!("expected crashed, got {other:?}"),
        }
    }
    assert_eq!(returned(script("ulimit -c").await), "0");
}

#[tokio::test]
async fn f83_declared_codes_mean_what_was_declared() {
    let after = Some(Duration::from_secs(600));
    let mut config = shell("echo why >&2; echo '{\"n\":1}'; exit $(sed -n 's/.*\"data\":\\([0-9]*\\).*/\\1/p')");
    config.exit = [
        (0, Answer::Discard, None),
        (1, Answer::Fail, None),
        (3, Answer::Complete, None),
        (64, Answer::Retry, after),
        (75, Answer::Defer, after),
        (127, Answer::Fail, None),
    ]
    .map(|(code, answer, after)| (code, ExitMeaning { answer, after }))
    .into();
    let run = |code: u8| run(config.clone(), job(&code.to_string()));
    assert!(matches!(run(0).await, Outcome::Discard { reason } if reason == "exit code 0: why"));
    assert_eq!(fail_reason(run(1).await), "exit code 1: why");
    assert_eq!(returned(run(3).await), "{\"n\":1}");
    assert!(matches!(run(64).await, Outcome::Retry { failure, after: Some(wait) }
        if failure.message == "exit code 64: why" && wait.as_secs() == 600));
    assert!(
        matches!(run(75).await, Outcome::Defer { reason, after } if reason == "exit code 75: why" && after.as_secs() == 600)
    );
    assert_eq!(fail_reason(run(127).await), "exit code 127: why");
    // the others mean what they always mean
    assert_eq!(retry(run(2).await).message, "exit code 2: why");
    assert_eq!(fail_reason(run(65).await), "exit code 65: why");
}

#[tokio::test]
async fn f84_a_program_over_its_memory_is_refused_more_and_spares_the_others() {
    let mut config = shell("head -c 200000000 /dev/zero | tail -c 199999999 | wc -c; cat /proc/self/oom_score_adj");
    assert_eq!(text(run(config.clone(), job("null")).await), "199999999\n500\n");
    config.program.limits.memory = Some(64 * 1024 * 1024);
    let ctx = context();
    let outcome = Command::new(config).unwrap().run(Arc::new(job("null")), ctx.clone()).await;
    assert_eq!(text(outcome), "0\n500\n", "tail got no memory");
    assert!(ctx.take_log().iter().any(|line| line.contains("memory")));
}

/// The kernel ends a program whose control group is full; such a group can be made by root where the kernel lets it.
#[tokio::test]
async fn f84_a_program_killed_for_memory_is_reported_as_such() {
    let groups = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
        .map(|root| Path::new(root).join(format!("oxherd-test-{}", std::process::id())));
    let limits = [("memory.limit_in_bytes", 0), ("memory.max", 1)];
    let found = limits.into_iter().find(|(limit, at)| {
        let made =
            std::fs::create_dir(&groups[*at]).is_ok() && std::fs::write(groups[*at].join(limit), "33554432").is_ok();
        if !made {
            let _ = std::fs::remove_dir(&groups[*at]);
        }
        made
    });
    let directory = tempfile::tempdir().unwrap();
    // the leader itself takes the memory
    let script_for = |group: &Path| {
        let (group, pipe) = (group.display(), directory.path().join("pipe").display().to_string());
        format!(
            "mkfifo {pipe}; head -c 1000000000 /dev/zero > {pipe} & echo $$ > {group}/cgroup.procs\n\
             exec tail -c 999999999 < {pipe}"
        )
    };
    // where there is none, somebody else kills it, and that is told apart
    let (script_text, want) = match found {
        Some((_, at)) => (script_for(&groups[at]), "out of memory: killed by SIGKILL"),
        None => ("kill -KILL $$".to_owned(), "killed by SIGKILL"),
    };
    let outcome = script(&script_text).await;
    if let Some((_, at)) = found {
        until(|| std::fs::remove_dir(&groups[at]).is_ok()).await;
    }
    let Outcome::Crashed(failure) = outcome else { panic!("{}", outcome.as_str()) };
    assert_eq!(failure.message, want);
}

#[tokio::test]
async fn a_program_over_its_processor_time_is_ended_and_told_so() {
    for listens in ["", "trap '' XCPU; "] {
        let mut config = shell(&format!("{listens}while :; do :; done"));
        config.program.limits.cpu = Some(Duration::from_secs(1));
        let outcome = run(config, job("null")).await;
        let Outcome::Crashed(failure) = outcome else { panic!("{outcome:?}") };
        assert!(failure.message.starts_with("out of processor time: killed by SIG"), "{failure:?}");
        assert!(failure.message.ends_with(", limits.cpu is 1s"), "{failure:?}");
    }
}

#[tokio::test]
async fn files_and_their_size_have_limits() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = shell("ulimit -n; exec head -c 1000000 /dev/zero > large");
    config.program.directory = Some(directory.path().into());
    config.program.limits.files = Some(64);
    config.program.limits.file_size = Some(100_000);
    let outcome = run(config, job("null")).await;
    let Outcome::Crashed(failure) = outcome else { panic!("{outcome:?}") };
    assert!(
        failure.message.starts_with("wrote too large a file: killed by SIGXFSZ, limits.file_size is "),
        "{failure:?}"
    );
    let mut config = shell("ulimit -n");
    // what we are held to ourselves is not exceeded
    config.program.limits.files = Some(1 << 40);
    assert_eq!(returned(run(config.clone(), job("null")).await), returned(script("ulimit -n").await));
    config.program.limits.files = Some(64);
    assert_eq!(returned(run(config, job("null")).await), "64");
}

/// Says what it is: only root can become somebody else, and who is not is refused the setting.
#[tokio::test]
async fn a_program_runs_as_its_user() {
    let base = tempfile::tempdir().unwrap();
    std::fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mut config = shell(
        "id -u; id -g; id -G; echo $HOME; pwd; touch mine; ls -ld . | cut -c 1-10; sed -n 's/^Max processes *\\([0-9]*\\).*/\\1/p' /proc/self/limits",
    );
    config.program.user = Some("nobody".into());
    config.program.limits.processes = Some(1000);
    config.work_dir = Some(base.path().join("work"));
    if !nix::unistd::geteuid().is_root() {
        let refused = Command::new(config).err().unwrap().to_string();
        assert!(refused.starts_with("programs can run as another user only when oxherd runs as root"), "{refused}");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let ctx = context();
    let outcome = Command::new(config).unwrap().run(Arc::new(job("null")), ctx.clone()).await;
    let output = text(outcome);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], [nobody.uid.to_string(), nobody.gid.to_string()], "{:?}", ctx.take_log());
    assert!(
        lines[2].split(' ').any(|group| group == lines[1]) && !lines[2].split(' ').any(|group| group == "0"),
        "{lines:?}"
    );
    assert_eq!(lines[3], nobody.dir.to_str().unwrap());
    assert!(lines[4].starts_with(base.path().to_str().unwrap()));
    assert_eq!(lines[5..], ["drwx------", "1000"]);
    // and is ended as any other
    let mut config =
        shell(&format!("setsid sh -c 'echo $$ > {}/far; exec sleep 600' & kill -STOP $$", base.path().display()));
    config.program.user = Some("nobody".into());
    config.program.kill_after = Duration::from_millis(100);
    let ctx = context();
    let running = tokio::spawn(Command::new(config).unwrap().run(Arc::new(job("null")), ctx.clone()));
    let far = pid_in(&base.path().join("far")).await;
    ctx.cancel(CancelReason::Timeout);
    retry(running.await.unwrap());
    assert!(!exists(far));
}

#[tokio::test]
async fn each_attempt_has_a_directory_of_its_own_and_leaves_none() {
    let base = tempfile::tempdir().unwrap();
    let mut config =
        shell("pwd; echo $TMPDIR; echo $OXHERD_WORK_DIR; ls -A | wc -l; touch left; mkdir -m 0 closed; mktemp");
    config.work_dir = Some(base.path().into());
    let handler = Command::new(config).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let output = text(handler.run(Arc::new(job("null")), context()).await);
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with(base.path().to_str().unwrap()), "{output}");
        assert_eq!((&lines[1], &lines[2], lines[3].trim()), (&lines[0], &lines[0], "0"));
        assert!(lines[4].starts_with(&lines[0]), "{output}");
        assert!(!Path::new(&lines[0]).exists());
        seen.push(lines[0].clone());
    }
    assert_ne!(seen[0], seen[1]);
    drop(handler);
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    // one that runs elsewhere is told where its directory is
    let mut config = shell("pwd; echo $OXHERD_WORK_DIR");
    config.work_dir = Some(base.path().into());
    config.program.directory = Some("/".into());
    let output = text(run(config, job("null")).await);
    assert!(output.starts_with("/\n") && output.contains(base.path().to_str().unwrap()), "{output}");
}

#[tokio::test]
async fn stderr_is_the_jobs_log_and_its_tail_the_reason() {
    let ctx = context();
    let handler = Command::new(shell("echo one >&2; printf 'two\\033[1m\\n\\nlast' >&2; exit 3")).unwrap();
    let failure = retry(handler.run(Arc::new(job("null")), ctx.clone()).await);
    assert_eq!(ctx.take_log(), ["one", "two\\u{1b}[1m", "", "last"]);
    assert_eq!(failure.message, "exit code 3: one two\\u{1b}[1m  last");
    assert_eq!(failure.stack.as_deref(), Some("exit code 3\none\ntwo\\u{1b}[1m\n\nlast"));
}

#[tokio::test]
async fn f85_floods_on_both_streams_are_drained_and_kept_in_part() {
    const FLOOD: usize = 64 * 1024 * 1024;
    let ctx = context();
    let both = format!(
        "echo first; (head -c {FLOOD} /dev/zero | tr '\\0' e >&2) & head -c {FLOOD} /dev/zero | tr '\\0' o; wait; echo; echo last"
    );
    let outcome = Command::new(shell(&both)).unwrap().run(Arc::new(job("null")), ctx.clone()).await;
    let value = text(outcome);
    let dropped = FLOOD + "first\n".len() + "\nlast\n".len() - 256 * 1024;
    assert!(value.starts_with("first\nooo") && value.ends_with("ooo\nlast\n"), "{} bytes", value.len());
    assert!(value.contains(&format!("\n… {dropped} bytes dropped …\n")), "{dropped}");
    assert!(value.len() < 257 * 1024);
    let log = ctx.take_log();
    assert!(log.len() == 1 && log[0].ends_with(&format!("… {} bytes cut", FLOOD - wire::LOG_LINE)), "{log:?}");
}

#[tokio::test]
async fn f85_neither_side_waits_for_the_other() {
    let data = format!("\"{}\"", "d".repeat(4 * 1024 * 1024));
    // it answers more than a pipe holds before it reads, and then reads
    let before = "head -c 1000000 /dev/zero | tr '\\0' x; wc -c >&2";
    assert!(matches!(run(shell(before), job(&data)).await, Outcome::Complete(_)));
    // or it does not read at all
    assert_eq!(returned(run(shell("echo 1"), job(&data)).await), "1");
    assert_eq!(returned(run(shell("exec <&-; echo 2"), job(&data)).await), "2");
}

#[tokio::test]
async fn f86_a_line_without_end_is_cut_on_every_channel() {
    let ctx = context();
    let flood = "head -c 30000000 /dev/zero | tr '\\0' x";
    let handler =
        Command::new(shell(&format!("{flood} >&3; echo >&3; echo '{{\"log\":\"after\"}}' >&3; {flood} >&2"))).unwrap();
    assert_eq!(returned(handler.run(Arc::new(job("null")), ctx.clone()).await), "null");
    let log = ctx.take_log();
    let cut = 30_000_000 - 256 * 1024;
    assert_eq!(log[..2], [format!("descriptor 3: a line {cut} bytes too long was dropped"), "after".to_owned()]);
    assert!(
        log[2].ends_with(&format!("… {} bytes cut", 30_000_000 - wire::LOG_LINE)) && log.len() == 3,
        "{}",
        log.len()
    );
}

#[tokio::test]
async fn f86_odd_output_is_made_fit() {
    assert_eq!(text(script("printf 'a\\377b\\r\\n'").await), "a\u{fffd}b\r\n");
    let ctx = context();
    let handler = Command::new(shell("printf 'a\\377b\\033[2J\\000\\r\\n' >&2")).unwrap();
    handler.run(Arc::new(job("null")), ctx.clone()).await;
    assert_eq!(ctx.take_log(), ["a\u{fffd}b\\u{1b}[2J\\u{0}"]);
}

#[tokio::test]
async fn f87_what_a_program_leaves_behind_is_killed() {
    let pids = Pids::new();
    let path = pids.path();
    // the left one holds the pipes open and does not listen to TERM
    let outcome = script(&format!(
        "(trap '' TERM; sh -c 'echo $PPID' > {path}/left; while :; do sleep 1; done) &\n\
         while ! [ -s {path}/left ]; do sleep 0.01; done; echo done"
    ))
    .await;
    assert_eq!(text(outcome), "done\n");
    let left = pids.wait_for("left").await;
    until(|| is_dead(left)).await;
}

#[tokio::test]
async fn f87_who_leaves_group_session_and_parent_is_killed_as_well() {
    let pids = Pids::new();
    let path = pids.path();
    let started = Instant::now();
    // a daemon as in a textbook, with an environment of its own, that holds the pipes open and does not listen to TERM
    let outcome = script(&format!(
        "setsid sh -c \"env -i PATH=$PATH sh -c 'trap \\\"\\\" TERM; echo \\$\\$ > {path}/gone; while :; do sleep 1; done' &\" &\n\
         while ! [ -s {path}/gone ]; do sleep 0.01; done; echo done"
    ))
    .await;
    let gone = pids.wait_for("gone").await;
    assert_eq!(text(outcome), "done\n");
    // not a zombie even
    assert!(!exists(gone), "{gone} is still there");
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn f87_orphans_that_end_are_collected_while_the_program_runs() {
    let pids = Pids::new();
    let path = pids.path();
    let handler = Command::new(shell(&format!(
        "(sh -c 'echo $$ > {path}/orphan; while [ -e {path}/stay ]; do sleep 0.01; done' &)\n\
         echo $$ > {path}/leader; while ! [ -e {path}/end ]; do sleep 0.01; done"
    )));
    std::fs::write(pids.0.path().join("stay"), "").unwrap();
    let running = tokio::spawn(handler.unwrap().run(Arc::new(job("null")), context()));
    let (orphan, leader) = (pids.wait_for("orphan").await, pids.wait_for("leader").await);
    assert!(exists(orphan));
    std::fs::remove_file(pids.0.path().join("stay")).unwrap();
    until(|| !exists(orphan)).await;
    assert!(!is_dead(leader));
    std::fs::write(pids.0.path().join("end"), "").unwrap();
    assert_eq!(returned(running.await.unwrap()), "null");
}

#[tokio::test]
async fn f87_what_is_left_behind_does_not_spare_the_next_job() {
    let pids = Pids::new();
    let path = pids.path();
    let handler = Command::new(shell(&format!("sleep 600 & echo $! > {path}/$OXHERD_JOB_NAME; echo $PPID"))).unwrap();
    let mut keepers = Vec::new();
    for name in ["one", "two"] {
        let mut job = job("null");
        job.name = name.into();
        keepers.push(returned(handler.run(Arc::new(job), context()).await));
        assert!(!exists(pids.wait_for(name).await));
    }
    assert_eq!(keepers[0], keepers[1], "one keeper is enough for one job after the other");
}

#[tokio::test]
async fn a_killed_keeper_takes_its_program_along() {
    let pids = Pids::new();
    let path = pids.path();
    let handler =
        Command::new(shell(&format!("echo $PPID > {path}/keeper; echo $$ > {path}/leader; exec sleep 600"))).unwrap();
    let running = tokio::spawn(handler.run(Arc::new(job("null")), context()));
    let (keeper, leader) = (pids.wait_for("keeper").await, pids.wait_for("leader").await);
    kill(keeper, Signal::SIGKILL).unwrap();
    let outcome = running.await.unwrap();
    assert!(matches!(&outcome, Outcome::Crashed(f) if f.message == "the keeper of sh was killed"), "{outcome:?}");
    until(|| is_dead(leader) && !exists(keeper)).await;
    // one that is killed while it has nothing to do is not missed
    let handler = Command::new(shell("echo $PPID")).unwrap();
    let first = returned(handler.run(Arc::new(job("null")), context()).await);
    kill(Pid::from_raw(first.parse().unwrap()), Signal::SIGKILL).unwrap();
    assert_ne!(returned(handler.run(Arc::new(job("null")), context()).await), first);
}

#[tokio::test]
async fn f88_a_program_that_ignores_term_is_killed() {
    let pids = Pids::new();
    let mut config = shell(&format!("trap '' TERM; echo $$ > {}/stubborn; while :; do sleep 1; done", pids.path()));
    config.program.kill_after = Duration::from_millis(200);
    let ctx = context();
    let running = tokio::spawn(Command::new(config).unwrap().run(Arc::new(job("null")), ctx.clone()));
    let stubborn = pids.wait_for("stubborn").await;
    ctx.cancel(CancelReason::Timeout);
    let asked = Instant::now();
    assert_eq!(retry(running.await.unwrap()).message, "timed out after 60s");
    assert!(asked.elapsed() >= Duration::from_millis(200), "KILL came before its time");
    assert!(is_dead(stubborn));
}

#[tokio::test]
async fn f91_term_reaches_the_whole_group_and_output_flows_until_the_end() {
    let pids = Pids::new();
    let path = pids.path();
    let mut config = shell(&format!(
        "trap 'head -c 1000000 /dev/zero | tr \"\\0\" x >&2; exit 0' TERM\n\
         sleep 600 & echo $! > {path}/sleeper; echo $$ > {path}/leader; wait"
    ));
    // longer than the test may take: TERM alone must do
    config.program.kill_after = Duration::from_secs(3600);
    let ctx = context();
    let running = tokio::spawn(Command::new(config).unwrap().run(Arc::new(job("null")), ctx.clone()));
    let (leader, sleeper) = (pids.wait_for("leader").await, pids.wait_for("sleeper").await);
    ctx.cancel(CancelReason::Shutdown);
    assert!(matches!(running.await.unwrap(), Outcome::Interrupted));
    assert!(is_dead(leader));
    until(|| is_dead(sleeper)).await;
}

#[tokio::test]
async fn dropping_the_run_kills_the_group() {
    let pids = Pids::new();
    let path = pids.path();
    let config = shell(&format!("trap '' TERM; sleep 600 & echo $! > {path}/sleeper; echo $$ > {path}/leader; wait"));
    let running = tokio::spawn(Command::new(config).unwrap().run(Arc::new(job("null")), context()));
    let (leader, sleeper) = (pids.wait_for("leader").await, pids.wait_for("sleeper").await);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    until(|| is_dead(leader) && is_dead(sleeper)).await;
}

#[tokio::test]
async fn f89_a_broken_handler_costs_no_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("plain"), "#!/bin/sh\n").unwrap();
    std::fs::write(at("strange"), "#!/no/such/interpreter\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(at("strange"), executable).unwrap();
    for (program, want) in [("missing", "ENOENT"), ("plain", "EACCES"), ("strange", "ENOENT")] {
        let program = at(program);
        let reason = put_off_reason(run(config(&[&program]), job("null")).await);
        assert!(reason.starts_with(&format!("handler broken: cannot start {program}: {want}: ")), "{reason}");
    }
    // unless the configuration says that it is worth none
    let fail = ExitMeaning { answer: Answer::Fail, after: None };
    for (program, code) in [("missing", 127), ("plain", 126)] {
        let mut config = config(&[&at(program)]);
        config.exit.insert(code, fail);
        assert!(fail_reason(run(config, job("null")).await).starts_with("handler broken: cannot start "));
    }
    let mut gone = config(&["true"]);
    gone.program.directory = Some(PathBuf::from("/no/such/place"));
    let reason = put_off_reason(run(gone, job("null")).await);
    assert!(reason.starts_with("handler broken: cannot start true in directory /no/such/place: ENOENT"), "{reason}");
}

#[tokio::test]
async fn f89_a_program_broken_three_times_in_a_row_is_left_alone_until_a_run_works() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    let handler = Command::new(config(&[path.to_str().unwrap()])).unwrap();
    let run = async || handler.run(Arc::new(job("null")), context()).await;
    let write = |script: &str| {
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
    };
    let gate = handler.gate().unwrap();
    put_off_reason(run().await);
    write("exit 127");
    defer_reason(run().await);
    // what fails by itself works
    write("exit 1");
    retry(run().await);
    write("exit 126");
    defer_reason(run().await);
    defer_reason(run().await);
    assert!(gate.is_open());
    std::fs::remove_file(&path).unwrap();
    put_off_reason(run().await);
    let Standing::Shut { why, until: Some(_) } = gate.standing() else { panic!() };
    assert!(why.starts_with("3 failures in a row, the last: handler broken: cannot start "), "{why}");
    write("exit 0");
    assert!(matches!(run().await, Outcome::Complete(_)));
    assert!(gate.is_open());
}

#[tokio::test]
async fn descriptor_3_logs_and_states_the_outcome() {
    let ctx = context();
    let handler = Command::new(shell(
        "echo '{\"t\":\"progress\",\"value\":40}' >&3; echo '{\"log\":\"halfway\"}' >&3; echo nonsense >&3\n\
         echo ignored; printf '{\"t\":\"outcome\",\"outcome\":\"complete\",\"result\":{\"n\":1.10}}' >&3; exit 3",
    ))
    .unwrap();
    let outcome = handler.run(Arc::new(job("null")), ctx.clone()).await;
    assert_eq!(returned(outcome), "{\"n\":1.10}");
    let log = ctx.take_log();
    assert_eq!(log[0], "halfway");
    assert!(log.len() == 2 && log[1].starts_with("descriptor 3: line not understood"), "{log:?}");

    let outcome = script("echo '{\"outcome\":\"retry\",\"message\":\"later\",\"after\":\"90s\"}' >&3").await;
    let Outcome::Retry { failure, after } = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.message.as_str(), after), ("later", Some(Duration::from_secs(90))));
    let outcome = script("echo why >&2; echo '{\"outcome\":\"fail\"}' >&3").await;
    assert_eq!(fail_reason(outcome), "the program gives up: why");
    let outcome = script("echo '{\"outcome\":\"defer\",\"message\":\"busy\"}' >&3; exit 1").await;
    assert_eq!(defer_reason(outcome), "busy");
    let outcome = script("echo '{\"outcome\":\"discard\",\"message\":\"stale\"}' >&3").await;
    assert!(matches!(&outcome, Outcome::Discard { reason } if reason == "stale"), "{outcome:?}");
    assert_eq!(returned(script("echo '{\"outcome\":\"complete\"}' >&3; echo 5").await), "5");
}

#[tokio::test]
async fn what_descriptor_3_asks_for_in_vain_fails_the_attempt() {
    let outcome = script("echo '{\"data\":1}' >&3; echo '{\"outcome\":\"complete\"}' >&3; echo 5").await;
    assert_eq!(retry(outcome).message, "cannot update the data: no engine runs this job");
    let outcome = script("echo '{\"children\":[{\"data\":1}]}' >&3").await;
    assert!(retry(outcome).message.starts_with("not a flow: missing field `name`"));
    let outcome = script("echo '{\"outcome\":\"waiting-children\"}' >&3").await;
    assert!(matches!(outcome, Outcome::WaitForChildren), "{outcome:?}");
}

#[test]
fn settings_are_checked_when_the_handler_is_built() {
    let refused = |config: CommandHandler| Command::new(config).err().unwrap().to_string();
    assert_eq!(refused(config(&[])), "argv is empty; name at least the program");
    assert_eq!(refused(config(&[""])), "argv is empty; name at least the program");
    assert!(refused(config(&["/opt/{data.x}"])).starts_with("placeholder {data.x} stands in the program's name"));
    assert!(refused(config(&["a", "{data}"])).starts_with("unknown placeholder {data}"));
    assert!(refused(config(&["a", "{nme}"])).starts_with("unknown placeholder {nme}"));
    assert!(refused(config(&["a", "b\0"])).starts_with("argument \"b\\0\" holds a NUL byte"));
    let mut named = config(&["a"]);
    named.program.env_allow = vec!["A=B".into()];
    assert!(refused(named).starts_with("environment name \"A=B\" cannot be used"));
}

/// Our own death by KILL is played by a second process of this test program.
#[tokio::test]
async fn f04_a_killed_daemon_leaves_nothing_running() {
    const ROLE: &str = "OXHERD_TEST_PIDS";
    if let Ok(path) = std::env::var(ROLE) {
        script(&format!(
            "trap '' TERM; sleep 600 & echo $! > {path}/child\n\
             setsid sh -c 'sleep 600 & echo $! > {path}/far; wait' &\n\
             echo $PPID > {path}/keeper; echo $$ > {path}/leader; wait"
        ))
        .await;
        return;
    }
    let pids = Pids::new();
    let mut daemon = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "handler::command::tests::f04_a_killed_daemon_leaves_nothing_running"])
        .env(ROLE, pids.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut all = Vec::new();
    for name in ["child", "far", "keeper", "leader"] {
        all.push(pids.wait_for(name).await);
    }
    assert!(!all.iter().any(|pid| is_dead(*pid)));
    daemon.kill().await.unwrap();
    until(|| all.iter().all(|pid| is_dead(*pid))).await;
}
