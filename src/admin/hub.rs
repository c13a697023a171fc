//! Everybody who watches, by what they may see: a message is looked at once and handed to those it concerns. Nobody waits
//! for a viewer here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::archive::Archive;
use super::update::Update;
use super::viewer::{Filter, Notice, Viewer};

/// Shared by the feed, which tells, and the viewers' seats.
pub struct Hub {
    crowd: Mutex<Crowd>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Crowd {
    /// Those who see one tenant's messages only; most do.
    tenants: HashMap<String, Vec<Arc<Viewer>>>,
    others: Vec<Arc<Viewer>>,
    /// Everything is heard now.
    is_live: bool,
    /// Where viewers find what they have not seen, if it is kept.
    archive: Option<Arc<Archive>>,
}

/// A place in the hub, given up when it is dropped.
pub struct Seat {
    hub: Arc<Hub>,
    viewer: Arc<Viewer>,
}

impl Hub {
    pub fn new() -> Self {
        Self { crowd: Mutex::default(), count: watch::Sender::new(0) }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().expect("no code panics while holding this lock")
    }

    /// How many watch, and every change of it.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// A place for a viewer that may fall behind by `room` messages; `None` when `most` have one.
    pub fn join(self: &Arc<Self>, filter: Filter, room: usize, most: usize) -> Option<Seat> {
        let mut crowd = self.crowd();
        if *self.count.borrow() >= most {
            return None;
        }
        let viewer = Arc::new(Viewer::new(filter, room));
        if crowd.is_live {
            viewer.live();
        }
        crowd.group(&viewer.filter).push(Arc::clone(&viewer));
        self.count.send_modify(|count| *count += 1);
        Some(Seat { hub: Arc::clone(self), viewer })
    }

    /// Hands a message to those who see it.
    pub fn tell(&self, update: Update) {
        let update = Arc::new(update);
        let crowd = self.crowd();
        let own = update.tenant.as_ref().and_then(|tenant| crowd.tenants.get(tenant));
        for viewer in own.into_iter().flatten().chain(&crowd.others) {
            if viewer.filter.lets_through(&update) {
                viewer.tell(&update);
            }
        }
    }

    /// Everything is heard from now on; whatever was said before may not have been.
    pub fn live(&self) {
        let mut crowd = self.crowd();
        crowd.is_live = true;
        for viewer in crowd.tenants.values().flatten().chain(&crowd.others) {
            viewer.live();
        }
    }

    /// Nothing is heard from now on.
    pub fn silent(&self) {
        let mut crowd = self.crowd();
        crowd.is_live = false;
        crowd.archive = None;
    }

    /// From now on messages can be found there.
    pub fn keep(&self, archive: Archive) {
        self.crowd().archive = Some(Arc::new(archive));
    }
}

impl Crowd {
    fn group(&mut self, filter: &Filter) -> &mut Vec<Arc<Viewer>> {
        match &filter.tenant {
            Some(tenant) => self.tenants.entry(tenant.clone()).or_default(),
            None => &mut self.others,
        }
    }
}

impl Seat {
    /// What comes next. Cancellation safe.
    pub async fn next(&self) -> Notice {
        self.viewer.next().await
    }

    pub fn filter(&self) -> &Filter {
        &self.viewer.filter
    }

    pub fn archive(&self) -> Option<Arc<Archive>> {
        self.hub.crowd().archive.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut crowd = self.hub.crowd();
        let filter = &self.viewer.filter;
        let group = crowd.group(filter);
        group.retain(|other| !Arc::ptr_eq(other, &self.viewer));
        if let Some(tenant) = &filter.tenant
            && group.is_empty()
        {
            crowd.tenants.remove(tenant);
        }
        self.hub.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::update::testing;
    use super::*;

    fn of(tenant: &str) -> Filter {
        Filter { tenant: Some(tenant.into()), ..Filter::default() }
    }

    fn say(hub: &Hub, tenant: &str, job: u32) {
        hub.tell(testing::update(tenant, &job.to_string()));
    }

    async fn job(seat: &Seat) -> String {
        loop {
            if let Notice::Status(update) = seat.next().await {
                return update.message.job_id.clone();
            }
        }
    }

    #[tokio::test]
    async fn each_sees_its_own_and_the_count_is_kept() {
        let hub = Arc::new(Hub::new());
        let count = hub.count();
        let (one, two) = (hub.join(of("t1"), 10, 3).unwrap(), hub.join(of("t2"), 10, 3).unwrap());
        let all = hub.join(Filter::default(), 10, 3).unwrap();
        assert!(hub.join(of("t1"), 10, 3).is_none(), "there is no more room");
        say(&hub, "null", 1);
        say(&hub, "\"t2\"", 2);
        say(&hub, "\"t1\"", 3);
        assert_eq!((job(&one).await, job(&two).await), ("3".into(), "2".into()));
        assert_eq!((job(&all).await, job(&all).await, job(&all).await), ("1".into(), "2".into(), "3".into()));
        drop((one, two));
        assert_eq!(*count.borrow(), 1);
        assert!(hub.crowd().tenants.is_empty(), "nothing is kept of those who left");
    }

    #[tokio::test]
    async fn a_viewer_is_told_from_when_on_it_sees_everything() {
        let hub = Arc::new(Hub::new());
        let early = hub.join(of("t1"), 10, 9).unwrap();
        hub.live();
        assert!(matches!(early.next().await, Notice::Ready));
        let late = hub.join(of("t1"), 10, 9).unwrap();
        assert!(matches!(late.next().await, Notice::Ready));
        hub.silent();
        let between = hub.join(of("t1"), 10, 9).unwrap();
        hub.live();
        assert!(matches!(early.next().await, Notice::Gap));
        assert!(matches!(between.next().await, Notice::Ready));
    }
}
