//! What an order is executed at, when, and how much of it.

use std::fmt;

use ledger_core::{Decimal, OrderClass, Price, Quantity};

/// How long a limit order rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum TimeInForce {
    /// Good till cancelled.
    #[default]
    Gtc,
    /// Immediate or cancel: what is not executed at once is cancelled.
    Ioc,
    /// Fill or kill: all of it at once, or nothing.
    Fok,
    /// Good till crossing (post only): rests, or is refused where it would be executed at once.
    Gtx,
}

impl TimeInForce {
    /// The name that exchanges use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gtc => "GTC",
            Self::Ioc => "IOC",
            Self::Fok => "FOK",
            Self::Gtx => "GTX",
        }
    }
}

impl fmt::Display for TimeInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which price is watched for a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum WorkingType {
    /// The contract's last price.
    #[default]
    ContractPrice,
    /// The mark price.
    MarkPrice,
}

/// What a conditional order waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// The price to be reached.
    pub price: Price,
    /// By which price.
    pub working_type: WorkingType,
}

impl From<Price> for Trigger {
    /// By the contract's last price.
    fn from(price: Price) -> Self {
        Self { price, working_type: WorkingType::ContractPrice }
    }
}

/// How much an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderSize {
    /// This much.
    Qty(Quantity),
    /// Whatever the position is when the order triggers.
    ClosePosition,
}

impl From<Quantity> for OrderSize {
    fn from(qty: Quantity) -> Self {
        Self::Qty(qty)
    }
}

/// What an order is executed at, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OrderKind {
    /// At once, at what the book offers.
    Market,
    /// At this price or better.
    Limit {
        /// The worst acceptable price.
        price: Price,
        /// How long it rests.
        time_in_force: TimeInForce,
    },
    /// A limit order once the price has moved against the position.
    Stop {
        /// What it waits for.
        trigger: Trigger,
        /// The worst acceptable price.
        price: Price,
        /// How long it rests once triggered.
        time_in_force: TimeInForce,
    },
    /// A market order once the price has moved against the position.
    StopMarket {
        /// What it waits for.
        trigger: Trigger,
    },
    /// A limit order once the price has moved in favour of the position.
    TakeProfit {
        /// What it waits for.
        trigger: Trigger,
        /// The worst acceptable price.
        price: Price,
        /// How long it rests once triggered.
        time_in_force: TimeInForce,
    },
    /// A market order once the price has moved in favour of the position.
    TakeProfitMarket {
        /// What it waits for.
        trigger: Trigger,
    },
    /// A market order once the price has turned back by a share of its best value.
    TrailingStopMarket {
        /// From which price on it trails; at once when absent.
        activation_price: Option<Price>,
        /// By how much the price has to turn back, in percent.
        callback_rate_percent: Decimal,
        /// By which price.
        working_type: WorkingType,
    },
}

impl OrderKind {
    /// A limit order that rests until it is cancelled.
    pub fn limit(price: Price) -> Self {
        Self::Limit { price, time_in_force: TimeInForce::Gtc }
    }

    /// Which id space the order will be in.
    pub fn class(&self) -> OrderClass {
        match self {
            Self::Market | Self::Limit { .. } => OrderClass::Regular,
            Self::Stop { .. }
            | Self::StopMarket { .. }
            | Self::TakeProfit { .. }
            | Self::TakeProfitMarket { .. }
            | Self::TrailingStopMarket { .. } => OrderClass::Conditional,
        }
    }

    /// The name that exchanges use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Market => "MARKET",
            Self::Limit { .. } => "LIMIT",
            Self::Stop { .. } => "STOP",
            Self::StopMarket { .. } => "STOP_MARKET",
            Self::TakeProfit { .. } => "TAKE_PROFIT",
            Self::TakeProfitMarket { .. } => "TAKE_PROFIT_MARKET",
            Self::TrailingStopMarket { .. } => "TRAILING_STOP_MARKET",
        }
    }
}
