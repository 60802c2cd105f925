//! What is known of a position when something is decided about it.

use std::collections::BTreeSet;

use ledger_core::{ClientOrderId, Decimal, Direction, Price, TimestampMs};

use super::rules::Rules;

/// A position that is looked after, from its first fill on. All of it is derived from the book, so it is the same after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which way it is held.
    pub direction: Direction,
    /// When its first fill executed, by the exchange's clock. The time limit counts from here.
    pub began_at: TimestampMs,
    /// The leverage at the opening, where it is known.
    pub leverage: Option<Decimal>,
    /// The largest quantity that it had, in the contract's units. The shares of partial exits are shares of this.
    pub qty_max: Decimal,
    /// The take-profits, by their place among the rules from 0 on, of which something was executed.
    pub taken: BTreeSet<usize>,
    /// How many additions were executed, at least in part. Attempts do not count.
    pub steps: u32,
    /// What all its entries cost, with fees, and with those that rest or are undecided at their full size, in the asset that the contract is quoted
    /// in; `None` where that is not known.
    pub cost: Option<Decimal>,
    /// The average price of the last own entry or addition.
    pub last_entry: Option<Price>,
    /// How a trailing stop stands, once it is armed.
    pub trail: Option<Trail>,
}

/// An armed trailing stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trail {
    /// When it was armed.
    pub armed_at: TimestampMs,
    /// The best price for the position since.
    pub peak: Price,
}

/// A price, and from when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    /// The price.
    pub price: Price,
    /// From when, by the exchange's clock.
    pub at: TimestampMs,
}

/// What the exchange says of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How much is held in the plan's direction, in the contract's units; 0 where nothing is, or only the reverse.
    pub qty: Decimal,
    /// The exchange's average entry.
    pub entry: Option<Price>,
    /// At which price closing it leaves neither profit nor loss; see [`break_even`](super::break_even).
    pub break_even: Option<Price>,
    /// From when the answer is, by the exchange's clock: an answer to a question, or of a stream that is confirmed.
    pub at: TimestampMs,
}

/// What an own order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The resting stop.
    Stop,
    /// A resting or sent take-profit, by its place among the rules.
    TakeProfit(usize),
    /// An attempt to close everything.
    Exit,
    /// An addition, by its step from 1 on.
    Add(u32),
}

/// How an own order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// It rests at the exchange.
    Working,
    /// It was sent, and nobody knows what became of it.
    Undecided,
}

/// How much an order closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Whatever is held when it executes.
    Whole,
    /// This much, in the contract's units.
    Qty(Decimal),
}

/// An order of the plan that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnOrder {
    /// Its id.
    pub client_order_id: ClientOrderId,
    /// What it is for.
    pub role: Role,
    /// How it stands.
    pub state: OrderState,
    /// The price that it waits for, where it waits for one.
    pub trigger: Option<Price>,
    /// How much it closes or adds.
    pub extent: Extent,
}

/// The steps of a contract's orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The smallest step of prices.
    pub tick: Option<Decimal>,
    /// The smallest step of the quantities of market orders.
    pub step: Option<Decimal>,
    /// The smallest quantity of a market order.
    pub qty_min: Option<Decimal>,
    /// The smallest value of an order that is not reduce-only.
    pub notional_min: Option<Decimal>,
}

/// All that is known when something is decided about a position.
#[derive(Debug, Clone)]
pub struct Sight<'a> {
    /// Now, by the exchange's clock.
    pub now: TimestampMs,
    /// The plan.
    pub plan: &'a Plan,
    /// The rules of its engine.
    pub rules: &'a Rules,
    /// What the exchange said of the position last; `None` where it never did.
    pub exchange: Option<Seen>,
    /// How much the fills on record make, in the plan's direction.
    pub book_qty: Decimal,
    /// Since when book and exchange differ; `None` where they agree.
    pub differs_since: Option<TimestampMs>,
    /// A part of the position is known to be somebody else's.
    pub is_shared: bool,
    /// The plan's orders that are not over.
    pub orders: &'a [OwnOrder],
    /// The mark price, as heard last.
    pub mark: Option<Priced>,
    /// The price of the last trade, as heard last.
    pub last: Option<Priced>,
    /// Why nothing may be opened now; `None` where everything agrees.
    pub held_back: Option<&'a str>,
    /// Somebody asked for the position to be closed.
    pub close_asked: bool,
    /// The contract's steps.
    pub grid: Grid,
}
