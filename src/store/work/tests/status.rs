//! Status messages: their exact text, and that none is made in vain.

use super::*;
use crate::config::{Status, StatusFormat};
use crate::store::Subscription;

async fn rig(format: StatusFormat, channel: &str) -> Rig {
    let mut rig = Rig::new().await;
    rig.status = Status { format, channels: vec![channel.to_owned()], ..Status::default() };
    rig
}

async fn add(rig: &Rig, data: &str, opts: &str) {
    rig.queue().add_with(&[new_job(data, opts)], &rig.status).await.unwrap();
}

async fn next(messages: &mut Subscription) -> String {
    let next = tokio::time::timeout(Duration::from_secs(5), messages.message()).await;
    next.expect("a message").unwrap().payload
}

#[tokio::test]
async fn a_simple_message_says_four_things_in_this_order() {
    let rig = rig(StatusFormat::Simple, "job_updates").await;
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    add(&rig, r#"{"tenantId":"t1"}"#, r#"{"jobId":"j1"}"#).await;
    assert_eq!(next(&mut messages).await, r#"{"tenantId":"t1","jobId":"j1","status":"PENDING"}"#);
    rig.take("a:1", 1).await;
    assert_eq!(next(&mut messages).await, r#"{"tenantId":"t1","jobId":"j1","status":"RUNNING"}"#);
    rig.finish(&[complete("j1", "a:1", Keep::Nothing)]).await;
    assert_eq!(next(&mut messages).await, r#"{"tenantId":"t1","jobId":"j1","status":"COMPLETED","error":null}"#);

    add(&rig, r#"{"tenantId":1234567890123456}"#, r#"{"jobId":"j2","delay":5}"#).await;
    assert_eq!(next(&mut messages).await, r#"{"tenantId":1234567890123456,"jobId":"j2","status":"DELAYED"}"#);
    rig.store.freeze(UnixMillis(T0 + 5));
    rig.take("a:2", 1).await;
    next(&mut messages).await;
    rig.finish(&[retry("j2", "a:2")]).await;
    assert_eq!(next(&mut messages).await, r#"{"tenantId":1234567890123456,"jobId":"j2","status":"RETRYING"}"#);
    rig.take("a:3", 1).await;
    next(&mut messages).await;
    let reason = "a \"quoted\"\nreason".to_owned();
    let change = Change::Fail { reason, stack: "[]".into(), keep: Keep::All, attempts: 1, state: "failed" };
    rig.finish(&[outcome("j2", "a:3", change)]).await;
    let failed = r#"{"tenantId":1234567890123456,"jobId":"j2","status":"FAILED","error":"a \"quoted\"\nreason"}"#;
    assert_eq!(next(&mut messages).await, failed);
}

#[tokio::test]
async fn a_full_message_goes_on_with_the_queue_the_attempt_and_the_times() {
    let rig = rig(StatusFormat::Full, "job_updates").await;
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    add(&rig, "{}", r#"{"jobId":"j1","attempts":4}"#).await;
    let pending = format!(
        r#"{{"tenantId":null,"jobId":"j1","status":"PENDING","queue":"q","name":"work","attempt":1,"maxAttempts":4,"progress":0,"timestamp":{T0},"durationMs":null}}"#
    );
    assert_eq!(next(&mut messages).await, pending);
    rig.take("a:1", 1).await;
    next(&mut messages).await;
    rig.redis(r#"HSET bull:q:j1 progress {"at":40}"#).await;
    rig.store.freeze(UnixMillis(T0 + 70));
    rig.finish(&[retry("j1", "a:1")]).await;
    let retrying = format!(
        r#"{{"tenantId":null,"jobId":"j1","status":"RETRYING","queue":"q","name":"work","attempt":1,"maxAttempts":4,"progress":{{"at":40}},"timestamp":{},"durationMs":null}}"#,
        T0 + 70
    );
    assert_eq!(next(&mut messages).await, retrying);
    rig.take("a:2", 1).await;
    next(&mut messages).await;
    rig.store.freeze(UnixMillis(T0 + 100));
    rig.redis("HSET bull:q:j1 progress not-json").await;
    rig.finish(&[complete("j1", "a:2", Keep::All)]).await;
    let completed = format!(
        r#"{{"tenantId":null,"jobId":"j1","status":"COMPLETED","error":null,"queue":"q","name":"work","attempt":2,"maxAttempts":4,"progress":0,"timestamp":{},"durationMs":30}}"#,
        T0 + 100
    );
    assert_eq!(next(&mut messages).await, completed);
}

#[tokio::test]
async fn expired_and_cancelled_jobs_are_told_apart_and_words_can_be_chosen() {
    let mut rig = rig(StatusFormat::Simple, "job_updates").await;
    rig.status.names.insert("expired".into(), "TOO_LATE".into());
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    rig.add(&["{}"; 2]).await;
    rig.take("a:1", 2).await;
    next(&mut messages).await;
    next(&mut messages).await;
    let end = |id: &str, state| {
        outcome(id, "a:1", Change::Fail { reason: "r".into(), stack: "[]".into(), keep: Keep::All, attempts: 1, state })
    };
    rig.finish(&[end("1", "expired"), end("2", "cancelled")]).await;
    assert_eq!(next(&mut messages).await, r#"{"tenantId":null,"jobId":"1","status":"TOO_LATE","error":"r"}"#);
    assert_eq!(next(&mut messages).await, r#"{"tenantId":null,"jobId":"2","status":"CANCELLED","error":"r"}"#);
}

#[tokio::test]
async fn the_tenant_is_found_by_its_pointer_and_names_the_channel() {
    let mut rig = rig(StatusFormat::Simple, "jobs:{queue}:{tenant}").await;
    rig.status.tenant = "/owners/1/id".into();
    let mut messages = rig.store.subscribe(&[], &["jobs:*".into()]).await.unwrap();
    let cases = [
        (r#"{"owners":[{"id":"x"},{"id":"50%1"}]}"#, "jobs:q:50%1", r#""50%1""#),
        (r#"{"owners":[{},{"id":1700000000000123}]}"#, "jobs:q:1700000000000123", "1700000000000123"),
        (r#"{"owners":{"1":{"id":true}}}"#, "jobs:q:true", "true"),
        (r#"{"owners":[]}"#, "jobs:q:", "null"),
        (r#"{"owners":[{},{"id":{}}]}"#, "jobs:q:", "null"),
        // JSON, but more than any number
        (r#"{"owners":[{},{"id":-1e999}]}"#, "jobs:q:", "null"),
        ("7", "jobs:q:", "null"),
    ];
    for (data, channel, tenant) in cases {
        add(&rig, data, "{}").await;
        let message = tokio::time::timeout(Duration::from_secs(5), messages.message()).await.unwrap().unwrap();
        assert_eq!(message.channel, channel, "{data}");
        assert!(message.payload.starts_with(&format!(r#"{{"tenantId":{tenant},"jobId""#)), "{}", message.payload);
    }
}

#[tokio::test]
async fn nothing_is_published_while_nobody_listens() {
    let rig = rig(StatusFormat::Full, "job_updates").await;
    let published = async || {
        let stats = rig.redis("INFO commandstats").await.remove(0);
        stats.lines().find(|line| line.starts_with("cmdstat_publish:")).map(str::to_owned)
    };
    rig.add(&["{}"; 4]).await;
    rig.take("a:1", 2).await;
    rig.finish(&[complete("1", "a:1", Keep::All), fail("2", "a:1", Keep::All)]).await;
    assert_eq!(published().await, None);

    // a replica may have listeners this server does not know of
    let always = WorkQueue::new(&rig.store, &rig.settings, &rig.status, None, true);
    always.move_to_active(&Take { token: "a:2".into(), want: 1 }).await.unwrap();
    assert!(published().await.unwrap().contains("calls=1,"));

    // a listener to the channel or to any pattern
    let mut messages = rig.store.subscribe(&["other".into()], &["job_*".into()]).await.unwrap();
    rig.take("a:3", 1).await;
    assert!(next(&mut messages).await.contains(r#""jobId":"4","status":"RUNNING""#));

    // switched off
    let silent = Status { enabled: false, ..Status::default() };
    let off = WorkQueue::new(&rig.store, &rig.settings, &silent, None, true);
    off.finish_jobs([complete("4", "a:3", Keep::All)].iter(), None).await.unwrap();
    assert!(published().await.unwrap().contains("calls=2,"));
}

#[tokio::test]
async fn each_channel_of_several_gets_the_message() {
    let mut rig = rig(StatusFormat::Simple, "one").await;
    rig.status.channels.push("two:{queue}".into());
    let mut messages = rig.store.subscribe(&["one".into(), "two:q".into()], &[]).await.unwrap();
    add(&rig, "{}", "{}").await;
    let mut channels = Vec::new();
    for _ in 0..2 {
        let message = tokio::time::timeout(Duration::from_secs(5), messages.message()).await.unwrap().unwrap();
        channels.push(message.channel);
    }
    assert_eq!(channels, ["one", "two:q"]);
}

#[tokio::test]
async fn a_stream_keeps_each_message_whether_or_not_anybody_listens() {
    let mut rig = rig(StatusFormat::Simple, "job_updates").await;
    rig.status.stream = Some(crate::config::StatusStream { key: "updates".into(), max_length: 1000 });
    add(&rig, r#"{"tenantId":"t1"}"#, r#"{"jobId":"j1"}"#).await;
    rig.take("a:1", 1).await;
    rig.finish(&[complete("j1", "a:1", Keep::Nothing)]).await;
    let stream = rig.status.stream.clone().unwrap();
    let mut updates = rig.store.updates_kept(&stream, Some(crate::store::EntryId::NONE)).await.unwrap();
    let texts = [
        r#"{"tenantId":"t1","jobId":"j1","status":"PENDING"}"#,
        r#"{"tenantId":"t1","jobId":"j1","status":"RUNNING"}"#,
        r#"{"tenantId":"t1","jobId":"j1","status":"COMPLETED","error":null}"#,
    ];
    for text in texts {
        let Some(crate::store::Heard::Message(message)) = updates.next().await else { panic!("no message") };
        assert_eq!((message.text.as_str(), message.queue.as_deref()), (text, Some("q")));
    }
    let entry = crate::store::testing::redis(&rig.store, "XREVRANGE updates + - COUNT 1").await;
    assert!(entry.ends_with(&format!(" message {} tenant t1 queue q jobId j1", texts[2])), "{entry}");

    // a key of another type is nobody's failure
    rig.redis("SET other text").await;
    rig.status.stream = Some(crate::config::StatusStream { key: "other".into(), max_length: 1000 });
    add(&rig, "{}", r#"{"jobId":"j2"}"#).await;
    assert_eq!(rig.take("a:2", 1).await.jobs.len(), 1);
}
