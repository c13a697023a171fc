//! What can be typed, and what is printed? Arguments and verbs; `main.rs` calls [`main`].

mod acl;
mod audit;
mod bench;
mod bulk;
mod check;
mod completions;
mod config;
mod consent;
mod doctor;
mod enqueue;
mod error;
mod exec;
mod exit;
mod first;
mod flow;
mod healthcheck;
mod init;
mod input;
mod job;
mod list;
mod man;
mod print;
mod progress;
mod queue;
mod reload;
mod run;
mod schedule;
mod session;
mod time;
mod token;
mod value;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::error::Error;
use self::exit::Exit;
use self::session::Session;

/// Works job queues in Redis: BullMQ-compatible, driven by one TOML file
#[derive(Parser)]
#[command(name = "oxherd", version, disable_help_subcommand = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb understands.
#[derive(Args, Clone, Default)]
struct Global {
    /// Configuration file, or directory of them; repeatable, later ones win
    ///
    /// Without it: OXHERD_CONFIG, ./oxherd.toml, ./config/oxherd.toml, /etc/oxherd/oxherd.toml.
    #[arg(short, long, value_name = "FILE|DIR", global = true, help_heading = "Global options")]
    config: Vec<PathBuf>,
    /// Override one key, as in --set queues.email.concurrency=20; repeatable
    #[arg(long, value_name = "KEY=VALUE", global = true, value_parser = value::assignment, help_heading = "Global options")]
    set: Vec<String>,
    /// Where Redis is, as in redis://user:password@host:6379/0, redis+unix:///path or embedded:DIR
    #[arg(long, value_name = "URL", global = true, help_heading = "Global options")]
    redis: Option<String>,
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// error, warn, info, debug, trace, or a list such as info,oxherd::store=debug
    #[arg(long, value_name = "LEVEL", global = true, help_heading = "Global options")]
    log_level: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", global = true, value_enum, help_heading = "Global options")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Auto,
    Pretty,
    Json,
}

#[derive(Subcommand)]
enum Verb {
    Run(run::Run),
    Reload(reload::Reload),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Acl(acl::Acl),
    Exec(exec::Exec),
    /// Look at queues, and pause, limit or empty them
    #[command(subcommand)]
    Queue(queue::Verb),
    /// Add jobs, look at them, and change what is to become of them
    #[command(subcommand)]
    Job(job::Verb),
    /// Look at jobs that come again and again, and make, pause and remove schedules
    #[command(subcommand)]
    Schedule(schedule::Verb),
    Watch(watch::Watch),
    Token(token::Token),
    Bench(bench::Bench),
    Healthcheck(healthcheck::Healthcheck),
    /// Show the configuration in effect, or what may be written in one
    #[command(subcommand)]
    Config(config::Verb),
    Init(init::Init),
    Completions(completions::Completions),
    Man(man::Man),
    /// Print the version
    Version,
}

/// Reads the arguments, does what they say and answers with the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            print::usage(&message);
            return if message.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    first::end_by_signals(&cli.verb);
    let mut session = Session::new(cli.global);
    let result = dispatch(cli.verb, &mut session).and_then(|exit| {
        session.out.flush()?;
        Ok(exit)
    });
    let exit = match result {
        Ok(exit) => exit,
        Err(error) if error.is_reader_gone() => Exit::Done,
        Err(error) => {
            let _ = session.out.flush();
            session::complain(&error);
            error.exit()
        }
    };
    exit.into()
}

fn dispatch(verb: Verb, session: &mut Session) -> Result<Exit, Error> {
    match verb {
        Verb::Run(run) => run.execute(session),
        Verb::Reload(reload) => reload.execute(session),
        Verb::Check(check) => check.execute(session),
        Verb::Doctor(doctor) => doctor.execute(session),
        Verb::Acl(acl) => acl.execute(session),
        Verb::Exec(exec) => exec.execute(session),
        Verb::Queue(verb) => verb.execute(session),
        Verb::Job(verb) => verb.execute(session),
        Verb::Schedule(verb) => verb.execute(session),
        Verb::Watch(watch) => watch.execute(session),
        Verb::Token(token) => token.execute(session),
        Verb::Bench(bench) => bench.execute(session),
        Verb::Healthcheck(healthcheck) => healthcheck.execute(session),
        Verb::Config(verb) => verb.execute(session),
        Verb::Init(init) => init.execute(session),
        Verb::Completions(completions) => completions.execute(session),
        Verb::Man(man) => man.execute(session),
        Verb::Version => version(session),
    }
}

fn version(session: &mut Session) -> Result<Exit, Error> {
    let version = env!("CARGO_PKG_VERSION");
    if session.out.is_json() {
        session.out.json(&serde_json::json!({ "name": "oxherd", "version": version }))?;
    } else {
        session.out.line(format_args!("oxherd {version}"))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod docs;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_contradict_nothing() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_behind_the_verb() {
        for line in [["oxherd", "--json", "queue", "ls"], ["oxherd", "queue", "ls", "--json"]] {
            assert!(Cli::try_parse_from(line).unwrap().global.json);
        }
    }
}
