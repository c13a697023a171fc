use super::*;
use crate::app::App;
use crate::config;
use crate::job::UnixMillis;
use crate::store::testing::{Server, eventually, redis};
use crate::store::{self, Store};

// keys expire by the clock of Redis, which goes on: periods are long
/// A whole number of minutes.
const T0: i64 = 1_700_000_040_000;
const SECOND: Duration = Duration::from_secs(1);

async fn opened(server: &Server) -> (Store, RateLimiter) {
    let store = Store::open(&server.config(), "test").await.unwrap();
    let limiter = App::new(&store, config::App::default()).unwrap().limiter().clone();
    store.freeze(UnixMillis(T0));
    (store, limiter)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn a_window_gives_back_what_has_left_it() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    for left in [2, 1, 0] {
        let checked = limiter.check("ann", "post", 3, SECOND * 10).await.unwrap();
        assert_eq!((checked.allowed, checked.remaining, checked.retry_after), (true, left, None));
        assert_eq!(checked.reset, SECOND * 11);
    }
    let refused = limiter.check("ann", "post", 3, SECOND * 10).await.unwrap();
    assert_eq!((refused.allowed, refused.remaining, refused.retry_after), (false, 0, Some(SECOND * 11)));
    assert!(limiter.check("bob", "post", 3, SECOND * 10).await.unwrap().allowed);
    assert!(limiter.check("ann", "read", 3, SECOND * 10).await.unwrap().allowed);
    assert!(limiter.check("ann", "post", 3, SECOND * 20).await.unwrap().allowed);

    store.freeze(UnixMillis(T0 + 10_999));
    let refused = limiter.check("ann", "post", 3, SECOND * 10).await.unwrap();
    assert_eq!((refused.allowed, refused.retry_after), (false, Some(ms(1))));
    store.freeze(UnixMillis(T0 + 11_000));
    let allowed = limiter.check("ann", "post", 3, SECOND * 10).await.unwrap();
    assert_eq!((allowed.allowed, allowed.remaining), (true, 2));
    assert_eq!(limiter.figures(), LimiterFigures { allowed: 7, refused: 2 });
}

/// Random requests over many windows: never one too many, and none refused that would have been allowed in a window a
/// tenth longer.
#[tokio::test]
async fn a_window_holds_its_bounds_wherever_it_is_laid() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    let mut random = fastrand::Rng::with_seed(7);
    for (max, per) in [(1, 100_000), (5, 100_000), (20, 777_777), (3, 61_013)] {
        let limit = Limit::window(max, ms(per));
        let mut taken: Vec<(u64, u32)> = Vec::new();
        let mut now = random.u64(0..per);
        let (mut allowed, mut refused) = (0, 0);
        for _ in 0..400 {
            // bursts, and pauses of up to a window
            now += if random.u8(..4) == 0 { random.u64(0..=per) } else { random.u64(0..=per / 20) };
            store.freeze(UnixMillis(T0 + i64::try_from(now).unwrap()));
            let cost = random.u32(1..=max.min(3));
            let within =
                |span: u64| -> u32 { taken.iter().filter(|(at, _)| at + span > now).map(|(_, cost)| cost).sum() };
            let seen = limiter.peek("ann", "post", &limit, cost).await.unwrap();
            let checked = limiter.take("ann", "post", &limit, cost).await.unwrap();
            assert_eq!(seen.allowed, checked.allowed);
            if checked.allowed {
                assert!(within(per) + cost <= max, "{max} per {per} ms: one too many at {now}");
                taken.push((now, cost));
                allowed += 1;
            } else {
                assert!(within(per + per.div_ceil(10)) + cost > max, "{max} per {per} ms: refused at {now}");
                refused += 1;
                // and it is told to the millisecond when it will be allowed
                let wait = i64::try_from(checked.retry_after.unwrap().as_millis()).unwrap();
                for (later, is_allowed) in [(wait - 1, false), (wait, true)] {
                    store.freeze(UnixMillis(T0 + i64::try_from(now).unwrap() + later));
                    let then = limiter.peek("ann", "post", &limit, cost).await.unwrap();
                    assert_eq!(then.allowed, is_allowed, "{max} per {per} ms: {wait} ms after {now}");
                }
            }
        }
        assert!(allowed > 30 && refused > 30, "{max} per {per} ms: {allowed} and {refused}");
        redis(&store, "FLUSHDB").await;
    }
}

#[tokio::test]
async fn a_bucket_fills_evenly() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    let limit = Limit::bucket(3, SECOND * 100);
    for left in [2, 1, 0] {
        let checked = limiter.take("ann", "post", &limit, 1).await.unwrap();
        assert_eq!((checked.allowed, checked.remaining), (true, left));
    }
    let refused = limiter.take("ann", "post", &limit, 1).await.unwrap();
    assert_eq!((refused.allowed, refused.retry_after, refused.reset), (false, Some(ms(33_334)), SECOND * 100));
    for (at, allowed) in [
        (33_333, false),
        (33_334, true),
        (33_335, false),
        (66_667, true),
        (99_999, false),
        (100_000, true),
        (100_000, false),
    ] {
        store.freeze(UnixMillis(T0 + at));
        assert_eq!(limiter.take("ann", "post", &limit, 1).await.unwrap().allowed, allowed, "{at}");
    }
    // it holds no more than it holds
    store.freeze(UnixMillis(T0 + 10_000_000));
    assert_eq!(limiter.peek("ann", "post", &limit, 1).await.unwrap().remaining, 3);

    let burst = Limit::bucket(1, SECOND * 100).burst(10);
    assert_eq!(limiter.take("bob", "post", &burst, 10).await.unwrap().remaining, 0);
    let refused = limiter.take("bob", "post", &burst, 2).await.unwrap();
    assert_eq!((refused.retry_after, refused.reset), (Some(SECOND * 200), SECOND * 1000));
}

#[tokio::test]
async fn a_bucket_gives_no_more_than_has_come() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    let mut random = fastrand::Rng::with_seed(11);
    for (max, per, size) in [(7_u32, 100_000_u64, 7_u32), (3, 77_777, 9), (1000, 60_000_000, 2)] {
        let limit = Limit::bucket(max, ms(per)).burst(size);
        // in shares of a token, per of which make one
        let full = u64::from(size) * per;
        let (mut level, mut now, mut refused) = (full, 0_u64, 0);
        for _ in 0..400 {
            let pause = random.u64(0..=per / u64::from(max) * 2);
            (now, level) = (now + pause, full.min(level + pause * u64::from(max)));
            store.freeze(UnixMillis(T0 + i64::try_from(now).unwrap()));
            let cost = random.u32(1..=2);
            let checked = limiter.take("ann", "post", &limit, cost).await.unwrap();
            let price = u64::from(cost) * per;
            assert_eq!(checked.allowed, level >= price, "{max} per {per} ms: {level} of {price} at {now}");
            if checked.allowed {
                level -= price;
            } else {
                refused += 1;
                let wait = (price - level).div_ceil(u64::from(max));
                assert_eq!(checked.retry_after, Some(ms(wait)));
            }
            assert_eq!(u64::from(checked.remaining), level / per);
        }
        assert!(refused > 30, "{refused}");
        redis(&store, "FLUSHDB").await;
    }
}

#[tokio::test]
async fn fifty_at_once_over_two_processes_get_what_there_is() {
    let server = Server::start().await;
    let (_one, here) = opened(&server).await;
    let (_two, there) = opened(&server).await;
    for limit in [Limit::window(20, SECOND * 60), Limit::bucket(20, SECOND * 60)] {
        let asked = (0..50).map(|n| if n % 2 == 0 { &here } else { &there });
        let asked = asked.map(|limiter| limiter.take("ann", "log in", &limit, 1));
        let answers = futures_util::future::try_join_all(asked).await.unwrap();
        assert_eq!(answers.iter().filter(|answer| answer.allowed).count(), 20, "{limit:?}");
    }
}

#[tokio::test]
async fn what_costs_more_than_there_is_waits_for_nothing() {
    let server = Server::start().await;
    let (_store, limiter) = opened(&server).await;
    for limit in [Limit::window(3, SECOND), Limit::bucket(3, SECOND)] {
        let checked = limiter.take("ann", "post", &limit, 4).await.unwrap();
        assert_eq!((checked.allowed, checked.remaining, checked.retry_after), (false, 3, None));
        assert!(limiter.take("ann", "post", &limit, 3).await.unwrap().allowed);
    }
    let none = limiter.check("ann", "never", 0, SECOND).await.unwrap();
    assert_eq!((none.allowed, none.retry_after, none.reset), (false, None, Duration::ZERO));
}

#[tokio::test]
async fn only_a_strict_limit_counts_what_it_refuses() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    for (limit, lenient_at, strict_at) in
        [(Limit::window(2, SECOND * 10), 11_000, 16_000), (Limit::bucket(2, SECOND * 10), 10_000, 25_000)]
    {
        for strict in [false, true] {
            let limit = if strict { limit.counting_refused() } else { limit };
            let user = if strict { "strict" } else { "lenient" };
            store.freeze(UnixMillis(T0));
            assert!(limiter.take(user, "post", &limit, 2).await.unwrap().allowed);
            store.freeze(UnixMillis(T0 + 5_000));
            for _ in 0..9 {
                let refused = limiter.take(user, "post", &limit, 2).await.unwrap();
                assert!(!refused.allowed && refused.remaining < 2);
            }
            let at = if strict { strict_at } else { lenient_at };
            for (at, allowed) in [(at - 1, false), (at, true)] {
                store.freeze(UnixMillis(T0 + at));
                assert_eq!(limiter.peek(user, "post", &limit, 2).await.unwrap().allowed, allowed, "{limit:?} {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_look_counts_nothing_and_a_reset_gives_all_back() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    for limit in [Limit::window(2, SECOND * 60), Limit::bucket(2, SECOND * 60)] {
        for _ in 0..5 {
            assert!(limiter.peek("ann", "post", &limit, 2).await.unwrap().allowed);
        }
        assert_eq!(redis(&store, "KEYS *").await, "");
        limiter.take("ann", "post", &limit, 2).await.unwrap();
        assert_eq!(limiter.peek("ann", "post", &limit, 1).await.unwrap().remaining, 0);
        limiter.reset("ann", "post", &limit).await.unwrap();
        assert_eq!(redis(&store, "KEYS *").await, "");
        assert!(limiter.take("ann", "post", &limit, 2).await.unwrap().allowed);
        limiter.reset("ann", "post", &limit).await.unwrap();
    }
    assert_eq!(limiter.figures(), LimiterFigures { allowed: 4, refused: 0 });
}

#[tokio::test]
async fn a_counter_goes_when_it_says_nothing_any_more() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    for limit in [Limit::window(2, SECOND * 100), Limit::bucket(2, SECOND * 100)] {
        limiter.take("ann", "post", &limit, 1).await.unwrap();
        let key = redis(&store, "KEYS *").await;
        let left: u64 = redis(&store, &format!("PTTL {key}")).await.parse().unwrap();
        assert!((40_000..=110_000).contains(&left), "{key}: {left}");
        limiter.reset("ann", "post", &limit).await.unwrap();
    }
    for limit in [Limit::window(2, ms(20)), Limit::bucket(2, ms(20))] {
        limiter.take("ann", "post", &limit, 2).await.unwrap();
    }
    eventually("empty", async || redis(&store, "KEYS *").await.is_empty()).await;
}

#[tokio::test]
async fn clocks_that_differ_let_nobody_in() {
    let server = Server::start().await;
    let (one, here) = opened(&server).await;
    let (two, there) = opened(&server).await;
    for limit in [Limit::window(4, SECOND * 10), Limit::bucket(4, SECOND * 10)] {
        // some milliseconds, on either side of a slice's end
        for ahead in [3, -3] {
            one.freeze(UnixMillis(T0 + ahead));
            two.freeze(UnixMillis(T0 - ahead));
            for limiter in [&here, &there, &here, &there] {
                assert!(limiter.take("ann", "post", &limit, 1).await.unwrap().allowed);
            }
            for limiter in [&here, &there] {
                assert!(!limiter.take("ann", "post", &limit, 1).await.unwrap().allowed);
            }
            here.reset("ann", "post", &limit).await.unwrap();
        }
        // one that is minutes behind neither counts in the past nor gets anything for it
        one.freeze(UnixMillis(T0 + 600_000));
        two.freeze(UnixMillis(T0));
        here.take("ann", "post", &limit, 3).await.unwrap();
        assert_eq!(there.take("ann", "post", &limit, 1).await.unwrap().remaining, 0);
        assert!(!here.take("ann", "post", &limit, 1).await.unwrap().allowed);
        here.reset("ann", "post", &limit).await.unwrap();
    }
}

#[tokio::test]
async fn names_may_be_anything_and_are_never_mixed_up() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    let long = "n".repeat(1000);
    let names = ["a", "a:b", "b", "{a}", "a b", "a\0b", "é", "%3A", "w1000", long.as_str(), &long[1..]];
    for user in names {
        for action in names {
            assert!(limiter.check(user, action, 1, SECOND * 60).await.unwrap().allowed, "{user} {action}");
        }
    }
    assert_eq!(redis(&store, "DBSIZE").await, (names.len() * names.len()).to_string());
}

#[tokio::test]
async fn a_limit_that_means_nothing_is_an_error() {
    let server = Server::start().await;
    let (store, limiter) = opened(&server).await;
    for (limit, what) in [
        (Limit::window(1, Duration::ZERO), "a limit is per 10 ms to 366 days, got 0ns"),
        (Limit::bucket(1, SECOND * 400 * 86400), "a limit is per 10 ms to 366 days"),
        (Limit::bucket(0, SECOND), "a bucket that holds or gets nothing"),
        (Limit::bucket(1, SECOND).burst(0), "a bucket that holds or gets nothing"),
        (Limit::bucket(1, SECOND * 86400 * 366).burst(300_000), "a bucket per 31622400s has and gives 284836 tokens"),
    ] {
        let error = limiter.take("ann", "post", &limit, 1).await.unwrap_err().to_string();
        assert!(error.starts_with(what), "{error}");
    }
    let error = limiter.check("", "post", 1, SECOND).await.unwrap_err().to_string();
    assert_eq!(error, "the name of a user must have 1 to 1024 bytes, got 0");
    // a foreign value under the key is an error each time, and not overwritten
    redis(&store, "SET app:limit:post:ann:w1000 x").await;
    assert!(matches!(limiter.check("ann", "post", 1, SECOND).await, Err(Error::Store(store::Error::Script { .. }))));
    redis(&store, "DEL app:limit:post:ann:w1000").await;
    redis(&store, "SADD app:limit:post:ann:w1000 x").await;
    assert!(matches!(limiter.check("ann", "post", 1, SECOND).await, Err(Error::Store(store::Error::WrongType { .. }))));
}

#[test]
fn an_answer_is_json_in_milliseconds() {
    let checked = Checked { allowed: false, remaining: 0, retry_after: Some(ms(5)), reset: SECOND };
    let text = serde_json::to_string(&checked).unwrap();
    assert_eq!(text, r#"{"allowed":false,"remaining":0,"retryAfterMs":5,"resetMs":1000}"#);
    let checked = Checked { allowed: true, retry_after: None, ..checked };
    assert!(serde_json::to_string(&checked).unwrap().contains(r#""retryAfterMs":null"#));
}
