//! Where a connection sits. There is room for so many; beyond that some seats are kept for whoever asks whether we live, so
//! that no crowd of slow clients can make an orchestrator think that we do not. They are given up soon, and to the next.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many of those there are.
const KEPT: usize = 32;
/// How long each of them is left alone: enough to ask what was on its way with the connection.
const LEAST: Duration = Duration::from_millis(100);
/// How long one may be taken when nobody else wants it.
pub const MOST: Duration = Duration::from_secs(2);

/// A seat that is taken; dropping it gives it up.
pub enum Seat {
    Usual { _permit: OwnedSemaphorePermit },
    Kept(Arc<CancellationToken>),
}

/// The seats that are kept, those taken first at the front.
#[derive(Default)]
pub struct KeptSeats(VecDeque<(Instant, Weak<CancellationToken>)>);

impl KeptSeats {
    /// A seat, if need be that of whoever has had one longest.
    pub async fn take(&mut self) -> Seat {
        self.0.retain(|(_, seat)| seat.strong_count() > 0);
        if self.0.len() >= KEPT
            && let Some((since, seat)) = self.0.pop_front()
        {
            tokio::time::sleep_until(since + LEAST).await;
            if let Some(seat) = seat.upgrade() {
                seat.cancel();
            }
        }
        let seat = Arc::new(CancellationToken::new());
        self.0.push_back((Instant::now(), Arc::downgrade(&seat)));
        Seat::Kept(seat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_kept_seats_go_round() {
        let mut seats = KeptSeats::default();
        let mut taken = Vec::new();
        for _ in 0..=KEPT {
            let Seat::Kept(seat) = seats.take().await else { panic!() };
            taken.push(seat);
        }
        assert!(taken[0].is_cancelled() && taken[1..].iter().all(|seat| !seat.is_cancelled()));
        taken.truncate(1);
        let _seat = seats.take().await;
        assert_eq!(seats.0.len(), 1, "those given up are free");
    }
}
