//! Which facts a list is about.

use ledger_core::{
    AccountId, ClientOrderId, EngineLabel, IncomeType, OrderClass, OrderId, OrderStatus, PositionSide, SignalId,
    Symbol, TimestampMs,
};

use crate::batch::RunId;
use crate::record::{DiscrepancyStatus, RunKind, RunStatus};

/// What every list can be narrowed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whose facts.
    pub account: AccountId,
    /// Of this contract only.
    pub symbol: Option<Symbol>,
    /// From this instant on.
    pub since: Option<TimestampMs>,
    /// Before this instant.
    pub until: Option<TimestampMs>,
}

impl Scope {
    /// Everything of `account`.
    pub fn account(account: AccountId) -> Self {
        Self { account, symbol: None, since: None, until: None }
    }

    /// Everything of `symbol`.
    pub fn symbol(account: AccountId, symbol: Symbol) -> Self {
        Self { account, symbol: Some(symbol), since: None, until: None }
    }
}

/// Which signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalFilter {
    /// Whose, of what, when.
    pub scope: Scope,
    /// Of this strategy only.
    pub engine: Option<EngineLabel>,
    /// Only those whose ids begin like this: found by their ids, however many others there are.
    pub id_prefix: Option<&'static str>,
    /// Only those that an order names, or only those that none does.
    pub named_by_order: Option<bool>,
    /// Only those of which this is known.
    pub outlook: Option<SignalOutlook>,
}

/// What is known of the order that should follow a signal, beside the orders themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOutlook {
    /// An order should follow: the bot did not skip the signal, and nobody concluded that none was sent. A restored signal is
    /// no decision of the bot's, and awaits nothing.
    Awaited,
    /// fillbook concluded that none follows ([`Signal::NEVER_SENT`](ledger_core::Signal::NEVER_SENT),
    /// [`Signal::REJECTED`](ledger_core::Signal::REJECTED)).
    Concluded,
}

impl From<Scope> for SignalFilter {
    fn from(scope: Scope) -> Self {
        Self { scope, engine: None, id_prefix: None, named_by_order: None, outlook: None }
    }
}

/// Which orders. Orders without a creation time count as the oldest; `since` and `until` leave them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFilter {
    /// Whose, of what, when created.
    pub scope: Scope,
    /// With this status only.
    pub status: Option<OrderStatus>,
    /// Only those that can still change.
    pub open_only: bool,
    /// Of this id space only.
    pub class: Option<OrderClass>,
    /// Sent with this id only.
    pub client_order_id: Option<ClientOrderId>,
    /// Caused by this signal only.
    pub signal_id: Option<SignalId>,
    /// Of this strategy only.
    pub engine: Option<EngineLabel>,
    /// Only those of which more was executed than their fills add up to.
    pub residual_only: bool,
}

impl From<Scope> for OrderFilter {
    fn from(scope: Scope) -> Self {
        Self {
            scope,
            status: None,
            open_only: false,
            class: None,
            client_order_id: None,
            signal_id: None,
            engine: None,
            residual_only: false,
        }
    }
}

/// Which intents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentFilter {
    /// Whose, of what, when written.
    pub scope: Scope,
    /// Only those whose outcome is not known yet.
    pub unresolved_only: bool,
    /// Only those that are on record as rejected although the book has their order.
    pub contradicted_only: bool,
}

impl From<Scope> for IntentFilter {
    fn from(scope: Scope) -> Self {
        Self { scope, unresolved_only: false, contradicted_only: false }
    }
}

/// Which fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillFilter {
    /// Whose, of what, when.
    pub scope: Scope,
    /// Of this order only.
    pub order_id: Option<OrderId>,
    /// Only those that are said to be of this position, and those of which nobody has said it.
    pub may_be_of: Option<PositionSide>,
    /// Only those that are kept out of positions because their position side is not known.
    pub unplaced_only: bool,
    /// Only those of which the exchange's own list can tell more than was stated: their time is known to the second, or their
    /// position or their fee is not.
    pub coarse_only: bool,
    /// Only those that opened a round trip, that the exchange's REST interface has stated, and whose order is not known to
    /// have followed a signal: neither it, nor the conditional order that became it, nor the intent of either names one.
    pub unsignalled_openers_only: bool,
}

impl From<Scope> for FillFilter {
    fn from(scope: Scope) -> Self {
        Self {
            scope,
            order_id: None,
            may_be_of: None,
            unplaced_only: false,
            coarse_only: false,
            unsignalled_openers_only: false,
        }
    }
}

/// Which income rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomeFilter {
    /// Whose, of what, when.
    pub scope: Scope,
    /// Of this type only.
    pub income_type: Option<IncomeType>,
}

/// Which round trips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TripFilter {
    /// Whose, of what, when closed.
    pub scope: Scope,
    /// Of this strategy only.
    pub engine: Option<EngineLabel>,
    /// Of this position only.
    pub position_side: Option<PositionSide>,
}

/// Which runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// Whose.
    pub account: AccountId,
    /// Of this kind only.
    pub kind: Option<RunKind>,
    /// That ended like this only.
    pub status: Option<RunStatus>,
    /// That began at or after this instant of the local clock.
    pub since: Option<TimestampMs>,
}

impl From<AccountId> for RunFilter {
    fn from(account: AccountId) -> Self {
        Self { account, kind: None, status: None, since: None }
    }
}

/// Which repairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairFilter {
    /// Whose.
    pub account: AccountId,
    /// Of this contract only.
    pub symbol: Option<Symbol>,
    /// Of this kind only.
    pub kind: Option<String>,
    /// Of this run only.
    pub run_id: Option<RunId>,
    /// Of this discrepancy only.
    pub discrepancy_id: Option<i64>,
    /// Made at or after this instant of the local clock.
    pub since: Option<TimestampMs>,
}

impl From<AccountId> for RepairFilter {
    fn from(account: AccountId) -> Self {
        Self { account, symbol: None, kind: None, run_id: None, discrepancy_id: None, since: None }
    }
}

/// Which discrepancies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscrepancyFilter {
    /// Whose.
    pub account: AccountId,
    /// Of this contract only.
    pub symbol: Option<Symbol>,
    /// Of this kind only.
    pub kind: Option<String>,
    /// With one of these only; empty for any.
    pub statuses: Vec<DiscrepancyStatus>,
    /// Last seen at or after this instant of the local clock.
    pub since: Option<TimestampMs>,
}

impl DiscrepancyFilter {
    /// Those that still ask for something: neither gone nor acknowledged.
    pub fn open(account: AccountId) -> Self {
        let statuses = vec![DiscrepancyStatus::Pending, DiscrepancyStatus::Unresolved];
        Self { statuses, ..Self::all(account) }
    }

    /// Those that are not gone, acknowledged ones included.
    pub fn standing(account: AccountId) -> Self {
        let statuses = vec![DiscrepancyStatus::Pending, DiscrepancyStatus::Unresolved, DiscrepancyStatus::Acknowledged];
        Self { statuses, ..Self::all(account) }
    }

    /// Everything that was ever recorded.
    pub fn all(account: AccountId) -> Self {
        Self { account, symbol: None, kind: None, statuses: Vec::new(), since: None }
    }
}
