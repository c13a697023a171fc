//! Shared by the programs of `make bench`.

pub mod arguments;
pub mod process;
pub mod queue;
pub mod redis;
pub mod table;
