//! All facts of the file, whatever their kind.

use diesel::sqlite::SqliteConnection;
use ledger_core::{
    Anchor, BalanceSnapshot, Cancel, Fill, FundingRate, Income, Instrument, Order, OrderIntent, PositionModeSnapshot,
    PositionSnapshot, PriceSnapshot, Signal,
};

use super::fact_table::{FactTable, ROWS_MAX};
use super::failure::failed;
use crate::error::{StoreError, UnreadableRow};
use crate::store::StoreResult;

/// How many are named: where more are damaged, more of them say no more.
const NAMED_MAX: usize = 100;

/// The rows of facts that cannot be read.
pub(super) fn unreadable(conn: &mut SqliteConnection) -> StoreResult<Vec<UnreadableRow>> {
    let mut found = Vec::new();
    unreadable_of::<Instrument>(conn, &mut found)?;
    unreadable_of::<Signal>(conn, &mut found)?;
    unreadable_of::<OrderIntent>(conn, &mut found)?;
    unreadable_of::<Order>(conn, &mut found)?;
    unreadable_of::<Fill>(conn, &mut found)?;
    unreadable_of::<Cancel>(conn, &mut found)?;
    unreadable_of::<Income>(conn, &mut found)?;
    unreadable_of::<PositionSnapshot>(conn, &mut found)?;
    unreadable_of::<BalanceSnapshot>(conn, &mut found)?;
    unreadable_of::<PriceSnapshot>(conn, &mut found)?;
    unreadable_of::<FundingRate>(conn, &mut found)?;
    unreadable_of::<Anchor>(conn, &mut found)?;
    unreadable_of::<PositionModeSnapshot>(conn, &mut found)?;
    Ok(found)
}

fn unreadable_of<F: FactTable>(conn: &mut SqliteConnection, found: &mut Vec<UnreadableRow>) -> StoreResult<()> {
    let limit = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
    let mut after = i64::MIN;
    while found.len() < NAMED_MAX {
        let rows = F::rows_after(conn, after, limit).map_err(failed("read all facts"))?;
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        for (_, row) in &rows {
            match F::decode(row) {
                Ok(_) => {}
                Err(StoreError::CorruptRow { row }) => found.push(row),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
