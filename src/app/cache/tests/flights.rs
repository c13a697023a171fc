//! One makes what many want, over all processes; and what becomes of those who are slow, late or gone.

use super::*;

fn settings(lock: u64, wait: u64) -> config::app::Cache {
    let ms = Duration::from_millis;
    config::app::Cache { lock: ms(lock), wait: ms(wait), ..config::app::Cache::default() }
}

/// Long enough that nobody's patience ends in a test.
const LONG: u64 = 60_000;

/// As a process that is killed leaves it: nothing is given back.
fn killed(ticket: Ticket) {
    std::mem::forget(ticket);
}

#[tokio::test]
async fn fifty_callers_in_two_processes_make_a_value_once() {
    let scene = Scene::with(settings(LONG, LONG), &[]).await;
    let other = scene.other(settings(LONG, LONG)).await;
    let made = Arc::new(AtomicUsize::new(0));
    let callers = (0..50).map(|n| {
        let (cache, made) = (if n % 2 == 0 { scene.cache.clone() } else { other.clone() }, Arc::clone(&made));
        tokio::spawn(async move {
            let make = async || {
                made.fetch_add(1, Ordering::SeqCst);
                // the others come meanwhile
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok::<_, Error>(Some("Ada".to_owned()))
            };
            cache.get_or_set(&user(7), &Keep::default(), make).await.unwrap()
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap().as_deref(), Some("Ada"));
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let (here, there) = (scene.cache.figures(), other.figures());
    assert_eq!(here.filled + there.filled, 1);
    // whoever came after it was stored has hit it
    assert_eq!(here.shared + there.shared + here.hits + there.hits, 49, "{here:?} {there:?}");
    assert_eq!(scene.redis("KEYS *").await, "app:user:profile:id=7", "no lock is left");
}

#[tokio::test]
async fn what_is_not_there_is_looked_for_once() {
    let scene = Scene::new().await;
    let made = AtomicUsize::new(0);
    for _ in 0..3 {
        let make = async || {
            made.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Error>(None::<String>)
        };
        assert_eq!(scene.cache.get_or_set(&user(7), &Keep::default(), make).await.unwrap(), None);
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_maker_that_is_killed_is_waited_for_as_long_as_its_lock_lasts() {
    let scene = Scene::with(settings(300, LONG), &[]).await;
    let other = scene.other(settings(LONG, LONG)).await;
    killed(ticket(scene.cache.begin(&user(7), &Keep::default()).await.unwrap()));
    let begun = std::time::Instant::now();
    let callers = (0..20).map(|_| {
        let other = other.clone();
        tokio::spawn(async move { other.get_or_set(&user(7), &Keep::default(), async || Ok::<_, Error>(1)).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap().unwrap(), 1);
    }
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    assert_eq!(other.figures().filled, 1);
}

#[tokio::test]
async fn a_maker_that_gives_up_lets_the_next_one_begin_at_once() {
    let scene = Scene::with(settings(LONG, LONG), &[]).await;
    let other = scene.other(settings(LONG, LONG)).await;
    // its future is dropped
    let keep = Keep::default();
    let (first, second) = (user(7), user(8));
    let slow = scene.cache.get_or_set(&first, &keep, async || {
        std::future::pending::<()>().await;
        Ok::<_, Error>(1)
    });
    assert!(tokio::time::timeout(Duration::from_millis(100), slow).await.is_err());
    assert_eq!(other.get_or_set(&user(7), &Keep::default(), async || Ok::<_, Error>(2)).await.unwrap(), 2);
    // it fails
    let failed = other
        .get_or_set(&second, &keep, async || Err::<u32, _>(Error::Store(store::Error::Setup("no database".into()))));
    assert_eq!(failed.await.unwrap_err().to_string(), "no database");
    assert_eq!(scene.cache.get_or_set(&user(8), &Keep::default(), async || Ok::<_, Error>(3)).await.unwrap(), 3);
    assert_eq!(scene.redis("KEYS oxherd:warm:*").await, "");
}

#[tokio::test]
async fn who_has_waited_long_enough_makes_its_own_and_leaves_the_other_to_store() {
    let scene = Scene::with(settings(LONG, LONG), &[]).await;
    let other = scene.other(settings(LONG, 50)).await;
    let slow = ticket(scene.cache.begin(&user(7), &Keep::default()).await.unwrap());
    let own = other.get_or_set(&user(7), &Keep::default(), async || Ok::<_, Error>("own".to_owned())).await;
    assert_eq!(own.unwrap(), "own");
    assert_eq!(other.figures().alone, 1);
    assert!(slow.fill("\"slow\"".into()).await.unwrap());
    assert_eq!(other.get(&user(7)).await.unwrap(), Lookup::Hit("slow".to_owned()));
}

#[tokio::test]
async fn a_late_maker_overwrites_nothing() {
    let scene = Scene::with(settings(20, LONG), &[]).await;
    let cache = &scene.cache;
    let keep = Keep::default();
    // its lock went over to another
    let late = ticket(cache.begin(&user(7), &keep).await.unwrap());
    let other = scene.other(settings(LONG, LONG)).await;
    let next = ticket(other.begin(&user(7), &keep).await.unwrap());
    assert!(!late.fill("1".into()).await.unwrap());
    assert!(next.fill("2".into()).await.unwrap());
    assert_eq!(cache.get(&user(7)).await.unwrap(), Lookup::Hit(2));
    // somebody stored a newer value
    let late = ticket(other.begin(&user(8), &keep).await.unwrap());
    cache.set(&user(8), &4, &keep).await.unwrap();
    assert!(!late.fill("3".into()).await.unwrap());
    assert_eq!(cache.get(&user(8)).await.unwrap(), Lookup::Hit(4));
    // the value was deleted
    let late = ticket(other.begin(&user(9), &keep).await.unwrap());
    assert_eq!(cache.delete(&[user(9)]).await.unwrap(), 0);
    assert!(!late.fill("5".into()).await.unwrap());
    assert_eq!(cache.get::<u32>(&user(9)).await.unwrap(), Lookup::Miss);
    assert_eq!((cache.figures().refused, other.figures().refused), (1, 2));
}

#[tokio::test]
async fn nobody_is_given_what_was_begun_before_a_deletion_it_may_know_of() {
    let scene = Scene::with(settings(LONG, LONG), &[]).await;
    let cache = &scene.cache;
    let stale = ticket(cache.begin(&user(7), &Keep::default()).await.unwrap());
    cache.delete(&[user(7)]).await.unwrap();
    let waits = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_set(&user(7), &Keep::default(), async || Ok::<_, Error>("new".to_owned())).await }
    });
    eventually("it waits", async || cache.figures().misses == 2).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!stale.fill("\"stale\"".into()).await.unwrap());
    assert_eq!(waits.await.unwrap().unwrap(), "new");
    assert_eq!(cache.get(&user(7)).await.unwrap(), Lookup::Hit("new".to_owned()));
}

#[tokio::test]
async fn a_value_that_does_not_read_is_made_again() {
    let scene = Scene::new().await;
    scene.cache.set(&user(7), "of an older release", &Keep::default()).await.unwrap();
    let made = scene.cache.get_or_set(&user(7), &Keep::default(), async || Ok::<_, Error>(vec![1])).await;
    assert_eq!(made.unwrap(), [1]);
    assert_eq!(scene.cache.get(&user(7)).await.unwrap(), Lookup::Hit(vec![1]));
}

#[tokio::test]
async fn without_redis_every_caller_makes_its_own() {
    let mut scene = Scene::new().await;
    scene.cache.set(&user(1), &1, &Keep::default()).await.unwrap();
    scene.server.stop();
    let made = scene.cache.get_or_set(&user(1), &Keep::default(), async || Ok::<_, Error>(2)).await;
    assert_eq!(made.unwrap(), 2);
    assert!(scene.cache.get::<u32>(&user(1)).await.unwrap_err().is_temporary());
    assert_eq!(scene.cache.figures().alone, 1);
}
