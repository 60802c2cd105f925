//! What an order says of itself, held against itself.
//!
//! One rule for every file that states orders. Answers of the exchange's interfaces are not held to it: what they say is
//! the state of the order, however odd.

use thiserror::Error;

use crate::amount::Decimal;
use crate::order::Order;
use crate::order_status::OrderStatus;
use crate::time::TimestampMs;

/// Two quantities that differ by no more than this part of them are one: libraries pass quantities through doubles.
const PART_OF_A_DIFFERENCE: i64 = 1_000_000_000;

/// Why an order cannot be as it is stated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderContradiction {
    /// More executed than was ordered.
    #[error("{executed} were executed, but only {ordered} were ordered")]
    MoreThanOrdered {
        /// How much executed.
        executed: Decimal,
        /// How much was ordered.
        ordered: Decimal,
    },
    /// A status that the executed quantity contradicts.
    #[error("the status is {status}, but {executed} of {} were executed", ordered_in_words(.ordered.as_ref()))]
    Status {
        /// The status.
        status: OrderStatus,
        /// How much executed.
        executed: Decimal,
        /// How much was ordered, where the order says.
        ordered: Option<Decimal>,
    },
    /// An end by cancellation that nothing dates.
    #[error("the status is CANCELED, and nothing says when: neither when the order was made nor when it changed")]
    CancelUndated,
    /// A last change in front of the order itself.
    #[error("it changed last at {updated}, but was made at {created}")]
    ChangedBeforeMade {
        /// When it was made.
        created: TimestampMs,
        /// When it is said to have changed last.
        updated: TimestampMs,
    },
}

/// Times of one order that are closer than this may come from clocks, or were cut to the second.
const TIMES_APART_MS: i64 = 1_000;

fn ordered_in_words(ordered: Option<&Decimal>) -> String {
    ordered.map_or_else(|| "an unstated quantity".to_owned(), ToString::to_string)
}

impl Order {
    /// Why the order cannot be as it is stated, if its own figures contradict each other.
    ///
    /// No more executes than was ordered; of an order that is `FILLED` all executed, of one that is `PARTIALLY_FILLED` a part,
    /// and of one that is `NEW` or `REJECTED` nothing. What was cancelled or expired may have executed any part. An order that
    /// closes a whole position states no quantity, and is held only to whether anything executed.
    pub fn contradiction(&self) -> Option<OrderContradiction> {
        if self.status == OrderStatus::Canceled && self.known_since().is_none() {
            return Some(OrderContradiction::CancelUndated);
        }
        if let (Some(created), Some(updated)) = (self.created, self.updated)
            && updated.at.saturating_add_ms(TIMES_APART_MS) < created.at
        {
            return Some(OrderContradiction::ChangedBeforeMade { created: created.at, updated: updated.at });
        }
        let executed = self.executed.as_ref()?.qty;
        let ordered = self.terms.qty.map(crate::amount::Quantity::get);
        let is_all = ordered.is_none_or(|ordered| is_same(ordered, executed));
        if let Some(ordered) = ordered.filter(|ordered| executed > *ordered && !is_all) {
            return Some(OrderContradiction::MoreThanOrdered { executed, ordered });
        }
        let is_possible = match self.status {
            OrderStatus::New | OrderStatus::Rejected => executed.is_zero(),
            OrderStatus::PartiallyFilled => executed.is_positive() && !(ordered.is_some() && is_all),
            OrderStatus::Filled => executed.is_positive() && is_all,
            _ => true,
        };
        let status = self.status.clone();
        (!is_possible).then_some(OrderContradiction::Status { status, executed, ordered })
    }
}

fn is_same(one: Decimal, other: Decimal) -> bool {
    let apart = one.checked_sub(other).and_then(|difference| difference.abs().checked_mul(PART_OF_A_DIFFERENCE.into()));
    one == other || apart.is_ok_and(|apart| apart <= one.abs().max(other.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Execution;
    use crate::source::{Side, Source};
    use crate::testing::{dec, order, qty, time};

    fn told(status: &str, ordered: Option<&str>, executed: Option<&str>) -> Option<String> {
        let mut order = order("SOLUSDT", "1", Side::Buy, status.parse().unwrap()).between(time(0), time(0));
        order.terms.qty = ordered.map(qty);
        order.executed = executed.map(|executed| Execution::new(dec(executed), None));
        order.contradiction().map(|contradiction| contradiction.to_string())
    }

    #[test]
    fn an_order_that_its_own_figures_contradict_is_told_with_both() {
        for (status, ordered, executed, both) in [
            ("FILLED", Some("3"), "4", "4 were executed, but only 3 were ordered"),
            ("CANCELED", Some("3"), "3.001", "3.001 were executed, but only 3 were ordered"),
            ("FILLED", Some("3"), "0", "the status is FILLED, but 0 of 3 were executed"),
            ("FILLED", None, "0", "the status is FILLED, but 0 of an unstated quantity were executed"),
            ("FILLED", Some("3"), "1.5", "the status is FILLED, but 1.5 of 3 were executed"),
            ("NEW", Some("3"), "3", "the status is NEW, but 3 of 3 were executed"),
            ("NEW", None, "1", "the status is NEW, but 1 of an unstated quantity were executed"),
            ("PARTIALLY_FILLED", Some("3"), "0", "the status is PARTIALLY_FILLED, but 0 of 3 were executed"),
            ("PARTIALLY_FILLED", Some("3"), "3", "the status is PARTIALLY_FILLED, but 3 of 3 were executed"),
            ("REJECTED", Some("3"), "1", "the status is REJECTED, but 1 of 3 were executed"),
        ] {
            let found = told(status, ordered, Some(executed)).unwrap_or_default();
            assert!(found.contains(both), "{status} {ordered:?} {executed}: {found}");
        }
    }

    #[test]
    fn what_an_exchange_really_says_of_an_order_is_no_contradiction() {
        for (status, ordered, executed) in [
            ("FILLED", Some("3"), Some("3")),
            // A double of 0.3, and a close of the whole position, which states no quantity.
            ("FILLED", Some("0.3"), Some("0.30000000000000004")),
            ("FILLED", None, Some("2")),
            ("FILLED", Some("3"), None),
            ("NEW", Some("3"), Some("0")),
            ("NEW", Some("3"), None),
            ("PARTIALLY_FILLED", Some("3"), Some("1")),
            ("PARTIALLY_FILLED", None, Some("1")),
            ("CANCELED", Some("3"), Some("0")),
            ("CANCELED", Some("3"), Some("3")),
            ("EXPIRED", Some("3"), Some("1")),
            ("EXPIRED_IN_MATCH", Some("3"), Some("1")),
            ("FINISHED", Some("3"), Some("0")),
            ("TRIGGERED", Some("3"), Some("0")),
            ("NEW_INSURANCE", Some("3"), Some("1")),
            ("UNKNOWN", Some("3"), Some("1")),
        ] {
            assert_eq!(told(status, ordered, executed), None, "{status} {ordered:?} {executed:?}");
        }
    }

    #[test]
    fn an_order_changes_after_it_is_made() {
        let order = |updated| order("SOLUSDT", "1", Side::Buy, OrderStatus::New).between(time(5_000), time(updated));
        let before = OrderContradiction::ChangedBeforeMade { created: time(5_000).at, updated: time(3_999).at };
        assert_eq!(order(3_999).contradiction(), Some(before));
        assert_eq!([4_000, 5_000, 9_000].map(|ms| order(ms).contradiction()), [None, None, None]);
    }

    #[test]
    fn a_cancel_needs_a_time() {
        let canceled = order("SOLUSDT", "1", Side::Buy, OrderStatus::Canceled);
        assert_eq!(canceled.contradiction(), Some(OrderContradiction::CancelUndated));
        let mut dated = canceled.clone();
        dated.terms.as_of = Some(crate::testing::at(5));
        assert_eq!(dated.contradiction(), None);
        assert_eq!(dated.cancel(Source::Rest).unwrap().0.time, time(5));
        assert_eq!(Order { status: OrderStatus::Filled, ..canceled }.contradiction(), None);
    }
}
