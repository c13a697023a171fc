//! The daemon is killed: at any moment, at chosen moments, by the very job it runs.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ledger::Ledger;
use super::proxy::{Act, Proxy};
use super::scene::{
    RECOVERY, SHORT, USUAL, add, add_with, all_completed, dice, field, finished, is_soak, is_whole, key, ms, one_queue,
    say, wait_finished, within,
};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

const STATE: &str = "[daemon]\nstate_dir = \"state\"\n";

#[test]
fn f01_killed_while_idle_it_leaves_nothing_and_the_next_one_works_at_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=1, |_| ms(0));
    all_completed(&redis, "work", 1);
    daemon.kill();
    // no lock, no claim, nothing half-written
    all_completed(&redis, "work", 1);
    assert_eq!(redis.list(&["CLIENT", "LIST"]).iter().filter(|line| line.contains("name=bull:")).count(), 0);
    daemon.again();
    add(&redis, "work", 2..=2, |_| ms(0));
    // what it would wait for otherwise, a lock, lives for 30 s
    let took = within(Duration::from_secs(3), "the next job is done", || finished(&redis, "work") == 2);
    say(&format!("done {took:?} after the next start"));
    all_completed(&redis, "work", 2);
    assert!(ledger.repeated().is_empty());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f02_f03_f05_ten_kills_in_the_middle_of_500_jobs_cost_none() {
    let mut dice = dice("f02 f03 f05");
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &(one_queue(SHORT, &ledger) + STATE));
    let durations: Vec<usize> = (0..=500).map(|_| dice.usize(50..100)).collect();
    add(&redis, "work", 1..=500, |number| ms(durations[number]));
    let mut struck = 0;
    for kill in 1..=10 {
        // beyond what was running before: no job is in two kills, which would be one stall too many
        let goal = finished(&redis, "work") + 30;
        eventually(&format!("30 further jobs before kill {kill}"), || finished(&redis, "work") >= goal);
        std::thread::sleep(Duration::from_millis(dice.u64(..30)));
        daemon.kill();
        let running = redis.number(&["LLEN", &key("work", "active")]);
        struck += usize::from(running > 0);
        say(&format!("kill {kill}: {running} jobs were active"));
        daemon.again();
    }
    assert!(struck >= 8, "only {struck} of 10 kills met jobs at work");
    all_completed(&redis, "work", 500);
    // each kill may repeat what was in flight, nothing else
    let times = ledger.times();
    assert_eq!(times.len(), 500);
    assert!(times.values().sum::<usize>() <= 500 + 10 * 10, "{} runs", times.values().sum::<usize>());
    for (id, runs) in times {
        assert!(runs <= 2, "job {id} ran {runs} times");
        assert_eq!(field(&redis, "work", &id, "atm"), "1", "attempts of job {id}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f02_f03_a_restart_in_place_repeats_its_jobs_within_3_s_whatever_the_lock() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &(one_queue(USUAL, &ledger) + STATE));
    add(&redis, "work", 1..=10, |_| ms(1000));
    ledger.wait_begun(10);
    daemon.kill();
    assert_eq!(redis.number(&["LLEN", &key("work", "active")]), 10);
    let restart = Instant::now();
    daemon.again();
    ledger.wait_begun(20);
    assert!(restart.elapsed() < Duration::from_secs(3), "after {:?}", restart.elapsed());
    all_completed(&redis, "work", 10);
    for run in ledger.runs() {
        // the same attempt again: a crash uses none up
        assert_eq!(run.attempt, 1, "{run:?}");
    }
    for id in ledger.times().keys() {
        assert_eq!(field(&redis, "work", id, "returnvalue"), "2");
    }
}

fn another_takes_over(defaults: &str, limit: Duration) {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut first = Daemon::start(&redis, &one_queue(defaults, &ledger));
    add(&redis, "work", 1..=10, |_| ms(500));
    ledger.wait_begun(10);
    let other = Daemon::start(&redis, &one_queue(defaults, &ledger));
    other.says("\"working\"");
    first.kill();
    let kill = Instant::now();
    assert!(redis.number(&["LLEN", &key("work", "active")]) > 0, "the kill came too late");
    eventually("the other one has begun them", || ledger.runs().iter().filter(|run| run.begin > kill).count() > 0);
    all_completed(&redis, "work", 10);
    let last = ledger.runs().into_iter().map(|run| run.begin).max().unwrap();
    say(&format!("taken over after {:?}", last - kill));
    assert!(last - kill < limit, "after {:?}", last - kill);
}

#[test]
fn f02_f03_another_instance_takes_over_in_time() {
    another_takes_over(SHORT, RECOVERY);
}

#[test]
fn f02_f03_another_instance_takes_over_within_25_s_by_the_usual_settings() {
    if is_soak() {
        another_takes_over(USUAL, Duration::from_secs(25));
    }
}

/// A shell command that runs what is written here, its own line of the job in `$LINE`.
fn shell(directory: &Path, script: &str) -> String {
    format!(
        "[queues.work]\nhandler = \"shell\"\nconcurrency = 2\n[handlers.shell.command]\nargv = [\"sh\", \"-c\", '''{script}''']\n\
         env = {{ NOTES = \"{}\" }}\n",
        directory.join("notes").display()
    )
}

fn notes(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn is_alive(pid: &str) -> bool {
    // a zombie has ended; it waits for whoever collects it
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    state.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

/// Each run notes its processes, one of them in a session of its own with an environment of its own, and says who of the
/// former runs is still there.
const FAMILY: &str = r#"
    for pid in $(cat "$NOTES"); do
        case $(ps -o stat= -p $pid) in ""|Z*) ;; *) echo "$pid" >> "$NOTES.overlap";; esac
    done
    sleep 300 & near=$!
    setsid env -i sh -c 'trap "" TERM; sleep 300 & echo $$ $! > "$1"; wait' sh "$NOTES.$$" &
    until [ -s "$NOTES.$$" ]; do sleep 0.01; done
    echo $$ $near $(cat "$NOTES.$$") >> "$NOTES"
    wait"#;

#[test]
fn f04_a_command_and_all_it_has_started_die_with_the_daemon() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&redis, &(SHORT.to_owned() + &shell(directory.path(), FAMILY) + STATE));
    std::fs::write(directory.path().join("notes"), "").unwrap();
    add(&redis, "work", 1..=1, |_| "{}".into());
    eventually("the command runs", || notes(directory.path()).len() == 1);
    let first = notes(directory.path()).remove(0);
    let family: Vec<&str> = first.split_whitespace().collect();
    assert_eq!(family.len(), 4);
    assert!(family.iter().all(|pid| is_alive(pid)));
    daemon.kill();
    within(Duration::from_secs(1), "all have died", || !family.iter().any(|pid| is_alive(pid)));
    daemon.again();
    eventually("the job runs again", || notes(directory.path()).len() == 2);
    assert!(!directory.path().join("notes.overlap").exists(), "two runs of the job overlapped");
    assert_eq!(daemon.is_running().then_some(()), Some(()));
}

#[test]
fn f04_a_restart_in_place_ends_what_even_the_keepers_did_not() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let script = FAMILY.replace("env -i ", "");
    let mut daemon = Daemon::start(&redis, &(SHORT.to_owned() + &shell(directory.path(), &script) + STATE));
    std::fs::write(directory.path().join("notes"), "").unwrap();
    add(&redis, "work", 1..=1, |_| "{}".into());
    eventually("the command runs", || notes(directory.path()).len() == 1);
    let first = notes(directory.path()).remove(0);
    let family: Vec<&str> = first.split_whitespace().collect();
    let status = std::fs::read_to_string(format!("/proc/{}/status", family[0])).unwrap();
    let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
    // stopped, the keeper cannot do its work when the daemon goes
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), Signal::SIGSTOP).unwrap();
    daemon.kill();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), Signal::SIGKILL).unwrap();
    assert!(is_alive(family[2]), "nobody was there to kill it");
    daemon.again();
    eventually("the job runs again", || notes(directory.path()).len() == 2);
    assert!(!directory.path().join("notes.overlap").exists(), "two runs of the job overlapped");
    assert!(!family.iter().any(|pid| is_alive(pid)));
}

#[test]
fn f04_work_directories_of_a_killed_daemon_are_removed_by_the_next() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let script = "echo $OXHERD_WORK_DIR >> \"$NOTES\"; touch left; test $(wc -l < \"$NOTES\") -gt 1 || sleep 300";
    let work = format!("work_dir = \"{}\"\n", directory.path().join("work").display());
    let settings = SHORT.to_owned() + &shell(directory.path(), script) + &work + STATE;
    let mut daemon = Daemon::start(&redis, &settings);
    add(&redis, "work", 1..=1, |_| "{}".into());
    eventually("the command runs", || notes(directory.path()).len() == 1);
    let first = notes(directory.path()).remove(0);
    daemon.kill();
    assert!(Path::new(&first).exists());
    daemon.again();
    all_completed(&redis, "work", 1);
    eventually("nothing is left", || notes(directory.path()).iter().all(|made| !Path::new(made).exists()));
    assert_ne!(notes(directory.path())[1], first);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(std::fs::read_dir(directory.path().join("work")).unwrap().count(), 0);
}

#[test]
fn f89_a_program_that_is_not_there_is_told_at_start_and_its_jobs_wait_for_it() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    let settings = format!(
        "{SHORT}[queues.work]\nhandler = \"program\"\n[handlers.program.command]\nargv = [\"{}\"]\n",
        program.display()
    );
    let mut daemon = Daemon::start(&redis, &settings);
    daemon.says("there is no program");
    add(&redis, "work", 1..=1, |_| "{}".into());
    eventually("the job is put off", || redis.number(&["ZCARD", &key("work", "delayed")]) == 1);
    assert_eq!(finished(&redis, "work"), 0);
    assert_eq!(field(&redis, "work", "1", "atm"), "");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f87_the_daemon_ends_and_collects_what_a_killed_keeper_leaves_behind() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    // the last one is a stranger by its environment, as are those a container's first process is given
    let script = "test -s \"$NOTES\" && exit; setsid sleep 300 & far=$!; setsid env -i sleep 0.5 & \
                  echo $PPID $far $! >> \"$NOTES\"; wait";
    let mut daemon = Daemon::start(&redis, &(SHORT.to_owned() + &shell(directory.path(), script)));
    add(&redis, "work", 1..=1, |_| "{}".into());
    eventually("the command runs", || notes(directory.path()).len() == 1);
    let line = notes(directory.path()).remove(0);
    let all: Vec<&str> = line.split_whitespace().collect();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(all[0].parse().unwrap()), Signal::SIGKILL).unwrap();
    eventually("nothing is left, not even a dead process", || {
        all.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    });
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f81_children_added_before_a_kill_are_seen_by_the_next_attempt() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let script = r#"input=$(cat); echo "$OXHERD_JOB_NAME" >> "$NOTES"
        case "$OXHERD_JOB_NAME $input" in
          child*) echo 7; exit;;
          *'"children":'*) printf %s "$input"; exit;;
        esac
        echo '{"children":[{"name":"child","opts":{"jobId":"c"}}]}' >&3
        sleep 300"#;
    let mut daemon = Daemon::start(&redis, &(SHORT.to_owned() + &shell(directory.path(), script) + STATE));
    add(&redis, "work", 1..=1, |_| "{}".into());
    eventually("the child is done", || finished(&redis, "work") == 1);
    daemon.kill();
    daemon.again();
    eventually("its parent is done, too", || finished(&redis, "work") == 2);
    assert_eq!(notes(directory.path()), ["task", "child", "task"], "the child was added once");
    let told = field(&redis, "work", "1", "returnvalue");
    assert!(told.contains(r#""children":{"processed":{"bull:work:c":7}"#), "{told}");
}

#[test]
fn f02_a_kill_between_the_take_and_the_handler_runs_the_job_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &(one_queue(USUAL, &ledger) + STATE));
    daemon.says("\"working\"");
    proxy.once(Act::Hold, |exchange| exchange.is_take() && exchange.brings("task"));
    add(&redis, "work", 1..=1, |_| ms(0));
    eventually("the take is not answered", || proxy.strikes() == 1);
    daemon.kill();
    assert_eq!(redis.list(&["LRANGE", &key("work", "active"), "0", "-1"]), ["1"]);
    assert_eq!(ledger.begun(), 0);
    daemon.again();
    within(Duration::from_secs(3), "the job is done", || finished(&redis, "work") == 1);
    all_completed(&redis, "work", 1);
    let runs = ledger.of("1");
    assert_eq!((runs.len(), runs[0].attempt), (1, 1));
}

#[test]
fn f06_a_kill_between_a_finish_and_its_reply_repeats_nothing_finished() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let settings = one_queue(USUAL, &ledger).replace("concurrency = 10", "concurrency = 1");
    let mut daemon = Daemon::start_at(&proxy.url, &(settings + STATE));
    // the reply that also brings the next job
    proxy.once(Act::Hold, |exchange| exchange.has_outcome("c") && exchange.brings("task"));
    add(&redis, "work", 1..=2, |_| ms(50));
    eventually("a finish is not answered", || proxy.strikes() == 1);
    daemon.kill();
    assert_eq!(redis.list(&["ZRANGE", &key("work", "completed"), "0", "-1"]), ["1"]);
    assert_eq!(redis.list(&["LRANGE", &key("work", "active"), "0", "-1"]), ["2"]);
    daemon.again();
    within(Duration::from_secs(3), "the next job is done", || finished(&redis, "work") == 2);
    all_completed(&redis, "work", 2);
    assert_eq!((ledger.of("1").len(), ledger.of("2").len()), (1, 1));
}

#[test]
fn f07_a_kill_while_a_retry_is_scheduled_leaves_one_entry() {
    let redis = Redis::start();
    let ledger = Ledger::answering(|run| if run.nth == 1 { 500 } else { 200 });
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &(one_queue(USUAL, &ledger) + STATE));
    proxy.once(Act::Hold, |exchange| exchange.has_outcome("d"));
    add_with(&redis, "work", 1..=1, |_| ms(0), r#"{"attempts":3,"backoff":{"type":"fixed","delay":300}}"#);
    eventually("the retry is not answered", || proxy.strikes() == 1);
    daemon.kill();
    let places = [redis.number(&["ZCARD", &key("work", "delayed")]), redis.number(&["LLEN", &key("work", "active")])];
    assert_eq!(places.iter().sum::<u64>(), 1, "delayed and active: {places:?}");
    daemon.again();
    all_completed(&redis, "work", 1);
    let attempts: Vec<_> = ledger.of("1").iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2]);
    assert_eq!(field(&redis, "work", "1", "atm"), "2");
}

#[test]
fn f12_a_kill_while_draining_leaves_its_jobs_to_others() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    add(&redis, "work", 1..=20, |_| ms(400));
    ledger.wait_begun(10);
    daemon.signal(Signal::SIGTERM);
    daemon.says("draining");
    daemon.kill();
    let active = redis.number(&["LLEN", &key("work", "active")]);
    assert!(active > 0, "the kill came too late");
    let other = Daemon::start(&redis, &one_queue(SHORT, &ledger));
    other.says("\"working\"");
    all_completed(&redis, "work", 20);
    assert!(ledger.repeated().len() <= 10, "{:?}", ledger.repeated());
}

#[test]
fn f18_a_job_that_kills_its_daemon_is_given_up_without_another_run() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    // after its first death others are in flight beside it; its parent is a keeper, whose parent is the daemon
    let script = "echo $OXHERD_JOB_ID >> \"$NOTES\"
        test $OXHERD_JOB_ID = 1 && kill -9 $(sed -n 's/^PPid:\\t//p' /proc/$PPID/status); sleep 0.1";
    let mut daemon = Daemon::start(&redis, &(SHORT.to_owned() + &shell(directory.path(), script) + STATE));
    add(&redis, "work", 1..=1, |_| "{}".into());
    let mut deaths = 0;
    eventually("the job has failed", || {
        if !daemon.is_running() {
            deaths += 1;
            if deaths == 1 {
                add(&redis, "work", 2..=5, |_| "{}".into());
            }
            daemon.again();
        }
        finished(&redis, "work") > 0
    });
    wait_finished(&redis, "work", 5);
    assert_eq!(is_whole(&redis, "work", 5).into_iter().collect::<Vec<_>>(), ["1"]);
    // max_stalled is 1 by default
    assert_eq!((deaths, notes(directory.path()).iter().filter(|id| *id == "1").count()), (2, 2));
    assert_eq!(field(&redis, "work", "1", "failedReason"), "job stalled more than allowable limit");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f23_a_state_directory_has_one_daemon() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let shared = tempfile::tempdir().unwrap();
    let state = format!("[daemon]\nstate_dir = \"{}\"\n", shared.path().display());
    let mut first = Daemon::start(&redis, &(one_queue(SHORT, &ledger) + &state));
    first.says("\"working\"");
    let mut second = Daemon::start(&redis, &(one_queue(SHORT, &ledger) + &state));
    assert_eq!(second.exit_code(), Some(70));
    assert!(second.log().contains("is held by the process"), "{}", second.log());
    add(&redis, "work", 1..=5, |_| ms(0));
    all_completed(&redis, "work", 5);
    assert_eq!(first.stop(), Some(0));
}

#[test]
fn f24_a_rolling_restart_costs_and_repeats_nothing() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemons: Vec<Daemon> = (0..3).map(|_| Daemon::start(&redis, &one_queue(SHORT, &ledger))).collect();
    add(&redis, "work", 1..=400, |_| ms(100));
    ledger.wait_begun(30);
    for daemon in &mut daemons {
        let goal = ledger.begun() + 30;
        assert_eq!(daemon.stop(), Some(0));
        daemon.again();
        ledger.wait_begun(goal);
    }
    assert!(finished(&redis, "work") < 400, "the restarts came too late");
    all_completed(&redis, "work", 400);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    let mut begins: Vec<Instant> = ledger.runs().into_iter().map(|run| run.begin).collect();
    begins.sort();
    let pause = begins.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(pause < Duration::from_secs(2), "nothing was begun for {pause:?}");
}
