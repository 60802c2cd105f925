//! The time in which a stream is known to be complete.

use crate::time::TimestampMs;

/// Stretches of time, each from its first instant to the first behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoveredTime(Vec<(TimestampMs, TimestampMs)>);

/// Why nothing can be missing from some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unread {
    /// The exchange was never asked.
    Never,
    /// It lies before all that the exchange was asked for: when that began, it did not answer for this any more.
    Before,
    /// It lies between stretches that were read.
    Between,
    /// It is so recent that the answer may still lack it, or was not asked for yet.
    NotYet,
}

impl CoveredTime {
    /// The time of all of these stretches, in any order.
    pub fn new(stretches: impl IntoIterator<Item = (TimestampMs, TimestampMs)>) -> Self {
        let mut stretches: Vec<_> = stretches.into_iter().filter(|(since, until)| since < until).collect();
        stretches.sort_unstable();
        let mut joined: Vec<(TimestampMs, TimestampMs)> = Vec::with_capacity(stretches.len());
        for (since, until) in stretches {
            match joined.last_mut() {
                Some((_, end)) if since <= *end => *end = until.max(*end),
                _ => joined.push((since, until)),
            }
        }
        Self(joined)
    }

    /// The stretches, oldest first; none touches another.
    pub fn stretches(&self) -> &[(TimestampMs, TimestampMs)] {
        &self.0
    }

    /// What of it is not part of `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (since, until) in &self.0 {
            let mut next = *since;
            for (from, to) in other.0.iter().filter(|(from, to)| from < until && to > since) {
                left.push((next, *from));
                next = next.max(*to);
            }
            left.push((next, *until));
        }
        Self::new(left)
    }

    /// What both have.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        self.without(&self.without(other))
    }

    /// Whether all of the time from `first` to `last` is covered, both included; if not, why.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn holds(&self, first: TimestampMs, last: TimestampMs) -> Result<(), Unread> {
        let (Some((begin, _)), Some((_, end))) = (self.0.first(), self.0.last()) else { return Err(Unread::Never) };
        if first < *begin {
            return Err(Unread::Before);
        }
        let at = self.0.partition_point(|(since, _)| *since <= first);
        match at.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some((_, until)) if last < *until => Ok(()),
            _ if last >= *end => Err(Unread::NotYet),
            _ => Err(Unread::Between),
        }
    }
}
