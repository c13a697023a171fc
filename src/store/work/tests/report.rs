//! What running jobs tell, and waiting for children.

use std::sync::Arc;

use super::*;
use crate::store::{Code, JobReport};

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn rows(rows: &[&str]) -> Vec<String> {
    rows.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn each_report_is_written_under_its_own_lock_alone() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 4]).await;
    let taken = rig.take("a:1", 4).await.jobs;
    rig.redis("SET bull:q:2:lock b:1").await;
    rig.redis("DEL bull:q:3:lock").await;
    rig.redis("DEL bull:q:4").await;
    let (token, progress, log) = (Token::from("a:1"), json("40"), rows(&["row"]));
    let reports: Vec<JobReport<'_>> = taken
        .iter()
        .map(|job| JobReport {
            progress: Some(&progress),
            data: Some(&progress),
            rows: &log,
            ..JobReport::of(job, &token)
        })
        .collect();
    let answers = rig.work().report_jobs(&reports).await.unwrap();
    assert_eq!(answers, [Ok(()), Err(Code::OtherLock), Err(Code::NoLock), Err(Code::Missing)]);
    assert_eq!(rig.redis("HMGET bull:q:1 progress data").await, ["40", "40"]);
    assert_eq!(rig.redis("LRANGE bull:q:1:logs 0 -1").await, ["row"]);
    assert_eq!(rig.redis("HMGET bull:q:2 progress data").await, ["", "{}"]);
    assert_eq!(rig.redis("EXISTS bull:q:2:logs bull:q:3:logs bull:q:4 bull:q:4:logs").await, ["0"]);
    assert_eq!(rig.events().await.last().unwrap(), "progress 1");
}

#[tokio::test]
async fn rows_that_may_be_there_already_come_once() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    let job = rig.take("a:1", 1).await.jobs.remove(0);
    let token = Token::from("a:1");
    let tell = async |log: &[&str], doubtful| {
        let rows = rows(log);
        let report = JobReport { rows: &rows, doubtful, ..JobReport::of(&job, &token) };
        assert_eq!(rig.work().report_jobs(&[report]).await.unwrap(), [Ok(())]);
        rig.redis("LRANGE bull:q:1:logs 0 -1").await
    };
    assert_eq!(tell(&["a", "b"], 2).await, ["a", "b"], "they were not there");
    assert_eq!(tell(&["a", "b", "c"], 2).await, ["a", "b", "c"], "they were");
    assert_eq!(tell(&["c"], 1).await, ["a", "b", "c"]);
    assert_eq!(tell(&["c"], 0).await, ["a", "b", "c", "c"], "no doubt about this one");
    let last = Finish { log: rows(&["c", "d"]), doubtful: 1, ..complete("1", "a:1", Keep::All) };
    rig.finish(&[last]).await;
    assert_eq!(rig.redis("LRANGE bull:q:1:logs 0 -1").await, ["a", "b", "c", "c", "d"]);
}

#[tokio::test]
async fn one_report_that_fails_does_not_keep_the_others_from_being_written() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 2]).await;
    let taken = rig.take("a:1", 2).await.jobs;
    rig.redis("SET bull:q:1:logs wrong").await;
    let (token, log) = (Token::from("a:1"), rows(&["row"]));
    let reports: Vec<_> = taken.iter().map(|job| JobReport { rows: &log, ..JobReport::of(job, &token) }).collect();
    let answers = rig.work().report_jobs(&reports).await.unwrap();
    assert!(matches!(&answers[0], Err(Code::Broken(why)) if why.contains("WRONGTYPE")), "{answers:?}");
    assert_eq!((answers[1].clone(), rig.redis("LLEN bull:q:2:logs").await), (Ok(()), vec!["1".to_owned()]));
}

#[tokio::test]
async fn the_last_progress_comes_before_the_outcome() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.take("a:1", 1).await;
    let progress = Some(LastProgress { value: json("99"), hushed: false });
    rig.finish(&[Finish { progress, ..complete("1", "a:1", Keep::All) }]).await;
    assert_eq!(rig.redis("HGET bull:q:1 progress").await, ["99"]);
    let events = rig.events().await;
    assert_eq!(events[events.len() - 3..], ["progress 1", "completed 1", "drained"]);
}

#[tokio::test]
async fn a_job_waits_for_its_children_or_goes_to_the_head() {
    let rig = Rig::new().await;
    rig.add(&["{}", r#"{"priority":3}"#, "{}", "{}", "{}"]).await;
    rig.take("a:1", 5).await;
    rig.redis("SADD bull:q:1:dependencies bull:q:child").await;
    rig.redis("ZADD bull:q:3:unsuccessful 1 bull:q:child").await;
    let wait = |id: &str, token: &str| outcome(id, token, Change::WaitForChildren);
    let refused = |code| Recorded::Refused { code, place: "active".into() };
    let before = rig.events().await.len();
    let outcomes = [wait("1", "a:1"), wait("5", "a:1"), wait("2", "a:1"), wait("3", "a:1"), wait("4", "b:1")];
    let answers = rig.finish(&outcomes).await;
    assert_eq!(answers[..3], [Recorded::Done, Recorded::Done, Recorded::Done]);
    assert_eq!(answers[3..], [refused(Code::FailedChildren), refused(Code::OtherLock)]);
    assert_eq!(rig.redis("ZRANGE bull:q:waiting-children 0 -1").await, ["1"]);
    assert_eq!(rig.events().await[before..], ["waiting-children 1", "waiting 5", "waiting 2"]);
    assert_eq!(rig.redis("EXISTS bull:q:1:lock bull:q:5:lock").await, ["0"]);
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["5"]);
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1 WITHSCORES").await, ["2", "12884901888"]);
    assert_eq!(rig.redis("HMGET bull:q:1 atm ats").await, ["", "1"], "no attempt is charged");
}

#[tokio::test]
async fn progress_that_is_hushed_is_told_with_the_outcome_alone() {
    let mut rig = Rig::new().await;
    rig.status = config::Status::default();
    rig.add(&["{}"; 2]).await;
    rig.take("a:1", 2).await;
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    let last = |hushed| Some(LastProgress { value: json("99"), hushed });
    let outcomes = [
        Finish { progress: last(true), ..complete("1", "a:1", Keep::All) },
        Finish { progress: last(false), ..complete("2", "a:1", Keep::All) },
    ];
    rig.finish(&outcomes).await;
    for (id, word) in [("1", "COMPLETED"), ("2", "PROGRESS"), ("2", "COMPLETED")] {
        let message = crate::store::StatusMessage::read(messages.message().await.unwrap().payload).unwrap();
        let told = (message.job_id.as_str(), message.status.as_str(), message.progress);
        assert_eq!(told, (id, word, Some(99.into())));
    }
    assert_eq!(rig.redis("HGET bull:q:1 progress").await, ["99"]);
}

#[tokio::test]
async fn what_runs_is_told_anew_to_those_who_listen_and_nothing_else_is() {
    let mut rig = Rig::new().await;
    rig.status = config::Status::default();
    rig.add(&["{}"; 3]).await;
    let taken = rig.take("a:1", 3).await.jobs;
    let all: Vec<_> = taken.into_iter().map(|job| (Arc::new(job), Token::from("a:1"))).collect();
    assert_eq!(rig.work().tell_running(&all).await.unwrap(), 0, "nobody listens");
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    rig.redis("SET bull:q:2:lock b:1").await;
    rig.redis("HSET bull:q:3 progress 40 atm 1").await;
    assert_eq!(rig.work().tell_running(&all).await.unwrap(), 2);
    for (id, attempt, progress) in [("1", 1, 0), ("3", 2, 40)] {
        let message = crate::store::StatusMessage::read(messages.message().await.unwrap().payload).unwrap();
        assert_eq!((message.job_id.as_str(), message.status.as_str()), (id, "RUNNING"));
        assert_eq!((message.attempt, message.progress), (Some(attempt), Some(progress.into())));
    }
}
