//! What looks at a wallet say about its ledger.
//!
//! Each look, by itself, says what was in the wallet before the first entry on record: its statement less the entries up
//! to it. Looks that agree about that have a whole ledger between them. Where two neighbours do not, the wallet moved by
//! something that no entry says.

use crate::amount::{Decimal, MathError};
use crate::income::Income;
use crate::time::{EventTime, TimePrecision, TimestampMs};

/// A wallet is stated a moment after it was asked for: entries of that moment may be in it already.
pub const MOMENT_MS: i64 = 2_000;
/// The digits after the point that wallets and ledger amounts have.
pub(super) const LEDGER_SCALE: u8 = 8;

/// A sum of entries, those of unknown types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub(super) documented: Decimal,
    pub(super) unknown: Decimal,
}

impl Sums {
    pub(super) fn add(&mut self, amount: Decimal, is_unknown: bool) -> Result<(), MathError> {
        let sum = if is_unknown { &mut self.unknown } else { &mut self.documented };
        *sum = sum.checked_add(amount)?;
        Ok(())
    }

    /// What they do to the wallet, if entries of unknown types are added to it or if they are not.
    pub(super) fn effect(self, adds_unknown: bool) -> Result<Decimal, MathError> {
        if adds_unknown { self.documented.checked_add(self.unknown) } else { Ok(self.documented) }
    }
}

/// A look, with the sums of entries that its statement may stand after.
#[derive(Debug)]
struct Look {
    at: TimestampMs,
    wallet: Decimal,
    may_follow: Vec<Sums>,
    /// Which of them has exactly the entries up to the look.
    natural: usize,
}

impl Look {
    fn add(&mut self, sums: Sums, is_up_to_it: bool) {
        if let Some(same) = self.may_follow.iter().position(|known| *known == sums) {
            if is_up_to_it {
                self.natural = same;
            }
            return;
        }
        self.may_follow.push(sums);
        if is_up_to_it {
            self.natural = self.may_follow.len() - 1;
        }
    }

    /// What was in the wallet before the first entry, by each possibility; the natural one first.
    fn openings(&self, adds_unknown: bool) -> Result<Vec<Decimal>, MathError> {
        let natural = self.may_follow.get(self.natural).into_iter();
        let others = self.may_follow.iter().enumerate().filter(|(at, _)| *at != self.natural).map(|(_, sums)| sums);
        let mut openings = Vec::with_capacity(self.may_follow.len());
        for sums in natural.chain(others) {
            let opening = self.wallet.checked_sub(sums.effect(adds_unknown)?)?.round(LEDGER_SCALE);
            if !openings.contains(&opening) {
                openings.push(opening);
            }
        }
        Ok(openings)
    }
}

/// The looks at one wallet, and its entries as they come.
#[derive(Debug, Default)]
pub(super) struct WalletTrack {
    /// Oldest first.
    looks: Vec<Look>,
    /// The first look that later entries may still be in.
    active: usize,
    sums: Sums,
    last_entry_at: Option<TimestampMs>,
}

/// Looks that agree about what was in the wallet before the first entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) opening: Decimal,
    pub(super) first: TimestampMs,
    pub(super) last: TimestampMs,
}

impl WalletTrack {
    /// Adds a look; they come oldest first.
    pub(super) fn add_look(&mut self, at: TimestampMs, wallet: Decimal) {
        self.looks.push(Look { at, wallet, may_follow: Vec::new(), natural: 0 });
    }

    /// Forgets looks of before `at`: no entries from so early on will come.
    pub(super) fn forget_before(&mut self, at: TimestampMs) {
        self.looks.retain(|look| look.at >= at);
    }

    pub(super) fn first_look(&self) -> Option<TimestampMs> {
        self.looks.first().map(|look| look.at)
    }

    pub(super) fn last_look(&self) -> Option<TimestampMs> {
        self.looks.last().map(|look| look.at)
    }

    /// Whether nothing was ever in the wallet.
    pub(super) fn is_empty(&self) -> bool {
        self.looks.iter().all(|look| look.wallet.is_zero())
    }

    /// The last look at or before an instant.
    pub(super) fn look_up_to(&self, at: TimestampMs) -> Option<TimestampMs> {
        self.looks.iter().rfind(|look| look.at <= at).map(|look| look.at)
    }

    /// The first look at or after an instant.
    pub(super) fn look_from(&self, at: TimestampMs) -> Option<TimestampMs> {
        self.looks.iter().find(|look| look.at >= at).map(|look| look.at)
    }

    /// Where to begin so that the last look at or before an instant can be held against the one before it.
    pub(super) fn judged_since(&self, at: TimestampMs) -> Option<TimestampMs> {
        let mut before = self.looks.iter().rev().filter(|look| look.at <= at).map(|look| look.at);
        let nearest = before.next()?;
        Some(before.next().unwrap_or(nearest))
    }

    /// Where to end so that the first look at or after an instant can be held against the one after it.
    pub(super) fn judged_until(&self, at: TimestampMs) -> Option<TimestampMs> {
        let mut after = self.looks.iter().filter(|look| look.at >= at).map(|look| look.at);
        let nearest = after.next()?;
        Some(after.next().unwrap_or(nearest))
    }

    /// Whether the exchange stated `amount` within a moment of an instant.
    pub(super) fn is_stated(&self, at: TimestampMs, amount: Decimal) -> bool {
        let is_near = |look: &&Look| (look.at.as_ms() - at.as_ms()).abs() <= MOMENT_MS;
        self.looks.iter().filter(is_near).any(|look| look.wallet == amount)
    }

    /// Whether an entry of an unknown type came.
    pub(super) fn has_unknown(&self) -> bool {
        !self.sums.unknown.is_zero()
    }

    /// Adds an entry; they come in order of time.
    pub(super) fn add_entry(&mut self, time: EventTime, amount: Decimal, is_unknown: bool) -> Result<(), MathError> {
        if self.last_entry_at.is_some_and(|last| last < time.at) {
            self.pass_moment();
        }
        for look in self.looks.iter_mut().skip(self.active) {
            // An entry of which only the second is known may have come after a look within that second.
            let begins = if time.precision == TimePrecision::Second { EventTime::seconds(look.at).at } else { look.at };
            if begins > time.at {
                break;
            }
            if look.may_follow.is_empty() {
                look.add(self.sums, true);
            }
        }
        while let Some(look) = self.looks.get(self.active)
            && look.at.saturating_add_ms(MOMENT_MS) < time.at
        {
            self.active += 1;
        }
        self.sums.add(amount, is_unknown)?;
        self.last_entry_at = Some(time.at);
        Ok(())
    }

    /// All entries up to the last one have come: a look may stand after them.
    fn pass_moment(&mut self) {
        let Some(last) = self.last_entry_at else { return };
        for look in self.looks.iter_mut().skip(self.active).filter(|look| !look.may_follow.is_empty()) {
            if last <= look.at.saturating_add_ms(MOMENT_MS) {
                look.add(self.sums, last <= look.at);
            }
        }
    }

    /// No more entries come.
    pub(super) fn finish(&mut self) {
        self.pass_moment();
        let sums = self.sums;
        for look in self.looks.iter_mut().filter(|look| look.may_follow.is_empty()) {
            look.add(sums, true);
        }
    }

    /// The runs of looks that agree, oldest first, and when there were looks that are outvoted.
    ///
    /// A look is outvoted where nothing agrees with it alone while the looks before and after it agree with each other: of
    /// these it says that the wallet moved by something that no entry says, and moved back. One stale or mistaken answer does
    /// that, and it must not stand against all others for ever. Two looks that agree outvote nobody and are not outvoted.
    pub(super) fn agreements(&self, adds_unknown: bool) -> Result<(Vec<Agreement>, Vec<TimestampMs>), MathError> {
        let mut runs: Vec<Run> = Vec::new();
        let mut outvoted = Vec::new();
        for look in &self.looks {
            let mut run = Run { openings: look.openings(adds_unknown)?, looks: 1, first: look.at, last: look.at };
            let lone = runs.iter().rev().take_while(|run| run.looks == 1).count();
            // The run before the lone ones may itself be of one look.
            let nearest_first = (0..=lone).filter_map(|back| runs.len().checked_sub(back + 1));
            for at in nearest_first {
                if let Some(joined) = runs.get(at).and_then(|earlier| earlier.with(&run)) {
                    outvoted.extend(runs.drain(at..).skip(1).map(|run| run.first));
                    run = joined;
                    break;
                }
            }
            runs.push(run);
        }
        let agreement = |run: Run| {
            let Run { openings, first, last, .. } = run;
            openings.into_iter().next().map(|opening| Agreement { opening, first, last })
        };
        outvoted.sort();
        Ok((runs.into_iter().filter_map(agreement).collect(), outvoted))
    }
}

/// Looks that agree.
struct Run {
    /// What was in the wallet before the first entry, by each possibility that all of them allow.
    openings: Vec<Decimal>,
    looks: usize,
    first: TimestampMs,
    last: TimestampMs,
}

impl Run {
    /// Both as one; `None` where they do not agree.
    fn with(&self, later: &Self) -> Option<Self> {
        let both: Vec<_> = self.openings.iter().filter(|opening| later.openings.contains(opening)).copied().collect();
        let looks = self.looks + later.looks;
        (!both.is_empty()).then_some(Self { openings: both, looks, first: self.first, last: later.last })
    }
}

/// Whether entries add up to what a wallet moved between two looks, for a beginning and an end within the moment in which
/// each wallet was stated. The entries come in order of time, and reach a moment beyond `until`.
///
/// # Errors
/// [`MathError`] when a sum does not fit.
pub fn foots_between(
    rows: &[Income],
    since: TimestampMs,
    until: TimestampMs,
    moved: Decimal,
) -> Result<bool, MathError> {
    amounts_foot_between(rows.iter().map(|row| (row.time, row.amount)), since, until, moved)
}

/// As [`foots_between`], for amounts that come from elsewhere than the ledger.
///
/// # Errors
/// [`MathError`] when a sum does not fit.
pub fn amounts_foot_between(
    amounts: impl IntoIterator<Item = (EventTime, Decimal)>,
    since: TimestampMs,
    until: TimestampMs,
    moved: Decimal,
) -> Result<bool, MathError> {
    let mut track = WalletTrack::default();
    track.add_look(since, Decimal::ZERO);
    track.add_look(until, moved);
    for (time, amount) in amounts {
        track.add_entry(time, amount, false)?;
    }
    track.finish();
    Ok(track.agreements(true)?.0.len() == 1)
}
