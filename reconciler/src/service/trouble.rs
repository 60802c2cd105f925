//! That the exchange does not answer, from the first time to the end of it.

use ledger_core::TimestampMs;

use super::happening::{HappeningKind, Told};
use crate::watch_state::FailureSummary;
use crate::wording::lasting;

/// Whether the exchange answers.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<FailureSummary>);

impl Trouble {
    /// The exchange did not answer, for the `attempts`th time in a row. What is to be told of it: the first time alone.
    pub(super) fn goes_on(&mut self, now_local: TimestampMs, attempts: u32, reason: String) -> Option<Told> {
        let told = || (HappeningKind::Unreachable, format!("{reason}; it is tried again until it is answered"));
        let told = self.0.is_none().then(told);
        let since_local = self.0.as_ref().map_or(now_local, |failure| failure.since_local);
        self.0 = Some(FailureSummary { since_local, attempts, reason });
        told
    }

    /// The exchange has answered. What is to be told of it, where it did not before.
    pub(super) fn is_over(&mut self, now_local: TimestampMs) -> Option<Told> {
        let failure = self.0.take()?;
        let lasted = now_local.as_ms().saturating_sub(failure.since_local.as_ms());
        Some((HappeningKind::Reachable, format!("the exchange answers again, after {}", lasting(lasted))))
    }

    pub(super) fn summary(&self) -> Option<&FailureSummary> {
        self.0.as_ref()
    }
}
