use super::super::Store;
use super::super::testing::Server;
use super::*;
use crate::job::QueueName;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    server.run("HSET bull:q:a name n").await;
    server.run("HSET bull:q:b name n").await;
    store.queue(&QueueName::new("q").unwrap())
}

fn id(text: &str) -> JobId {
    JobId::stored(text)
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn row(job: &str, row: &str, keep: Option<u32>) -> Update {
    Update::Log { id: id(job), row: row.to_owned(), keep }
}

#[tokio::test]
async fn many_records_of_many_jobs_are_written_in_one_call_and_each_is_answered() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    server.run("SET bull:q:broken x").await;
    let updates = [
        row("a", "one", Some(2)),
        Update::Progress { id: id("b"), value: json("50") },
        row("a", "two", Some(2)),
        Update::Progress { id: id("gone"), value: json("1") },
        row("a", "three", Some(2)),
        Update::Data { id: id("broken"), value: json("1") },
        Update::Data { id: id("a"), value: json(r#"{"v":2}"#) },
        row("b", "none stays", Some(0)),
    ];
    let answers = queue.update_jobs(&updates).await.unwrap();
    assert_eq!(answers[..5], [Ok(1), Ok(0), Ok(2), Err(Code::Missing), Ok(2)]);
    assert!(matches!(&answers[5], Err(Code::Broken(why)) if why.contains("WRONGTYPE")), "{:?}", answers[5]);
    assert_eq!(answers[6..], [Ok(0), Ok(0)]);
    let a = queue.job(&id("a")).await.unwrap().unwrap();
    assert_eq!(
        (a.field("data"), a.logs.clone().unwrap()),
        (Some(r#"{"v":2}"#), vec!["two".to_owned(), "three".to_owned()])
    );
    assert_eq!(queue.job(&id("b")).await.unwrap().unwrap().field("progress"), Some("50"));
    assert_eq!(queue.job(&id("gone")).await.unwrap(), None, "no stub of a missing job");
    assert_eq!(server.run("XLEN bull:q:events").await.as_i64(), Some(1));
}

#[tokio::test]
async fn a_missing_job_is_named_when_it_is_the_only_one() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let error = queue.add_log(&id("gone"), "x", None).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot write the log of job gone: there is no such job");
    let error = queue.update_progress(&id("gone"), &json("1")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot set the progress of job gone: there is no such job");
    let error = queue.update_data(&id("gone"), &json("1")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot change the data of job gone: there is no such job");
}

#[tokio::test]
async fn a_log_is_read_from_either_end() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    for (at, row) in ["1", "2", "3", "4", "5"].into_iter().enumerate() {
        assert_eq!(queue.add_log(&id("a"), row, None).await.unwrap(), at as u64 + 1);
    }
    let read = async |start, end, asc| queue.logs(&id("a"), start, end, asc).await.unwrap();
    let rows = |rows: &[&str]| (rows.iter().map(ToString::to_string).collect::<Vec<_>>(), 5);
    assert_eq!(read(0, -1, true).await, rows(&["1", "2", "3", "4", "5"]));
    assert_eq!(read(1, 2, true).await, rows(&["2", "3"]));
    assert_eq!(read(0, -1, false).await, rows(&["5", "4", "3", "2", "1"]));
    assert_eq!(read(0, 1, false).await, rows(&["5", "4"]));
    assert_eq!(read(3, 9, false).await, rows(&["2", "1"]));
    assert_eq!(read(7, 9, true).await, rows(&[]));
    queue.clear_logs(&id("a"), 2).await.unwrap();
    assert_eq!(read(0, -1, true).await, (vec!["4".into(), "5".into()], 2));
    queue.clear_logs(&id("a"), 0).await.unwrap();
    assert_eq!(read(0, -1, true).await, (Vec::new(), 0));
}
