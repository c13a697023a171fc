//! The official clients and oxherd on one Redis: they add, we work; we add, they work; both share.
//!
//! The programs in `node/` and `python/` are driven from here; `make setup` installs what they need. With
//! `OXHERD_SOAK=1` the tests of `fleet.rs` take minutes.

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod board;
mod browser;
mod callback;
mod cron;
mod editor;
mod everything;
mod fleet;
mod flows;
mod helpers;
mod limits;
mod mail;
mod moving;
mod oxherd;
mod pause;
mod people;
mod running;
mod sandbox;
mod schedulers;
mod sequences;
mod sharing;
mod traces;
mod tutorials;
mod verbs;
mod viewers;
mod webhooks;
