//! Random sequences of operations, performed in Redis and on a model in memory, compared key by key after each step.
//!
//! `world` is the model: what the operations do to the queue, in plain Rust. `action` is the list of operations and how
//! each is performed in Redis. After each one the answers must be equal, and so must be everything stored: a key the
//! model does not expect is a key that no state owns. `OXHERD_MODEL_SEQUENCES` says how many sequences a test runs.

mod action;
mod keyspace;
mod world;

use std::cell::RefCell;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use super::testing::Server;
use super::{Keys, Store};
use crate::config;
use crate::job::{QueueName, UnixMillis};
use action::{Action, Kind, Performer};
use world::World;

/// When the clock of a sequence begins; it moves only where the sequence says so.
const T0: i64 = 1_700_000_000_000;
/// Of each test, where the environment says nothing.
const SEQUENCES: u32 = 350;

fn sequences() -> u32 {
    std::env::var("OXHERD_MODEL_SEQUENCES").map_or(SEQUENCES, |text| text.parse().expect("a number of sequences"))
}

/// Runs sequences of the given kinds of operation.
fn run(kinds: &'static [(u32, Kind)], length: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, store) = runtime.block_on(async {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "model").await.unwrap();
        (server, store)
    });
    let config = Config { cases: sequences(), failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let step = (weighted(kinds), any::<(Index, Index, u16)>());
    let log = RefCell::new(String::new());
    let result = TestRunner::new(config).run(&prop::collection::vec(step, 1..length), |steps| {
        log.borrow_mut().clear();
        runtime.block_on(sequence(&store, &steps, &log))
    });
    match result {
        Ok(()) => {}
        // the last run was that of the shortest sequence found
        Err(TestError::Fail(reason, _)) => panic!("{reason}\nin\n{}", log.borrow()),
        Err(error) => panic!("{error}"),
    }
    drop(server);
}

fn weighted(kinds: &'static [(u32, Kind)]) -> impl Strategy<Value = Kind> {
    prop::strategy::Union::new_weighted(kinds.iter().map(|(weight, kind)| (*weight, Just(*kind))).collect())
}

/// One sequence from an empty Redis on.
async fn sequence(
    store: &Store,
    steps: &[(Kind, (Index, Index, u16))],
    log: &RefCell<String>,
) -> Result<(), TestCaseError> {
    store.command().call("FLUSHALL", Vec::new()).await.unwrap();
    store.freeze(UnixMillis(T0));
    let mut queue = config::Queue::new(QueueName::new("q").unwrap());
    queue.stalled_interval = std::time::Duration::from_secs(5);
    let base = Keys::new("bull", &queue.name).base().to_owned();
    let mut world = World::new(T0);
    let mut performer = Performer::new(store.clone(), queue);
    for (kind, chance) in steps {
        let Some(action) = Action::choose(*kind, *chance, &world) else { continue };
        writeln!(log.borrow_mut(), "{action:?}").unwrap();
        keyspace::forget_marker(store, &base).await;
        let before = world.clone();
        if let Action::Advance { ms } = action {
            store.freeze(UnixMillis(world.now + ms));
        }
        let got = performer.perform(&action).await;
        let expected = world.apply(&action, &got);
        prop_assert_eq!(&got, &expected, "the answer to {:?}", action);
        let stored = keyspace::read(store, &base).await;
        let mut wrong = keyspace::differences(&world.keys(), &stored.keys);
        if world.must_ring(&before) && !stored.rings {
            wrong.push_str("  a job may be taken and the marker does not say so\n");
        }
        if let Some(due) = world.must_alarm(&before)
            // sooner does no harm: whoever wakes finds out when the next one is due
            && stored.alarm.is_none_or(|alarm| alarm > due)
        {
            writeln!(wrong, "  the next delayed job is due at {due}, the marker says {:?}", stored.alarm).unwrap();
        }
        prop_assert!(wrong.is_empty(), "after {:?}:\n{}", action, wrong);
        world.check();
    }
    Ok(())
}

#[test]
fn jobs_come_go_fail_stall_and_are_moved_by_hand() {
    use Kind::*;
    run(
        &[
            (6, Add),
            (6, Take),
            (4, Complete),
            (3, Fail),
            (2, Retry),
            (2, Delay),
            (1, HandBack),
            (1, Lapse),
            (1, Check),
            (2, Advance),
            (1, Promote),
            (1, PromoteAll),
            (1, RetryByHand),
            (1, RetryAll),
            (1, ChangeDelay),
            (1, ChangePriority),
            (1, Concurrency),
            (1, Pause),
            (3, Resume),
            (1, Remove),
            (1, Cancel),
            (1, Clean),
        ],
        60,
    );
}

#[test]
fn windows_of_deduplication_hold_what_they_should() {
    use Kind::*;
    run(
        &[
            (12, AddInWindow),
            (2, Add),
            (6, Take),
            (4, Complete),
            (2, Fail),
            (1, Retry),
            (2, Delay),
            (1, HandBack),
            (1, Lapse),
            (1, Check),
            (2, Advance),
            (1, Promote),
            (2, RetryByHand),
            (1, ChangeDelay),
            (1, Remove),
            (1, Cancel),
            (1, Drain),
            (1, Clean),
        ],
        50,
    );
}

#[test]
fn parents_wait_for_their_children_and_for_nobody_else() {
    use Kind::*;
    run(
        &[
            (5, AddFlow),
            (3, AddChild),
            (4, WaitForChildren),
            (1, Add),
            (10, Take),
            (8, Complete),
            (6, Fail),
            (1, Retry),
            (1, Delay),
            (1, Lapse),
            (1, Check),
            (2, Advance),
            (1, Promote),
            (2, RetryByHand),
            (1, RetryAll),
            (1, ChangePriority),
            (2, Remove),
            (2, Cancel),
            (1, Drain),
            (1, Clean),
        ],
        60,
    );
}
