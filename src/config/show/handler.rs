//! Handlers, as they are shown: one function per kind.

use toml::{Table, Value};

use super::{COVERED, covered, duration, map, named, texts};
use crate::config::locate::mask_urls;
use crate::config::units::show_size;
use crate::config::{
    Answer, Batch, Breaker, Busy, CommandHandler, End, Gone, Handler, Housekeeping, HttpHandler, LogHandler, MailTls,
    OnAmbiguous, OnPartial, ProcessHandler, Program, RateLimit, RedisHandler, ScoreUnit, SmtpHandler,
};

pub(super) fn handler_table(handler: &Handler) -> Table {
    let (kind, table) = match handler {
        Handler::Http(config) => ("http", http(config)),
        Handler::Command(config) => ("command", command(config)),
        Handler::Smtp(config) => ("smtp", smtp(config)),
        Handler::Process(config) => ("process", process(config)),
        Handler::Log(config) => ("log", log(config)),
        Handler::Redis(config) => ("redis", redis(config)),
    };
    named([(kind, table.into())])
}

fn answer(answer: Answer) -> Value {
    Answer::NAMES.iter().find(|(_, known)| *known == answer).map_or("", |(name, _)| name).into()
}

fn http(config: &HttpHandler) -> Table {
    let status = config.status.iter().map(|(code, to)| (code.to_string(), answer(*to))).collect();
    let mut table = named([
        ("url", mask_urls(&config.url).into()),
        ("allow", Value::Array(config.allow.iter().map(|host| host.to_string().into()).collect())),
        ("http2", config.http2.into()),
        ("headers", covered(&config.headers)),
        ("signing_secrets", Value::Array(config.signing_secrets.iter().map(|_| COVERED.into()).collect())),
        ("connect_timeout", duration(config.connect_timeout)),
        ("response_timeout", config.response_timeout.map_or(false.into(), duration)),
        ("min_rate", config.min_rate.map_or(false.into(), |rate| show_size(rate).into())),
        ("max_response", show_size(config.max_response).into()),
        ("max_defer", duration(config.max_defer)),
        ("breaker", config.breaker.map_or(false.into(), |breaker| breaker_table(breaker).into())),
        ("batch", config.batch.map_or(false.into(), |batch| batch_table(batch).into())),
        ("callback", config.callback.into()),
        ("gone", if config.gone == Gone::Stop { "stop" } else { "fail" }.into()),
        ("status", Value::Table(status)),
    ]);
    if let Some(ca) = &config.ca {
        table.insert("ca".into(), ca.path.display().to_string().into());
    }
    if let Some(path) = &config.socket {
        table.insert("socket".into(), path.display().to_string().into());
    }
    table
}

fn batch_table(batch: Batch) -> Table {
    named([
        ("max", i64::try_from(batch.max).unwrap_or(i64::MAX).into()),
        ("wait", duration(batch.wait)),
        ("max_body", show_size(batch.max_body).into()),
    ])
}

fn breaker_table(breaker: Breaker) -> Table {
    named([
        ("failures", breaker.failures.into()),
        ("cool_down", duration(breaker.cool_down)),
        ("max", duration(breaker.max)),
    ])
}

fn command(config: &CommandHandler) -> Table {
    let mut table = program(&config.program);
    table.insert("max_output".into(), show_size(config.max_output).into());
    if let Some(directory) = &config.work_dir {
        table.insert("work_dir".into(), directory.display().to_string().into());
    }
    let exit = config.exit.iter().map(|(code, meaning)| {
        let outcome = answer(meaning.answer);
        let shown = match meaning.after {
            Some(after) => Value::Table(named([("outcome", outcome), ("after", duration(after))])),
            None => outcome,
        };
        (code.to_string(), shown)
    });
    table.insert("exit".into(), Value::Table(exit.collect()));
    table
}

fn process(config: &ProcessHandler) -> Table {
    let off = || Value::from(false);
    let mut table = program(&config.program);
    let workers = [("min", config.workers.min), ("max", config.workers.max)];
    table.extend(named([
        ("workers", named(workers.map(|(name, number)| (name, Value::from(number)))).into()),
        ("transport", config.transport.as_str().into()),
        ("slots", config.slots.into()),
        ("start_timeout", duration(config.start_timeout)),
        ("idle", config.idle.map_or_else(off, duration)),
        ("max_jobs", config.max_jobs.map_or_else(off, |jobs| Value::from(i64::try_from(jobs).unwrap_or(i64::MAX)))),
        ("max_age", config.max_age.map_or_else(off, duration)),
        ("max_memory", config.max_memory.map_or_else(off, |bytes| show_size(bytes).into())),
        ("ping", config.ping.map_or_else(off, duration)),
        ("max_frame", show_size(config.max_frame).into()),
        ("app", Value::Array(config.app.iter().map(|part| part.as_str().into()).collect())),
    ]));
    table
}

fn program(config: &Program) -> Table {
    let mut table = named([
        ("argv", texts(&config.argv)),
        ("env", covered(&config.env)),
        ("env_allow", texts(&config.env_allow)),
        ("kill_after", duration(config.kill_after)),
    ]);
    if let Some(directory) = &config.directory {
        table.insert("directory".into(), directory.display().to_string().into());
    }
    for (key, name) in [("user", &config.user), ("group", &config.group)] {
        table.extend(name.as_ref().map(|name| (key.to_owned(), name.clone().into())));
    }
    let whole = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let limits = &config.limits;
    let limits = [
        ("memory", limits.memory.map(|bytes| show_size(bytes).into())),
        ("cpu", limits.cpu.map(duration)),
        ("files", limits.files.map(whole)),
        ("processes", limits.processes.map(whole)),
        ("file_size", limits.file_size.map(|bytes| show_size(bytes).into())),
    ];
    let off = || Value::from(false);
    table.insert("limits".into(), named(limits.map(|(name, limit)| (name, limit.unwrap_or_else(off)))).into());
    table
}

fn smtp(config: &SmtpHandler) -> Table {
    let number = |n: usize| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    let rate = |limit: &RateLimit| named([("max", limit.max.into()), ("per", duration(limit.per))]).into();
    let on_partial = match config.on_partial {
        OnPartial::Complete => "complete",
        OnPartial::Fail => "fail",
    };
    let on_ambiguous = match config.on_ambiguous {
        OnAmbiguous::Retry => "retry",
        OnAmbiguous::Fail => "fail",
    };
    let mut table = named([
        ("url", config.shown_url().into()),
        ("from", config.from.clone().into()),
        ("reply_to", texts(&config.reply_to)),
        ("allow_from", texts(&config.allow_from)),
        ("redirect_all_to", texts(&config.redirect_all_to)),
        ("rate", config.rate.as_ref().map_or(false.into(), rate)),
        ("domain_rates", map(&config.domain_rates, rate)),
        ("max_recipients", number(config.max_recipients)),
        ("max_attachment", show_size(config.max_attachment).into()),
        ("max_message", show_size(config.max_message).into()),
        ("on_partial", on_partial.into()),
        ("on_ambiguous", on_ambiguous.into()),
        ("greylist", duration(config.greylist)),
        ("connect_timeout", duration(config.connect_timeout)),
        ("timeout", duration(config.timeout)),
        ("data_timeout", duration(config.data_timeout)),
        ("connections", number(config.connections)),
        ("idle", duration(config.idle)),
        ("breaker", config.breaker.map_or(false.into(), |breaker| breaker_table(breaker).into())),
    ]);
    let path = |path: &std::path::Path| Some(path.display().to_string());
    let optional = [
        ("tls", (config.tls == MailTls::Off).then(|| "off".to_owned())),
        ("password", config.password.as_ref().map(|_| COVERED.to_owned())),
        ("ca", config.ca.as_ref().and_then(|file| path(&file.path))),
        ("hello", config.hello.clone()),
        ("envelope_from", config.envelope_from.clone()),
        ("templates", config.templates.as_ref().and_then(|templates| path(&templates.directory))),
        ("attachments_dir", config.attachments_dir.as_deref().and_then(path)),
    ];
    for (name, value) in optional {
        table.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    table
}

fn log(config: &LogHandler) -> Table {
    named([("duration", duration(config.duration))])
}

fn redis(config: &RedisHandler) -> Table {
    let whole = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    let mut entries = vec![("action", config.task.action().into()), ("protect", texts(&config.protect))];
    if !matches!(config.task, Housekeeping::Warm(_)) {
        entries.extend([
            ("dry_run", config.dry_run.into()),
            ("max_keys", whole(config.max_keys)),
            ("rate", config.rate.map_or(false.into(), Value::from)),
            ("max_excess", config.max_excess.into()),
        ]);
    }
    entries.extend(config.server.as_ref().map(|server| ("url", server.shown_url().into())));
    entries.extend(config.database.map(|database| ("database", i64::from(database).into())));
    match &config.task {
        Housekeeping::Delete { pattern, kind } => {
            entries.push(("match", pattern.clone().into()));
            entries.extend(kind.map(|kind| ("type", kind.as_str().into())));
        }
        Housekeeping::Expire { pattern, kind, ttl, jitter, always } => {
            entries.extend([("match", pattern.clone().into()), ("ttl", duration(*ttl)), ("jitter", duration(*jitter))]);
            entries.push(("only", if *always { "always" } else { "missing" }.into()));
            entries.extend(kind.map(|kind| ("type", kind.as_str().into())));
        }
        Housekeeping::TagDelete { tag, member } => {
            entries.extend([("tag", tag.clone().into()), ("member", member.clone().into())]);
        }
        Housekeeping::SetPrune { pattern, member, grace } => {
            let texts = [("match", pattern.clone().into()), ("member", member.clone().into())];
            entries.extend(texts);
            entries.push(("grace", duration(*grace)));
        }
        Housekeeping::Trim { pattern, count, older, unit, keep } => {
            entries.push(("match", pattern.clone().into()));
            entries.extend(count.map(|count| ("count", whole(count))));
            entries.extend(older.map(|older| ("older", duration(older))));
            entries.push(("score", if *unit == ScoreUnit::Millis { "ms" } else { "s" }.into()));
            entries.extend(keep.map(|keep| ("keep", if keep == End::Left { "left" } else { "right" }.into())));
        }
        Housekeeping::Warm(warm) => entries.extend([
            ("fetch", mask_urls(&warm.fetch).into()),
            ("headers", covered(&warm.headers)),
            ("connect_timeout", duration(warm.connect_timeout)),
            ("max_size", show_size(warm.max_size).into()),
            ("key", warm.key.clone().into()),
            ("ttl", duration(warm.ttl)),
            ("jitter", duration(warm.jitter)),
            ("busy", if warm.busy == Busy::Discard { "discard" } else { "defer" }.into()),
        ]),
    }
    named(entries)
}
