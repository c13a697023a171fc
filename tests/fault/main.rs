//! Faults, struck into the real binary on real Redis servers, and decided by observation: what the
//! receivers of the work saw, and what is left in Redis. The numbers are those of the fault
//! catalogue. `OXHERD_SOAK=1` (`make fault`) adds the runs that take minutes, `OXHERD_SEED` repeats
//! a run's random choices.

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod endpoint;
mod freeze;
mod housekeeping;
mod ledger;
mod limit;
mod list;
mod log;
mod odd;
mod outage;
mod pool;
mod probes;
mod proxy;
mod queue;
mod reload;
mod scene;
mod schedule;
mod shortage;
mod stop;
mod subscriber;
mod traces;
mod viewers;
mod wire;
