//! A job as a run of a program: no shell, the envelope on stdin, the answer on stdout,
//! descriptor 3 and the exit code (`docs/handlers.md`).

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::child::{Input, Streams};
use super::error::Refused;
use super::keeper::Launch;
use super::pipes::{self, Incoming};
use super::program::{Program, refuse_nul};
use super::template::Field;
use super::wire::{self, Heard, Lines, Listener};
use super::{Gate, Handler, JobContext, Running};
use crate::config::{CommandHandler, ExitMeaning};
use crate::job::{Job, Outcome};

mod ending;
mod memory;
pub(super) mod output;
mod starts;
mod work_dir;

pub(super) use ending::failure;
use output::{Kept, drain};
use starts::Starts;
use work_dir::{WorkDir, WorkDirs};

/// The end of stderr, for the reason of a failure.
pub(super) const STDERR_TAIL: usize = 8 * 1024;
/// Characters of it that go into the reason itself.
const REASON: usize = 500;
/// Once nothing is left of the program, how long its pipes are still read: somebody else may have been handed one and hold
/// it open for ever.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// Lines of descriptor 3 that are heard and not yet acted on. A program that says more waits.
const SAID: usize = 16;

/// `[handlers.NAME.command]`
pub struct Command {
    run: Arc<Run>,
}

struct Run {
    program: Program,
    arguments: Vec<Argument>,
    max_output: usize,
    starts: Starts,
    work_dirs: Option<WorkDirs>,
    exit: BTreeMap<u8, ExitMeaning>,
    memory: memory::Watch,
}

enum Argument {
    Text(String),
    /// A value of the job. A leading dash would make an option of it, unless a `--` of the
    /// operator's stands before it.
    Value {
        field: Field,
        may_start_with_dash: bool,
    },
}

impl Command {
    /// Checks the settings. Whether the program exists is found out when it is run.
    pub fn new(config: CommandHandler) -> Result<Self, Refused> {
        let CommandHandler { program, max_output, work_dir, exit } = config;
        let program = Program::new(program)?;
        if let Some(placeholder) = placeholder_in(program.path()) {
            return Err(Refused::Program(placeholder.to_owned()));
        }
        let mut arguments = Vec::new();
        let mut options_ended = false;
        for text in program.arguments() {
            options_ended |= text == "--";
            arguments.push(Argument::parse(text, options_ended)?);
        }
        let work_dirs = work_dir.map(|base| {
            let owner = program.account().map(|account| (account.user, account.group));
            // the program may be run elsewhere
            WorkDirs::new(std::path::absolute(&base).unwrap_or(base), owner)
        });
        let (starts, memory) = (Starts::default(), memory::Watch::default());
        Ok(Self { run: Arc::new(Run { program, arguments, max_output, starts, work_dirs, exit, memory }) })
    }
}

impl Argument {
    /// A placeholder is a whole argument. Other braces are the program's own business, as in a
    /// JSON text or an awk program; only what was clearly meant as a placeholder is refused: put
    /// into the text of a script, a value of the job would become code.
    fn parse(text: &str, may_start_with_dash: bool) -> Result<Self, Refused> {
        refuse_nul("argument", text)?;
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match name.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))) {
            Some(name) => Ok(Self::Value { field: Field::parse(name)?, may_start_with_dash }),
            None => match placeholder_in(text) {
                Some(placeholder) => Err(Refused::Embedded(placeholder.to_owned())),
                None => Ok(Self::Text(text.to_owned())),
            },
        }
    }
}

/// The first placeholder we know, braces included; `${name}` is a shell's variable, not ours.
fn placeholder_in(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(open, _)| {
        let close = open + text[open..].find('}')?;
        let known = Field::parse(&text[open + 1..close]).is_ok() && !text[..open].ends_with('$');
        known.then(|| &text[open..=close])
    })
}

impl Handler for Command {
    fn reads_children(&self) -> bool {
        true
    }

    fn gate(&self) -> Option<&Gate> {
        Some(self.run.starts.gate())
    }

    fn run(&self, job: Arc<Job>, ctx: JobContext) -> Running {
        let run = Arc::clone(&self.run);
        Box::pin(async move {
            let children = match wire::children_of(&ctx).await {
                Ok(children) => children,
                Err(outcome) => return outcome,
            };
            let mut program = match run.prepare(&job, &ctx) {
                Ok(program) => program,
                Err(reason) => return Outcome::fail(reason),
            };
            let work_dir = match run.work_dir(&mut program) {
                Ok(work_dir) => work_dir,
                Err(outcome) => return outcome,
            };
            let outcome = run.exchange(&program, &wire::envelope(&job, &ctx, children.as_ref()), &ctx).await;
            if let Some(work_dir) = work_dir {
                work_dir.remove().await;
            }
            outcome
        })
    }

    fn stop_grace(&self) -> Duration {
        // TERM, KILL, and a moment for the last output
        self.run.program.kill_after() + Duration::from_secs(2)
    }
}

impl Run {
    /// The program with all it is given. The error is the reason the job fails for good.
    fn prepare(&self, job: &Job, ctx: &JobContext) -> Result<Launch, String> {
        let mut program = self.program.prepare();
        for (at, argument) in self.arguments.iter().enumerate() {
            let at = at + 1;
            let (field, may_start_with_dash) = match argument {
                Argument::Text(text) => {
                    program.arg(text);
                    continue;
                }
                Argument::Value { field, may_start_with_dash } => (field, *may_start_with_dash),
            };
            let value = field.value(job).map_err(|why| format!("{why}, and argument {at} needs it"))?;
            if value.contains('\0') {
                return Err(format!("{field} holds a NUL byte, which argument {at} cannot be given"));
            }
            if value.starts_with('-') && !may_start_with_dash {
                return Err(format!(
                    "{field} starts with '-', and the program may take argument {at} for an option; \
                     put \"--\" before it in argv if the program understands that"
                ));
            }
            program.arg(&*value);
        }
        for (name, value) in [
            ("OXHERD_QUEUE", job.queue.as_str()),
            ("OXHERD_JOB_ID", job.id.as_str()),
            ("OXHERD_JOB_NAME", &job.name),
            ("OXHERD_ATTEMPT", &job.attempt().to_string()),
            ("OXHERD_MAX_ATTEMPTS", &ctx.max_attempts().to_string()),
            ("OXHERD_IDEMPOTENCY_KEY", &wire::idempotency_key(job, ctx)),
            ("OXHERD_DEADLINE_MS", &ctx.deadline_ms().to_string()),
        ] {
            if value.contains('\0') {
                return Err(format!("{name} would hold a NUL byte, which no program can be given"));
            }
            program.env(name, value);
        }
        if let Some(trace) = ctx.trace() {
            program.env("TRACEPARENT", trace.traceparent());
            if let Some(state) = &trace.state {
                program.env("TRACESTATE", &**state);
            }
        }
        Ok(program)
    }

    /// A directory for the attempt, if the configuration asks for one, and the program told of it.
    fn work_dir(&self, program: &mut Launch) -> Result<Option<WorkDir>, Outcome> {
        let Some(work_dirs) = &self.work_dirs else { return Ok(None) };
        let made = work_dirs.make().map_err(|error| {
            let place = work_dirs.base().display();
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
            let reason = format!("handler broken: no directory in {place}: {errno}");
            self.starts.failed(self.starts.begin(), errno, reason)
        })?;
        if self.program.directory().is_none() {
            program.directory(made.path());
        }
        program.env("OXHERD_WORK_DIR", made.path()).env("TMPDIR", made.path());
        Ok(Some(made))
    }

    async fn exchange(&self, program: &Launch, envelope: &[u8], ctx: &JobContext) -> Outcome {
        let since = self.starts.begin();
        let (lines, channel) = match pipes::from_child() {
            Ok(channel) => channel,
            Err(error) => return self.not_started(since, &error.into()),
        };
        let input = Input::Text(envelope);
        let before = self.memory.begin();
        let (mut child, streams) = match self.program.start(program, input, vec![channel]).await {
            Ok(started) => started,
            Err(error) => return self.not_started(since, &error),
        };
        self.starts.done();
        let Streams { stdin, written, stdout, stderr } = streams;
        let mut printed = Kept::both_ends(self.max_output);
        let mut complaints = Kept::end(STDERR_TAIL);
        let mut listener = Listener::new("descriptor 3");
        let enough = CancellationToken::new();

        let ended = {
            let (say, mut said) = mpsc::channel(SAID);
            let reading = async {
                let mut stderr_lines = Lines::new(wire::LOG_LINE);
                tokio::join!(
                    feed(stdin, &envelope[written..]),
                    drain(stdout, |bytes| printed.push(bytes)),
                    async {
                        drain(stderr, |bytes| {
                            complaints.push(bytes);
                            stderr_lines.push(bytes, |line, cut| log(ctx, line, cut));
                        })
                        .await;
                        stderr_lines.finish(|line, cut| log(ctx, line, cut));
                    },
                    listen(lines, Lines::new(self.max_output), ctx, say),
                );
            };
            let streams = async {
                let reading = async {
                    tokio::select! {
                        () = reading => {}
                        () = enough.cancelled() => {}
                    }
                };
                let acting = async {
                    while let Some(heard) = said.recv().await {
                        listener.hear(heard, ctx).await;
                    }
                };
                tokio::join!(reading, acting);
            };
            let mut streams = pin!(streams.fuse());
            let ended = {
                let mut ending = pin!(async {
                    tokio::select! {
                        // a program that has just ended counts as ended
                        biased;
                        end = child.wait() => Ok(end),
                        reason = ctx.cancelled() => {
                            child.stop(self.program.kill_after()).await;
                            Err(reason)
                        }
                    }
                });
                loop {
                    tokio::select! {
                        ended = &mut ending => break ended,
                        () = &mut streams => {}
                    }
                }
            };
            child.sweep().await;
            if !streams.is_terminated() {
                let lingering = tokio::time::timeout(LINGER, streams.as_mut()).await;
                if lingering.is_err() {
                    // what was said is done all the same
                    enough.cancel();
                    streams.await;
                }
            }
            ended
        };

        match ended {
            Err(reason) => ctx.stopped(reason),
            Ok(Err(_)) => self.keeper_killed(),
            Ok(Ok(end)) => {
                let complaints = complaints.into_bytes();
                if listener.stated.is_some() || !self.says_broken(end.status.code()) {
                    self.starts.works();
                }
                match (listener.undone, listener.stated) {
                    (Some(undone), _) => undone,
                    // the program's own word beats its exit code
                    (None, Some(stated)) => stated.outcome(
                        |asked| failure(&format!("the program {asked}"), &complaints),
                        || wire::value(printed.into_bytes()),
                    ),
                    (None, None) => self.outcome(since, end, before, printed, &complaints),
                }
            }
        }
    }
}

/// Writes the rest of the envelope and closes. A program that does not care to read it is none the worse.
async fn feed(stdin: Option<OwnedFd>, rest: &[u8]) {
    if let Some(Ok(mut stdin)) = stdin.map(pipe::Sender::from_owned_fd_unchecked) {
        let _ = stdin.write_all(rest).await;
    }
}

/// Hears descriptor 3 to its end. A read error is an end too.
async fn listen(mut pipe: Incoming, mut lines: Lines, ctx: &JobContext, say: mpsc::Sender<Heard>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut heard = Vec::new();
    let mut open = true;
    while open {
        let count = pipe.read(&mut buffer).await.unwrap_or(0);
        open = count > 0;
        let each = |line: &[u8], cut| heard.extend(Heard::parse(line, cut, &ctx.job().queue));
        if open {
            lines.push(&buffer[..count], each);
        } else {
            lines.finish(each);
        }
        for heard in heard.drain(..) {
            // fails only when nobody waits for the program any more
            let _ = say.send(heard).await;
        }
    }
}

fn log(ctx: &JobContext, line: &[u8], cut: usize) {
    let text = wire::snippet(line, wire::LOG_LINE);
    ctx.log(if cut > 0 { format!("{text}… {cut} bytes cut") } else { text });
}

#[cfg(test)]
mod tests;
