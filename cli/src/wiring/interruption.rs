//! The signals that end a command in order: Ctrl-C and, where there are such, the system's request to terminate and the end
//! of the terminal.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_ignored_signal_is_read_off_the_mask`. Who starts a command with `nohup` wants it to outlive the terminal.

use super::failed;
use crate::error::CommandError;

/// The signals that end a command.
pub(crate) struct Interruption {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// `None` where it was ignored when the command began, or nobody knows: then it does what it did.
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Interruption {
    /// From now on these signals no longer end the process at once.
    pub(crate) fn listen() -> Result<Self, CommandError> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hang_up = match ignores_hang_up() {
                Some(false) => Some(signal(SignalKind::hangup()).map_err(failed)?),
                Some(true) | None => None,
            };
            Ok(Self { terminate: signal(SignalKind::terminate()).map_err(failed)?, hang_up })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for a signal.
    pub(crate) async fn wait(&mut self) {
        #[cfg(unix)]
        {
            let hang_up = async {
                match &mut self.hang_up {
                    Some(signal) => signal.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                biased;
                // Where signals cannot be listened for, nobody interrupts.
                Ok(()) = tokio::signal::ctrl_c() => {}
                Some(()) = self.terminate.recv() => {}
                Some(()) = hang_up => {}
                else => std::future::pending().await,
            }
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether this process was started with SIGHUP ignored; `None` where the system does not tell without unsafe code. There
/// SIGHUP ends the process at once, unless it is ignored: what was committed stays.
#[cfg(unix)]
fn ignores_hang_up() -> Option<bool> {
    is_hang_up_ignored(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Reads the mask of ignored signals: hexadecimal, the lowest bit is signal 1, which is SIGHUP.
#[cfg(unix)]
fn is_hang_up_ignored(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    Some(u64::from_str_radix(mask.trim(), 16).ok()? & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_read_off_the_mask() {
        for (status, ignored) in [
            ("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", Some(true)),
            ("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n", Some(false)),
            ("SigIgn:\tsoon\n", None),
            ("", None),
        ] {
            assert_eq!(is_hang_up_ignored(status), ignored, "{status}");
        }
    }
}
