//! The life of one process: started, looked after, ended, and nothing of it left. The keeper spawns [`live`].

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

use super::chatter::{Chatter, listen};
use super::frame::Inbox;
use super::gone::Gone;
use super::member::{Check, Why};
use super::pool::Pool;
use crate::config::Transport;
use crate::handler::child::{Child, Input};
use crate::handler::command::{LINGER, failure};
use crate::handler::keeper::NotStarted;
use crate::handler::pipes::{self, Incoming};
use crate::job::Failure;

/// From TERM to KILL, at most: a process that is ended had its time before.
const TERM: Duration = Duration::from_secs(1);

/// How often its memory is looked at, where that is bounded.
const WEIGH: Duration = Duration::from_secs(1);

/// Runs one process of a pool from its start until nothing is left of it. Dropping the future kills it.
pub(super) async fn live(pool: Arc<Pool>, id: usize) {
    let mut place = Place { pool: &pool, id, gone: Some(Gone::Died(Failure::new("its task ended early"))) };
    place.gone = Some(run(&pool, id).await);
}

/// Says that the process has gone, whatever happens.
struct Place<'a> {
    pool: &'a Pool,
    id: usize,
    gone: Option<Gone>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            self.pool.gone(self.id, &gone);
        }
    }
}

async fn run(pool: &Arc<Pool>, id: usize) -> Gone {
    let chatter = Arc::new(Chatter::default());
    let starting = tokio::time::timeout(pool.config.start_timeout, start(pool, id, &chatter)).await;
    let (mut child, tasks) = match starting {
        Ok(Ok(started)) => started,
        Ok(Err(why)) => return Gone::Died(Failure::new(pool.program.why_not_started(&why))),
        Err(_) => return Gone::Died(Failure::new(slow_start(pool))),
    };
    let life = pool.with(id, |member| Arc::clone(&member.life)).unwrap_or_default();
    let weighs = pool.config.max_memory.is_some();
    let mut weighed = Instant::now();
    let ended = loop {
        let now = Instant::now();
        if weighs && now >= weighed + WEIGH {
            weighed = now;
            weigh(pool, id, child.pid().as_raw());
        }
        let mut until = match pool.check(id) {
            Check::Until(until) => until,
            Check::End(why) => break Err(why),
        };
        if weighs {
            until = Some(until.map_or(weighed + WEIGH, |until| until.min(weighed + WEIGH)));
        }
        tokio::select! {
            status = child.wait() => break Ok(status),
            () = life.notified() => {}
            () = sleep_until(until), if until.is_some() => {}
        }
    };
    if ended.is_err() {
        child.stop(TERM.min(pool.config.program.kill_after)).await;
    }
    child.sweep().await;
    // what it has said before it ended counts; a process that left its group may hold the pipes for ever
    let _ = tokio::time::timeout(LINGER, futures_util::future::join_all(tasks)).await;
    match ended {
        Ok(_) if pool.with(id, |member| member.is_free_to_go()) == Some(true) => Gone::Left,
        Ok(Ok(end)) => Gone::Died(failure(&how(end.status), &chatter.tail())),
        Ok(Err(_)) => Gone::Died(Failure::new("its keeper was killed")),
        Err(Why::Lingers) => Gone::Left,
        Err(Why::Stuck) => Gone::Ended("a job did not stop when it was told to".into()),
        Err(why) => {
            let what = match why {
                Why::SlowStart => slow_start(pool),
                Why::Hung => format!("no answer within {:?}", pool.config.ping.unwrap_or_default()),
                Why::Nonsense => "too many lines without sense".into(),
                Why::Refused(why) => why,
                _ => "closed its channel".into(),
            };
            Gone::Died(failure(&what, &chatter.tail()))
        }
    }
}

fn slow_start(pool: &Pool) -> String {
    format!("not ready within {:?}", pool.config.start_timeout)
}

/// Looks how much memory the process takes; knows nothing where there is no `/proc`.
fn weigh(pool: &Pool, id: usize, pid: i32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    if let Some(kilobytes) = resident.and_then(|text| text.parse::<usize>().ok()) {
        pool.with(id, |member| member.weighs(kilobytes.saturating_mul(1024)));
        pool.keeper.notify_one();
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the process ended with exit code {code}"),
        (None, number) => {
            let number = number.unwrap_or_default();
            let name =
                Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
            format!("the process was killed by {name}")
        }
    }
}

/// Starts the program and what reads and writes its streams. The error says why it cannot be.
async fn start(
    pool: &Arc<Pool>,
    id: usize,
    chatter: &Arc<Chatter>,
) -> Result<(Child, Vec<AbortOnDropHandle<()>>), NotStarted> {
    let mut launch = pool.program.prepare();
    for argument in pool.program.arguments() {
        launch.arg(argument);
    }
    launch.env("OXHERD_HANDLER", &pool.name);
    let spawn = |stream| tokio::spawn(listen(Arc::clone(pool), id, stream, Arc::clone(chatter)));
    let mut tasks = Vec::new();
    let (child, from, to) = match pool.config.transport {
        Transport::Fds => {
            let (input, to) = pipes::to_child()?;
            let (from, output) = pipes::from_child()?;
            let (child, streams) = pool.program.start(&launch, Input::Text(b""), vec![input, output]).await?;
            tasks.extend([spawn(streams.stdout), spawn(streams.stderr)]);
            (child, from, to)
        }
        Transport::Stdio => {
            let (child, streams) = pool.program.start(&launch, Input::Open, Vec::new()).await?;
            tasks.push(spawn(streams.stderr));
            (child, streams.stdout, streams.stdin.ok_or(io::Error::from(Errno::EBADF))?)
        }
    };
    pool.with(id, |member| member.pid = child.pid().as_raw());
    let to = pipe::Sender::from_owned_fd_unchecked(to)?;
    tasks.push(tokio::spawn(talk(Arc::clone(pool), id, from, to)));
    Ok((child, tasks.into_iter().map(AbortOnDropHandle::new).collect()))
}

/// Writes what is to be said to a process and hears what it says, until it closes its end. What is ready goes in one
/// write; nothing waits for company.
async fn talk(pool: Arc<Pool>, id: usize, mut from: Incoming, mut to: pipe::Sender) {
    let Some(woken) = pool.with(id, |member| Arc::clone(&member.talk)) else { return };
    let mut inbox = Inbox::new(pool.config.max_frame);
    let mut frames = Vec::new();
    let mut written = 0;
    let mut is_deaf = false;
    let mut is_held = false;
    loop {
        if written == frames.len() {
            frames.clear();
            written = 0;
            pool.take_frames(id, &mut frames);
        }
        tokio::select! {
            biased;
            result = to.write(&frames[written..]), if written < frames.len() => match result {
                Ok(count) => written += count,
                // it may still have something to say
                Err(_) => is_deaf = true,
            },
            result = from.read_buf(inbox.room()), if !is_held => match result {
                Ok(1..) => pool.heard(id),
                _ => break,
            },
            () = woken.notified() => is_held = false,
        }
        if is_deaf {
            written = frames.len();
        }
        while !is_held && let Some((line, cut)) = inbox.next() {
            is_held = pool.hear(id, line, cut);
        }
    }
    pool.silent(id);
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
