//! Works job queues in Redis: BullMQ's data layout, driven by TOML or embedded in a program.

#[cfg(feature = "daemon")]
mod admin;
#[cfg(feature = "app")]
pub mod app;
#[cfg(feature = "daemon")]
pub mod cli;
pub mod config;
#[cfg(feature = "daemon")]
mod daemon;
pub mod engine;
pub mod handler;
pub mod job;
#[cfg(feature = "daemon")]
mod metrics;
pub mod store;

#[cfg(feature = "app")]
pub use app::App;
pub use config::Config;
pub use engine::{Engine, Event};
pub use handler::{Handler, JobContext};
pub use job::{ChildFailure, Deduplication, Flow, Job, JobId, JobOptions, NewJob, Outcome, ParentRef, QueueName};
pub use store::{AddedFlow, Queue, Store};

/// The examples there must compile.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct Examples;

/// As above.
#[cfg(all(doctest, feature = "app"))]
#[doc = include_str!("../docs/app.md")]
struct AppExamples;
