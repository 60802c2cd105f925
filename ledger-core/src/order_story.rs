//! Who sent an order, and why it closed a position.
//!
//! This is the only place that decides either. A venue describes its habits as data ([`VenueRules`]); every reader of rows
//! asks them while it parses, and writes the answer on the order ([`Order::origin`], [`Order::condition`]). The fold, the
//! reconciler and the lists read these two fields, and never look at a client order id or an order type again.
//!
//! Invariants, with their tests in `tests/stories.rs`:
//! 1. `the_exchanges_own_orders_are_told_by_id_or_type`, whatever their sender is said to have meant.
//! 2. `the_stronger_evidence_decides_why_an_order_closed`.
//! 3. `what_fillbook_inferred_gives_way_to_all_evidence`.
//! 4. `a_conditional_order_tells_of_the_regular_order_that_it_became`.
//! 5. `origins_merge_alike_in_every_order` (beside the laws of merging, for which orders have one of their own).

use std::fmt;

use crate::id::{ClientOrderId, EngineLabel, Label, SignalId};
use crate::merge::Sourced;
use crate::names::stored_names;
use crate::order::{ExitReason, Order, OrderClass, OrderKey};
use crate::order_intent::IntentRole;
use crate::signal::SignalKind;
use crate::source::PositionSide;

/// Who sent an order. Absent on an order where nothing that was read of it tells.
///
/// Which of a person's programs or strategies it was is no part of this: that follows from configured patterns, which are
/// applied when an order is read and can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A program, over the exchange's interface: the order has a client order id, and it is neither of the exchange's own
    /// nor of its apps.
    Program,
    /// A person, with the exchange's app or web page.
    Person,
    /// The exchange, to close a position; whether by liquidation or auto-deleveraging is not stated.
    Forced,
    /// The exchange, because the contract was settled or delivered.
    Settlement,
    /// The exchange, against a liquidated counterparty (auto-deleveraging).
    Adl,
    /// The exchange, for lack of margin.
    Liquidation,
}

stored_names!(Origin, "origin of orders", {
    Program = "program", Person = "person", Forced = "forced", Settlement = "settlement", Adl = "adl",
    Liquidation = "liquidation",
});

impl Origin {
    /// Whether the exchange itself sent the order.
    pub fn is_forced(self) -> bool {
        self >= Self::Forced
    }

    /// Why a position ended that such an order closed, where that alone tells.
    pub fn exit_reason(self) -> Option<ExitReason> {
        match self {
            Self::Program | Self::Person => None,
            Self::Forced => Some(ExitReason::Forced),
            Self::Settlement => Some(ExitReason::Settlement),
            Self::Adl => Some(ExitReason::Adl),
            Self::Liquidation => Some(ExitReason::Liquidation),
        }
    }

    /// How much it says. An id that is nobody's in particular says less than the exchange's list of forced orders, and
    /// that less than the kind of force. Venues give auto-deleveraging the order type of a liquidation, too, so where an
    /// id or a list says auto-deleveraging, that is the finer word.
    pub(crate) fn grade(self) -> i64 {
        match self {
            Self::Program | Self::Person => 0,
            Self::Forced => 1,
            Self::Liquidation => 2,
            Self::Settlement | Self::Adl => 3,
        }
    }
}

/// What a conditional order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// The price moves in favour of the position.
    TakeProfit,
    /// The price moves against the position, or turns back by a share of its best value.
    Stop,
}

stored_names!(Condition, "condition", { TakeProfit = "take_profit", Stop = "stop" });

/// What a venue's client order ids and order types mean, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueRules {
    /// How client order ids begin, and who gives his orders such ids; the first that fits counts. Any other id is a
    /// program's.
    pub client_id_prefixes: &'static [(&'static str, Origin)],
    /// The types of orders that only the exchange sends.
    pub forced_types: &'static [(&'static str, Origin)],
    /// How the types of conditional orders begin, and what they wait for; the first that fits counts.
    pub conditional_types: &'static [(&'static str, Condition)],
}

impl VenueRules {
    /// Who sent an order with this client order id and this type.
    pub fn origin(&self, client_order_id: Option<&ClientOrderId>, order_type: Option<&Label>) -> Option<Origin> {
        let by_type = order_type.and_then(|name| {
            self.forced_types.iter().find(|(forced, _)| *forced == name.as_str()).map(|(_, origin)| *origin)
        });
        let by_id = client_order_id.map(|id| {
            let known = self.client_id_prefixes.iter().find(|(prefix, _)| id.as_str().starts_with(prefix));
            known.map_or(Origin::Program, |(_, origin)| *origin)
        });
        stronger(by_id, by_type)
    }

    /// What an order of this type waits for.
    pub fn condition(&self, order_type: Option<&Label>) -> Option<Condition> {
        let name = order_type?.as_str();
        self.conditional_types.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, condition)| *condition)
    }

    /// Writes on an order as it was read what its client order id and type mean. What the reader has found out otherwise
    /// stays where it says more: that the exchange lists the order among those that it forced, for example.
    #[must_use]
    pub fn tell(&self, mut order: Order) -> Order {
        let by_rule = self.origin(order.client_order_id.as_ref(), order.order_type.as_ref());
        order.condition = order.condition.or_else(|| self.condition(order.order_type.as_ref()));
        order.sent_by(by_rule)
    }
}

impl Order {
    /// With who sent it, unless what is on it says as much or more.
    #[must_use]
    pub fn sent_by(mut self, origin: Option<Origin>) -> Self {
        self.origin = stronger(self.origin, origin);
        self
    }
}

/// The one that says more; the first of two that say as much.
fn stronger(one: Option<Origin>, other: Option<Origin>) -> Option<Origin> {
    let grade = |origin: Option<Origin>| origin.map(Origin::grade);
    if grade(other) > grade(one) { other } else { one }
}

/// What tells why an order closed its position, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitEvidence {
    /// The exchange sent it: its client order id, its type or a list of forced orders.
    Exchange,
    /// The sender's word: on the order, by what it was sent as, or by the signal behind it.
    Sender,
    /// What the conditional order waited for that triggered.
    Condition,
    /// Sent with the exchange's app or web page.
    Person,
    /// What the bot's client order id spells, by a configured pattern.
    ClientOrderId,
    /// Sent by the bot, and unable to do anything but close.
    ReduceOnly,
    /// fillbook inferred it when it restored the signal behind the order.
    Inferred,
}

impl ExitEvidence {
    /// In words that follow a reason.
    pub fn words(self) -> &'static str {
        match self {
            Self::Exchange => "the exchange itself sent the order",
            Self::Sender => "as its sender said",
            Self::Condition => "by the type of the conditional order that triggered",
            Self::Person => "sent with the exchange's own app or web page",
            Self::ClientOrderId => "by its client order id",
            Self::ReduceOnly => "it can only close, and the bot sent it",
            Self::Inferred => "as was inferred when its signal was restored",
        }
    }
}

impl fmt::Display for ExitEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// That an order is the bot's, as whoever knows the bot reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BotOrder {
    /// What its client order id says that it is for, by a configured pattern.
    pub role: Option<IntentRole>,
    /// Whether it can do nothing but close.
    pub can_only_close: bool,
}

/// What is known of the order behind a fill: who sent it and what for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderContext {
    /// The strategy.
    pub engine: Option<EngineLabel>,
    /// Who sent it.
    pub origin: Option<Origin>,
    /// What it waited for.
    pub condition: Option<Condition>,
    /// What the sender said it was for.
    pub said: Option<ExitReason>,
    /// That it is the bot's, where the reader knows.
    pub bot: Option<BotOrder>,
    /// What fillbook once inferred.
    pub inferred: Option<ExitReason>,
}

impl OrderContext {
    /// Whether the exchange itself sent the order: a liquidation, an auto-deleveraging or a settlement.
    pub fn is_forced(&self) -> bool {
        self.origin.is_some_and(Origin::is_forced)
    }

    /// Why a position closed by this order was closed.
    pub fn exit_reason(&self) -> ExitReason {
        self.exit().map_or(ExitReason::Unknown, |(reason, _)| reason)
    }

    /// The same, with what tells: the strongest evidence that there is. `None` when nothing tells.
    pub fn exit(&self) -> Option<(ExitReason, ExitEvidence)> {
        if let Some(reason) = self.origin.and_then(Origin::exit_reason) {
            return Some((reason, ExitEvidence::Exchange));
        }
        if let Some(reason) = self.said {
            return Some((reason, ExitEvidence::Sender));
        }
        match self.condition {
            Some(Condition::TakeProfit) => return Some((ExitReason::TakeProfit, ExitEvidence::Condition)),
            Some(Condition::Stop) => return Some((ExitReason::StopLoss, ExitEvidence::Condition)),
            None => {}
        }
        // Before any configured pattern: one that fits the ids of the exchange's apps means none of them.
        if self.origin == Some(Origin::Person) {
            return Some((ExitReason::ManualClose, ExitEvidence::Person));
        }
        match self.bot {
            Some(BotOrder { role: Some(IntentRole::TakeProfit), .. }) => {
                return Some((ExitReason::TakeProfit, ExitEvidence::ClientOrderId));
            }
            Some(BotOrder { role: Some(IntentRole::StopLoss), .. }) => {
                return Some((ExitReason::StopLoss, ExitEvidence::ClientOrderId));
            }
            Some(BotOrder { role: Some(IntentRole::Exit), .. }) => {
                return Some((ExitReason::AutoExit, ExitEvidence::ClientOrderId));
            }
            Some(BotOrder { can_only_close: true, .. }) => {
                return Some((ExitReason::AutoExit, ExitEvidence::ReduceOnly));
            }
            Some(_) | None => {}
        }
        // A hand was inferred from the lack of a client order id. Where one turned up that is a program's, it is void.
        let is_void = self.origin == Some(Origin::Program) && self.inferred == Some(ExitReason::ManualClose);
        self.inferred.filter(|_| !is_void).map(|reason| (reason, ExitEvidence::Inferred))
    }
}

/// What the record of one order tells by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderWords {
    /// The strategy on it.
    pub engine: Option<EngineLabel>,
    /// The signal that it names.
    pub signal_id: Option<SignalId>,
    /// The id that its sender gave it.
    pub client_order_id: Option<ClientOrderId>,
    /// The position that it changes.
    pub position_side: Option<PositionSide>,
    /// Who sent it.
    pub origin: Option<Origin>,
    /// What it waits for.
    pub condition: Option<Condition>,
    /// What the sender said it was for.
    pub said: Option<ExitReason>,
    /// What fillbook inferred that it was for.
    pub inferred: Option<ExitReason>,
    /// Whether it can do nothing but close.
    pub can_only_close: bool,
}

/// What the bot wrote down before it sent an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentWords {
    /// The strategy.
    pub engine: Option<EngineLabel>,
    /// What the order was for.
    pub role: IntentRole,
}

/// What the signal behind an order says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalWords {
    /// The strategy.
    pub engine: Option<EngineLabel>,
    /// What was decided.
    pub kind: SignalKind,
    /// Why, where the decision to close names one of the reasons for which positions end ([`SignalWords::reason_of`]).
    pub reason: Option<ExitReason>,
    /// Whether fillbook restored it: then its kind was concluded from the order, and tells nothing of it.
    pub restored: bool,
}

impl SignalWords {
    /// The reason for which a position ends that a signal's own reason names. Any other text tells people why, and programs
    /// nothing.
    pub fn reason_of(reason: &str) -> Option<ExitReason> {
        reason.parse().ok().filter(|reason| *reason != ExitReason::Unknown)
    }

    /// Why the position ends that the signal closes; `None` of an entry.
    pub fn exit_reason(&self) -> Option<ExitReason> {
        match self.kind {
            SignalKind::Entry => None,
            // A hand closed it, whatever made the hand do so.
            SignalKind::ManualClose => Some(ExitReason::ManualClose),
            SignalKind::AutoExit => Some(self.reason.unwrap_or(ExitReason::AutoExit)),
        }
    }
}

impl OrderWords {
    /// What an order's record tells. `order` carries who stated its exit reason: what fillbook inferred is weaker.
    pub fn of(order: &Sourced<Order>) -> Self {
        let fact = &order.fact;
        Self {
            engine: fact.engine.clone(),
            signal_id: fact.signal_id.clone(),
            client_order_id: fact.client_order_id.clone(),
            position_side: fact.position_side,
            origin: fact.origin,
            condition: fact.condition,
            can_only_close: fact.can_only_close(),
            ..Self::default()
        }
        .with_exit_reason(fact.exit_reason, order.provenance.of("exit_reason").is_inferred())
    }

    /// With the exit reason on the record, which its sender or fillbook wrote there.
    #[must_use]
    pub fn with_exit_reason(mut self, reason: Option<ExitReason>, is_inferred: bool) -> Self {
        (self.said, self.inferred) = if is_inferred { (None, reason) } else { (reason, None) };
        self
    }

    /// What a regular order and the conditional orders that became it tell together. The regular order's own word comes
    /// first, but for what was waited for: the order that is placed when a stop triggers is a plain one. Conditional
    /// orders that differ tell nothing.
    #[must_use]
    pub fn joined(own: Option<Self>, conditional: &[Self]) -> Self {
        let own = own.unwrap_or_default();
        Self {
            engine: own.engine.or_else(|| agreed(conditional.iter().map(|words| words.engine.as_ref())).cloned()),
            signal_id: own
                .signal_id
                .or_else(|| agreed(conditional.iter().map(|words| words.signal_id.as_ref())).cloned()),
            client_order_id: own
                .client_order_id
                .or_else(|| agreed(conditional.iter().map(|words| words.client_order_id.as_ref())).cloned()),
            position_side: own.position_side.or_else(|| agreed(conditional.iter().map(|words| words.position_side))),
            origin: stronger(own.origin, agreed(conditional.iter().map(|words| words.origin))),
            condition: agreed(conditional.iter().map(|words| words.condition)).or(own.condition),
            said: own.said.or_else(|| agreed(conditional.iter().map(|words| words.said))),
            inferred: own.inferred.or_else(|| agreed(conditional.iter().map(|words| words.inferred))),
            can_only_close: own.can_only_close || conditional.iter().any(|words| words.can_only_close),
        }
    }

    /// With what the bot wrote down before the order and what the signal behind it says.
    pub fn context(self, intent: Option<&IntentWords>, signal: Option<&SignalWords>) -> OrderContext {
        let role = intent.map(|intent| intent.role);
        let by_role = match role {
            Some(IntentRole::TakeProfit) => Some(ExitReason::TakeProfit),
            Some(IntentRole::StopLoss) => Some(ExitReason::StopLoss),
            Some(IntentRole::Entry | IntentRole::Dca | IntentRole::Exit) | None => None,
        };
        let by_signal = signal.filter(|signal| !signal.restored).and_then(SignalWords::exit_reason);
        // Sent by the bot as an exit, and nobody says why.
        let by_exit = role.filter(|role| *role == IntentRole::Exit).map(|_| ExitReason::AutoExit);
        let engine = self.engine.or_else(|| intent?.engine.clone()).or_else(|| signal?.engine.clone());
        OrderContext {
            engine,
            origin: self.origin,
            condition: self.condition,
            said: self.said.or(by_role).or(by_signal).or(by_exit),
            bot: intent.map(|_| BotOrder { role: None, can_only_close: self.can_only_close }),
            inferred: self.inferred,
        }
    }
}

/// The value that all of those that have one agree about.
fn agreed<T: PartialEq>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut values = values.flatten();
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// The conditional orders among `all` that became the regular order `key`: those that point to it, else those of its client
/// order id that point nowhere. One that points elsewhere became another order.
pub fn conditionals_of<'a>(
    key: &OrderKey,
    client_order_id: Option<&ClientOrderId>,
    all: impl Iterator<Item = &'a Order>,
) -> Vec<&'a Order> {
    let waiting = all.filter(|order| order.key.class == OrderClass::Conditional && order.key.symbol == key.symbol);
    let (pointing, others): (Vec<_>, Vec<_>) =
        waiting.partition(|order| order.triggered_order_id.as_ref() == Some(&key.order_id));
    if !pointing.is_empty() {
        return pointing;
    }
    let Some(client_order_id) = client_order_id else { return Vec::new() };
    let is_alike =
        |order: &&Order| order.triggered_order_id.is_none() && order.client_order_id.as_ref() == Some(client_order_id);
    others.into_iter().filter(is_alike).collect()
}
