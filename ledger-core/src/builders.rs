//! Short ways to make facts: what identifies one and what it cannot be without, then whatever else is known.
//!
//! ```
//! use ledger_core::{EventTime, Fill, FillId, FillKey, PositionSide, Side, Symbol, TimestampMs};
//!
//! let key = FillKey { symbol: Symbol::new("BTCUSDT")?, fill_id: FillId::new("101")?, side: Side::Buy };
//! let at = EventTime::ms(TimestampMs::new(1_767_225_600_000)?);
//! let fill = Fill::new(key, at, "60000".parse()?, "0.5".parse()?).in_position(PositionSide::Net);
//! assert_eq!(fill.fee, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::amount::{Decimal, Price, Quantity};
use crate::fill::{Fee, Fill, FillKey};
use crate::id::{ClientOrderId, EngineLabel, FillId, Label, OrderId, SignalId, Symbol};
use crate::income::{Income, IncomeKey};
use crate::order::{Cancel, Execution, Order, OrderKey, OrderTerms};
use crate::order_status::OrderStatus;
use crate::signal::{Signal, SignalKind};
use crate::source::{PositionSide, Side};
use crate::time::EventTime;

impl Fill {
    /// A fill of which nothing else is known.
    pub fn new(key: FillKey, time: EventTime, price: Price, qty: Quantity) -> Self {
        Self {
            key,
            order_id: None,
            time,
            price,
            qty,
            position_side: None,
            fee: None,
            maker: None,
            exchange_realized_pnl: None,
            sequence: None,
        }
    }

    /// With the order that it executed.
    #[must_use]
    pub fn of_order(mut self, order_id: OrderId) -> Self {
        self.order_id = Some(order_id);
        self
    }

    /// With the position that it changed.
    #[must_use]
    pub fn in_position(mut self, position_side: PositionSide) -> Self {
        self.position_side = Some(position_side);
        self
    }

    /// With its fee: positive = paid.
    #[must_use]
    pub fn with_fee(mut self, fee: Fee) -> Self {
        self.fee = Some(fee);
        self
    }

    /// With what the exchange reports as realized, without the fee.
    #[must_use]
    pub fn realizing(mut self, pnl: Decimal) -> Self {
        self.exchange_realized_pnl = Some(pnl);
        self
    }

    /// With the venue's per-symbol sequence number.
    #[must_use]
    pub fn with_sequence(mut self, sequence: i64) -> Self {
        self.sequence = Some(sequence);
        self
    }
}

impl Order {
    /// An order of which nothing else is known.
    pub fn new(key: OrderKey, side: Side, status: OrderStatus) -> Self {
        Self { status, ..Self::known_from_fill(key, side, None) }
    }

    /// With the position that it changes.
    #[must_use]
    pub fn in_position(mut self, position_side: PositionSide) -> Self {
        self.position_side = Some(position_side);
        self
    }

    /// With the id that its sender gave it.
    #[must_use]
    pub fn with_client_order_id(mut self, id: ClientOrderId) -> Self {
        self.client_order_id = Some(id);
        self
    }

    /// With the exchange's order type.
    #[must_use]
    pub fn of_type(mut self, order_type: Label) -> Self {
        self.order_type = Some(order_type);
        self
    }

    /// With what it asks for.
    #[must_use]
    pub fn with_terms(mut self, terms: OrderTerms) -> Self {
        self.terms = terms;
        self
    }

    /// With how far it has been executed.
    #[must_use]
    pub fn executed(mut self, qty: Decimal, avg_price: Option<Price>) -> Self {
        self.executed = Some(Execution::new(qty, avg_price));
        self
    }

    /// With when it was created and when it last changed.
    #[must_use]
    pub fn between(mut self, created: EventTime, updated: EventTime) -> Self {
        (self.created, self.updated) = (Some(created), Some(updated));
        self
    }

    /// With the strategy that sent it.
    #[must_use]
    pub fn by_engine(mut self, engine: EngineLabel) -> Self {
        self.engine = Some(engine);
        self
    }
}

impl Cancel {
    /// A cancel of which nothing else is known.
    pub fn new(key: OrderKey, time: EventTime) -> Self {
        Self { key, side: None, time, reason: None }
    }
}

impl Income {
    /// A ledger entry of which nothing else is known. `amount` is signed as the wallet saw it.
    pub fn new(key: IncomeKey, time: EventTime, amount: Decimal) -> Self {
        Self { key, amount, time, fill_id: None, info: None }
    }

    /// With the fill that it belongs to.
    #[must_use]
    pub fn of_fill(mut self, fill_id: FillId) -> Self {
        self.fill_id = Some(fill_id);
        self
    }
}

impl Signal {
    /// A decision of which nothing else is known.
    pub fn new(signal_id: SignalId, time: EventTime, symbol: Symbol, side: Side, kind: SignalKind) -> Self {
        Self {
            signal_id,
            time,
            skew_ms: None,
            symbol,
            side,
            kind,
            engine: None,
            reason: None,
            skipped: None,
            meta_json: None,
            restored: false,
        }
    }

    /// With the strategy.
    #[must_use]
    pub fn by_engine(mut self, engine: EngineLabel) -> Self {
        self.engine = Some(engine);
        self
    }
}
