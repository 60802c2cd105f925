//! Signals: what a strategy decided, whether or not an order followed.

use crate::id::{EngineLabel, Label, SignalId, Symbol};
use crate::merge::{Fact, Joiner};
use crate::names::stored_names;
use crate::source::Side;
use crate::time::EventTime;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignalKind {
    /// Open or add to a position.
    Entry,
    /// Close it: the bot's management mode decided.
    AutoExit,
    /// Close it: a person did, outside the bot.
    ManualClose,
}

stored_names!(SignalKind, "signal kind", { Entry = "entry", AutoExit = "auto_exit", ManualClose = "manual_close" });

/// A decision of a strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Signal {
    /// Given by the bot, else a digest of time, symbol, side and engine.
    pub signal_id: SignalId,
    /// The bot's time.
    pub time: EventTime,
    /// The bot's clock minus the exchange's in milliseconds when it was recorded, where measured.
    pub skew_ms: Option<i64>,
    /// The contract.
    pub symbol: Symbol,
    /// The direction of the order that it asks for.
    pub side: Side,
    /// What it asks for.
    pub kind: SignalKind,
    /// The strategy.
    pub engine: Option<EngineLabel>,
    /// The strategy's reason.
    pub reason: Option<Label>,
    /// Why no order follows, when the bot decided so; or what fillbook concluded ([`NEVER_SENT`](Self::NEVER_SENT),
    /// [`REJECTED`](Self::REJECTED)), until facts say otherwise ([`SENT_AFTER_ALL`](Self::SENT_AFTER_ALL)).
    pub skipped: Option<Label>,
    /// Whatever the bot added, as JSON text.
    pub meta_json: Option<String>,
    /// Whether fillbook restored it because the bot's own record was missing.
    pub restored: bool,
}

impl Signal {
    /// What fillbook writes as `skipped` when it concludes that no order was ever sent.
    pub const NEVER_SENT: &str = "never_sent";
    /// What it writes when every order that was sent was refused or never arrived.
    pub const REJECTED: &str = "rejected";
    /// What it writes when an order turned up all the same. A register that only grows takes a conclusion back by a
    /// greater word; it counts as nothing said.
    pub const SENT_AFTER_ALL: &str = "sent_after_all";

    /// Why no order follows, unless that was taken back.
    pub fn skip_reason(&self) -> Option<&Label> {
        self.skipped.as_ref().filter(|said| said.as_str() != Self::SENT_AFTER_ALL)
    }
}

impl Fact for Signal {
    type Key = SignalId;

    fn key(&self) -> SignalId {
        self.signal_id.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            signal_id: self.signal_id.clone(),
            time: j.time("ts", Some(&self.time), Some(&other.time)).unwrap_or(self.time),
            skew_ms: j.optional("skew_ms", self.skew_ms.as_ref(), other.skew_ms.as_ref()),
            symbol: j.required("symbol", &self.symbol, &other.symbol),
            side: j.required("side", &self.side, &other.side),
            kind: j.required("kind", &self.kind, &other.kind),
            engine: j.optional("engine", self.engine.as_ref(), other.engine.as_ref()),
            reason: j.optional("reason", self.reason.as_ref(), other.reason.as_ref()),
            // Among what fillbook concluded the word that takes it back is the greatest, so it stands in every order.
            skipped: j.optional("skipped", self.skipped.as_ref(), other.skipped.as_ref()),
            meta_json: j.optional("meta_json", self.meta_json.as_ref(), other.meta_json.as_ref()),
            // The bot's own record outranks a restored one, so "restored" goes once the original is found.
            restored: !j.latest("restored", &!self.restored, &!other.restored),
        }
    }
}
