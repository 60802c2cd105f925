//! What one look leaves for the next: planning remembers nothing by itself, so it stands in the journal, beside the evidence
//! of the discrepancy that it belongs to. It is written and read here, and nowhere else.
//!
//! A memory of another version, or one that cannot be read, is an error and no memory: what it was about is looked at anew,
//! and the error is told ([`unreadable`]), so that nothing is forgotten without a word.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_is_written_is_read`, of the kinds of discrepancies that it belongs to and no others.
//! 2. `a_memory_that_cannot_be_read_is_an_error`.

use ledger_core::{
    Asset, Decimal, EngineLabel, FillId, IncomeType, OrderClass, OrderId, OrderKey, Signal, Source, TimestampMs,
};
use ledger_store::{Discrepancy, DiscrepancyKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use self::doubt::Looks;
use crate::discrepancy::{DiscrepancyKind, Subject};

pub(crate) mod doubt;

/// Raised whenever a field changes its meaning or its name.
const VERSION: u32 = 2;

/// The name of the member of a discrepancy's evidence that the memory stands in.
const MEMBER: &str = "memory";

/// Why there is no memory where there should be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum MemoryError {
    /// Another version of fillbook wrote it.
    #[error("it was written in version {found}, and this is version {VERSION}")]
    Version {
        /// Which version.
        found: u32,
    },
    /// It is no memory.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It belongs to another kind of discrepancy.
    #[error("it belongs to another kind of discrepancy")]
    OtherKind,
    /// A discrepancy of this kind has one.
    #[error("it is missing")]
    Missing,
}

/// The name and the fields of a version, in the evidence.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    said: T,
}

/// What may be remembered of a discrepancy, and of which kinds.
pub(crate) trait Remembered: Sized {
    /// The kinds of discrepancies of which this is remembered.
    const KINDS: &'static [DiscrepancyKind];

    /// This, if it is what is remembered.
    fn from_memory(memory: Memory) -> Option<Self>;
}

macro_rules! memories {
    ($($(#[doc = $doc:literal])+ $variant:ident($type:ident): $($kind:ident)|+;)+) => {
        /// What a look remembers of a discrepancy.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "of", rename_all = "snake_case")]
        pub(crate) enum Memory {
            $($(#[doc = $doc])+ $variant($type)),+
        }

        impl Memory {
            fn belongs_to(&self, kind: DiscrepancyKind) -> bool {
                match self { $(Self::$variant(_) => $type::KINDS.contains(&kind)),+ }
            }
        }

        $(
            impl From<$type> for Memory {
                fn from(memory: $type) -> Self {
                    Self::$variant(memory)
                }
            }

            impl Remembered for $type {
                const KINDS: &'static [DiscrepancyKind] = &[$(DiscrepancyKind::$kind),+];

                fn from_memory(memory: Memory) -> Option<Self> {
                    if let Memory::$variant(memory) = memory { Some(memory) } else { None }
                }
            }
        )+
    };
}

memories! {
    /// How often something that was sent was looked for in vain.
    Absence(AbsenceMemory): UnresolvedIntent | OrderVanished;
    /// Which orders may have followed a signal.
    Signal(SignalMemory): SignalWithoutOrder | AmbiguousSignal;
    /// What was searched for, and found, behind a quantity that differs.
    Position(PositionMemory): UnrecordedPosition | UnrecordedClose | PositionMismatch;
    /// What was searched for behind an average entry that differs.
    Entry(EntryMemory): AverageEntryMismatch;
    /// Which label an order was first inferred to have.
    Label(LabelMemory): MissingLabel;
    /// Since when an order is known to have closed a position without anybody's word.
    Close(CloseMemory): UnexplainedClose;
    /// Which time of a stream is missing.
    Gap(GapMemory): HistoryExpired | LedgerCut;
    /// When a fill was executed that the exchange does not list.
    Fill(FillMemory): UnconfirmedFill;
    /// Which order was asked for by name, and not answered.
    OrderQuestion(OrderQuestionMemory): QueryFailed;
    /// Which rows of the ledger differ from their fill.
    LedgerRow(LedgerRowMemory): IncomeMismatch;
    /// Which trade demands a row that is missing, and since when.
    Demand(DemandMemory): MissingIncome;
    /// Of which instant the funding is missing or another, and since when.
    Funding(FundingMemory): MissingFunding | FundingMismatch;
    /// Which wallet did not foot.
    Wallet(WalletMemory): FootingMismatch;
}

/// How often something that was sent was looked for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbsenceMemory {
    /// In which looks.
    pub(crate) misses: Misses,
}

/// In how many looks something was missing. Two that are closer together than answers lag behind each other are one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Misses {
    /// How many.
    pub(crate) count: u32,
    /// The last one that counted, by the exchange's clock.
    pub(crate) last: Option<TimestampMs>,
}

impl Misses {
    /// With a look in which it was missing, too.
    #[must_use]
    pub(crate) fn and(self, looks: &Looks<'_>) -> Self {
        let since_ms = self.last.map(|last| looks.now.as_ms().saturating_sub(last.as_ms()));
        if since_ms.is_some_and(|since_ms| since_ms < looks.lag_ms) {
            return self;
        }
        Self { count: self.count.saturating_add(1), last: Some(looks.now) }
    }
}

/// Which orders may have followed a signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalMemory {
    /// In which looks nothing decided it.
    pub(crate) misses: Misses,
    /// The orders that may be meant; empty where none is.
    pub(crate) candidates: Vec<OrderKey>,
    /// Since when the same ones may be meant, by the exchange's clock; told of a single one.
    pub(crate) since: Option<TimestampMs>,
}

/// What is known of a quantity that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PositionMemory {
    /// The search of the exchange's whole memory for what explains it.
    pub(crate) search: Option<SearchMemory>,
    /// What must have been held before everything that the exchange remembers.
    pub(crate) held_before: Option<HeldBefore>,
}

/// A search of the exchange's whole memory for what explains a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchMemory {
    /// What the exchange holds beyond the book. It was searched for this and no other difference.
    pub(crate) difference: Decimal,
    /// When the first search was, by the exchange's clock.
    pub(crate) since: TimestampMs,
    /// Whether there was a second one, once everything that may lag was there.
    pub(crate) again: bool,
}

/// A quantity that an anchor would state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldBefore {
    /// The signed quantity.
    pub(crate) qty: Decimal,
    /// When that was first found, by the exchange's clock.
    pub(crate) since: TimestampMs,
}

/// A search for what explains an average entry that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryMemory {
    /// By how much the exchange's entry is above the book's; `None` where the book does not know its own.
    pub(crate) difference: Option<Decimal>,
    /// When the first search was, by the exchange's clock.
    pub(crate) since: TimestampMs,
    /// Whether there was a second one, once everything that may lag was there.
    pub(crate) again: bool,
}

/// An order without a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelMemory {
    /// The order's class; its contract is the discrepancy's.
    pub(crate) class: OrderClass,
    /// The order.
    pub(crate) order_id: OrderId,
    /// What was inferred; `None` where nothing was.
    pub(crate) inferred: Option<InferredLabel>,
}

/// A label that waits for a second look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InferredLabel {
    /// The strategy.
    pub(crate) engine: EngineLabel,
    /// Who tells it.
    pub(crate) told_by: Source,
    /// When that was first inferred, by the exchange's clock.
    pub(crate) since: TimestampMs,
}

/// An order that closed a position, and nobody said why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseMemory {
    /// The order's class; its contract is the discrepancy's.
    pub(crate) class: OrderClass,
    /// The order.
    pub(crate) order_id: OrderId,
    /// When that was first found, by the exchange's clock.
    pub(crate) since: TimestampMs,
}

/// A time of a stream that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GapMemory {
    /// The stream, as cursors and coverage name it.
    pub(crate) stream: String,
    /// From when.
    pub(crate) since: TimestampMs,
    /// Up to when.
    pub(crate) until: TimestampMs,
}

/// A fill that the exchange does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FillMemory {
    /// When it was executed, by the book.
    pub(crate) at: TimestampMs,
}

/// An order that was asked for by name, and the exchange did not answer; the contract is the discrepancy's. Of one that no list
/// has, nothing else would ask again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderQuestionMemory {
    /// The order's class.
    pub(crate) class: OrderClass,
    /// The order.
    pub(crate) order_id: OrderId,
}

/// Rows of the ledger about one trade, of one type and asset; the contract is the discrepancy's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerRowMemory {
    /// The trade.
    pub(crate) fill_id: FillId,
    /// The type.
    pub(crate) income_type: IncomeType,
    /// The asset.
    pub(crate) asset: Asset,
    /// What they add up to.
    pub(crate) amount: Decimal,
}

/// For how long something has been missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// Since when, by the exchange's clock.
    pub(crate) since: TimestampMs,
    /// In how many looks; no more are counted than are needed.
    pub(crate) looks: u32,
}

/// A row of the ledger that a trade demands; the contract is the discrepancy's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DemandMemory {
    /// The trade.
    pub(crate) fill_id: FillId,
    /// When it was executed.
    pub(crate) at: TimestampMs,
    /// For how long the row has been missing.
    pub(crate) wait: Wait,
}

/// Funding that is missing, or of another amount; the contract is the discrepancy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FundingMemory {
    /// The instant.
    pub(crate) at: TimestampMs,
    /// For how long it has been so.
    pub(crate) wait: Wait,
}

/// A wallet between two statements of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WalletMemory {
    /// Which wallet.
    pub(crate) asset: Asset,
    /// From this statement of it.
    pub(crate) since: TimestampMs,
    /// To this one.
    pub(crate) until: TimestampMs,
    /// By how much it changed.
    pub(crate) moved: Decimal,
}

impl AbsenceMemory {
    /// In which earlier looks the exchange knew nothing of the subject.
    pub(crate) fn misses_of(on_record: &[Discrepancy], kind: DiscrepancyKind, subject: &Subject) -> Misses {
        recall(on_record, kind, subject).map_or_else(Misses::default, |known: Self| known.misses)
    }
}

impl SignalMemory {
    /// In which earlier looks nothing decided which order followed a signal.
    pub(crate) fn misses_of(on_record: &[Discrepancy], signal: &Signal) -> Misses {
        let subject = Subject::Signal(signal.signal_id.clone());
        let known = recall_each(on_record, &subject).map(|known: Self| known.misses);
        known.max_by_key(|misses| misses.count).unwrap_or_default()
    }
}

impl PositionMemory {
    /// The search for what explains that the exchange holds `difference` more than the book.
    pub(crate) fn search_for(
        on_record: &[Discrepancy],
        subject: &Subject,
        difference: Decimal,
    ) -> Option<SearchMemory> {
        let mut searches = recall_each(on_record, subject).filter_map(|known: Self| known.search);
        searches.find(|search| search.difference == difference)
    }

    /// Since when it is known that `qty` must have been held before everything that the exchange remembers.
    pub(crate) fn held_before_since(on_record: &[Discrepancy], subject: &Subject, qty: Decimal) -> Option<TimestampMs> {
        let mut held = recall_each(on_record, subject).filter_map(|known: Self| known.held_before);
        held.find(|held| held.qty == qty).map(|held| held.since)
    }
}

impl LabelMemory {
    /// The order of a discrepancy.
    pub(crate) fn order(self, known: &Discrepancy) -> Option<OrderKey> {
        order_of(known, self.class, self.order_id)
    }
}

impl CloseMemory {
    /// The order of a discrepancy.
    pub(crate) fn order(self, known: &Discrepancy) -> Option<OrderKey> {
        order_of(known, self.class, self.order_id)
    }
}

fn order_of(known: &Discrepancy, class: OrderClass, order_id: OrderId) -> Option<OrderKey> {
    Some(OrderKey { symbol: known.entry.symbol.clone()?, class, order_id })
}

impl Memory {
    /// Puts the memory beside the evidence. Where it cannot be written, which no value of these types is known for, none is
    /// there, and it will be told as missing.
    pub(crate) fn write(&self, evidence: &mut Map<String, Value>) {
        if let Ok(memory) = serde_json::to_value(Versioned { version: VERSION, said: self }) {
            evidence.insert(MEMBER.to_owned(), memory);
        }
    }
}

/// Whether every discrepancy of a kind has a memory.
fn is_always_remembered(kind: DiscrepancyKind) -> bool {
    use DiscrepancyKind as Kind;
    matches!(
        kind,
        Kind::MissingLabel
            | Kind::UnexplainedClose
            | Kind::HistoryExpired
            | Kind::LedgerCut
            | Kind::UnconfirmedFill
            | Kind::IncomeMismatch
            | Kind::MissingIncome
            | Kind::MissingFunding
            | Kind::FundingMismatch
            | Kind::FootingMismatch
    )
}

/// What is remembered of a discrepancy on record. `Ok(None)`: nothing, as of most.
fn read(known: &Discrepancy) -> Result<Option<Memory>, MemoryError> {
    // What the book itself notices is nothing that a look left.
    let Some(kind) = DiscrepancyKind::from_name(&known.entry.key.kind) else { return Ok(None) };
    let unreadable = |error: serde_json::Error| MemoryError::Unreadable(error.to_string());
    let mut evidence: Map<String, Value> = serde_json::from_str(&known.entry.evidence_json).map_err(unreadable)?;
    let Some(memory) = evidence.remove(MEMBER) else {
        return if is_always_remembered(kind) { Err(MemoryError::Missing) } else { Ok(None) };
    };
    let Versioned::<Value> { version, said } = serde_json::from_value(memory).map_err(unreadable)?;
    if version != VERSION {
        return Err(MemoryError::Version { found: version });
    }
    let memory: Memory = serde_json::from_value(said).map_err(unreadable)?;
    if memory.belongs_to(kind) { Ok(Some(memory)) } else { Err(MemoryError::OtherKind) }
}

/// What is remembered of a subject, under one kind. Of what cannot be read, nothing: it is looked at anew.
pub(crate) fn recall<T: Remembered>(on_record: &[Discrepancy], kind: DiscrepancyKind, subject: &Subject) -> Option<T> {
    let key = DiscrepancyKey { kind: kind.as_str().to_owned(), fingerprint: subject.to_string() };
    recall_known(on_record.iter().find(|known| known.entry.key == key)?)
}

/// The same, under each of the kinds under which it may be on record.
pub(crate) fn recall_each<T: Remembered>(on_record: &[Discrepancy], subject: &Subject) -> impl Iterator<Item = T> {
    T::KINDS.iter().filter_map(move |kind| recall(on_record, *kind, subject))
}

/// What is remembered of a discrepancy.
pub(crate) fn recall_known<T: Remembered>(known: &Discrepancy) -> Option<T> {
    T::from_memory(read(known).ok()??)
}

/// All memories of a type, each with its discrepancy.
pub(crate) fn recall_all<T: Remembered>(on_record: &[Discrepancy]) -> impl Iterator<Item = (&Discrepancy, T)> {
    let of_kind = |known: &&Discrepancy| T::KINDS.iter().any(|kind| kind.as_str() == known.entry.key.kind);
    on_record.iter().filter(of_kind).filter_map(|known| Some((known, recall_known(known)?)))
}

/// The discrepancies whose memory cannot be read, each with why.
pub(crate) fn unreadable(on_record: &[Discrepancy]) -> impl Iterator<Item = (&Discrepancy, MemoryError)> {
    on_record.iter().filter_map(|known| Some((known, read(known).err()?)))
}

#[cfg(test)]
mod tests;
