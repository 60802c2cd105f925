//! What an account's facts demand of the exchange's ledger, and what of that the book lacks.
//!
//! A ledger that is incomplete looks like one that is complete. But trades demand rows, and so do positions that are held
//! when funding is paid: what they demand and the ledger lacks was lost, on the way or in the book.
//!
//! Nothing is demanded beyond what is certain. Of what the ledger was never asked for nothing can be missing; a position
//! that is not known, or that changed around the instant, leaves open what was paid; and rates are the exchange's own, for
//! their intervals change.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_trade_demands_what_it_states`.
//! 2. `both_halves_of_a_trade_with_oneself_count_together`.
//! 3. `rows_that_name_no_trade_stand_for_trades_by_time_or_sum`.
//! 4. `nothing_is_demanded_of_time_that_was_not_read`.
//! 5. `a_position_that_was_held_demands_its_funding`.
//! 6. `a_position_that_changed_leaves_open_what_was_paid`.
//! 7. `a_hedge_is_paid_in_one_row_or_two`.
//! 8. `what_was_held_is_known_once_the_beginning_is`.
//! 9. `what_the_exchange_states_proves_what_was_held`.

mod covered;
mod funding;
mod held;
mod trade;

pub use self::covered::{CoveredTime, Unread};
pub use self::funding::{FundingCase, FundingDoubt, FundingVerdict};
pub use self::held::{AROUND_MS, HeldAround, HeldLeg, HeldTracker};
pub use self::trade::{DemandedRow, ROW_LAG_MS, Unnamed, demanded_rows, is_in_place_of, lacking_rows, without_unnamed};

#[cfg(test)]
mod tests;
