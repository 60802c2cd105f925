//! Managing open positions: what is to be done about each, by the rules of the engine that opened it.
//!
//! [`decide`] is pure: it is given all that is known of a position, with the time from which each number is, and answers what is to be
//! done and what waits for what. The same is known, the same is decided, after a restart as before.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_edge_is_reached_at_it_and_behind_it`, for each rule, long and short.
//! 2. `what_is_unknown_or_old_opens_nothing_and_forbids_no_stop`.
//! 3. `nothing_is_ever_larger_than_the_position`, and nothing opens the reverse.
//! 4. `long_and_short_mirror_each_other`.
//! 5. `an_exit_goes_before_everything_else`.
//! 6. `a_stop_rests_where_the_rule_has_one`, and a position without one is told of as naked.

mod decide;
mod edge;
mod rules;
mod sight;
#[cfg(test)]
mod tests;

pub use self::decide::{Action, Decision, Wait, decide};
pub use self::edge::break_even;
pub use self::rules::{
    AddBasis, AddRule, Basis, Distance, Rules, RulesDraft, RulesFault, StopRule, TakeProfitRule, TrailingRule, Trigger,
    Unit,
};
pub use self::sight::{Extent, Grid, OrderState, OwnOrder, Plan, Priced, Role, Seen, Sight, Trail};
