//! Who killed a process that had several jobs? They begin again one after the other, each alone in a process, until one
//! is caught at it. Only that one has crashed; the rest never notice.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ticket::Ticket;

#[derive(Default)]
pub(super) struct Suspects {
    incidents: Vec<Incident>,
}

/// The jobs of one process that died with several.
struct Incident {
    untried: VecDeque<Arc<Ticket>>,
    /// The one that runs, alone.
    tried: Option<Arc<Ticket>>,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }

    /// A process has died with these jobs.
    pub(super) fn suspect(&mut self, jobs: impl IntoIterator<Item = Arc<Ticket>>) {
        let untried: VecDeque<_> = jobs.into_iter().collect();
        if !untried.is_empty() {
            self.incidents.push(Incident { untried, tried: None });
        }
    }

    /// How many could be tried now, if there were processes for it.
    pub(super) fn due(&self) -> usize {
        self.incidents.iter().filter(|incident| incident.tried.is_none()).count()
    }

    /// The next one to be tried. Another of the same incident follows once it is cleared.
    pub(super) fn try_next(&mut self) -> Option<Arc<Ticket>> {
        let incident = self.incidents.iter_mut().find(|incident| incident.tried.is_none())?;
        incident.tried = incident.untried.pop_front();
        incident.tried.clone()
    }

    /// Whether the job is being tried, or waits for it.
    pub(super) fn holds(&self, ticket: &Arc<Ticket>) -> bool {
        let mut all = self.incidents.iter().flat_map(|incident| incident.untried.iter().chain(&incident.tried));
        all.any(|suspect| Arc::ptr_eq(suspect, ticket))
    }

    /// A job is suspected no more: it has ended, or somebody has taken it out.
    pub(super) fn clear(&mut self, ticket: &Arc<Ticket>) {
        for incident in &mut self.incidents {
            incident.tried.take_if(|tried| Arc::ptr_eq(tried, ticket));
            incident.untried.retain(|suspect| !Arc::ptr_eq(suspect, ticket));
        }
        self.close();
    }

    /// A job was alone when its process died. Those it was suspected with are innocent.
    pub(super) fn catch(&mut self, ticket: &Arc<Ticket>) -> Vec<Arc<Ticket>> {
        let mut innocent = Vec::new();
        for incident in &mut self.incidents {
            if incident.tried.take_if(|tried| Arc::ptr_eq(tried, ticket)).is_some() {
                innocent.extend(incident.untried.drain(..));
            }
        }
        self.close();
        innocent
    }

    /// All that are not being tried, who will not be any more.
    pub(super) fn give_up(&mut self) -> Vec<Arc<Ticket>> {
        let untried = self.incidents.iter_mut().flat_map(|incident| incident.untried.drain(..)).collect();
        self.close();
        untried
    }

    fn close(&mut self) {
        self.incidents.retain(|incident| incident.tried.is_some() || !incident.untried.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{context, job};

    fn tickets(count: usize) -> Vec<Arc<Ticket>> {
        (0..count).map(|_| Arc::new(Ticket::new(Arc::new(job("1")), context(), None))).collect()
    }

    #[test]
    fn f90_one_of_an_incident_is_tried_at_a_time_and_the_one_caught_frees_the_rest() {
        let (first, second) = (tickets(3), tickets(2));
        let mut suspects = Suspects::default();
        suspects.suspect(first.clone());
        suspects.suspect(second.clone());
        assert_eq!(suspects.due(), 2);
        assert!(Arc::ptr_eq(&suspects.try_next().unwrap(), &first[0]));
        assert!(Arc::ptr_eq(&suspects.try_next().unwrap(), &second[0]));
        assert!(suspects.try_next().is_none() && suspects.due() == 0);
        suspects.clear(&first[0]);
        assert!(!suspects.holds(&first[0]) && suspects.holds(&first[1]));
        assert!(Arc::ptr_eq(&suspects.try_next().unwrap(), &first[1]));
        let innocent = suspects.catch(&first[1]);
        assert!(innocent.len() == 1 && Arc::ptr_eq(&innocent[0], &first[2]));
        assert!(suspects.catch(&first[1]).is_empty());
        assert_eq!(suspects.give_up().len(), 1);
        suspects.clear(&second[0]);
        assert!(suspects.is_empty());
    }
}
