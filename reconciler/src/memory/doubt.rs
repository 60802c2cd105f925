//! What rests on absence or on a single number is doubted until a second look agrees: an answer may be short, old, or given
//! a moment before the next one. What rests on a row that the exchange sent is not.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_second_look_agrees_only_about_the_same_and_only_later`.
//! 2. `a_look_that_did_not_ask_agrees_with_nothing`, and takes nothing back.

use ledger_core::{Decimal, PositionSide, Symbol, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyKey, DiscrepancyStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Versioned;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};

/// Raised whenever a field changes its meaning or its name.
const VERSION: u32 = 1;

/// The name of the member of a discrepancy's evidence that the doubt stands in.
const MEMBER: &str = "first_look";

/// What a finding says, as far as a second look has to say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Claim {
    /// Something is not there, or is as it should not be.
    Holds,
    /// Something differs by this.
    Differs(Decimal),
    /// An average entry differs by this; `None` where the book does not know its own. What is added to a position thins
    /// the difference out.
    EntryDiffers(Option<Decimal>),
}

impl Claim {
    /// Whether what an earlier look claimed is what this one claims.
    fn follows(self, earlier: Self) -> bool {
        match (self, earlier) {
            (Self::EntryDiffers(Some(now)), Self::EntryDiffers(Some(then))) => {
                now.is_positive() == then.is_positive() && now.abs() <= then.abs()
            }
            (now, then) => now == then,
        }
    }
}

/// What the first look claimed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Doubt {
    claim: Claim,
    /// By the exchange's clock.
    since: TimestampMs,
}

impl Doubt {
    /// Puts it beside the evidence.
    pub(crate) fn write(&self, evidence: &mut Map<String, Value>) {
        if let Ok(doubt) = serde_json::to_value(Versioned { version: VERSION, said: self }) {
            evidence.insert(MEMBER.to_owned(), doubt);
        }
    }

    /// The doubt on record. One that cannot be read is none: the two looks begin anew.
    fn read(known: &Discrepancy) -> Option<Self> {
        let mut evidence: Map<String, Value> = serde_json::from_str(&known.entry.evidence_json).ok()?;
        let Versioned { version, said } = serde_json::from_value(evidence.remove(MEMBER)?).ok()?;
        (version == VERSION).then_some(said)
    }
}

/// What earlier looks have left, and when this one is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks<'a> {
    /// The discrepancies on record.
    pub(crate) on_record: &'a [Discrepancy],
    /// By the exchange's clock.
    pub(crate) now: TimestampMs,
    /// For how long answers lag behind each other: two looks within that are one.
    pub(crate) lag_ms: i64,
    /// Whether this look asked for what would show that a claim is wrong.
    pub(crate) has_asked: bool,
}

/// What an earlier look claimed, and whether a second one has agreed by now.
#[derive(Debug, Clone, Copy)]
struct Earlier {
    doubt: Doubt,
    is_agreed: bool,
}

/// A quantity that differs has three names, by which side has nothing.
const OF_POSITIONS: [DiscrepancyKind; 3] =
    [DiscrepancyKind::PositionMismatch, DiscrepancyKind::UnrecordedPosition, DiscrepancyKind::UnrecordedClose];

impl Looks<'_> {
    /// The same, where a look asked for what would show that a claim is wrong, or did not: then it agrees with nothing.
    pub(crate) fn having_asked(self, has_asked: bool) -> Self {
        Self { has_asked, ..self }
    }

    fn earlier(&self, kind: DiscrepancyKind, subject: &Subject, claim: Claim) -> Option<Earlier> {
        let kind = [kind];
        let alike = if OF_POSITIONS.contains(&kind[0]) { &OF_POSITIONS[..] } else { &kind };
        let fingerprint = subject.to_string();
        let is_it =
            |key: &DiscrepancyKey| key.fingerprint == fingerprint && alike.iter().any(|kind| kind.as_str() == key.kind);
        let known = self.on_record.iter().filter(|known| is_it(&known.entry.key));
        let mut claimed = known.filter_map(|known| Some((known.entry.status, Doubt::read(known)?)));
        let (status, doubt) = claimed.find(|(_, doubt)| claim.follows(doubt.claim))?;
        let was_agreed = matches!(status, DiscrepancyStatus::Unresolved | DiscrepancyStatus::Acknowledged);
        let is_later = self.now.as_ms().saturating_sub(doubt.since.as_ms()) >= self.lag_ms;
        Some(Earlier { doubt, is_agreed: was_agreed || (self.has_asked && is_later) })
    }

    /// Whether an earlier look, at least as long ago as answers lag, has claimed the same.
    pub(crate) fn agree(&self, kind: DiscrepancyKind, subject: &Subject, claim: Claim) -> bool {
        self.earlier(kind, subject, claim).is_some_and(|earlier| earlier.is_agreed)
    }
}

impl Finding {
    /// Says that this rests on absence or on a single number: until an earlier look has claimed the same, it waits.
    #[must_use]
    pub(crate) fn doubted(mut self, claim: Claim, looks: &Looks<'_>) -> Self {
        let earlier = looks.earlier(self.kind, &self.subject, claim);
        let doubt = earlier.map_or(Doubt { claim, since: looks.now }, |earlier| earlier.doubt);
        if earlier.is_none_or(|earlier| !earlier.is_agreed) {
            self.is_doubtful = true;
            self.outlook = match self.outlook {
                Outlook::Verify => Outlook::VerifyLagging,
                Outlook::Stays => Outlook::Waits,
                other => other,
            };
        }
        self.doubt = Some(doubt);
        self
    }

    /// Whether it says that the quantity of this position differs, and no second look has agreed yet.
    pub(crate) fn doubts_position(&self, symbol: &Symbol, side: PositionSide) -> bool {
        self.is_doubtful
            && OF_POSITIONS.contains(&self.kind)
            && matches!(&self.subject, Subject::Position(of, on) if of == symbol && *on == side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, btc, known};

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_second_look_agrees_only_about_the_same_and_only_later() {
        const LAG_MS: i64 = 10_000;
        let (differs, entry) =
            (|text| Claim::Differs(decimal(text)), |text: Option<&str>| Claim::EntryDiffers(text.map(decimal)));
        let position = || Subject::Position(btc(), PositionSide::Net);
        let finding = |kind| Finding::new(kind, None, position(), Outlook::Stays, String::new());
        let mismatch = DiscrepancyKind::PositionMismatch;
        for (kind, first, after_ms, second, agrees) in [
            (mismatch, differs("2"), LAG_MS, differs("2"), true),
            (mismatch, differs("2"), LAG_MS - 1, differs("2"), false),
            (mismatch, differs("2"), LAG_MS, differs("3"), false),
            (mismatch, Claim::Holds, LAG_MS, differs("2"), false),
            // The same quantity that differs, though one side has nothing by now.
            (DiscrepancyKind::UnrecordedClose, differs("2"), LAG_MS, differs("2"), true),
            (DiscrepancyKind::UnconfirmedFill, Claim::Holds, LAG_MS, Claim::Holds, false),
            (mismatch, entry(Some("-2")), LAG_MS, entry(Some("-1")), true),
            (mismatch, entry(Some("-2")), LAG_MS, entry(Some("-3")), false),
            (mismatch, entry(Some("-2")), LAG_MS, entry(Some("1")), false),
            (mismatch, entry(None), LAG_MS, entry(None), true),
            (mismatch, entry(None), LAG_MS, entry(Some("1")), false),
        ] {
            let nothing = Looks { on_record: &[], now: at(0), lag_ms: LAG_MS, has_asked: true };
            let waiting = finding(mismatch).doubted(first, &nothing);
            assert_eq!((waiting.outlook, waiting.is_doubtful), (Outlook::Waits, true));
            let on_record = [known(&waiting)];
            let later = Looks { on_record: &on_record, now: at(after_ms), lag_ms: LAG_MS, has_asked: true };
            let told = finding(kind).doubted(second, &later);
            let expected = if agrees { Outlook::Stays } else { Outlook::Waits };
            assert_eq!(told.outlook, expected, "{kind} {first:?}, after {after_ms} ms {second:?}");
            assert_eq!(later.agree(kind, &position(), second), agrees);
            // What agrees says when it was first seen, so that a third look has the same to say.
            assert!(!agrees || told.doubt.unwrap().since == at(0));
        }
        // What cannot be read begins anew.
        let mut broken = known(
            &finding(mismatch).doubted(differs("2"), &Looks { on_record: &[], now: at(0), lag_ms: 1, has_asked: true }),
        );
        broken.entry.evidence_json = broken.entry.evidence_json.replace("\"version\":1", "\"version\":0");
        let looks = Looks { on_record: &[broken], now: at(LAG_MS), lag_ms: LAG_MS, has_asked: true };
        assert!(!looks.agree(mismatch, &position(), differs("2")));
    }

    #[test]
    fn a_look_that_did_not_ask_agrees_with_nothing() {
        let subject = Subject::Position(btc(), PositionSide::Net);
        let finding =
            || Finding::new(DiscrepancyKind::PositionMismatch, None, subject.clone(), Outlook::Stays, String::new());
        let nothing = Looks { on_record: &[], now: at(0), lag_ms: 10, has_asked: true };
        let mut on_record = [known(&finding().doubted(Claim::Holds, &nothing))];
        let doubts = |on_record: &[Discrepancy], has_asked| {
            let looks = Looks { on_record, now: at(10), lag_ms: 10, has_asked: true };
            finding().doubted(Claim::Holds, &looks.having_asked(has_asked)).is_doubtful
        };
        assert_eq!([true, false].map(|has_asked| doubts(&on_record, has_asked)), [false, true]);
        // What was agreed about stays so.
        for status in [DiscrepancyStatus::Unresolved, DiscrepancyStatus::Acknowledged] {
            on_record[0].entry.status = status;
            assert!(!doubts(&on_record, false));
        }
    }
}
