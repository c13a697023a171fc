//! What runs beside the engine without being part of it, such as the server of `[admin]`: the daemon starts it before the
//! first job is taken, tells it of reloads, and ends it when the engine has stopped.

use std::future::Future;
use std::pin::Pin;

use super::{Error, Reload};
use crate::config::Config;
use crate::engine::Handle;

/// Ends when a guest has gone.
pub type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One such service. It also ends when it is dropped.
pub trait Guest: Send {
    /// Begins, right before the engine does. An error keeps the daemon from starting.
    fn start(&mut self, engine: &Handle) -> Result<(), Error>;

    /// The configuration is read again; [`Guest::reloaded`] follows.
    fn reloading(&self) {}

    /// Another configuration is in force; what only a start reads is in it as it was.
    fn reconfigure(&self, config: &Config);

    /// An order to read the configuration again has been carried out, or refused; after [`Guest::reconfigure`].
    fn reloaded(&self, _reload: &Reload) {}

    /// The engine has stopped. Bounded: nobody outside can hold it up.
    fn stop(self: Box<Self>) -> Stopping;
}
