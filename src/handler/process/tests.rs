//! Pools of real processes.

use std::path::Path;
use std::time::Instant;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

use super::*;
use crate::config::{Transport, Workers};
use crate::handler::testing::{context, job};
use crate::handler::{Notice, Standing};

const CHILD: &str = include_str!("tests/child.sh");

fn config(env: &[(&str, &str)]) -> ProcessHandler {
    let mut config = ProcessHandler::new(["sh", "-c", CHILD].map(str::to_owned).to_vec());
    config.program.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config.program.kill_after = Duration::from_millis(300);
    config
}

fn pool(config: ProcessHandler) -> Process {
    Process::new("pool", config).unwrap()
}

async fn run(pool: &Process, task: &str) -> Outcome {
    run_in(pool, task, context()).await
}

async fn run_in(pool: &Process, task: &str, ctx: JobContext) -> Outcome {
    pool.run(Arc::new(job(&format!(r#"{{"do":"{task}"}}"#))), ctx).await
}

/// The process that did the job.
fn done_by(outcome: &Outcome) -> i32 {
    let Outcome::Complete(value) = outcome else { panic!("{outcome:?}") };
    value.get().parse().unwrap()
}

fn is_alive(id: i32) -> bool {
    // one that is dead and not collected is no longer
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.starts_with(" Z")))
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_process_does_one_job_after_another() {
    let pool = pool(config(&[]));
    let first = done_by(&run(&pool, "").await);
    for _ in 0..20 {
        assert_eq!(done_by(&run(&pool, "").await), first);
    }
    drop(pool);
    while is_alive(first) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_job_is_told_as_the_envelope_and_says_how_it_goes() {
    let pool = pool(config(&[]));
    run(&pool, "").await;
    let Outcome::Complete(value) = run(&pool, "echo").await else { panic!() };
    let told: serde_json::Value = serde_json::from_str(value.get()).unwrap();
    assert_eq!((&told["t"], &told["job"]["id"], &told["data"]["do"]), (&"job".into(), &"1042".into(), &"echo".into()));
    assert_eq!((told["ref"].as_str(), told["deadline"].as_i64()), (Some("a2"), Some(1_788_253_260_000)));
    let ctx = context();
    let outcome = run_in(&pool, "speak", ctx.clone()).await;
    assert!(matches!(outcome, Outcome::Defer { reason, after } if reason == "no" && after == Duration::from_secs(90)));
    let told = ctx.close_report();
    assert_eq!((told.lines.as_slice(), told.progress.unwrap().get()), (&["halfway".to_owned()][..], "40"));
}

#[tokio::test]
async fn standard_input_and_output_carry_the_frames_as_well() {
    let over_stdio = CHILD.replace(">&4", ">&1").replace("<&3", "<&0");
    let mut config = config(&[]);
    config.program.argv = vec!["sh".into(), "-c".into(), over_stdio];
    config.transport = Transport::Stdio;
    let pool = pool(config);
    let first = done_by(&run(&pool, "").await);
    assert_eq!(done_by(&run(&pool, "").await), first);
}

#[tokio::test]
async fn jobs_wait_for_a_slot_first_come_first_served_and_more_processes_come_for_them() {
    let starts = Starts::default();
    let mut config = starts.config(&[]);
    config.workers = Workers { min: 1, max: 3 };
    config.idle = Some(Duration::from_millis(300));
    let pool = Arc::new(pool(config));
    run(&pool, "").await;
    assert_eq!(starts.count(), 1);
    let jobs: Vec<_> = (0..9)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { done_by(&run(&pool, "wait").await) })
        })
        .collect();
    let mut used: Vec<i32> = Vec::new();
    for job in jobs {
        used.push(job.await.unwrap());
    }
    used.sort_unstable();
    used.dedup();
    assert_eq!((starts.count(), used.len()), (3, 3));
    // one is enough now: the others go
    wait_until(|| used.iter().filter(|id| is_alive(**id)).count() == 1).await;
    let kept = done_by(&run(&pool, "").await);
    assert!(used.contains(&kept));
}

#[tokio::test]
async fn a_job_that_gets_no_slot_in_time_was_never_begun_and_says_so() {
    let pool = Arc::new(pool(config(&[])));
    run(&pool, "").await;
    let busy = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { run(&pool, "wait").await }
    });
    tokio::task::yield_now().await;
    let ctx = JobContext::detached(Arc::new(job("{}")), Duration::from_millis(100));
    let Outcome::Defer { reason, .. } = run_in(&pool, "", ctx).await else { panic!() };
    assert_eq!(reason, "no process of pool was free in time: 1 processes are ready and none has a free slot");
    assert!(matches!(busy.await.unwrap(), Outcome::Complete(_)));
}

#[tokio::test]
async fn f90_a_job_that_kills_its_process_has_crashed_and_the_next_finds_another() {
    let pool = pool(config(&[]));
    let (notices, mut told) = tokio::sync::mpsc::unbounded_channel();
    pool.start(&notices);
    let first = done_by(&run(&pool, "").await);
    let Outcome::Crashed(failure) = run(&pool, "crash").await else { panic!() };
    assert_eq!(failure.message, "the process was killed by SIGKILL: out of cheese");
    assert!(matches!(told.recv().await, Some(Notice::ProcessLost { pid, .. }) if pid == first));
    let second = done_by(&run(&pool, "").await);
    assert_ne!(first, second);
    let Outcome::Crashed(failure) = run(&pool, "exit").await else { panic!() };
    assert_eq!(failure.message, "the process ended with exit code 3");
    assert_ne!(done_by(&run(&pool, "").await), second);
}

#[tokio::test]
async fn f90_of_several_jobs_the_culprit_alone_has_crashed() {
    let mut config = config(&[("SLOTS", "8")]);
    config.workers = Workers { min: 1, max: 2 };
    let pool = Arc::new(pool(config));
    run(&pool, "").await;
    let innocent: Vec<_> = (0..5)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { run(&pool, "wait").await })
        })
        .collect();
    tokio::task::yield_now().await;
    let ctx = context();
    assert!(matches!(run_in(&pool, "crash", ctx).await, Outcome::Crashed(_)));
    for job in innocent {
        done_by(&job.await.unwrap());
    }
}

#[tokio::test]
async fn f90_a_program_that_cannot_start_breaks_the_pool_and_is_tried_more_and_more_rarely() {
    let starts = Starts::default();
    let mut config = starts.config(&[("HELLO", r#"{"t":"hello","proto":9}"#)]);
    config.program.kill_after = Duration::ZERO;
    let pool = pool(config);
    let Outcome::PutOff { reason, .. } = run(&pool, "").await else { panic!() };
    assert_eq!(reason, "handler broken: no process of pool starts");
    assert!(matches!(pool.gate().unwrap().standing(), Standing::Shut { until: None, .. }));
    assert!(matches!(run(&pool, "").await, Outcome::PutOff { .. }), "not even tried");
    let count = starts.count();
    assert!(count <= 5, "{count}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(starts.count(), count, "no storm of starts");

    let mut missing = ProcessHandler::new(vec!["/no/such/program".into()]);
    missing.workers = Workers { min: 4, max: 4 };
    let pool = self::pool(missing);
    assert!(matches!(run(&pool, "").await, Outcome::PutOff { .. }));
    let Standing::Shut { why, .. } = pool.gate().unwrap().standing() else { panic!() };
    assert!(why.contains("/no/such/program") && why.contains("ENOENT"), "{why}");
}

#[tokio::test]
async fn f90_a_process_that_dies_before_it_is_ready_is_tried_again_and_the_job_waits() {
    let starts = Starts::default();
    let script = format!("[ $(wc -l < $STARTS) -lt 2 ] && {{ echo >> $STARTS; exit 1; }}\n{CHILD}");
    let mut config = starts.config(&[]);
    std::fs::write(starts.path(), "").unwrap();
    config.program.argv = vec!["sh".into(), "-c".into(), script];
    let pool = pool(config);
    done_by(&run(&pool, "").await);
    assert_eq!(starts.count(), 3);
    assert!(pool.gate().unwrap().standing() == Standing::Open);
}

#[tokio::test]
async fn f90_nonsense_is_passed_over_until_it_is_too_much() {
    let pool = pool(config(&[]));
    let first = done_by(&run(&pool, "babble").await);
    let ctx = context();
    assert_eq!(done_by(&run_in(&pool, "babble", ctx.clone()).await), first);
    assert!(ctx.take_log()[0].starts_with("the process: line not understood"));
    let Outcome::Crashed(failure) = run(&pool, "nonsense").await else { panic!() };
    assert_eq!(failure.message, "too many lines without sense");
    assert_ne!(done_by(&run(&pool, "").await), first);
}

#[tokio::test]
async fn a_closed_pool_finishes_what_it_has_and_its_processes_end_by_themselves() {
    let pool = Arc::new(pool(config(&[])));
    pool.start(&notices());
    let first = done_by(&run(&pool, "").await);
    let running = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { run(&pool, "wait").await }
    });
    tokio::task::yield_now().await;
    pool.close().await;
    assert!(!is_alive(first));
    assert_eq!(done_by(&running.await.unwrap()), first);
    assert!(matches!(run(&pool, "").await, Outcome::Interrupted));
}

#[tokio::test]
async fn a_pool_with_other_settings_takes_over_when_its_processes_are_ready() {
    let old = Arc::new(pool(config(&[])));
    old.start(&notices());
    let first = done_by(&run(&old, "").await);
    let mut other = config(&[("OTHER", "1")]);
    other.workers = Workers { min: 2, max: 2 };
    other.program.argv[2] = format!("sleep 0.3\n{CHILD}");
    let new = pool(other);
    let following = new.follow(Arc::clone(&old) as _, &notices());
    let following = tokio::spawn(following);
    let running = tokio::spawn({
        let old = Arc::clone(&old);
        async move { run(&old, "busy").await }
    });
    tokio::task::yield_now().await;
    // waits beside the one that runs, in the old pool
    assert_eq!(done_by(&run(&new, "").await), first);
    assert_eq!(done_by(&running.await.unwrap()), first);
    following.await.unwrap();
    assert!(!is_alive(first));
    assert_ne!(done_by(&run(&new, "").await), first);
    assert_eq!(new.processes().unwrap().ready, 2);

    // one that cannot start does not hold the old one for ever
    let mut broken = ProcessHandler::new(vec!["false".into()]);
    broken.start_timeout = Duration::from_millis(300);
    let broken = pool(broken);
    let new = Arc::new(new);
    broken.follow(Arc::clone(&new) as _, &notices()).await;
    assert_eq!(new.processes().unwrap().ready, 0);
}

#[tokio::test]
async fn f91_late_and_foreign_results_are_ignored() {
    let pool = pool(config(&[]));
    let first = done_by(&run(&pool, "late").await);
    assert_eq!(done_by(&run(&pool, "").await), first);
}

#[tokio::test]
async fn f86_a_result_too_long_fails_its_job_alone() {
    let mut config = config(&[]);
    config.max_frame = 2000;
    let pool = pool(config);
    let Outcome::Fail(failure) = run(&pool, "long").await else { panic!() };
    assert_eq!(failure.message, "the result was longer than max_frame, 2000 bytes");
    done_by(&run(&pool, "").await);
}

#[tokio::test]
async fn f87_what_a_process_leaves_behind_is_killed() {
    let file = Starts::default();
    let path = file.path().display().to_string();
    let pool = pool(config(&[("FAMILY", &path)]));
    assert!(matches!(run(&pool, "family").await, Outcome::Crashed(_)));
    let left: i32 = lines(&file.path())[0].parse().unwrap();
    assert!(!is_alive(left));
}

#[tokio::test]
async fn f88_a_job_that_does_not_stop_is_ended_with_its_process() {
    let pool = pool(config(&[]));
    let first = done_by(&run(&pool, "").await);
    let ctx = JobContext::detached(Arc::new(job("{}")), Duration::from_secs(60));
    let begun = Instant::now();
    let (outcome, ()) = tokio::join!(run_in(&pool, "stuck", ctx.clone()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ctx.cancel(CancelReason::Timeout);
    });
    assert!(matches!(outcome, Outcome::Retry { failure, .. } if failure.message.starts_with("timed out")));
    let took = begun.elapsed();
    assert!((Duration::from_millis(700)..Duration::from_secs(3)).contains(&took), "{took:?}");
    assert!(!is_alive(first));
    done_by(&run(&pool, "").await);
}

#[tokio::test]
async fn a_job_may_end_itself_when_it_is_told_to() {
    let pool = pool(config(&[("SLOTS", "2")]));
    let first = done_by(&run(&pool, "").await);
    let ctx = context();
    let (outcome, ()) = tokio::join!(run_in(&pool, "stuck", ctx.clone()), async {
        tokio::task::yield_now().await;
        ctx.cancel(CancelReason::Requested);
    });
    assert!(matches!(outcome, Outcome::Fail(failure) if failure.message == "stopped"));
    assert_eq!(done_by(&run(&pool, "").await), first);
}

#[tokio::test]
async fn f88_jobs_beside_one_that_does_not_stop_are_finished_or_begin_again() {
    let mark = Starts::default();
    let mut config = config(&[("SLOTS", "2"), ("ONCE", &mark.path().display().to_string())]);
    config.workers = Workers { min: 1, max: 2 };
    let pool = Arc::new(pool(config));
    let first = done_by(&run(&pool, "").await);
    let ctx = context();
    let stuck = tokio::spawn({
        let (pool, ctx) = (Arc::clone(&pool), ctx.clone());
        async move { run_in(&pool, "stuck", ctx).await }
    });
    tokio::task::yield_now().await;
    // finished where it is, although its process is on the way out
    ctx.cancel(CancelReason::Timeout);
    assert_eq!(done_by(&run(&pool, "wait").await), first);
    assert!(matches!(stuck.await.unwrap(), Outcome::Retry { .. }));

    // there are processes
    run(&pool, "").await;
    let ctx = context();
    let (gone, again, ()) = tokio::join!(run_in(&pool, "stuck", ctx.clone()), run(&pool, "hang-once"), async {
        tokio::task::yield_now().await;
        ctx.cancel(CancelReason::Timeout);
    });
    assert!(matches!(gone, Outcome::Retry { .. }));
    done_by(&again);
}

#[tokio::test]
async fn f16_a_process_that_hangs_is_replaced_idle_or_busy() {
    let mut config = config(&[("SLOTS", "2")]);
    config.ping = Some(Duration::from_millis(150));
    let pool = Arc::new(pool(config));
    let first = done_by(&run(&pool, "").await);
    let Outcome::Crashed(failure) = run(&pool, "block").await else { panic!() };
    assert_eq!(failure.message, "no answer within 150ms");
    let second = done_by(&run(&pool, "").await);
    assert_ne!(first, second);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(done_by(&run(&pool, "").await), second, "who answers stays");
    kill(Pid::from_raw(second), nix::sys::signal::Signal::SIGSTOP).unwrap();
    wait_until(|| !is_alive(second)).await;
    assert_ne!(done_by(&run(&pool, "").await), second);
}

#[tokio::test]
async fn a_process_with_one_slot_need_not_answer_while_it_works() {
    let mut config = config(&[]);
    config.ping = Some(Duration::from_millis(100));
    let pool = pool(config);
    let first = done_by(&run(&pool, "").await);
    assert_eq!(done_by(&run(&pool, "busy").await), first);
    assert_eq!(done_by(&run(&pool, "").await), first);
}

#[tokio::test]
async fn a_process_that_says_bye_leaves_its_jobs_to_others() {
    let mark = Starts::default();
    let pool = pool(config(&[("ONCE", &mark.path().display().to_string())]));
    let first = done_by(&run(&pool, "").await);
    assert_ne!(done_by(&run(&pool, "leave-once").await), first);
}

#[tokio::test]
async fn processes_are_replaced_after_their_jobs_or_age_and_no_job_notices() {
    let starts = Starts::default();
    let mut config = starts.config(&[]);
    config.max_jobs = Some(5);
    let pool = pool(config);
    for _ in 0..20 {
        done_by(&run(&pool, "").await);
    }
    let count = starts.count();
    assert!((4..=6).contains(&count), "{count}");

    let starts = Starts::default();
    let mut config = starts.config(&[]);
    config.max_age = Some(Duration::from_millis(100));
    let pool = self::pool(config);
    let first = done_by(&run(&pool, "").await);
    wait_until(|| !is_alive(first)).await;
    done_by(&run(&pool, "").await);
}

#[tokio::test]
async fn f84_a_process_that_has_grown_is_replaced() {
    let mut config = config(&[]);
    config.max_memory = Some(100 * 1024);
    let pool = pool(config);
    let first = done_by(&run(&pool, "").await);
    wait_until(|| !is_alive(first)).await;
    done_by(&run(&pool, "").await);
}

#[tokio::test]
async fn f93_the_environment_is_what_is_allowed() {
    let mut config = config(&[("OWN", "set")]);
    config.program.argv = vec!["sh".into(), "-c".into(), "env >&2; ls -l /proc/self/fd >&2; exit 1".into()];
    let pool = pool(config);
    let chatter = Arc::new(chatter::Chatter::default());
    // what a process prints ends up in the reason
    run(&pool, "").await;
    drop(chatter);
    let Standing::Shut { why, .. } = pool.gate().unwrap().standing() else { panic!() };
    assert!(why.contains("exit code 1"), "{why}");
}

#[tokio::test]
async fn what_a_process_prints_goes_to_the_job_it_is_certainly_about() {
    let pool = pool(config(&[]));
    let ctx = context();
    done_by(&run_in(&pool, "print", ctx.clone()).await);
    let mut lines = ctx.take_log();
    lines.sort();
    assert_eq!(lines, ["complained", "printed"]);
}

#[tokio::test]
async fn a_process_that_closes_its_channel_is_ended() {
    let pool = pool(config(&[]));
    let first = done_by(&run(&pool, "").await);
    let Outcome::Crashed(failure) = run(&pool, "silent").await else { panic!() };
    assert_eq!(failure.message, "closed its channel");
    assert!(!is_alive(first));
}

fn notices() -> Notices {
    tokio::sync::mpsc::unbounded_channel().0
}

/// A file in which processes note that they were started.
#[derive(Default)]
struct Starts(std::sync::OnceLock<TempDir>);

impl Starts {
    fn path(&self) -> std::path::PathBuf {
        self.0.get_or_init(|| TempDir::new().unwrap()).path().join("starts")
    }

    fn config(&self, env: &[(&str, &str)]) -> ProcessHandler {
        let mut config = config(env);
        config.program.env.insert("STARTS".into(), self.path().display().to_string());
        config
    }

    fn count(&self) -> usize {
        lines(&self.path()).len()
    }
}

async fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be so");
}
