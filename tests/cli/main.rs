//! The binary as people and scripts use it: what is printed where, and with which exit code it
//! ends. Each test that needs Redis starts its own.

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod check;
mod harness;
mod jobs;
mod run;
mod watch;
