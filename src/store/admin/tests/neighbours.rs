use super::*;
use crate::config::Placement;
use crate::store::Role;

/// The worker of a process with this setting, once it has opened the queue.
async fn open(rig: &Rig, placement: Placement) {
    let settings = config::Queue { placement, ..config::Queue::new(rig.queue.name().clone()) };
    let silent = config::Status { enabled: false, ..config::Status::default() };
    WorkQueue::new(&rig.store, &settings, &silent, None, false).open_queue().await.unwrap();
}

#[tokio::test]
async fn the_version_is_written_where_there_is_none_and_never_over_another() {
    let rig = Rig::new().await;
    open(&rig, Placement::Auto).await;
    assert_eq!(rig.redis("HGETALL bull:q:meta").await[..2], ["version", "bullmq:6.7.0"]);
    for version in ["bullmq:5.81.5", "bullmq-pro:7.1.0"] {
        rig.redis(&format!("HSET bull:q:meta version {version}")).await;
        open(&rig, Placement::Auto).await;
        assert_eq!(rig.redis("HGET bull:q:meta version").await, [version]);
    }
}

#[tokio::test]
async fn every_process_and_client_of_ours_goes_by_the_placement_in_the_queue() {
    let rig = Rig::new().await;
    for (version, set, expected) in [
        ("bullmq:5.81.5", Placement::Auto, Placement::V5),
        ("bullmq:5.81.5", Placement::V6, Placement::V6),
        ("bullmq:6.7.0", Placement::V5, Placement::V5),
        ("bullmq:6.7.0", Placement::Auto, Placement::V6),
    ] {
        rig.redis(&format!("HSET bull:q:meta version {version}")).await;
        open(&rig, set).await;
        assert_eq!(rig.queue.placement().await.unwrap(), expected);
        assert_eq!(rig.queue.overview().await.unwrap().placement, expected.as_str());
        // the scripts see it alike
        rig.add(&["{}"]).await;
        rig.queue.pause().await.unwrap();
        let (wait, paused) = rig.queue.neighbours().await.unwrap().lists;
        assert_eq!((wait == 0, paused == 0), (expected == Placement::V5, expected == Placement::V6));
        rig.queue.resume().await.unwrap();
    }
    assert_eq!(rig.redis("HEXISTS bull:q:meta oxherd.placement").await, ["0"]);
}

#[tokio::test]
async fn a_paused_queue_becomes_safe_for_5_x_when_it_is_told_to() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 3]).await;
    rig.queue.pause().await.unwrap();
    assert_eq!(rig.redis("LLEN bull:q:wait").await, ["3"]);
    open(&rig, Placement::V5).await;
    assert_eq!(rig.redis("LRANGE bull:q:paused 0 -1").await, ["3", "2", "1"]);
    assert_eq!(rig.redis("EXISTS bull:q:wait").await, ["0"]);
    assert_eq!(rig.events("q").await.iter().filter(|event| *event == "event paused").count(), 1);
}

#[tokio::test]
async fn workers_of_every_language_are_seen() {
    let rig = Rig::new().await;
    let named = async |name: &str| crate::store::Connection::open(&rig.server.config(), Role::Named(name.into())).await;
    let mut connections = Vec::new();
    // Node's names, then Python's, each on two connections; other queues, and one that only listens
    for name in [
        "bull:cQ==",
        "bull:cQ==:w:w1",
        "bull:q:w:py",
        "bull:q:w:py",
        "bull:q",
        "bull:qq:w:other",
        "bull:cXE=:w:other",
        "bull:cQ==:qe",
    ] {
        connections.push(named(name).await.unwrap());
    }
    let neighbours = rig.queue.neighbours().await.unwrap();
    let mut workers = neighbours.workers.unwrap();
    workers.sort();
    assert_eq!(
        (workers, neighbours.hidden_workers),
        (vec![String::new(), "w1".into()], vec![String::new(), "py".into()])
    );
}

#[tokio::test]
async fn what_loses_jobs_is_warned_of_with_what_to_do() {
    let neighbours = |version: &str, placement, lists, hidden: &[&str]| Neighbours {
        version: Some(version.to_owned()),
        library: None,
        placement,
        paused: true,
        lists,
        workers: None,
        hidden_workers: hidden.iter().map(ToString::to_string).collect(),
    };
    let (v5, v6) = ("bullmq:5.81.5", "bullmq:6.7.0");
    let fine = [
        neighbours(v6, Placement::V6, (9, 0), &["py"]),
        neighbours(v5, Placement::V5, (0, 9), &[]),
        neighbours(v6, Placement::V5, (0, 9), &[]),
    ];
    assert!(fine.iter().all(|neighbours| neighbours.warnings().is_empty()));
    for (unsafe_one, words) in [
        (
            neighbours(v5, Placement::V6, (9, 0), &[]),
            "first move whatever pauses and resumes to 6.x, or set placement = \"v5\"",
        ),
        (neighbours(v5, Placement::V5, (0, 9), &["py"]), "(py)"),
        (neighbours(v6, Placement::V6, (3, 4), &[]), "3 jobs in wait and 4 in paused"),
    ] {
        let warnings = unsafe_one.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
    }
}
