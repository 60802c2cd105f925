//! Looks at the exchange: when it was asked last, how that ended, and what its answers are true of.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{AccountId, Asset, Decimal, LookStream, PositionSide, Price, Symbol, TimestampMs};
use serde::{Deserialize, Serialize};

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LookOutcome {
    /// It was answered.
    Succeeded,
    /// It was not answered, or what was answered could not be recorded.
    Failed,
    /// It was stopped before its end.
    Interrupted,
}

ledger_core::names!(LookOutcome, "outcome of a look", {
    Succeeded = "succeeded", Failed = "failed", Interrupted = "interrupted",
});

/// What kept a look from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookFailureKind {
    /// Anything that is none of the others.
    Other,
    /// Somebody stopped it.
    Interrupted,
    /// The exchange could not be reached, or asked to wait.
    Unreachable,
    /// The exchange refused the credentials, or there were none.
    Authentication,
    /// The book is damaged.
    Corrupt,
}

ledger_core::names!(LookFailureKind, "failure of a look", {
    Other = "other", Interrupted = "interrupted", Unreachable = "unreachable", Authentication = "authentication",
    Corrupt = "corrupt",
});

/// Why a look failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookFailure {
    /// The kind of trouble.
    pub kind: LookFailureKind,
    /// What happened, for the reader.
    pub reason: String,
}

/// A mark price as it was seen, whether or not it is on record as a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMark {
    /// When, by the exchange's clock.
    pub ts: TimestampMs,
    /// The price.
    pub mark_price: Price,
    /// When the contract is funded next; `None` where the exchange does not say, or the contract pays no funding.
    pub next_funding_ts: Option<TimestampMs>,
}

/// A wallet as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenWallet {
    /// When, by the exchange's clock.
    pub ts: TimestampMs,
    /// The wallet balance: without unrealized profit.
    pub wallet: Decimal,
}

/// Where a position would be liquidated, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenLiquidation {
    /// The contract.
    pub symbol: Symbol,
    /// Which of its positions.
    pub position_side: PositionSide,
    /// Its signed quantity: negative = short.
    pub qty: Decimal,
    /// The mark price at that moment.
    pub mark_price: Price,
    /// The mark price at which the exchange would close it.
    pub liquidation_price: Price,
}

/// What an answer said that is in no fact.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// The contracts of which the answer could not be read or was not recorded: of these it says nothing.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<Symbol>,
    /// The mark prices of what is held.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<Symbol, SeenMark>,
    /// Of [`LookStream::Account`]: the contracts in which a later, narrowed look saw something that it did not follow.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub left_aside: BTreeSet<Symbol>,
    /// Of [`LookStream::Balances`]: the wallets that were stated as they are on record already. A balance that did not move
    /// is not written again, and yet the exchange said it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub wallets: BTreeMap<Asset, SeenWallet>,
    /// Of [`LookStream::Positions`]: where what is held would be liquidated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub liquidations: Vec<SeenLiquidation>,
}

/// A look that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookSuccess {
    /// When it ended, by the local clock.
    pub ended_local: TimestampMs,
    /// The instant that its answer is true of, by the exchange's clock.
    pub seen_at: TimestampMs,
    /// What else it said.
    pub seen: Seen,
}

/// The last look at a stream, the last one that was answered, and the last one that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What was looked for; [`LookStream::Account`] is the look as a whole.
    pub stream: LookStream,
    /// How the last look ended.
    pub outcome: LookOutcome,
    /// When it began, by the local clock.
    pub began_local: TimestampMs,
    /// When it ended, by the local clock.
    pub ended_local: TimestampMs,
    /// When it began, by the exchange's clock; `None` where the exchange did not tell.
    pub began_at: Option<TimestampMs>,
    /// When it ended, by the exchange's clock, as far as the local one tells.
    pub ended_at: Option<TimestampMs>,
    /// The last look that was answered.
    pub success: Option<LookSuccess>,
    /// The last look that was not: when it ended, by the local clock, and why.
    pub failure: Option<(TimestampMs, LookFailure)>,
}

impl Look {
    /// The local clock minus the exchange's during the last look, in ms; `None` where the exchange did not tell its time.
    pub fn skew_ms(&self) -> Option<i64> {
        self.ended_at.map(|at| self.ended_local.as_ms().saturating_sub(at.as_ms()))
    }
}

/// How a look at a stream ended, to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookResult {
    /// It was answered.
    Seen {
        /// The instant that the answer is true of, by the exchange's clock.
        seen_at: TimestampMs,
        /// What else it said.
        seen: Seen,
    },
    /// It was not answered, or was stopped.
    Failed(LookFailure),
    /// The look was narrowed to some contracts. It is none of the stream, which stays as it was last seen, but it saw that
    /// others need one. A stream that was never seen stays that.
    Narrowed {
        /// The contracts in which something differs or is not known, and which it did not look at.
        left_aside: BTreeSet<Symbol>,
        /// The contracts of which it can tell that nothing does; `None`: all that are not left aside.
        cleared: Option<BTreeSet<Symbol>>,
    },
}

/// A look that has ended, to be written down. What earlier looks saw of streams that this one did not see stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLook {
    /// In which account.
    pub account: AccountId,
    /// When it began, by the local clock.
    pub began_local: TimestampMs,
    /// When it ended, by the local clock.
    pub ended_local: TimestampMs,
    /// When it began, by the exchange's clock, where the exchange told.
    pub began_at: Option<TimestampMs>,
    /// When it ended, by the exchange's clock.
    pub ended_at: Option<TimestampMs>,
    /// What came of each stream that was looked at.
    pub streams: BTreeMap<LookStream, LookResult>,
}

/// A look that has not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLook {
    /// When it began, by the local clock; `None` where its process did not get to say so.
    pub began_local: Option<TimestampMs>,
    /// Whether its process is alive. If it is not, the look was interrupted.
    pub is_running: bool,
}
