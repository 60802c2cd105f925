//! Fills: the primary fact. Everything else about money is recomputed from them.

use crate::amount::{Decimal, Price, Quantity};
use crate::id::{Asset, FillId, OrderId, Symbol};
use crate::merge::{Fact, Joiner};
use crate::source::{PositionSide, Side};
use crate::time::EventTime;

/// What identifies a fill within an account. The side belongs to it because both sides of a self-trade share one id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FillKey {
    /// The contract.
    pub symbol: Symbol,
    /// The exchange's trade id, unique per symbol.
    pub fill_id: FillId,
    /// The direction of this account's part.
    pub side: Side,
}

/// A trading fee: positive = paid, negative = rebate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fee {
    /// What was charged; negative when the exchange paid a rebate.
    pub amount: Decimal,
    /// In which asset, which need not be the one that profit is paid in.
    pub asset: Asset,
}

/// One execution of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fill {
    /// Symbol, trade id and side.
    pub key: FillKey,
    /// The order that was executed, where known.
    pub order_id: Option<OrderId>,
    /// When, by the exchange's clock.
    pub time: EventTime,
    /// The price per unit.
    pub price: Price,
    /// The executed quantity, unsigned.
    pub qty: Quantity,
    /// The position it changed; absent in exports that do not say.
    pub position_side: Option<PositionSide>,
    /// The fee, where known.
    pub fee: Option<Fee>,
    /// Whether the order was resting in the book.
    pub maker: Option<bool>,
    /// What the exchange says this fill realized, without the fee; 0 for an opening fill.
    pub exchange_realized_pnl: Option<Decimal>,
    /// The venue's per-symbol sequence number, where it has one. It orders fills better than their time does.
    pub sequence: Option<i64>,
}

impl Fill {
    /// Positive for a buy, negative for a sell.
    pub fn signed_qty(&self) -> Decimal {
        match self.key.side {
            Side::Buy => self.qty.get(),
            Side::Sell => -self.qty.get(),
        }
    }

    /// The place of this fill among those of its symbol.
    #[inline]
    pub fn fold_key(&self) -> FoldKey {
        FoldKey {
            sequence: self.sequence,
            at_ms: self.time.at.as_ms(),
            fill_id: self.key.fill_id.clone(),
            side: self.key.side,
        }
    }
}

/// The order in which fills of a symbol are folded: by the venue's sequence where it has one, else by time, id and
/// side. Never by time first: exports know only the second, and several fills share a millisecond.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FoldKey {
    /// The venue's sequence number.
    pub sequence: Option<i64>,
    /// The time in milliseconds.
    pub at_ms: i64,
    /// The trade id.
    pub fill_id: FillId,
    /// The side, which separates the halves of a self-trade.
    pub side: Side,
}

impl FoldKey {
    /// Takes the place of `fill`.
    #[inline]
    pub(crate) fn advance(&mut self, fill: &Fill) {
        (self.sequence, self.at_ms, self.side) = (fill.sequence, fill.time.at.as_ms(), fill.key.side);
        self.fill_id = fill.key.fill_id.clone();
    }

    /// Whether `fill` has a place, and it is behind this one.
    #[inline]
    pub(crate) fn comes_before(&self, fill: &Fill) -> bool {
        match (self.sequence, fill.sequence) {
            (Some(here), Some(there)) if here != there => here < there,
            (Some(_), Some(_)) | (None, None) => *self < fill.fold_key(),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Fact for Fill {
    type Key = FillKey;

    fn key(&self) -> FillKey {
        self.key.clone()
    }

    fn join(&self, other: &Self, j: &mut Joiner<'_>) -> Self {
        Self {
            key: self.key.clone(),
            order_id: j.optional("order_id", self.order_id.as_ref(), other.order_id.as_ref()),
            time: j.time("ts", Some(&self.time), Some(&other.time)).unwrap_or(self.time),
            price: j.required("price", &self.price, &other.price),
            qty: j.required("qty", &self.qty, &other.qty),
            position_side: j.optional("position_side", self.position_side.as_ref(), other.position_side.as_ref()),
            fee: j.optional("fee", self.fee.as_ref(), other.fee.as_ref()),
            maker: j.optional("maker", self.maker.as_ref(), other.maker.as_ref()),
            exchange_realized_pnl: j.amount(
                "exchange_realized_pnl",
                self.exchange_realized_pnl.as_ref(),
                other.exchange_realized_pnl.as_ref(),
            ),
            sequence: j.optional("sequence", self.sequence.as_ref(), other.sequence.as_ref()),
        }
    }
}
