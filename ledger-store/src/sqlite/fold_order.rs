//! Fills of a symbol, page by page, in the order in which they are folded.
//!
//! A fold reads nothing but its fills, so a row of theirs is parsed where it lies: column by column, without a copy of a
//! column's text or of the row in between.

use std::fmt::Display;
use std::str::FromStr;

use diesel::connection::DefaultLoadingMode;
use diesel::deserialize::FromSqlRow;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::row::{Field as _, Row};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteValue};
use ledger_core::{
    AccountId, Decimal, EventTime, Fee, Fill, FillId, FillKey, FoldKey, OrderId, PositionSide, Price, Quantity, Side,
    Sourced, Symbol, TimestampMs,
};

use super::fact_table::FactTable;
use super::failure::failed;
use super::fill::FillRow;
use super::prepared::PrepareOnce as _;
use super::schema::fills;
use crate::error::{StoreError, UnreadableRow};
use crate::store::StoreResult;

/// Few enough that a page stays in the processor's cache between being read and being folded.
const PAGE_ROWS: i64 = 1_024;

/// What a fold needs to know of a fill: all but the symbol, which is the same for all of them.
struct FoldRow {
    fill_id: FillId,
    side: Side,
    order_id: Option<OrderId>,
    at: TimestampMs,
    price: Price,
    qty: Quantity,
    position_side: Option<PositionSide>,
    fee: Option<Fee>,
    exchange_realized_pnl: Option<Decimal>,
    sequence: Option<i64>,
}

/// The columns of a [`FoldRow`], in its order.
type Columns = (
    fills::fill_id,
    fills::side,
    fills::order_id,
    fills::ts,
    fills::price,
    fills::qty,
    fills::position_side,
    fills::fee,
    fills::fee_asset,
    fills::exchange_realized_pnl,
    fills::sequence,
);
type ColumnTypes = (
    Text,
    Text,
    Nullable<Text>,
    BigInt,
    Text,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<BigInt>,
);

/// A column that does not hold what it should. The row's key is added by who knows it.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct BadColumn {
    fill_id: String,
    column: &'static str,
    reason: String,
}

/// One row, as its columns are asked for.
struct Cells<'r, R>(&'r R);

impl<'a, R: Row<'a, Sqlite>> Cells<'_, R> {
    fn value(&self, index: usize, take: impl FnOnce(SqliteValue<'_, '_, '_>)) {
        if let Some(field) = self.0.get(index)
            && let Some(value) = field.value()
        {
            take(value);
        }
    }

    fn number(&self, index: usize) -> Option<i64> {
        let mut number = None;
        self.value(index, |mut value| number = Some(value.read_long()));
        number
    }

    fn text<T>(&self, index: usize, column: &'static str) -> Result<Option<T>, BadColumn>
    where
        T: FromStr,
        T::Err: Display,
    {
        let mut parsed = None;
        self.value(index, |mut value| parsed = Some(value.read_text().parse::<T>()));
        parsed.transpose().map_err(|error| self.bad(column, &error))
    }

    fn required<T>(&self, index: usize, column: &'static str) -> Result<T, BadColumn>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text(index, column)?.ok_or_else(|| self.bad(column, &"there is none"))
    }

    #[cold]
    fn bad(&self, column: &'static str, reason: &dyn Display) -> BadColumn {
        let mut fill_id = String::new();
        self.value(0, |mut value| value.read_text().clone_into(&mut fill_id));
        BadColumn { fill_id, column, reason: reason.to_string() }
    }
}

impl FromSqlRow<ColumnTypes, Sqlite> for FoldRow {
    fn build_from_row<'a>(row: &impl Row<'a, Sqlite>) -> diesel::deserialize::Result<Self> {
        let cells = Cells(row);
        let at = TimestampMs::new(cells.number(3).unwrap_or_default()).map_err(|error| cells.bad("ts", &error))?;
        let fee = match (cells.text(7, "fee")?, cells.text(8, "fee_asset")?) {
            (Some(amount), Some(asset)) => Some(Fee { amount, asset }),
            _ => None,
        };
        Ok(Self {
            fill_id: cells.required(0, "fill_id")?,
            side: cells.required(1, "side")?,
            order_id: cells.text(2, "order_id")?,
            at,
            price: cells.required(4, "price")?,
            qty: cells.required(5, "qty")?,
            position_side: cells.text(6, "position_side")?,
            fee,
            exchange_realized_pnl: cells.text(9, "exchange_realized_pnl")?,
            sequence: cells.number(10),
        })
    }
}

impl FoldRow {
    fn into_fill(self, symbol: &Symbol) -> Fill {
        Fill {
            key: FillKey { symbol: symbol.clone(), fill_id: self.fill_id, side: self.side },
            order_id: self.order_id,
            time: EventTime::ms(self.at),
            price: self.price,
            qty: self.qty,
            position_side: self.position_side,
            fee: self.fee,
            maker: None,
            exchange_realized_pnl: self.exchange_realized_pnl,
            sequence: self.sequence,
        }
    }
}

/// A failure to read a row, told as what is wrong in the file where it is that.
fn unreadable(account: &AccountId, symbol: &Symbol, error: Error) -> StoreError {
    if let Error::DeserializationError(inner) = &error
        && let Some(bad) = inner.downcast_ref::<BadColumn>()
    {
        let (key, reason) = (format!("{account}/{symbol}/{}", bad.fill_id), bad.reason.clone());
        return StoreError::CorruptRow { row: UnreadableRow { table: "fills", key, column: bad.column, reason } };
    }
    failed("read fills")(error)
}

/// Rows of fills in fold order. Fills without a sequence come first: a row
/// comparison with NULL is never true, so the two kinds are read one after the other.
macro_rules! rows_in_fold_order {
    ($row:ty, $columns:expr, $conn:expr, $account:expr, $symbol:expr, $after:expr, $limit:expr, $decode:expr) => {{
        let after: Option<&FoldKey> = $after;
        let is_sequenced = after.is_some_and(|key| key.sequence.is_some());
        let mut rows = Vec::new();
        for (sequenced, after) in [(false, after.filter(|_| !is_sequenced)), (true, after.filter(|_| is_sequenced))] {
            if !rows.is_empty() || (is_sequenced && !sequenced) {
                continue;
            }
            let mut query = fills::table
                .filter(fills::account_id.eq($account.as_str()))
                .filter(fills::symbol.eq($symbol.as_str()))
                .order((fills::sequence, fills::ts, fills::fill_id, fills::side))
                .limit($limit)
                .select($columns)
                .into_boxed();
            query = if sequenced {
                query.filter(fills::sequence.is_not_null())
            } else {
                query.filter(fills::sequence.is_null())
            };
            if let Some(after) = after {
                let (at_ms, fill_id, side) = (after.at_ms, after.fill_id.as_str(), after.side.as_str());
                query = match after.sequence {
                    Some(sequence) => query.filter(
                        sql::<Bool>("(fills.sequence, fills.ts, fills.fill_id, fills.side) > (")
                            .bind::<BigInt, _>(sequence)
                            .sql(", ")
                            .bind::<BigInt, _>(at_ms)
                            .sql(", ")
                            .bind::<Text, _>(fill_id)
                            .sql(", ")
                            .bind::<Text, _>(side)
                            .sql(")"),
                    ),
                    None => query.filter(
                        sql::<Bool>("(fills.ts, fills.fill_id, fills.side) > (")
                            .bind::<BigInt, _>(at_ms)
                            .sql(", ")
                            .bind::<Text, _>(fill_id)
                            .sql(", ")
                            .bind::<Text, _>(side)
                            .sql(")"),
                    ),
                };
            }
            // Decoded one by one: a page of rows is as large as the page of what they become.
            let read =
                query.prepared_once().load_iter::<$row, DefaultLoadingMode>($conn).map_err(failed("read fills"))?;
            for row in read {
                rows.push($decode(row.map_err(|error| unreadable($account, $symbol, error))?)?);
            }
        }
        Ok(rows)
    }};
}

/// Whole fills in fold order, for lists.
pub(super) fn fills_in_fold_order(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    after: Option<&FoldKey>,
    limit: i64,
) -> StoreResult<Vec<Sourced<Fill>>> {
    let decode = |row: FillRow| Fill::decode(&row);
    rows_in_fold_order!(FillRow, FillRow::as_select(), conn, account, symbol, after, limit, decode)
}

/// The fills that a fold takes next, with what it needs to know of them.
pub(super) fn fold_page(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    after: Option<&FoldKey>,
) -> StoreResult<Vec<Fill>> {
    let decode = |row: FoldRow| Ok::<_, StoreError>(row.into_fill(symbol));
    rows_in_fold_order!(FoldRow, Columns::default(), conn, account, symbol, after, PAGE_ROWS, decode)
}

/// Leaves the last fill of a full page for the next one, unless its page has both halves of its trade: a trade with oneself is
/// taken as a whole.
pub(super) fn keep_trades_whole(page: &mut Vec<Fill>) {
    let is_full = i64::try_from(page.len()).is_ok_and(|rows| rows >= PAGE_ROWS);
    if is_full && !matches!(page.as_slice(), [.., one, other] if are_halves(one, other)) {
        page.pop();
    }
}

/// Whether two fills are the halves of one trade.
pub(super) fn are_halves(one: &Fill, other: &Fill) -> bool {
    one.key.side != other.key.side && one.key.fill_id == other.key.fill_id && one.sequence == other.sequence
}
