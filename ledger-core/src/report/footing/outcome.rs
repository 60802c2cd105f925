//! What came of a footing, from the sums of one asset.

use super::wallet::{Agreement, LEDGER_SCALE, MOMENT_MS, Sums, WalletTrack};
use super::{
    AssetFooting, FootingOutcome, FootingTerms, LedgerReach, NotTied, Stretch, Unexplained, UnexplainedPlace, WalletAt,
};
use crate::amount::{Decimal, MathError};
use crate::id::Asset;
use crate::time::TimestampMs;

/// What was added up of one asset.
#[derive(Debug, Default)]
pub(super) struct AssetSums {
    pub(super) track: WalletTrack,
    /// Entries that were read, before the period.
    pub(super) before: Sums,
    /// Entries within it.
    pub(super) inside: Sums,
    /// The last entry or movement within it.
    pub(super) last_event_at: Option<TimestampMs>,
    /// Whether anything happened in it.
    pub(super) is_active: bool,
    pub(super) terms: FootingTerms,
}

/// What is asked of them.
pub(super) struct Asked<'a> {
    pub(super) period: Stretch,
    pub(super) of_contract: bool,
    pub(super) reach: &'a LedgerReach,
    /// Whether rows of the book cannot be read.
    pub(super) has_unreadable: bool,
}

/// The wallet side.
#[derive(Default)]
struct Wallet {
    before: Option<WalletAt>,
    after: Option<WalletAt>,
    moved: Decimal,
    /// Where looks do not agree.
    jumps: Vec<Unexplained>,
}

impl Asked<'_> {
    /// The footing, and the narrower period that can be footed where this one cannot; `None` where nothing happened.
    pub(super) fn foot(
        &self,
        asset: Asset,
        sums: AssetSums,
        contract_parts: Vec<Unexplained>,
    ) -> Result<Option<(AssetFooting, Option<Stretch>)>, MathError> {
        let AssetSums { track, before, inside, last_event_at, is_active, mut terms } = sums;
        let Reading { agreements, mut outvoted, adds_unknown, is_proven } = read(&track)?;
        outvoted.retain(|at| self.period.contains(*at));
        for unknown in terms.unknown.values_mut() {
            unknown.is_added = is_proven.then_some(adds_unknown);
        }
        let edges = self.unexplained_edges(&agreements);
        let inside = inside.effect(adds_unknown)?;
        let wallet = if edges.is_empty() {
            self.wallet(&track, &agreements, before.effect(adds_unknown)?, inside)?
        } else {
            Wallet { moved: inside, ..Wallet::default() }
        };
        // A wallet in which nothing happened ties as well; one that has always been empty is of no interest.
        if !is_active && wallet.jumps.is_empty() && edges.is_empty() && track.is_empty() {
            return Ok(None);
        }
        let unexplained = wallet.moved.checked_sub(terms.sum()?)?.round(LEDGER_SCALE);
        let mut reasons = self.unlooked(&track, last_event_at);
        reasons.extend(edges);
        if !unexplained.is_zero() {
            reasons.extend(self.has_unreadable.then_some(NotTied::Unreadable));
            reasons.extend(self.unread(last_event_at.max(track.last_look())));
            let unproven = terms.unknown.iter().filter(|(_, unknown)| unknown.is_added.is_none());
            reasons.extend(unproven.map(|(income_type, _)| NotTied::UnknownType(income_type.clone())));
        }
        let outcome = match (reasons.is_empty(), unexplained.is_zero()) {
            (false, _) => FootingOutcome::NotTied,
            (true, true) => FootingOutcome::Ties,
            (true, false) => FootingOutcome::Differs,
        };
        let narrower = self.narrower(&track, &reasons);
        let mut parts = wallet.jumps;
        parts.extend(contract_parts);
        let footing = AssetFooting {
            asset,
            period: self.period,
            of_contract: self.of_contract,
            before: wallet.before,
            after: wallet.after,
            moved: wallet.moved,
            terms,
            unexplained,
            parts,
            outcome,
            reasons,
            looked_at: None,
            contradicted: Vec::new(),
            outvoted,
            equity: None,
        };
        Ok(Some((footing, narrower)))
    }

    fn wallet(
        &self,
        track: &WalletTrack,
        agreements: &[Agreement],
        before: Decimal,
        inside: Decimal,
    ) -> Result<Wallet, MathError> {
        let Stretch { since, until } = self.period;
        let from = agreements.iter().rposition(|agreement| since.is_some_and(|since| agreement.first <= since));
        let from = from.unwrap_or(0);
        // A look at an instant states what is in the wallet after it.
        let is_up_to = |last: TimestampMs| until.is_some_and(|until| last.saturating_add_ms(1) >= until);
        let to = agreements.iter().position(|agreement| is_up_to(agreement.last));
        let to = to.unwrap_or(agreements.len().saturating_sub(1));
        let (Some(first), Some(last)) = (agreements.get(from), agreements.get(to)) else {
            return Ok(Wallet { moved: inside, ..Wallet::default() });
        };
        let at = |amount: Decimal, edge: Option<TimestampMs>| {
            let is_stated = edge.is_some_and(|edge| track.is_stated(edge, amount));
            WalletAt { amount, is_stated }
        };
        let opening = first.opening.checked_add(before)?;
        let closing = last.opening.checked_add(before)?.checked_add(inside)?;
        let mut jumps = Vec::new();
        for pair in agreements.get(from..=to).unwrap_or_default().windows(2) {
            if let [one, other] = pair {
                let amount = other.opening.checked_sub(one.opening)?;
                let after = |at: TimestampMs| Some(at.saturating_add_ms(1));
                let stretches = vec![Stretch { since: after(one.last), until: after(other.first) }];
                jumps.push(Unexplained { place: UnexplainedPlace::Wallet, amount, stretches });
            }
        }
        Ok(Wallet {
            before: Some(at(opening, since)),
            after: Some(at(closing, until.or_else(|| track.last_look()))),
            moved: closing.checked_sub(opening)?,
            jumps,
        })
    }

    /// Why looks do not reach around the period.
    fn unlooked(&self, track: &WalletTrack, last_event_at: Option<TimestampMs>) -> Vec<NotTied> {
        if self.of_contract {
            return Vec::new();
        }
        let (Some(first), Some(last)) = (track.first_look(), track.last_look()) else {
            return vec![NotTied::NeverLooked];
        };
        let mut reasons = Vec::new();
        let is_before = |since: TimestampMs| track.look_up_to(since.saturating_add_ms(MOMENT_MS)).is_some();
        if self.period.since.is_some_and(|since| !is_before(since)) {
            reasons.push(NotTied::NoLookBefore { first });
        }
        // A wallet that did not move is not stated again.
        let is_quiet = last_event_at.is_none_or(|event| event <= last.saturating_add_ms(MOMENT_MS));
        let is_after = match self.period.until {
            None => is_quiet,
            Some(until) => {
                track.look_from(until.saturating_add_ms(-MOMENT_MS)).is_some()
                    || (is_quiet && self.reach.reached.is_some_and(|reached| reached >= until))
            }
        };
        if !is_after {
            reasons.push(NotTied::NoLookAfter { last });
        }
        reasons
    }

    /// The edges of the period at which nobody knows what was in the wallet.
    fn unexplained_edges(&self, agreements: &[Agreement]) -> Vec<NotTied> {
        let Stretch { since, until } = self.period;
        let mut reasons = Vec::new();
        for edge in since.into_iter().chain(until) {
            // A look states the wallet within a moment, so an edge that close to one is beside it.
            let is_between = |pair: &&[Agreement]| {
                matches!(pair, [one, other]
                if one.last.saturating_add_ms(MOMENT_MS) < edge && edge < other.first.saturating_add_ms(-MOMENT_MS))
            };
            if let Some([one, other]) = agreements.windows(2).find(is_between) {
                let reason = NotTied::Unexplained { since: one.last, until: other.first };
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        reasons
    }

    /// Why entries may be missing.
    fn unread(&self, end: Option<TimestampMs>) -> Vec<NotTied> {
        let overlapping = self.reach.unread.iter().filter(|(since, until)| self.period.overlaps(*since, *until));
        let mut reasons: Vec<_> =
            overlapping.map(|(since, until)| NotTied::Unread { since: *since, until: *until }).collect();
        let end = self.period.until.or(end);
        if let (Some(reached), Some(end)) = (self.reach.reached, end)
            && end > reached
        {
            reasons.push(NotTied::Lagging { reached });
        }
        reasons
    }

    /// The part of the period that looks and the ledger cover.
    fn narrower(&self, track: &WalletTrack, reasons: &[NotTied]) -> Option<Stretch> {
        let after = |at: TimestampMs| at.saturating_add_ms(1);
        let mut part = self.period;
        for reason in reasons {
            match reason {
                NotTied::NeverLooked | NotTied::UnknownType(_) | NotTied::Unreadable => {}
                NotTied::NoLookBefore { first } => part.since = part.since.max(Some(after(*first))),
                NotTied::NoLookAfter { last } => part.until = Some(earlier(part.until, after(*last))),
                NotTied::Unexplained { since, until } => {
                    // From the look after it, or up to the look before it.
                    if part.since.is_some_and(|edge| *since < edge && edge < *until) {
                        part.since = Some(after(*until));
                    }
                    if part.until.is_some_and(|edge| *since < edge && edge < *until) {
                        part.until = Some(after(*since));
                    }
                }
                NotTied::Lagging { reached } => {
                    part.until = Some(earlier(part.until, track.look_up_to(*reached).map_or(*reached, after)));
                }
                NotTied::Unread { since, until } => {
                    if part.until.or_else(|| track.last_look()).is_none_or(|end| *until < end) {
                        part.since = part.since.max(Some(*until));
                    } else {
                        part.until = Some(earlier(part.until, *since));
                    }
                }
            }
        }
        let is_there = part.since.zip(part.until).is_none_or(|(since, until)| since < until);
        (is_there && part != self.period).then_some(part)
    }
}

fn earlier(known: Option<TimestampMs>, other: TimestampMs) -> TimestampMs {
    known.map_or(other, |known| known.min(other))
}

/// What the looks at a wallet say about its entries.
struct Reading {
    agreements: Vec<Agreement>,
    /// When there were looks that all others contradict.
    outvoted: Vec<TimestampMs>,
    /// Whether entries of unknown types are added to the wallet.
    adds_unknown: bool,
    /// Whether the looks prove that.
    is_proven: bool,
}

fn read(track: &WalletTrack) -> Result<Reading, MathError> {
    let (with, outvoted) = track.agreements(true)?;
    if !track.has_unknown() {
        return Ok(Reading { agreements: with, outvoted, adds_unknown: true, is_proven: false });
    }
    let (without, outvoted_without) = track.agreements(false)?;
    // The fewer looks contradict, the better the reading.
    let cost = |agreements: &[Agreement], outvoted: &[TimestampMs]| (agreements.len() + outvoted.len(), outvoted.len());
    let (cost_with, cost_without) = (cost(&with, &outvoted), cost(&without, &outvoted_without));
    let is_proven = cost_with != cost_without && cost_with.min(cost_without) == (1, 0);
    Ok(if cost_with <= cost_without {
        Reading { agreements: with, outvoted, adds_unknown: true, is_proven }
    } else {
        Reading { agreements: without, outvoted: outvoted_without, adds_unknown: false, is_proven }
    })
}
