use std::collections::BTreeMap;
use std::time::SystemTime;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use super::*;
use crate::config::Answer;

const HOST: &str = "api:3000";

fn config() -> HttpHandler {
    HttpHandler::new("http://api:3000/".into())
}

fn reply(config: &HttpHandler, status: u16, retry_after: Option<&str>) -> Reply {
    let mut headers = HeaderMap::new();
    if let Some(wait) = retry_after {
        headers.insert(RETRY_AFTER, wait.parse().unwrap());
    }
    Reply::read(StatusCode::from_u16(status).unwrap(), &headers, config, SystemTime::now())
}

fn fixed(config: &HttpHandler) -> Breaker {
    Breaker::new(config, true)
}

fn fail(breaker: &Breaker, times: usize) {
    for _ in 0..times {
        breaker.enter(HOST).unwrap().unanswered("refused");
    }
}

fn answer(breaker: &Breaker, status: u16, retry_after: Option<&str>) {
    breaker.enter(HOST).unwrap().answered(&reply(&config(), status, retry_after));
}

fn shut_for(gate: &Gate) -> (String, Duration) {
    match gate.standing() {
        Standing::Shut { why, until: Some(until) } => (why, until.duration_since(Instant::now())),
        other => panic!("{other:?}"),
    }
}

fn near(wait: Duration, seconds: f64) -> bool {
    (seconds * 0.79..=seconds * 1.21).contains(&wait.as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn f94_failures_in_a_row_open_it_and_each_failed_trial_makes_it_last_longer() {
    let breaker = fixed(&config());
    fail(&breaker, 4);
    answer(&breaker, 500, None);
    fail(&breaker, 4);
    assert!(breaker.gate().is_open(), "an answer came in between");
    fail(&breaker, 1);
    let mut wait = Duration::ZERO;
    for seconds in [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0] {
        let (why, lasts) = shut_for(breaker.gate());
        assert!(why.ends_with("failures in a row, the last: refused"), "{why}");
        assert!(near(lasts, seconds) && lasts <= Duration::from_secs(300), "{lasts:?}, expected about {seconds} s");
        wait = lasts;
        tokio::time::advance(lasts).await;
        fail(&breaker, 1);
    }
    tokio::time::advance(wait).await;
    tokio::time::advance(wait).await;
    answer(&breaker, 200, None);
    assert!(breaker.gate().is_open());
    fail(&breaker, 5);
    assert!(near(shut_for(breaker.gate()).1, 10.0), "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn f94_attempts_under_way_when_it_opened_do_not_make_it_last_longer() {
    let breaker = fixed(&config());
    let mut before: Vec<_> = (0..20).map(|_| breaker.enter(HOST).unwrap()).collect();
    for attempt in &mut before[..19] {
        attempt.unanswered("refused");
    }
    let (why, lasts) = shut_for(breaker.gate());
    assert!(why.starts_with("5 failures") && near(lasts, 10.0), "{why} {lasts:?}");
    tokio::time::advance(lasts).await;
    before[19].unanswered("refused");
    assert!(breaker.gate().admits(), "nor does one that ends when a trial is due");
}

#[tokio::test(start_paused = true)]
async fn f94_a_late_answer_of_an_attempt_under_way_closes_it() {
    let breaker = fixed(&config());
    let mut slow = breaker.enter(HOST).unwrap();
    fail(&breaker, 5);
    assert!(!breaker.gate().is_open());
    slow.answered(&reply(&config(), 200, None));
    assert!(breaker.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn what_counts_is_no_answer_and_the_statuses_of_the_table() {
    for (status, counts) in (100..600).map(|status| (status, matches!(status, 401 | 403 | 404 | 407 | 502 | 504))) {
        let breaker = fixed(&config());
        fail(&breaker, 4);
        answer(&breaker, status, None);
        assert_eq!(!breaker.gate().is_open(), counts, "{status}");
    }
    let breaker = fixed(&config());
    fail(&breaker, 4);
    let mut attempt = breaker.enter(HOST).unwrap();
    attempt.cancelled(CancelReason::Timeout);
    attempt.sent();
    attempt.cancelled(CancelReason::Shutdown);
    assert!(breaker.gate().is_open(), "nothing was asked yet, or somebody else's wish");
    attempt.cancelled(CancelReason::Timeout);
    assert_eq!(shut_for(breaker.gate()).0, "5 failures in a row, the last: api:3000 has not answered in time");
    // an endpoint that streams its answer is there
    let breaker = fixed(&config());
    fail(&breaker, 4);
    let mut attempt = breaker.enter(HOST).unwrap();
    attempt.sent();
    attempt.answered(&reply(&config(), 200, None));
    attempt.cancelled(CancelReason::Timeout);
    assert!(breaker.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn a_status_with_another_meaning_does_not_count() {
    let mut config = config();
    config.status = BTreeMap::from([(404, Answer::Fail), (410, Answer::Retry)]);
    config.gone = config::Gone::Stop;
    let breaker = fixed(&config);
    fail(&breaker, 4);
    for status in [404, 410] {
        breaker.enter(HOST).unwrap().answered(&reply(&config, status, None));
    }
    assert!(breaker.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn f98_a_retry_after_holds_everybody_and_answers_under_way_do_not_end_it() {
    for status in [429, 503] {
        let breaker = fixed(&config());
        let mut under_way = [breaker.enter(HOST).unwrap(), breaker.enter(HOST).unwrap(), breaker.enter(HOST).unwrap()];
        answer(&breaker, status, Some("60"));
        let (why, lasts) = shut_for(breaker.gate());
        assert!(why.starts_with(&format!("api:3000 asks to wait: HTTP {status} ")), "{why}");
        assert_eq!(lasts, Duration::from_secs(60));
        under_way[0].answered(&reply(&config(), 200, None));
        under_way[1].answered(&reply(&config(), status, Some("30")));
        assert_eq!(shut_for(breaker.gate()).1, Duration::from_secs(60));
        under_way[2].answered(&reply(&config(), status, Some("90")));
        assert_eq!(shut_for(breaker.gate()).1, Duration::from_secs(90));
        tokio::time::advance(Duration::from_secs(90)).await;
        assert!(breaker.gate().admits());
        answer(&breaker, 200, None);
        assert!(breaker.gate().is_open());
    }
    let breaker = fixed(&config());
    answer(&breaker, 429, None);
    answer(&breaker, 503, Some("soon"));
    answer(&breaker, 423, Some("60"));
    assert!(breaker.gate().is_open(), "no time was named, or it is about one thing");
    answer(&breaker, 429, Some("99999"));
    assert_eq!(shut_for(breaker.gate()).1, config().max_defer);
}

#[tokio::test(start_paused = true)]
async fn f102_gone_stops_it_for_good_where_asked_to() {
    let breaker = fixed(&config());
    answer(&breaker, 410, None);
    assert!(breaker.gate().is_open());
    let breaker = fixed(&HttpHandler { gone: config::Gone::Stop, ..config() });
    let mut under_way = breaker.enter(HOST).unwrap();
    answer(&breaker, 410, None);
    under_way.answered(&reply(&config(), 200, None));
    let Standing::Shut { why, until: None } = breaker.gate().standing() else { panic!() };
    assert_eq!(why, "api:3000 answers HTTP 410 Gone; change the url and reload, or restart");
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_every_job_tries_but_a_wait_asked_for_is_kept() {
    let breaker = fixed(&HttpHandler { breaker: None, ..config() });
    fail(&breaker, 100);
    assert!(breaker.gate().is_open());
    answer(&breaker, 429, Some("60"));
    fail(&breaker, 1);
    assert!(!breaker.gate().admits());
    tokio::time::advance(Duration::from_secs(60)).await;
    fail(&breaker, 1);
    assert!(breaker.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn f94_where_jobs_choose_the_host_each_has_its_own_and_the_gate_stays_open() {
    let breaker = Breaker::new(&config(), false);
    fail(&breaker, 5);
    assert!(breaker.gate().is_open());
    breaker.enter("other:80").unwrap().answered(&reply(&config(), 200, None));
    let Err(Outcome::PutOff { reason, after }) = breaker.enter(HOST) else { panic!() };
    assert_eq!(reason, "api:3000 is left alone for now: 5 failures in a row, the last: refused");
    assert!(after >= Duration::from_secs(8), "{after:?}");
    tokio::time::advance(Duration::from_secs(12)).await;
    let mut trial = breaker.enter(HOST).unwrap();
    assert!(breaker.enter(HOST).is_err(), "one at a time");
    trial.answered(&reply(&config(), 200, None));
    assert!(breaker.enter(HOST).is_ok());
    let Circuits::Chosen(circuits) = &breaker.circuits else { panic!() };
    for n in 0..2 * REMEMBERED {
        breaker.enter(&format!("{n}:80")).unwrap().unanswered("refused");
    }
    assert!(circuits.lock().unwrap().len() <= REMEMBERED);
}
