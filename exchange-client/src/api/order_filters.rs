//! What an order must fulfil to be taken.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_market_order_keeps_to_the_stricter_of_two_rules`.

use ledger_core::{Decimal, Symbol};

/// What orders of a contract must fulfil, as the exchange lists it. A rule that it does not list is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFilters {
    /// The contract.
    pub symbol: Symbol,
    /// Whether it can be traded at present.
    pub is_trading: bool,
    /// The smallest step of a price.
    pub tick_size: Option<Decimal>,
    /// The quantity of a limit order.
    pub limit_qty: QtyFilter,
    /// The quantity of a market order.
    pub market_qty: QtyFilter,
    /// The smallest value (price x quantity, in the quote asset) of an order that may open something.
    pub notional_min: Option<Decimal>,
}

/// What quantities are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QtyFilter {
    /// The smallest step.
    pub step: Option<Decimal>,
    /// The smallest quantity.
    pub min: Option<Decimal>,
    /// The largest quantity.
    pub max: Option<Decimal>,
}

impl QtyFilter {
    /// What both rules allow. Of two steps the larger one stands: exchanges choose them so that one is a multiple of the
    /// other.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let either = |left: Option<Decimal>, right: Option<Decimal>, choose: fn(Decimal, Decimal) -> Decimal| {
            left.zip(right).map(|(left, right)| choose(left, right)).or(left).or(right)
        };
        Self {
            step: either(self.step, other.step, Ord::max),
            min: either(self.min, other.min, Ord::max),
            max: either(self.max, other.max, Ord::min),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_order_keeps_to_the_stricter_of_two_rules() {
        let filter = |step: &str, min: &str, max: Option<&str>| QtyFilter {
            step: Some(step.parse().unwrap()),
            min: Some(min.parse().unwrap()),
            max: max.map(|max| max.parse().unwrap()),
        };
        let (limit, market) = (filter("0.001", "0.01", Some("1000")), filter("0.1", "0.001", Some("120")));
        let both = filter("0.1", "0.01", Some("120"));
        assert_eq!((market.and(&limit), limit.and(&market)), (both, both));
        assert_eq!(QtyFilter::default().and(&limit), limit);
        assert_eq!(filter("1", "1", None).and(&limit), filter("1", "1", Some("1000")));
    }
}
