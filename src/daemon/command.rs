//! Everything that can tell the daemon what to do.

/// One order. Signals bring them today; whatever else may give orders sends the same values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Stop taking, let run, then cancel, then hand back.
    Stop,
    /// Hand back at once.
    HandBack,
    /// Read the configuration again and apply what changed.
    Reload,
    /// Stop taking, keep running what runs.
    Quiet,
    /// Log what every slot is doing.
    Report,
}
