//! Signals to processes that a test started. Not by the command `kill`: it does not know `HUP` in Turkish.

use std::process::Child;

pub(crate) use rustix::process::Signal;

/// Sends it to a process that nobody has waited for yet, so that its number is still its own.
#[track_caller]
pub(crate) fn send(signal: Signal, child: &Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}
