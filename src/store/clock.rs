//! The server's clock, read seldom and carried on by the monotonic one.
//!
//! Due times, ages and the ids of recurring jobs use this clock, so that hosts with different wall clocks agree and a
//! jump of ours moves nothing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::connection::Connection;
use super::error::Error;
use super::reply;
use crate::job::UnixMillis;

/// How often the two clocks are compared.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
/// The round trip that took the least time of so many is believed, or the first one that was short enough.
const SAMPLES: usize = 3;
/// Half of it is how far we may be off: less than the milliseconds we count in.
const SHORT: Duration = Duration::from_millis(1);

pub(crate) struct ServerClock {
    start: Instant,
    /// Server time at `start`, in µs since 1970.
    at_start: AtomicI64,
    /// Not 0: the clock stands still at this moment, for tests that compare moments.
    #[cfg(test)]
    frozen: AtomicI64,
}

impl ServerClock {
    /// Reads the server's clock for the first time.
    pub(crate) async fn open(connection: &Connection) -> Result<Self, Error> {
        let clock = Self::at(0);
        clock.measure(connection).await?;
        Ok(clock)
    }

    /// This host's own, for who may not read the server's.
    #[cfg(feature = "daemon")]
    pub(crate) fn assumed() -> Self {
        Self::at(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros))
    }

    fn at(micros: i64) -> Self {
        Self {
            start: Instant::now(),
            at_start: AtomicI64::new(micros),
            #[cfg(test)]
            frozen: AtomicI64::new(0),
        }
    }

    #[cfg(test)]
    pub(crate) fn freeze(&self, at: UnixMillis) {
        self.frozen.store(at.0, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> UnixMillis {
        #[cfg(test)]
        if let at @ 1.. = self.frozen.load(Ordering::Relaxed) {
            return UnixMillis(at);
        }
        UnixMillis(self.now_micros().div_euclid(1000))
    }

    fn now_micros(&self) -> i64 {
        self.at_start.load(Ordering::Relaxed).saturating_add(micros(self.start.elapsed()))
    }

    /// How far this host's wall clock is ahead of the server's, in ms; negative when behind.
    pub(crate) fn skew(&self) -> i64 {
        let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros);
        (here - self.now_micros()) / 1000
    }

    /// Compares the clocks anew.
    pub(crate) async fn measure(&self, connection: &Connection) -> Result<(), Error> {
        let mut best: Option<(Duration, i64)> = None;
        for _ in 0..SAMPLES {
            let sent = self.start.elapsed();
            let answer = reply::texts("TIME", connection.call("TIME", Vec::new()).await?)?;
            let round_trip = self.start.elapsed().saturating_sub(sent);
            let number = |at: usize| answer.get(at).and_then(|text| text.parse::<i64>().ok());
            let (Some(seconds), Some(rest)) = (number(0), number(1)) else {
                let got = format!("{answer:?}");
                return Err(Error::Reply { what: "TIME", expected: "seconds and microseconds", got });
            };
            let at_start = seconds.saturating_mul(1_000_000).saturating_add(rest) - micros(sent + round_trip / 2);
            if best.is_none_or(|(shortest, _)| round_trip < shortest) {
                best = Some((round_trip, at_start));
            }
            if round_trip <= SHORT {
                break;
            }
        }
        if let Some((_, at_start)) = best {
            self.at_start.store(at_start, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::connection::Role;
    use super::super::testing::Server;
    use super::*;

    #[tokio::test]
    async fn follows_the_server_and_not_this_host() {
        let server = Server::start().await;
        let connection = Connection::open(&server.config(), Role::Command).await.unwrap();
        let clock = ServerClock::open(&connection).await.unwrap();
        assert!(clock.skew().abs() < 1000, "same host, {} ms apart", clock.skew());

        // as if this host's wall clock ran an hour ahead of the server
        clock.at_start.fetch_sub(3_600_000_000, Ordering::Relaxed);
        assert!((clock.skew() - 3_600_000).abs() < 1000);
        let before = clock.now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(clock.now().since(before) >= Duration::from_millis(20));

        clock.measure(&connection).await.unwrap();
        assert!(clock.skew().abs() < 1000, "measured again");
    }
}
