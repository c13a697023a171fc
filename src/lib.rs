//! Works job queues in Redis: BullMQ's data layout, driven by TOML or embedded in a program.

pub mod config;
pub mod handler;
pub mod job;
pub mod store;
