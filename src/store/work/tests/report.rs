//! What running jobs tell, and waiting for children.

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
    rig.finish(&[Finish { progress: Some(json("99")), ..complete("1", "a:1", Keep::All) }]).await;
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
