//! What a line says, checked field by field. Nothing here looks at a book or a clock.

use exchange_client::binance_usdm::VENUE;
use exchange_client::files::CcxtReader;
use ledger_core::{
    ClientOrderId, Direction, EngineLabel, EventTime, ExitReason, IntentRole, Label, OrderClass, OrderId, PositionSide,
    Price, Quantity, Side, SignalId, SignalKind, Symbol,
};

use super::closing::ClosedTrade;
use super::fields::{Fields, Way, missing};
use super::refusal::Refusal;

/// An event, as one line of the protocol has it.
#[derive(Debug)]
pub(super) enum Event<'a> {
    Signal(SignalEvent),
    /// Why no order follows a signal that is on record.
    Skip {
        signal_id: SignalId,
        why: Label,
    },
    Intent(IntentEvent),
    Sent(SentEvent<'a>),
    Order {
        order: &'a str,
        client_order_id: Option<ClientOrderId>,
    },
    Trade {
        trade: &'a str,
    },
    Cancel {
        order: Cancelled<'a>,
        reason: Option<Label>,
    },
    Closed(ClosedTrade),
    Entry {
        entry: &'a str,
    },
    Label(LabelEvent),
    Gate {
        symbol: Symbol,
        position_side: Option<PositionSide>,
    },
}

#[derive(Debug)]
pub(super) struct SignalEvent {
    pub(super) symbol: Symbol,
    pub(super) side: Side,
    pub(super) kind: SignalKind,
    pub(super) engine: Option<EngineLabel>,
    pub(super) reason: Option<Label>,
    pub(super) time: Option<EventTime>,
    pub(super) signal_id: Option<SignalId>,
    pub(super) meta: Option<String>,
    /// Why no order follows, if the bot decided so.
    pub(super) skipped: Option<Label>,
}

#[derive(Debug)]
pub(super) struct IntentEvent {
    pub(super) symbol: Symbol,
    pub(super) side: Side,
    pub(super) role: IntentRole,
    pub(super) class: OrderClass,
    pub(super) order_type: Label,
    pub(super) qty: Option<Quantity>,
    pub(super) price: Option<Price>,
    pub(super) trigger_price: Option<Price>,
    pub(super) reduce_only: bool,
    pub(super) position_side: Option<PositionSide>,
    pub(super) signal_id: Option<SignalId>,
    pub(super) engine: Option<EngineLabel>,
    pub(super) client_order_id: Option<ClientOrderId>,
    /// What the order belongs to, in the bot's words.
    pub(super) trade: Option<Label>,
    pub(super) step: Option<u32>,
    pub(super) attempt: Option<u32>,
    /// When the bot announced it.
    pub(super) time: Option<EventTime>,
}

/// What became of an order that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Accepted,
    Rejected,
    Unknown,
}

#[derive(Debug)]
pub(super) struct SentEvent<'a> {
    pub(super) client_order_id: ClientOrderId,
    pub(super) symbol: Symbol,
    pub(super) result: Sent,
    pub(super) order: Option<&'a str>,
}

/// Which order was cancelled.
#[derive(Debug)]
pub(super) enum Cancelled<'a> {
    Object(&'a str),
    Named { symbol: Symbol, order_id: OrderId },
}

#[derive(Debug)]
pub(super) struct LabelEvent {
    pub(super) symbol: Symbol,
    pub(super) order_id: Option<OrderId>,
    pub(super) client_order_id: Option<ClientOrderId>,
    pub(super) engine: Option<EngineLabel>,
    pub(super) reason: Option<ExitReason>,
}

const KINDS: &[(&str, SignalKind)] =
    &[("entry", SignalKind::Entry), ("auto_exit", SignalKind::AutoExit), ("manual_close", SignalKind::ManualClose)];

const ROLES: &[(&str, IntentRole)] = &[
    ("entry", IntentRole::Entry),
    ("dca", IntentRole::Dca),
    ("exit", IntentRole::Exit),
    ("take_profit", IntentRole::TakeProfit),
    ("stop_loss", IntentRole::StopLoss),
];

const RESULTS: &[(&str, Sent)] =
    &[("accepted", Sent::Accepted), ("rejected", Sent::Rejected), ("unknown", Sent::Unknown)];

const POSITION_SIDES: &[(&str, PositionSide)] = &[
    ("net", PositionSide::Net),
    ("both", PositionSide::Net),
    ("long", PositionSide::Long),
    ("short", PositionSide::Short),
];

/// Why a position was closed, with the short forms that bots use.
const REASONS: &[(&str, ExitReason)] = &[
    ("take_profit", ExitReason::TakeProfit),
    ("tp", ExitReason::TakeProfit),
    ("stop_loss", ExitReason::StopLoss),
    ("sl", ExitReason::StopLoss),
    ("manual_close", ExitReason::ManualClose),
    ("manual", ExitReason::ManualClose),
    ("auto_exit", ExitReason::AutoExit),
    ("liquidation", ExitReason::Liquidation),
    ("adl", ExitReason::Adl),
    ("settlement", ExitReason::Settlement),
];

const SIGNAL: &[&str] = &["symbol", "side", "engine", "reason", "kind", "time", "signal_id", "meta"];
const SKIP: &[&str] = &["symbol", "side", "engine", "reason", "kind", "time", "signal_id", "meta", "why"];
const INTENT: &[&str] = &[
    "symbol",
    "side",
    "role",
    "type",
    "amount",
    "price",
    "trigger_price",
    "reduce_only",
    "close_position",
    "position_side",
    "signal_id",
    "engine",
    "client_order_id",
    "trade",
    "step",
    "attempt",
    "time",
];

impl<'a> Event<'a> {
    pub(super) fn parse(fields: &Fields<'a>, reader: &CcxtReader) -> Result<Self, Refusal> {
        let name = fields.required("event")?;
        let parse = Parse { fields, reader };
        match name.as_str() {
            "signal" => {
                fields.only(&name, SIGNAL)?;
                Ok(Self::Signal(parse.signal(None)?))
            }
            "skip" => {
                fields.only(&name, SKIP)?;
                parse.skip()
            }
            "intent" => {
                fields.only(&name, INTENT)?;
                Ok(Self::Intent(parse.intent()?))
            }
            "sent" => {
                fields.only(&name, &["client_order_id", "symbol", "result", "error", "order"])?;
                Ok(Self::Sent(parse.sent()?))
            }
            "order" => {
                fields.only(&name, &["order", "client_order_id"])?;
                let order = fields.object("order")?.ok_or_else(|| missing("order"))?;
                Ok(Self::Order { order, client_order_id: fields.id("client_order_id")? })
            }
            "trade" => {
                fields.only(&name, &["trade"])?;
                Ok(Self::Trade { trade: fields.object("trade")?.ok_or_else(|| missing("trade"))? })
            }
            "cancel" => {
                fields.only(&name, &["order", "symbol", "order_id", "reason"])?;
                Ok(Self::Cancel { order: parse.cancelled()?, reason: fields.id("reason")? })
            }
            "closed" => {
                fields.only(&name, &["symbol", "side", "reason", "engine", "order_id", "time"])?;
                Ok(Self::Closed(parse.closed()?))
            }
            "entry_event" => {
                fields.only(&name, &["entry"])?;
                Ok(Self::Entry { entry: fields.object("entry")?.ok_or_else(|| missing("entry"))? })
            }
            "label" => {
                fields.only(&name, &["symbol", "order_id", "client_order_id", "engine", "reason"])?;
                Ok(Self::Label(parse.label()?))
            }
            "gate" => {
                fields.only(&name, &["symbol", "side"])?;
                let long = |is_long| if is_long { PositionSide::Long } else { PositionSide::Short };
                Ok(Self::Gate { symbol: parse.symbol()?, position_side: parse.is_long()?.map(long) })
            }
            _ => Err(Refusal::field(
                "event",
                format!("there is no event {}", super::refusal::shown(&name)),
                "give one of signal, skip, intent, sent, order, trade, cancel, closed, entry_event, label, gate",
            )),
        }
    }
}

struct Parse<'f, 'a> {
    fields: &'f Fields<'a>,
    reader: &'f CcxtReader,
}

impl<'a> Parse<'_, 'a> {
    fn symbol(&self) -> Result<Symbol, Refusal> {
        let text = self.fields.required("symbol")?;
        self.reader.symbol(text.trim()).map_err(|error| Refusal {
            field: Some("symbol".to_owned()),
            advice: "give the venue's name (BTCUSDT) or ccxt's (BTC/USDT:USDT)".to_owned(),
            ..Refusal::object("symbol", &error)
        })
    }

    fn signal(&self, skipped: Option<Label>) -> Result<SignalEvent, Refusal> {
        let kind = self.fields.name("kind", KINDS)?.unwrap_or(SignalKind::Entry);
        let way = self.fields.name("side", Way::NAMES)?.ok_or_else(|| missing("side"))?;
        Ok(SignalEvent {
            symbol: self.symbol()?,
            side: way.order_side(kind != SignalKind::Entry),
            kind,
            engine: self.fields.id("engine")?,
            reason: self.fields.id("reason")?,
            time: self.fields.time("time")?,
            signal_id: self.fields.id("signal_id")?,
            meta: self.fields.object("meta")?.map(str::to_owned),
            skipped,
        })
    }

    fn skip(&self) -> Result<Event<'a>, Refusal> {
        let why: Label = self.fields.id("why")?.ok_or_else(|| missing("why"))?;
        match self.fields.id("signal_id")? {
            Some(signal_id) if !self.fields.has("symbol") && !self.fields.has("side") => {
                Ok(Event::Skip { signal_id, why })
            }
            _ => Ok(Event::Signal(self.signal(Some(why))?)),
        }
    }

    fn intent(&self) -> Result<IntentEvent, Refusal> {
        let fields = self.fields;
        let role = fields.name("role", ROLES)?.ok_or_else(|| missing("role"))?;
        let way = fields.name("side", Way::NAMES)?.ok_or_else(|| missing("side"))?;
        let trigger_price = fields.price("trigger_price")?;
        let (class, order_type) = self.order_type(role, trigger_price.is_some())?;
        let closes_all = fields.boolean("close_position")?.unwrap_or(false);
        let qty = fields.quantity("amount")?;
        match (qty, closes_all) {
            (None, false) => return Err(missing("amount")),
            (Some(_), true) => {
                let problem = "an order that closes the whole position has no amount";
                return Err(Refusal::field("amount", problem, "leave out amount or close_position"));
            }
            _ => {}
        }
        if matches!(role, IntentRole::Entry | IntentRole::Dca) && closes_all {
            let problem = "an order that closes the position is no entry";
            return Err(Refusal::field("role", problem, "give exit, take_profit or stop_loss"));
        }
        Ok(IntentEvent {
            symbol: self.symbol()?,
            side: way.order_side(!matches!(role, IntentRole::Entry | IntentRole::Dca)),
            role,
            class,
            order_type,
            qty,
            price: fields.price("price")?,
            trigger_price,
            // Closing the whole position can do nothing but reduce.
            reduce_only: fields.boolean("reduce_only")?.unwrap_or(false) || closes_all,
            position_side: fields.name("position_side", POSITION_SIDES)?,
            signal_id: fields.id("signal_id")?,
            engine: fields.id("engine")?,
            client_order_id: fields.id("client_order_id")?,
            trade: fields.id("trade")?,
            step: fields.count("step")?,
            attempt: fields.count("attempt")?,
            time: fields.time("time")?,
        })
    }

    /// The type in the venue's words. ccxt calls a conditional order market or limit, and gives it a trigger price.
    fn order_type(&self, role: IntentRole, has_trigger: bool) -> Result<(OrderClass, Label), Refusal> {
        let text = self.fields.required("type")?;
        let mut name = text.trim().to_ascii_uppercase().replace(' ', "_");
        if has_trigger {
            name = match (role, name.as_str()) {
                (IntentRole::TakeProfit, "MARKET") => "TAKE_PROFIT_MARKET".to_owned(),
                (IntentRole::TakeProfit, "LIMIT") => "TAKE_PROFIT".to_owned(),
                (_, "MARKET") => "STOP_MARKET".to_owned(),
                (_, "LIMIT") => "STOP".to_owned(),
                _ => name,
            };
        }
        let label = Label::new(&name).map_err(|error| {
            Refusal::field(
                "type",
                error.to_string(),
                "give the order type of ccxt (market) or of the venue (STOP_MARKET)",
            )
        })?;
        let is_conditional = has_trigger || VENUE.order_rules.condition(Some(&label)).is_some();
        Ok((if is_conditional { OrderClass::Conditional } else { OrderClass::Regular }, label))
    }

    fn sent(&self) -> Result<SentEvent<'a>, Refusal> {
        Ok(SentEvent {
            client_order_id: self.fields.id("client_order_id")?.ok_or_else(|| missing("client_order_id"))?,
            symbol: self.symbol()?,
            result: self.fields.name("result", RESULTS)?.ok_or_else(|| missing("result"))?,
            order: self.fields.object("order")?,
        })
    }

    fn cancelled(&self) -> Result<Cancelled<'a>, Refusal> {
        if let Some(order) = self.fields.object("order")? {
            return Ok(Cancelled::Object(order));
        }
        if !self.fields.has("symbol") && !self.fields.has("order_id") {
            return Err(missing("order"));
        }
        let order_id = self.fields.id("order_id")?.ok_or_else(|| missing("order_id"))?;
        Ok(Cancelled::Named { symbol: self.symbol()?, order_id })
    }

    /// Whether the position is a long one; the direction of the order that opens it tells as well.
    fn is_long(&self) -> Result<Option<bool>, Refusal> {
        let way = self.fields.name("side", Way::NAMES)?;
        Ok(way.map(|way| way.order_side(false) == Side::Buy))
    }

    fn closed(&self) -> Result<ClosedTrade, Refusal> {
        Ok(ClosedTrade {
            symbol: self.symbol()?,
            direction: self.is_long()?.map(|long| if long { Direction::Long } else { Direction::Short }),
            reason: self.fields.name("reason", REASONS)?,
            engine: self.fields.id("engine")?,
            order_id: self.fields.id("order_id")?,
            time: self.fields.time("time")?,
        })
    }

    fn label(&self) -> Result<LabelEvent, Refusal> {
        let label = LabelEvent {
            symbol: self.symbol()?,
            order_id: self.fields.id("order_id")?,
            client_order_id: self.fields.id("client_order_id")?,
            engine: self.fields.id("engine")?,
            reason: self.fields.name("reason", REASONS)?,
        };
        if label.order_id.is_none() && label.client_order_id.is_none() {
            return Err(Refusal::field("order_id", "nothing names the order", "give order_id or client_order_id"));
        }
        if label.engine.is_none() && label.reason.is_none() {
            return Err(Refusal::field("engine", "there is nothing to label it with", "give engine or reason"));
        }
        Ok(label)
    }
}
