//! Signals for a verb that is the first process of a container. The kernel gives that process no default actions, so that
//! Ctrl-C and `docker stop` would not reach it. [`super::main`] is the caller.

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

use super::Verb;

/// What a shell says of a process that a signal has ended.
const ENDED_BY: i32 = 128;

/// Ends the process by the signals that would end any other, but for those that the verb listens to.
pub fn end_by_signals(verb: &Verb) {
    if std::process::id() != 1 {
        return;
    }
    let listens_to: &[i32] = match verb {
        Verb::Run(_) | Verb::Watch(_) => return,
        Verb::Exec(_) | Verb::Bench(_) => &[SIGINT],
        _ => &[],
    };
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        if !listens_to.contains(&signal) {
            // without it the verb works all the same, and KILL remains
            let _ = register_conditional_shutdown(signal, ENDED_BY + signal, std::sync::Arc::new(true.into()));
        }
    }
}
