//! What keeps an engine from starting.

/// Why an engine could not be built or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Handler(#[from] crate::handler::Error),
    #[error("redis cannot be used")]
    Store(#[from] crate::store::Error),
    #[cfg(feature = "app")]
    #[error(transparent)]
    App(#[from] crate::app::Error),
    #[error("no queue named {name:?} in the configuration{}", nearest(.known))]
    UnknownQueue { name: String, known: Vec<String> },
    #[error("there is no queue to work; add a [queues.NAME] section")]
    NoQueues,
    #[error("cannot start a thread of the engine")]
    Thread(#[source] std::io::Error),
    #[error("the engine is stopping and takes nothing over any more; the next start reads the configuration")]
    Stopping,
    #[error("the engine's thread has died; its jobs are recovered when their locks run out")]
    Died,
}

fn nearest(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are {}", known.join(", ")) }
}
