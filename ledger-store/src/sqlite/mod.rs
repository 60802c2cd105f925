//! A book in a SQLite file.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_was_acknowledged_survives`: an answered commit is in the file, whatever happens to the process.
//! 2. `a_failed_batch_leaves_nothing`: facts, marks, cursors and coverage of a batch go together.
//! 3. `any_order_and_repetition_gives_the_same_book`.
//! 4. `a_rebuild_gives_the_same_derived_rows`.

mod account;
mod anchor;
mod as_folded;
mod by_number;
mod cancel;
mod checkpoint;
mod clearance;
mod codec;
mod commit;
mod connection;
mod copy;
mod demands;
mod derived;
mod discrepancy;
mod effects;
mod encoded;
mod engine;
mod fact_source;
mod fact_table;
mod facts;
mod failure;
mod fill;
mod fold_order;
mod fold_settings;
mod funding_rate;
mod held;
mod impls;
mod income;
mod instrument;
mod intent;
mod kickback;
mod lease;
mod ledger_fee;
mod list;
mod look;
mod look_up;
mod mark;
mod moment;
mod movements;
mod opener;
mod order;
mod order_info;
mod order_sums;
mod outbox;
mod placement;
mod position;
mod position_mode;
mod prepared;
mod private_file;
mod profit_asset;
mod proof;
mod quarantine;
mod refold;
mod repair;
mod replay;
mod round_trip;
#[cfg(any(test, feature = "contract"))]
mod rows;
mod run;
mod schema;
mod signal;
mod snapshot;
mod store;
mod sync;
mod timeline;
mod transaction;
mod unpriced_fee;
mod writer;

#[cfg(test)]
mod tests;

use ledger_core::AnyFact;

pub(crate) use connection::open_foreign;
pub(crate) use engine::BookConnection;
pub(crate) use failure::failed;
pub use store::{OpenOptions, SqliteStore, WriterMode};

/// The key of a fact as text, by which its payloads are found: see
/// [`FactReader::fact_sources`](crate::FactReader::fact_sources).
pub fn fact_key(fact: &AnyFact) -> String {
    encoded::fact_key_of(fact)
}
