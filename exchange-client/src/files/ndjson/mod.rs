//! fillbook's own format: one fact a line as a JSON object, for exports, and for whatever feeds a book from elsewhere.
//!
//! Every line has `schema`, which names the kind of fact and the version of its layout, and `source`, who stated it
//! ([`ledger_core::Source`]). Decimals and ids are strings, so that no reader turns them into floats; times are integer
//! milliseconds since 1970, UTC; a `..._precision` of `s` says that only the second is known. What is not known is left
//! out. Readers ignore fields that they do not know.
//!
//! | `schema` | always | if known |
//! |---|---|---|
//! | `fillbook.fill/1` | `symbol` `fill_id` `side` `ts` `price` `qty` | `order_id` `ts_precision` `position_side` `fee` `fee_asset` `maker` `exchange_realized_pnl` `sequence` |
//! | `fillbook.order/1` | `symbol` `order_class` `order_id` `side` `status` | `client_order_id` `position_side` `order_type` `time_in_force` `qty` `price` `trigger_price` `terms_ts` `executed_qty` `avg_price` `reduce_only` `close_position` `ts` `ts_precision` `updated_ts` `updated_ts_precision` `triggered_order_id` `origin` `condition` `engine` `signal_id` `exit_reason` |
//! | `fillbook.cancel/1` | `symbol` `order_class` `order_id` `ts` | `ts_precision` `side` `reason` |
//! | `fillbook.income/1` | `income_type` `tran_id` `asset` `amount` `ts` | `symbol` `ts_precision` `fill_id` `info` |
//! | `fillbook.signal/1` | `signal_id` `ts` `symbol` `side` `kind` | `ts_precision` `skew_ms` `engine` `reason` `skipped` `meta_json` `restored` |
//! | `fillbook.intent/1` | `client_order_id` `symbol` `order_class` `side` `role` `dca_step` `attempt` `order_type` `reduce_only` `created_local_ms` `outcome` | `position_side` `qty` `price` `trigger_price` `signal_id` `engine` |
//! | `fillbook.instrument/1` | `symbol` `kind` `multiplier` `settle_asset` | `tick_size` `step_size` `liquidation_fee` `terms_ts` |
//! | `fillbook.position/1` | `symbol` `position_side` `ts` `qty` | `entry_price` |
//! | `fillbook.balance/1` | `asset` `ts` `wallet` | |
//! | `fillbook.price/1` | `symbol` `kind` `ts` `price` | |
//! | `fillbook.funding_rate/1` | `symbol` `ts` `rate` | `mark_price` |
//! | `fillbook.anchor/1` | `symbol` `position_side` `ts` `qty` `derivation` | `entry_price` `known_until` `known_fills` `withdrawn` |
//! | `fillbook.position_mode/1` | `ts` `mode` | |
//!
//! A `fee` is positive when paid and negative when it is a rebate, and comes with its `fee_asset`. `executed_qty` comes
//! with `avg_price` or without, never the other way round. An order's `origin` (who sent it) and `condition` (what it waits
//! for) are taken as they stand; where a line leaves them out, they follow from its client order id and its type.

mod line;
mod read;
mod write;

use std::io::{self, Write};
use std::sync::Arc;

use ledger_core::{FactKind, Source, Statement};

use super::cell::Cell;
use super::error::{RowError, RowProblem};
use super::json::row_error;

/// How the `schema` of every line begins.
pub const SCHEMA_PREFIX: &str = "fillbook.";

/// The `schema` of lines with facts of a kind.
pub fn schema(kind: FactKind) -> String {
    format!("{SCHEMA_PREFIX}{kind}/1")
}

/// Writes a statement as one line, its line end included. Its payload is not written: it belongs to whoever said so in
/// the first place.
///
/// # Errors
/// When writing fails.
pub fn write_line(out: &mut impl Write, statement: &Statement) -> io::Result<()> {
    write::write(out, statement)?;
    out.write_all(b"\n")
}

/// Reads a line that [`write_line`] wrote, or that follows the layout described above. The line becomes the
/// statement's payload.
///
/// # Errors
/// [`RowError`] with the field at fault.
pub fn parse_line(text: &str) -> Result<Statement, RowError> {
    let head: line::Head = serde_json::from_str(text).map_err(row_error)?;
    let schema_cell = Cell::new("schema", &head.schema);
    let kind = FactKind::ALL.iter().find(|kind| schema(**kind) == head.schema).copied().ok_or_else(|| {
        let known = FactKind::ALL.iter().map(|kind| schema(*kind)).collect::<Vec<_>>().join(", ");
        schema_cell.error(RowProblem::Schema { known })
    })?;
    let source: Source = read::name(Cell::new("source", &head.source))?;
    let fact = read::fact(kind, text)?;
    Ok(Statement { fact, source, payload: Some(Arc::from(text)) })
}
