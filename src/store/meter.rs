//! Who is told of every call to Redis and of every link that came back, such as metrics. Nobody is, unless somebody asks.

use std::time::Duration;

/// Told on the tasks that call: be quick.
pub trait Meter: Send + Sync + 'static {
    /// A call was answered, or given up. `operation` is the name of a script or a command, of which there are few; `took` is
    /// `None` for calls that wait in the server, and for those that were not sent.
    fn called(&self, operation: &'static str, took: Option<Duration>, failed: bool);

    /// A link that was lost is there again: `command`, `blocking`, `renewal` or `named`.
    fn reconnected(&self, link: &'static str);
}
