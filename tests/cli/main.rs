//! The binary as people and scripts use it: what is printed where, and with which exit code it
//! ends. Each test that needs Redis starts its own.

#[path = "../support/mod.rs"]
mod support;

mod acl;
mod arguments;
mod audit;
mod bulk;
mod cancel;
mod check;
mod docs;
mod doctor;
mod example;
mod exec;
mod flows;
mod harness;
mod init;
mod jobs;
mod journal;
mod lists;
mod literals;
mod mistakes;
mod monitoring;
mod orphans;
mod queues;
mod reload;
mod run;
mod schedule_verbs;
mod schedules;
mod seed;
mod service;
mod shells;
mod transfer;
mod watch;
