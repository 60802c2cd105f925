//! The files that a bot keeps for itself, followed as it writes them.

use std::path::PathBuf;
use std::time::Duration;

use reconciler::{BotFiles, EventRecorder};

use crate::Context;
use crate::error::CommandError;

/// How often they are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The bot's own files, and whether they could be recorded.
pub(super) struct Files {
    files: BotFiles,
    has_failed: bool,
}

impl Files {
    pub(super) fn new(entry_events: Option<PathBuf>, state: Option<PathBuf>, zone: jiff::tz::TimeZone) -> Self {
        Self { files: BotFiles::new(entry_events, state, zone), has_failed: false }
    }

    /// Whether there are none to look at.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Records what is new in the files. If the book cannot be written, that is said once, and the next look reads the same
    /// lines again.
    pub(super) async fn look(&mut self, recorder: &EventRecorder, context: &mut Context) {
        match self.files.look(recorder).await {
            Ok(remarks) => {
                self.has_failed = false;
                for remark in remarks {
                    context.output.complain(&format!("warning: {remark}"));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    let error = CommandError::from(error);
                    context.output.complain(&format!("warning: the bot's files are read again later: {error}"));
                }
            }
        }
    }
}
