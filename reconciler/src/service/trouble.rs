//! That the exchange does not answer, from the first time to the end of it.

use ledger_core::TimestampMs;

use super::happening::{HappeningKind, Told};
use crate::watch_state::FailureSummary;
use crate::wording::lasting;

/// Whether the exchange answers.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failure: Option<FailureSummary>,
    /// Only a part of a cycle was not answered: a look that is answered says nothing of that part.
    is_partial: bool,
}

impl Trouble {
    /// The exchange did not answer, for the `attempts`th time in a row. What is to be told of it: the first time alone.
    pub(super) fn goes_on(&mut self, now_local: TimestampMs, attempts: u32, reason: String) -> Option<Told> {
        let told = || (HappeningKind::Unreachable, format!("{reason}; it is tried again until it is answered"));
        let told = self.failure.is_none().then(told);
        let since_local = self.failure.as_ref().map_or(now_local, |failure| failure.since_local);
        self.failure = Some(FailureSummary { since_local, attempts, reason, banned_until: None });
        self.is_partial = false;
        told
    }

    /// The exchange says that it answers nobody at this address before then.
    pub(super) fn is_banned(&mut self, until: TimestampMs) {
        if let Some(failure) = &mut self.failure {
            failure.banned_until = Some(until);
        }
    }

    /// A part of a cycle was not answered, for the `attempts`th time in a row.
    pub(super) fn goes_on_in_part(&mut self, now_local: TimestampMs, attempts: u32, reason: String) -> Option<Told> {
        let told = self.goes_on(now_local, attempts, reason);
        self.is_partial = true;
        told
    }

    /// The exchange has answered, a whole cycle or a look. What is to be told of it, where it did not before.
    pub(super) fn is_over(&mut self, now_local: TimestampMs, is_cycle: bool) -> Option<Told> {
        if self.is_partial && !is_cycle {
            return None;
        }
        let failure = self.failure.take()?;
        self.is_partial = false;
        let lasted = now_local.as_ms().saturating_sub(failure.since_local.as_ms());
        Some((HappeningKind::Reachable, format!("the exchange answers again, after {}", lasting(lasted))))
    }

    pub(super) fn summary(&self) -> Option<&FailureSummary> {
        self.failure.as_ref()
    }
}
