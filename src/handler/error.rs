//! Why the handlers a configuration describes cannot be built. Nothing here concerns a single
//! job: what a handler answers for a job is an [`Outcome`](crate::job::Outcome).

/// The process should refuse its configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("queue {queue:?} names handler {handler:?}, which does not exist; {}", list(.known))]
    Unknown { queue: String, handler: String, known: Vec<String> },
    #[error("handler {0:?} exists twice, in the configuration and as a function; rename one of them")]
    Twice(String),
    #[error("handler {handler:?} is of kind {kind}, which this build leaves out; build with the cargo feature {kind}")]
    LeftOut { handler: String, kind: &'static str },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none is defined".to_owned() } else { format!("known are {}", names.join(", ")) }
}
