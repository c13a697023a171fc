//! The checks, in the order they are made.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::dialogue::{Dialogue, Said};
use super::{Seen, Trouble, failed};

/// Bytes of data of the big job.
const BIG: usize = 1 << 20;
/// Jobs given at once, at most.
const PARALLEL: u32 = 16;
/// How long a process that says too much is listened to for it.
const SILENCE: Duration = Duration::from_millis(100);

type Checking<'a> = Pin<Box<dyn Future<Output = Seen> + 'a>>;

/// One check.
pub struct Check {
    pub name: &'static str,
    pub run: for<'a, 'b> fn(&'a mut Dialogue<'b>) -> Checking<'a>,
}

pub const CHECKS: &[Check] = &[
    Check { name: "starts: hello, then ready", run: |d| Box::pin(starts(d)) },
    Check { name: "does a job", run: |d| Box::pin(does_a_job(d)) },
    Check { name: "does as many jobs at once as it has slots", run: |d| Box::pin(parallel(d)) },
    Check { name: "takes a job of 1 MiB", run: |d| Box::pin(big(d)) },
    Check { name: "takes any text and any number", run: |d| Box::pin(odd_data(d)) },
    Check { name: "leaves unknown frames and members alone", run: |d| Box::pin(unknown(d)) },
    Check { name: "answers a ping", run: |d| Box::pin(ping(d)) },
    Check { name: "answers a ping that comes with a job", run: |d| Box::pin(ping_with_job(d)) },
    Check { name: "ends a cancelled job", run: |d| Box::pin(cancel(d)) },
    Check { name: "leaves the cancelling of what has ended alone", run: |d| Box::pin(cancel_late(d)) },
    Check { name: "goes idle without a word", run: |d| Box::pin(idle(d)) },
    Check { name: "drains: bye, exit 0", run: |d| Box::pin(drain(d)) },
    Check { name: "drains: finishes the job it has", run: |d| Box::pin(drain_with_job(d)) },
    Check { name: "ends when its input does", run: |d| Box::pin(hang_up(d)) },
    Check { name: "ends when its input does, with a job", run: |d| Box::pin(hang_up_with_job(d)) },
];

async fn starts(d: &mut Dialogue<'_>) -> Seen {
    let took = d.start().await?;
    let slots = d.slots();
    Ok(format!("after {} ms, {slots} slot{}", took.as_millis(), if slots == 1 { "" } else { "s" }))
}

/// Gives a job and waits for its end.
async fn job(d: &mut Dialogue<'_>, data: Option<String>, more: &str) -> Seen {
    d.ensure().await?;
    let begin = Instant::now();
    let reference = d.give(data, more).await?;
    let by = d.ended(&[reference], d.limit()).await?;
    Ok(format!("{} after {} ms", by[0], begin.elapsed().as_millis()))
}

async fn does_a_job(d: &mut Dialogue<'_>) -> Seen {
    job(d, None, "").await
}

async fn parallel(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    let slots = d.slots().min(PARALLEL);
    if slots == 1 {
        return Err(Trouble::Skipped("it has one slot".into()));
    }
    let mut references = Vec::new();
    for _ in 0..slots {
        references.push(d.give(None, "").await?);
    }
    let by = d.ended(&references, d.limit()).await?;
    Ok(format!("{} ends of {slots} jobs", by.len()))
}

async fn big(d: &mut Dialogue<'_>) -> Seen {
    let text = "ä\"\\\n".repeat(BIG / 9);
    job(d, Some(json!({ "conformance": "big", "text": text }).to_string()), "").await
}

async fn odd_data(d: &mut Dialogue<'_>) -> Seen {
    // as producers write it, not as our own encoder would
    let data = r#"{"conformance":"odd", "empty":{}, "": [], "nested":[[[[[[[[]]]]]]]],
        "text":"ä 漢 🐂 \u0000 \u001b[31m \u2028 \ud83d\udc02 </script> \"t\":\"done\" ' ` $(id) ; \\",
        "numbers":[0, -0, 1.10, 1e300, -1E-7, 12345678901234567890123, 0.1000000000000000055511151231257827]}"#;
    job(d, Some(data.to_owned()), "").await
}

async fn unknown(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    for frame in [r#"{"t":"someday","ref":"a0","list":[{"t":"job"}]}"#, r#"{"later":true}"#, ""] {
        d.send(frame).await?;
    }
    job(d, None, r#","someday":{"t":"drain"},"later":null"#).await
}

async fn ping(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    let begin = Instant::now();
    d.send(r#"{"t":"ping","n":7}"#).await?;
    match d.next(d.limit()).await {
        Ok(Said::Pong(n)) if n == "7" => Ok(format!("after {} ms", begin.elapsed().as_millis())),
        Ok(other) => failed(format!("{}, expected pong 7", other.shown())),
        Err(why) => failed(format!("no pong: {why}")),
    }
}

async fn ping_with_job(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    let begin = Instant::now();
    d.give(None, "").await?;
    d.send(r#"{"t":"ping","n":8}"#).await?;
    let limit = d.limit();
    let (mut pong, mut end) = (None, None);
    while pong.is_none() || end.is_none() {
        let said = d.next(limit).await;
        let at = Some(begin.elapsed().as_millis());
        match said {
            Ok(Said::Pong(n)) if n == "8" && pong.is_none() => pong = at,
            Ok(Said::Ended { .. }) => end = at,
            Ok(Said::Of(_)) => {}
            Ok(other) => return failed(format!("{}, expected pong 8 and the end of the job", other.shown())),
            Err(why) => {
                let missing = if pong.is_none() { "pong" } else { "end of the job" };
                return failed(format!("no {missing}: {why}"));
            }
        }
    }
    Ok(format!("after {} ms, the job ended after {} ms", pong.unwrap_or(0), end.unwrap_or(0)))
}

async fn cancel(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    let begin = Instant::now();
    let reference = d.give(None, "").await?;
    d.send(json!({ "t": "cancel", "ref": reference, "reason": "timeout" }).to_string()).await?;
    let by = d.ended(&[reference], d.limit()).await?;
    Ok(format!("{} after {} ms", by[0], begin.elapsed().as_millis()))
}

async fn cancel_late(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    let reference = d.give(None, "").await?;
    d.ended(std::slice::from_ref(&reference), d.limit()).await?;
    d.send(json!({ "t": "cancel", "ref": reference, "reason": "requested" }).to_string()).await?;
    job(d, None, "").await
}

async fn idle(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    match d.next(Instant::now() + SILENCE).await {
        Ok(said) => failed(format!("{} without a job", said.shown())),
        Err(why) if why.starts_with("nothing") => Ok(format!("nothing for {} ms", SILENCE.as_millis())),
        Err(why) => failed(why),
    }
}

/// Bye and exit 0, after the end of these jobs.
async fn departs(d: &mut Dialogue<'_>, jobs: usize) -> Seen {
    let begin = Instant::now();
    let limit = d.limit();
    let mut ended = 0;
    loop {
        match d.next(limit).await {
            Ok(Said::Bye) if ended == jobs => break,
            Ok(Said::Bye) => return failed("bye before the job has ended"),
            Ok(Said::Ended { .. }) => ended += 1,
            Ok(Said::Of(_)) => {}
            Ok(other) => return failed(format!("{}, expected bye", other.shown())),
            Err(why) => return failed(format!("no bye: {why}")),
        }
    }
    match d.next(limit).await {
        Ok(said) => return failed(format!("{} after bye", said.shown())),
        Err(why) if why.starts_with("nothing") => return failed(format!("its output is still open: {why}")),
        Err(_) => {}
    }
    match d.exit(limit).await? {
        0 => Ok(format!("after {} ms", begin.elapsed().as_millis())),
        code => failed(format!("exit code {code}, expected 0")),
    }
}

async fn drain(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    d.send(r#"{"t":"drain"}"#).await?;
    departs(d, 0).await
}

async fn drain_with_job(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    d.give(None, "").await?;
    d.send(r#"{"t":"drain"}"#).await?;
    departs(d, 1).await
}

async fn hang_up(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    gone(d).await
}

async fn hang_up_with_job(d: &mut Dialogue<'_>) -> Seen {
    d.ensure().await?;
    d.give(None, "").await?;
    gone(d).await
}

/// Closes its input and waits for its end.
async fn gone(d: &mut Dialogue<'_>) -> Seen {
    let begin = Instant::now();
    d.hang_up()?;
    let code = d.exit(d.limit()).await?;
    Ok(format!("exit code {code} after {} ms", begin.elapsed().as_millis()))
}
