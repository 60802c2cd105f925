//! What every book must do, whatever it is kept in: a suite of cases against the traits.
//!
//! A backend runs it in its own tests, where `open` makes an empty book each time:
//!
//! ```ignore
//! ledger_store::contract_tests!(open);
//!
//! fn open() -> ledger_store::contract::Book {
//!     ledger_store::contract::Book::new(MyStore::default(), ())
//! }
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::missing_panics_doc,
    reason = "these are tests: a failed step is a failed case"
)]

mod concluded;
mod convergence;
mod demands;
mod derived;
mod dump;
mod facts;
mod fixtures;
mod history;
mod journal;
mod leases;
mod ledger_places;
mod looks;
mod movements;
mod order_fees;
mod outbox;
mod outside;
mod pages;
mod proofs;
mod snapshots;
mod stories;
mod told_elsewhere;
mod told_without_id;
mod transactions;

use std::any::Any;
use std::sync::Arc;

use crate::store::Store;

pub use concluded::*;
pub use convergence::*;
pub use demands::*;
pub use derived::*;
pub use dump::{dump, oracle};
pub use facts::*;
pub use fixtures::*;
pub use history::History;
pub use journal::*;
pub use leases::*;
pub use ledger_places::*;
pub use looks::*;
pub use movements::*;
pub use order_fees::*;
pub use outbox::*;
pub use outside::*;
pub use pages::*;
pub use proofs::*;
pub use snapshots::*;
pub use stories::*;
pub use told_elsewhere::*;
pub use told_without_id::*;
pub use transactions::*;

/// An empty book, with whatever must live as long as it.
pub struct Book {
    /// The book.
    pub store: Arc<dyn Store>,
    _guard: Box<dyn Any + Send + Sync>,
}

impl Book {
    /// A book, and a guard that is dropped after it: a temporary directory, for example.
    pub fn new(store: impl Store + 'static, guard: impl Any + Send + Sync) -> Self {
        Self { store: Arc::new(store), _guard: Box::new(guard) }
    }
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").finish_non_exhaustive()
    }
}

/// Makes an empty book.
pub type Open<'a> = &'a (dyn Fn() -> Book + Send + Sync);

/// Makes one test of every case of the suite. The argument is a function that opens an empty
/// [`Book`](crate::contract::Book).
#[macro_export]
macro_rules! contract_tests {
    ($open:expr) => {
        $crate::contract_tests!(@each $open;
            every_fact_comes_back_as_it_went_in,
            recording_again_changes_nothing,
            a_finer_statement_refines_a_coarser_one,
            a_conflict_is_recorded_once_with_both_values,
            a_conflict_that_is_settled_is_closed,
            the_last_word_on_an_order_is_kept,
            terms_of_a_contract_have_versions,
            statements_under_one_key_in_one_batch_are_merged,
            payloads_are_kept_verbatim_and_once,
            an_unknown_account_is_refused,
            accounts_do_not_mix,
            what_is_concluded_and_contradicted_is_listed,
            openers_without_a_signal_are_listed,
            a_worked_example_comes_out_to_the_last_digit,
            a_reported_profit_that_does_not_fit_is_listed,
            fills_without_position_side_are_kept_out_and_counted,
            a_fill_that_nothing_places_leaves_nothing_known,
            fills_with_and_without_a_sequence_are_not_folded,
            a_position_mode_places_what_orders_executed,
            what_an_order_executed_beyond_its_fills_is_estimated,
            a_stated_fee_is_an_estimate_until_the_fills_are_there,
            a_stated_fee_counts_beside_what_the_ledger_decides,
            a_conflict_about_a_stated_fee_ends_with_its_fills,
            what_an_order_tells_reaches_its_round_trips,
            a_row_without_an_id_is_the_one_with_it,
            a_fill_takes_its_position_from_its_order,
            a_fill_is_placed_where_the_mode_is_proven,
            sides_in_dispute_place_fills_as_a_rebuild_does,
            a_word_that_facts_contradict_is_a_discrepancy,
            the_ledger_decides_the_sign_of_a_fee,
            labels_come_through_what_an_order_was,
            the_story_of_an_order_is_the_same_in_every_order,
            an_order_that_ended_cancelled_is_a_cancel,
            a_symbol_that_cannot_be_folded_stops_no_other,
            a_contract_that_comes_late_heals_its_symbol,
            deferred_refolds_stay_marked_until_done,
            positions_are_compared_with_what_the_exchange_says,
            funding_and_anchors_take_their_place,
            a_withdrawn_anchor_does_not_count,
            any_order_and_repetition_gives_the_same_book,
            the_book_is_that_of_a_fold_in_memory,
            a_late_fill_changes_what_it_must,
            round_trips_keep_their_names,
            single_amounts_add_up_to_the_totals,
            fills_without_their_ledger_rows_are_listed,
            unpaid_funding_instants_are_listed,
            what_was_held_is_told_around_instants,
            what_the_exchange_states_of_a_position_is_told_around_instants,
            a_liquidation_costs_its_round_trip_whenever_it_is_told,
            the_insurance_fund_pays_for_one_contract_only,
            funding_around_an_opening_is_of_what_was_opened,
            a_settlement_ends_what_no_fill_closed,
            what_comes_back_of_a_fee_lowers_the_fees_of_its_fill,
            what_comes_back_of_a_trade_with_oneself_counts_once,
            profit_is_in_the_asset_that_the_ledger_says,
            a_rebuild_gives_the_same_derived_rows,
            every_list_gives_every_item_once,
            lists_can_be_narrowed,
            the_types_of_ledger_rows_are_named_once,
            a_cursor_of_another_list_is_refused,
            an_account_is_bound_to_one_identity,
            facts_of_another_owner_are_refused,
            runs_and_repairs_are_journaled,
            a_run_that_a_later_one_outlives_was_interrupted,
            a_discrepancy_is_recorded_once,
            a_repair_is_written_with_its_facts_or_not_at_all,
            an_acknowledged_discrepancy_stays_so_while_it_is_the_same,
            the_journal_can_be_narrowed,
            cursors_and_coverage_are_kept,
            what_is_confirmed_has_a_proof,
            proofs_add_up,
            what_is_reopened_is_covered_no_more,
            a_look_replaces_the_one_before,
            a_narrowed_look_says_only_what_it_left_aside,
            looks_are_neither_facts_nor_runs,
            funding_rates_are_kept_by_instant,
            a_late_rate_makes_its_contract_out_of_date,
            a_price_of_another_kind_is_no_mark_price,
            fees_in_other_assets_wait_for_a_price,
            what_a_contract_needs_of_funding_rates_is_told,
            a_snapshot_is_one_moment,
            a_transaction_is_all_or_nothing,
            an_account_is_watched_by_one,
            whoever_lost_a_lease_writes_nothing,
            a_message_is_made_once_with_how_far_the_telling_came,
            a_message_waits_until_it_is_sent_or_given_up,
            fills_are_told_as_the_book_learned_of_them,
        );
    };
    (@each $open:expr; $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::contract::$case(&$open).await;
            }
        )+
    };
}
