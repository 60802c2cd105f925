//! The derived columns of `orders`: what an order's fills add up to, and what is still missing of what it executed.
//!
//! Recomputed for the orders that a batch touches, and for them only; and for all orders of a symbol that is folded
//! from its beginning, so that a rebuild starts from facts alone.
//!
//! What an order's answers state of its fees counts while fills are missing, and so does a conflict about it: it is open as long as
//! that, whichever comes first.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use ledger_core::{
    AccountId, ContractKind, Decimal, FactKind, Fee, FillId, FoldKey, MathError, Order, OrderClass, OrderId,
    StatedFees, Symbol, ledger_fee,
};

use super::as_folded::{commissions, self_trades};
use super::codec::RowReader;
use super::discrepancy::{self, CONFLICTING_FACT, Sighting};
use super::effects::{Effects, Mark, TouchedOrder};
use super::fact_table::ROWS_MAX;
use super::failure::failed;
use super::order::{fees_text, stated_fees};
use super::order_info;
use super::prepared::{Literal, PrepareOnce as _, padded};
use super::schema::{fills, orders};
use crate::record::DiscrepancyKey;
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = orders)]
struct SumsRow {
    order_id: String,
    executed_qty: Option<String>,
    ts: Option<i64>,
    updated_ts: Option<i64>,
    filled_qty: Option<String>,
    filled_quote: Option<String>,
    residual_qty: Option<String>,
    fees_json: Option<String>,
    residual_fees_json: Option<String>,
    conflicts: Option<String>,
}

impl SumsRow {
    fn reader(&self, account: &AccountId, symbol: &Symbol) -> RowReader<impl Fn() -> String> {
        RowReader { table: "orders", key: move || format!("{account}/{symbol}/{}", self.order_id) }
    }
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = fills)]
struct PartRow {
    order_id: Option<String>,
    fill_id: String,
    side: String,
    sequence: Option<i64>,
    ts: i64,
    qty: String,
    price: String,
    fee: Option<String>,
    fee_asset: Option<String>,
}

/// What an order's fills add up to.
#[derive(Debug, Clone)]
struct Sums {
    qty: Result<Decimal, MathError>,
    quote: Result<Decimal, MathError>,
    first: Option<FoldKey>,
    /// The fee of each fill. Kept only where the order states fees, too.
    fees: Vec<(FillId, Option<Fee>)>,
}

impl Default for Sums {
    fn default() -> Self {
        Self { qty: Ok(Decimal::ZERO), quote: Ok(Decimal::ZERO), first: None, fees: Vec::new() }
    }
}

pub(super) fn update(conn: &mut SqliteConnection, seen: Sighting<'_>, effects: &mut Effects) -> StoreResult<()> {
    let account = seen.account;
    let (clients, signals) = (std::mem::take(&mut effects.clients), std::mem::take(&mut effects.signals));
    for (symbol, order_id) in order_info::linked_orders(conn, account, &clients, &signals)? {
        effects.order(&symbol, &order_id).context_changed = true;
    }
    touch_charged(conn, account, effects)?;
    for (symbol, touched) in std::mem::take(&mut effects.orders) {
        let touched: Vec<_> = touched.into_iter().collect();
        for chunk in touched.chunks(ROWS_MAX) {
            let updated = update_chunk(conn, seen, &symbol, chunk, effects);
            effects.despite_damage(&symbol, updated)?;
        }
    }
    Ok(())
}

fn update_chunk(
    conn: &mut SqliteConnection,
    seen: Sighting<'_>,
    symbol: &Symbol,
    touched: &[(OrderId, TouchedOrder)],
    effects: &mut Effects,
) -> StoreResult<()> {
    let account = seen.account;
    let known: Vec<SumsRow> = orders::table
        .filter(orders::account_id.eq(account.as_str()))
        .filter(orders::symbol.eq(symbol.as_str()))
        .filter(orders::order_class.eq(OrderClass::Regular.as_str()))
        .filter(orders::order_id.eq_any(padded(touched.iter().map(|(order_id, _)| order_id.as_str()))))
        .select(SumsRow::as_select())
        .prepared_once()
        .load(conn)
        .map_err(failed("read orders"))?;
    let touched: BTreeMap<&str, &TouchedOrder> = touched.iter().map(|(id, order)| (id.as_str(), order)).collect();
    let (mut mark, contested) = update_known(conn, account, symbol, &known, &touched)?;
    for (order_id, counts) in contested {
        let fingerprint = format!("{}|fees|{symbol}|{}|{order_id}", FactKind::Order, OrderClass::Regular);
        let key = DiscrepancyKey { kind: CONFLICTING_FACT.to_owned(), fingerprint };
        if counts {
            discrepancy::reopen(conn, seen, &key)?;
        } else {
            // Which fee is believed changes nothing about what the exchange says of a position.
            discrepancy::settle(conn, seen, &key, &mut Effects::default())?;
        }
    }
    // An order that the book knows only from its fills can have become known through others, too.
    let known: BTreeSet<&str> = known.iter().map(|row| row.order_id.as_str()).collect();
    let mentioned: Vec<&str> =
        touched.iter().filter(|(id, order)| order.context_changed && !known.contains(*id)).map(|(id, _)| *id).collect();
    for sums in add_fills(conn, account, symbol, &mentioned, &BTreeSet::new())?.into_values() {
        sums.first.into_iter().for_each(|first| mark.fill(first));
    }
    // An empty mark would recompute what the exchange says for nothing.
    if mark != Mark::default() {
        effects.mark(symbol).join(mark);
    }
    Ok(())
}

/// The orders whose answers state different fees, and whether these count for anything.
type Contested<'a> = Vec<(&'a str, bool)>;

/// Recomputes the columns of orders that are there. Answers from where what changed has to be folded again.
fn update_known<'a>(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    known: &'a [SumsRow],
    touched: &BTreeMap<&str, &TouchedOrder>,
) -> StoreResult<(Mark, Contested<'a>)> {
    let (mut mark, mut contested) = (Mark::default(), Contested::new());
    if known.is_empty() {
        return Ok((mark, contested));
    }
    let ids: Vec<&str> = known.iter().map(|row| row.order_id.as_str()).collect();
    let priced = known.iter().filter(|row| row.fees_json.is_some()).map(|row| row.order_id.as_str()).collect();
    let mut sums = add_fills(conn, account, symbol, &ids, &priced)?;
    let untouched = TouchedOrder::default();
    for row in known {
        let sums = sums.remove(&row.order_id).unwrap_or_default();
        let touched = touched.get(row.order_id.as_str()).copied().unwrap_or(&untouched);
        let counts = update_order(conn, account, symbol, row, &sums, touched, &mut mark)?;
        if is_fee_contested(row, account, symbol)? {
            contested.push((&row.order_id, counts));
        }
    }
    Ok((mark, contested))
}

/// Recomputes the columns of every order of a symbol, whatever they say, page by page.
pub(super) fn recompute(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<()> {
    let mut after = String::new();
    loop {
        let known: Vec<SumsRow> = orders::table
            .filter(orders::account_id.eq(account.as_str()))
            .filter(orders::symbol.eq(symbol.as_str()))
            .filter(orders::order_class.eq(OrderClass::Regular.as_str()))
            .filter(orders::order_id.gt(&after))
            .order(orders::order_id)
            .limit(i64::try_from(ROWS_MAX).unwrap_or(i64::MAX))
            .select(SumsRow::as_select())
            .load(conn)
            .map_err(failed("read orders"))?;
        let Some(last) = known.last() else { break };
        after.clone_from(&last.order_id);
        update_known(conn, account, symbol, &known, &BTreeMap::new())?;
    }
    // No other order owns fills.
    diesel::update(
        orders::table
            .filter(orders::account_id.eq(account.as_str()))
            .filter(orders::symbol.eq(symbol.as_str()))
            .filter(orders::order_class.ne(OrderClass::Regular.as_str()))
            .filter(
                orders::filled_qty
                    .is_not_null()
                    .or(orders::filled_quote.is_not_null())
                    .or(orders::residual_qty.is_not_null())
                    .or(orders::residual_fees_json.is_not_null()),
            ),
    )
    .set((
        orders::filled_qty.eq(None::<String>),
        orders::filled_quote.eq(None::<String>),
        orders::residual_qty.eq(None::<String>),
        orders::residual_fees_json.eq(None::<String>),
    ))
    .execute(conn)
    .map_err(failed("update orders"))?;
    Ok(())
}

fn add_fills(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    order_ids: &[&str],
    priced: &BTreeSet<&str>,
) -> StoreResult<BTreeMap<String, Sums>> {
    if order_ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let parts: Vec<PartRow> = fills::table
        .filter(fills::order_id.eq_any(padded(order_ids.iter().copied())))
        .filter(fills::symbol.eq(symbol.as_str()))
        .filter(fills::account_id.eq(account.as_str()))
        .select(PartRow::as_select())
        .prepared_once()
        .load(conn)
        .map_err(failed("read fills"))?;
    let mut by_order = BTreeMap::<String, Sums>::new();
    for part in parts {
        let Some(order_id) = part.order_id else { continue };
        let reader = RowReader { table: "fills", key: || format!("{account}/{symbol}/{}/{}", part.fill_id, part.side) };
        let qty: Decimal = reader.text("qty", &part.qty)?;
        let price: Decimal = reader.text("price", &part.price)?;
        let key = FoldKey {
            sequence: part.sequence,
            at_ms: part.ts,
            fill_id: reader.text("fill_id", &part.fill_id)?,
            side: reader.text("side", &part.side)?,
        };
        let with_fee = priced.contains(order_id.as_str());
        let sums = by_order.entry(order_id).or_default();
        if with_fee {
            let fee = match (&part.fee, &part.fee_asset) {
                (Some(amount), Some(asset)) => {
                    Some(Fee { amount: reader.text("fee", amount)?, asset: reader.text("fee_asset", asset)? })
                }
                _ => None,
            };
            sums.fees.push((key.fill_id.clone(), fee));
        }
        sums.qty = sums.qty.and_then(|sum| sum.checked_add(qty));
        sums.quote = sums.quote.and_then(|sum| sum.checked_add(qty.checked_mul(price)?));
        sums.first = sums.first.take().into_iter().chain([key]).min();
    }
    Ok(by_order)
}

fn is_fee_contested(row: &SumsRow, account: &AccountId, symbol: &Symbol) -> StoreResult<bool> {
    let Some(fields) = &row.conflicts else { return Ok(false) };
    let fields: Vec<String> = row.reader(account, symbol).json("conflicts", fields)?;
    Ok(fields.iter().any(|field| field == "fees"))
}

const UPDATE_SUMS: &str = "UPDATE orders SET filled_qty = ?, filled_quote = ?, residual_qty = ?, residual_fees_json = ? \
    WHERE account_id = ? AND symbol = ? AND order_class = 'REGULAR' AND order_id = ?";

/// Answers whether what is stated of the order's fees says anything: of what executed, and beyond the fills on record.
fn update_order(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    row: &SumsRow,
    sums: &Sums,
    touched: &TouchedOrder,
    mark: &mut Mark,
) -> StoreResult<bool> {
    let reader = row.reader(account, symbol);
    let executed: Option<Decimal> = reader.optional("executed_qty", row.executed_qty.as_deref())?;
    // A sum that does not fit leaves the columns empty; the fold meets the same numbers and says so.
    let residual = match (executed, sums.qty) {
        (Some(executed), Ok(filled)) if executed > filled => executed.checked_sub(filled).ok(),
        _ => None,
    };
    let (filled_qty, filled_quote) =
        (sums.qty.ok().map(|sum| sum.to_string()), sums.quote.ok().map(|sum| sum.to_string()));
    let residual_qty = residual.map(|residual| residual.to_string());
    let stated = stated_fees(&reader, row.fees_json.as_deref())?;
    let counts = residual.is_some() && stated.as_ref().map(StatedFees::qty) == executed;
    let residual_fees = match (stated, executed) {
        (Some(stated), Some(executed)) if residual.is_some() => {
            let charged = charged(conn, account, symbol, &sums.fees)?;
            stated.beyond(executed, charged.iter().map(Option::as_ref)).map(|fees| fees_text(&fees))
        }
        _ => None,
    };
    let residual_changed = residual_qty != row.residual_qty || residual_fees != row.residual_fees_json;
    let residual_matters = row.residual_qty.is_some() || residual_qty.is_some();
    let sums_changed = filled_qty != row.filled_qty || filled_quote != row.filled_quote;
    let is_told_anew = touched.restated || touched.context_changed;
    if residual_matters && (is_told_anew || sums_changed || residual_changed) {
        let at = row.updated_ts.or(row.ts).map(|ms| reader.instant("updated_ts", ms)).transpose()?;
        for at in at.into_iter().chain(touched.event_before) {
            mark.instant(at);
        }
    }
    if touched.context_changed
        && let Some(first) = sums.first.clone()
    {
        mark.fill(first);
    }
    if sums_changed || residual_changed {
        Literal::new(UPDATE_SUMS)
            .text(filled_qty.as_deref())
            .text(filled_quote.as_deref())
            .text(residual_qty.as_deref())
            .text(residual_fees.as_deref())
            .text(account.as_str())
            .text(symbol.as_str())
            .text(row.order_id.as_str())
            .execute(conn)
            .map_err(failed("update an order"))?;
    }
    Ok(counts)
}

/// The fees of an order's fills as the fold takes them: those that the ledger decides, else as stated.
fn charged(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    stated: &[(FillId, Option<Fee>)],
) -> StoreResult<Vec<Option<Fee>>> {
    let ids = || stated.iter().map(|(fill_id, _)| fill_id);
    let entries = commissions(conn, account, symbol, ids())?;
    let both_sides = if entries.is_empty() { BTreeSet::new() } else { self_trades(conn, account, symbol, ids())? };
    let charged = |(fill_id, fee): &(FillId, Option<Fee>)| {
        let of_trade = entries.get(fill_id).map(Vec::as_slice).unwrap_or_default();
        ledger_fee(fee.as_ref(), of_trade, both_sides.contains(fill_id)).or_else(|| fee.clone())
    };
    Ok(stated.iter().map(charged).collect())
}

/// New entries of the ledger can decide the fee of a fill, and so what is left of its order's.
fn touch_charged(conn: &mut SqliteConnection, account: &AccountId, effects: &mut Effects) -> StoreResult<()> {
    for symbol in effects.commissions.keys().cloned().collect::<Vec<_>>() {
        let ids: Vec<String> = orders::table
            .filter(orders::account_id.eq(account.as_str()))
            .filter(orders::symbol.eq(symbol.as_str()))
            .filter(orders::residual_qty.is_not_null())
            .filter(orders::fees_json.is_not_null())
            .select(orders::order_id)
            .load(conn)
            .map_err(failed("read orders"))?;
        let reader = RowReader { table: "orders", key: || format!("{account}/{symbol}") };
        for id in ids {
            let id = reader.text("order_id", &id)?;
            effects.order(&symbol, &id);
        }
    }
    Ok(())
}

/// The price of what an order executed beyond its fills, where the order's average price tells. Of an inverse contract the
/// average is one of quantity / price, so that prices x quantities do not add up to it: the average itself stands for
/// the rest.
pub(super) fn residual_price(
    order: &Order,
    kind: ContractKind,
    residual_qty: Decimal,
    filled_quote: Option<Decimal>,
) -> Option<Decimal> {
    let executed = order.executed.as_ref()?;
    let average = executed.avg_price?.get();
    if kind == ContractKind::Inverse {
        return Some(average);
    }
    let exact =
        executed.qty.checked_mul(average).ok().zip(filled_quote).and_then(|(quote, filled)| {
            quote.checked_sub(filled).ok()?.div_round(residual_qty, RESIDUAL_PRICE_SCALE).ok()
        });
    // Rounding in the average price can leave nothing or less for a small rest; the average itself is then nearer.
    exact.filter(|price| price.is_positive()).or(Some(average))
}

/// Decimals of a residual's price: it is an estimate, and more of them would overflow with large quotes.
const RESIDUAL_PRICE_SCALE: u8 = 8;
