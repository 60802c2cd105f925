//! The events of a symbol that have no place among its fills but their time: anchors, residuals, entries of the ledger.
//!
//! Read in pages and merged in the order in which the fold wants them. At one instant, an anchor comes before the fills,
//! and residuals after them; entries of the ledger come a minute before the instant that they count at.

use std::collections::{BTreeMap, VecDeque};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger_core::{
    AccountId, Anchor, ContractKind, Fact, FundingRate, Income, LedgerPlace, LedgerRules, OrderClass, OrderContext,
    Price, Quantity, Residual, Sourced, Symbol, TimestampMs, funding_instant, window_from,
};

use super::anchor::AnchorRow;
use super::as_folded::Completion;
use super::codec::RowReader;
use super::fact_table::FactTable;
use super::failure::failed;
use super::funding_rate::FundingRateRow;
use super::income::{IncomeRow, is_counted};
use super::order::{OrderRow, OrderSumsRow, decode_book_order, event_time};
use super::order_sums::residual_price;
use super::prepared::PrepareOnce as _;
use super::schema::{anchors, funding_rates, income, orders};
use super::{clearance, order_info, placement};
use crate::store::StoreResult;

const PAGE_ROWS: i64 = 512;

pub(super) enum TimedEvent {
    Anchor(Anchor),
    Residual(Residual, OrderContext),
    /// With what is on record of their instant.
    Funding(Vec<Income>, Option<FundingRate>),
    /// With whether no other contract was liquidated then.
    Clearance(Box<Income>, bool),
    Settlement(Vec<Income>),
}

/// The events of one symbol from some instant on.
pub(super) struct Timeline<'a> {
    account: &'a AccountId,
    symbol: &'a Symbol,
    /// Tells of orders what they do not say themselves.
    completion: &'a Completion<'a>,
    kind: ContractKind,
    /// Events before this are in the checkpoint already.
    from_ms: i64,
    /// So are anchors up to this, and entries of the ledger that count up to a minute later.
    seen_to: Option<i64>,
    anchors: VecDeque<Anchor>,
    residuals: VecDeque<(TimestampMs, Residual, OrderContext)>,
    residual_last: Option<(i64, String)>,
    residuals_done: bool,
    rules: LedgerRules,
    ledger: Ledger,
}

/// The entries of the ledger that are folded, each with the instant that it counts at, by lane: an entry may count up to a
/// minute before it was posted, so they are in order only within their lane.
#[derive(Default)]
struct Ledger {
    lanes: [VecDeque<(TimestampMs, Income)>; 3],
    /// The rates of the instants of its funding, as far as they are on record.
    rates: BTreeMap<TimestampMs, FundingRate>,
    last: Option<(i64, String, String, String)>,
    done: bool,
}

/// The places of [`Ledger::lanes`].
const LANES: [LedgerPlace; 3] = [LedgerPlace::Funding, LedgerPlace::Clearance, LedgerPlace::Settlement];

impl<'a> Timeline<'a> {
    /// Everything that a fold whose latest fill is at `ts_max` has not seen; with `None`, everything.
    pub(super) fn open(
        conn: &mut SqliteConnection,
        completion: &'a Completion<'a>,
        rules: LedgerRules,
        kind: ContractKind,
        ts_max: Option<i64>,
    ) -> StoreResult<Self> {
        let (account, symbol) = (completion.account(), completion.symbol());
        let from_ms = ts_max.unwrap_or(TimestampMs::MIN.as_ms());
        let mut query = anchors::table
            .filter(anchors::account_id.eq(account.as_str()))
            .filter(anchors::symbol.eq(symbol.as_str()))
            .filter(anchors::withdrawn.is_null())
            .order((anchors::ts, anchors::position_side))
            .select(AnchorRow::as_select())
            .into_boxed();
        if let Some(ts_max) = ts_max {
            query = query.filter(anchors::ts.gt(ts_max));
        }
        let rows: Vec<AnchorRow> = query.load(conn).map_err(failed("read anchors"))?;
        let anchors = rows.iter().map(|row| Ok(Anchor::decode(row)?.fact)).collect::<StoreResult<_>>()?;
        Ok(Self {
            account,
            symbol,
            completion,
            kind,
            from_ms,
            seen_to: ts_max,
            anchors,
            residuals: VecDeque::new(),
            residual_last: None,
            residuals_done: false,
            rules,
            ledger: Ledger::default(),
        })
    }

    /// The next event that comes before a fill at `fill_ms`; with `None`, the next event.
    pub(super) fn next_before(
        &mut self,
        conn: &mut SqliteConnection,
        fill_ms: Option<i64>,
    ) -> StoreResult<Option<TimedEvent>> {
        self.load_residuals(conn)?;
        self.load_ledger(conn)?;
        let anchor = self.anchors.front().map(|anchor| (anchor.at, 0_usize));
        let residual = self.residuals.front().map(|(at, _, _)| (*at, 4));
        let fronts =
            (1..).zip(&self.ledger.lanes).filter_map(|(lane, rows)| Some((window_from(rows.front()?.0), lane)));
        let Some((at, lane)) = anchor.into_iter().chain(residual).chain(fronts).min() else {
            return Ok(None);
        };
        let is_due = fill_ms.is_none_or(|fill_ms| if lane < 4 { at.as_ms() <= fill_ms } else { at.as_ms() < fill_ms });
        if !is_due {
            return Ok(None);
        }
        match lane {
            0 => Ok(self.anchors.pop_front().map(TimedEvent::Anchor)),
            4 => Ok(self.residuals.pop_front().map(|(_, residual, context)| TimedEvent::Residual(residual, context))),
            2 => {
                let Some((_, row)) = self.ledger.lanes.get_mut(1).and_then(VecDeque::pop_front) else {
                    return Ok(None);
                };
                let is_alone = row.amount.is_negative() || clearance::is_alone(conn, self.account, &row)?;
                Ok(Some(TimedEvent::Clearance(Box::new(row), is_alone)))
            }
            _ => {
                let Some(rows) = self.ledger.lanes.get_mut(lane - 1) else { return Ok(None) };
                let Some((counts, _)) = rows.front() else { return Ok(None) };
                let rate = self.ledger.rates.get(counts).cloned();
                let of_instant = rows.iter().take_while(|(counts, _)| window_from(*counts) == at).count();
                let mut rows: Vec<Income> = rows.drain(..of_instant).map(|(_, row)| row).collect();
                // Rows of one instant may have been posted in any order.
                rows.sort_by_key(Fact::key);
                Ok(Some(if lane == 1 { TimedEvent::Funding(rows, rate) } else { TimedEvent::Settlement(rows) }))
            }
        }
    }

    fn load_residuals(&mut self, conn: &mut SqliteConnection) -> StoreResult<()> {
        while self.residuals.is_empty() && !self.residuals_done {
            let (after_ms, after_id) = self.residual_last.clone().unwrap_or((self.from_ms, String::new()));
            let rows: Vec<(OrderRow, OrderSumsRow)> = orders::table
                .filter(orders::account_id.eq(self.account.as_str()))
                .filter(orders::symbol.eq(self.symbol.as_str()))
                .filter(orders::residual_qty.is_not_null())
                .filter(orders::order_class.eq(OrderClass::Regular.as_str()))
                .filter(
                    sql::<Bool>("(coalesce(updated_ts, ts), order_id) > (")
                        .bind::<BigInt, _>(after_ms)
                        .sql(", ")
                        .bind::<Text, _>(&after_id)
                        .sql(")"),
                )
                .order((sql::<BigInt>("coalesce(updated_ts, ts)"), orders::order_id))
                .limit(PAGE_ROWS)
                .select((OrderRow::as_select(), OrderSumsRow::as_select()))
                .load(conn)
                .map_err(failed("read orders"))?;
            self.residuals_done = rows.is_empty();
            let ids = rows.iter().map(|(row, _)| row.order_id.as_str()).collect();
            let sources = self.completion.sources();
            let mut infos = order_info::of_orders(conn, self.account, self.symbol, sources, &ids)?;
            for row in rows {
                let order_id = row.0.order_id.clone();
                let book = decode_book_order(&row)?;
                let order = &book.order.fact;
                let (Some(at), Some(residual_qty)) = (event_time(order), book.residual_qty) else {
                    continue;
                };
                self.residual_last = Some((at.as_ms(), order_id));
                let info = infos.remove(&order.key.order_id).unwrap_or_default();
                let by_mode = || placement::by_mode(self.completion.spans(), at);
                let Some(position_side) = info.position_side.or_else(by_mode) else {
                    continue;
                };
                let reader = RowReader { table: "orders", key: || format!("{}", order.key.order_id) };
                let qty = Quantity::new(residual_qty).map_err(|error| reader.corrupt("residual_qty", error))?;
                let price = residual_price(order, self.kind, residual_qty, book.filled_quote)
                    .and_then(|price| Price::new(price).ok());
                let residual = Residual {
                    order_id: order.key.order_id.clone(),
                    side: order.side,
                    position_side: Some(position_side),
                    qty,
                    price,
                    fees: book.residual_fees.unwrap_or_default(),
                    at,
                };
                self.residuals.push_back((at, residual, info.context));
            }
        }
        Ok(())
    }

    /// Loads the rates of the instants around these times, and forgets those of earlier ones that no row waits for.
    fn load_rates(&mut self, conn: &mut SqliteConnection, first_ms: i64, last_ms: i64) -> StoreResult<()> {
        let waiting = self.ledger.lanes.iter().filter_map(|rows| rows.front()).map(|(counts, _)| *counts).min();
        let from = waiting.map_or(first_ms, |counts| counts.as_ms().min(first_ms)).saturating_sub(60_000);
        self.ledger.rates.retain(|instant, _| instant.as_ms() >= from);
        let rows: Vec<FundingRateRow> = funding_rates::table
            .filter(funding_rates::account_id.eq(self.account.as_str()))
            .filter(funding_rates::symbol.eq(self.symbol.as_str()))
            .filter(funding_rates::ts.between(first_ms.saturating_sub(60_000), last_ms.saturating_add(60_000)))
            .select(FundingRateRow::as_select())
            .load(conn)
            .map_err(failed("read funding rates"))?;
        for row in rows {
            let rate = FundingRate::decode(&row)?.fact;
            self.ledger.rates.insert(rate.at, rate);
        }
        Ok(())
    }

    /// Loads until whatever counts first is complete.
    fn load_ledger(&mut self, conn: &mut SqliteConnection) -> StoreResult<()> {
        loop {
            let fronts = self.ledger.lanes.iter().filter_map(|rows| rows.front()).map(|(counts, _)| counts.as_ms());
            let first = fronts.min();
            let read_to = self.ledger.last.as_ref().map(|(ms, ..)| *ms);
            // What counts up to then was posted a minute later at most.
            let is_complete = first.zip(read_to).is_some_and(|(first, read_to)| read_to > first + 2 * 60_000);
            if self.ledger.done || is_complete {
                return Ok(());
            }
            let none = String::new;
            let (ms, tran_id, income_type, asset) =
                self.ledger.last.clone().unwrap_or((self.from_ms, none(), none(), none()));
            let rows: Vec<IncomeRow> = income::table
                .filter(income::account_id.eq(self.account.as_str()))
                .filter(income::symbol.eq(self.symbol.as_str()))
                // As the index has it: fills tell what these say, and there are many of them.
                .filter(sql::<Bool>("income_type NOT IN ('COMMISSION', 'REALIZED_PNL')"))
                .filter(is_counted())
                .filter(
                    sql::<Bool>("(ts, tran_id, income_type, asset) > (")
                        .bind::<BigInt, _>(ms)
                        .sql(", ")
                        .bind::<Text, _>(&tran_id)
                        .sql(", ")
                        .bind::<Text, _>(&income_type)
                        .sql(", ")
                        .bind::<Text, _>(&asset)
                        .sql(")"),
                )
                .order((income::ts, income::tran_id, income::income_type, income::asset))
                .limit(PAGE_ROWS)
                .select(IncomeRow::as_select())
                .prepared_once()
                .load(conn)
                .map_err(failed("read income"))?;
            self.ledger.done = rows.is_empty();
            if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
                self.load_rates(conn, first.ts, last.ts)?;
            }
            for row in rows {
                self.ledger.last = Some((row.ts, row.tran_id.clone(), row.income_type.clone(), row.asset.clone()));
                let Sourced { fact, .. } = Income::decode(&row)?;
                let place = self.rules.place(&fact.key.income_type);
                let Some(lane) = LANES.iter().position(|lane| *lane == place) else { continue };
                let counts = match place {
                    LedgerPlace::Funding => self.ledger.instant_of(fact.time.at),
                    LedgerPlace::Settlement => second_of(fact.time.at),
                    _ => fact.time.at,
                };
                let is_new = self.seen_to.is_none_or(|seen_to| window_from(counts).as_ms() > seen_to);
                if let Some(rows) = self.ledger.lanes.get_mut(lane).filter(|_| is_new) {
                    rows.push_back((counts, fact));
                }
            }
        }
    }
}

impl Ledger {
    /// The instant that a funding row of this time is for: the nearest one on record within a minute, else the presumed
    /// one.
    fn instant_of(&self, at: TimestampMs) -> TimestampMs {
        let around = self.rates.range(window_from(at)..=at.saturating_add_ms(60_000)).map(|(instant, _)| *instant);
        around.min_by_key(|instant| (instant.as_ms() - at.as_ms()).abs()).unwrap_or_else(|| funding_instant(at))
    }
}

/// The rows of one settlement are posted within a second.
fn second_of(at: TimestampMs) -> TimestampMs {
    at.saturating_add_ms(-at.as_ms().rem_euclid(1_000))
}
