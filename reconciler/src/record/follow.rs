//! The bot's own files, followed as the bot writes them: its log of entries and its state.
//!
//! Invariants, with their tests in `tests/follow.rs`:
//! 1. `each_line_counts_once_however_often_it_is_looked_at`: how far the log was read is committed with what it says.
//! 2. `a_half_written_line_is_left_for_later`.
//! 3. `a_log_that_was_cut_or_replaced_is_read_from_its_beginning`, and what the old one had left is read first.
//! 4. `what_cannot_be_used_is_told_once`.
//! 5. `the_state_labels_what_opened_the_position`, when it changes or what it is about is recorded.

mod log;
mod state;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use ledger_core::printable;

use self::log::EntryLog;
use self::state::StateFile;
use super::event_recorder::EventRecorder;
use crate::error::ReconcileError;

/// How many unusable entries are named at once.
const NAMED_MAX: usize = 20;

/// A bot's files, and how far each was read.
#[derive(Debug)]
pub struct BotFiles {
    log: Option<EntryLog>,
    state: Option<StateFile>,
}

impl BotFiles {
    /// The files at these paths; they need not be there yet. Times without an offset are read in `zone`.
    pub fn new(entry_events: Option<PathBuf>, state: Option<PathBuf>, zone: TimeZone) -> Self {
        Self { log: entry_events.map(|path| EntryLog::new(path, zone)), state: state.map(StateFile::new) }
    }

    /// Whether there is nothing to follow.
    pub fn is_empty(&self) -> bool {
        self.log.is_none() && self.state.is_none()
    }

    /// Records what the files say that was not read before, and answers what a reader should know of them, once.
    ///
    /// # Errors
    /// [`ReconcileError::Store`]; what was not recorded is read again by the next look.
    pub async fn look(&mut self, recorder: &EventRecorder) -> Result<Vec<String>, ReconcileError> {
        let mut remarks = Vec::new();
        if let Some(log) = &mut self.log {
            log.look(recorder, &mut remarks).await?;
        }
        if let Some(state) = &mut self.state {
            state.look(recorder, &mut remarks).await?;
        }
        Ok(remarks)
    }
}

/// Notes what is wrong with a part of a file; of many, how many more there are.
fn note(path: &Path, bad: Vec<(String, String)>, remarks: &mut Vec<String>) {
    let more = bad.len().saturating_sub(NAMED_MAX);
    for (place, reason) in bad.into_iter().take(NAMED_MAX) {
        remark(path, &format!("{place}: not used: {reason}"), remarks);
    }
    if more > 0 {
        remark(path, &format!("{more} more are not used"), remarks);
    }
}

fn remark(path: &Path, text: &str, remarks: &mut Vec<String>) {
    remarks.push(printable(&format!("{}, {text}", path.display())).into_owned());
}
