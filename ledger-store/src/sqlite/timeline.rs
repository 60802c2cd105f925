//! The events of a symbol that have no place among its fills but their time: anchors, residuals, funding.
//!
//! Read in pages and merged in the order in which the fold wants them. At one instant, an anchor and then funding come
//! before the fills, residuals after them.

use std::collections::VecDeque;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use ledger_core::{
    AccountId, Anchor, ContractKind, Fact, Income, IncomeType, OrderClass, OrderContext, Price, Quantity, Residual,
    Sourced, Symbol, TimestampMs, funding_instant,
};

use super::anchor::AnchorRow;
use super::as_folded::Completion;
use super::codec::RowReader;
use super::fact_table::FactTable;
use super::failure::failed;
use super::income::IncomeRow;
use super::order::{OrderRow, OrderSumsRow, decode_book_order, event_time};
use super::order_sums::residual_price;
use super::schema::{anchors, income, orders};
use super::{order_info, placement};
use crate::repository::StoreResult;

const PAGE_ROWS: i64 = 512;

pub(super) enum TimedEvent {
    Anchor(Anchor),
    Residual(Residual, OrderContext),
    Funding(Vec<Income>),
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
    /// So are anchors and funding up to this, which come before the fills of their instant.
    seen_to: Option<i64>,
    anchors: VecDeque<Anchor>,
    residuals: VecDeque<(TimestampMs, Residual, OrderContext)>,
    residual_last: Option<(i64, String)>,
    residuals_done: bool,
    funding: VecDeque<Income>,
    funding_last: Option<(i64, String, String)>,
    funding_done: bool,
}

impl<'a> Timeline<'a> {
    /// Everything that a fold whose latest fill is at `ts_max` has not seen; with `None`, everything.
    pub(super) fn open(
        conn: &mut SqliteConnection,
        completion: &'a Completion<'a>,
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
            funding: VecDeque::new(),
            funding_last: None,
            funding_done: false,
        })
    }

    /// The next event that comes before a fill at `fill_ms`; with `None`, the next event.
    pub(super) fn next_before(
        &mut self,
        conn: &mut SqliteConnection,
        fill_ms: Option<i64>,
    ) -> StoreResult<Option<TimedEvent>> {
        self.load_residuals(conn)?;
        self.load_funding(conn)?;
        let anchor = self.anchors.front().map(|anchor| (anchor.at, 0));
        let residual = self.residuals.front().map(|(at, _, _)| (*at, 2));
        let funding = self.funding.front().map(|income| (funding_instant(income.time.at), 1_u8));
        let Some((at, lane)) = anchor.into_iter().chain(residual).chain(funding).min() else {
            return Ok(None);
        };
        let is_due = fill_ms.is_none_or(|fill_ms| if lane < 2 { at.as_ms() <= fill_ms } else { at.as_ms() < fill_ms });
        if !is_due {
            return Ok(None);
        }
        Ok(match lane {
            0 => self.anchors.pop_front().map(TimedEvent::Anchor),
            2 => self.residuals.pop_front().map(|(_, residual, context)| TimedEvent::Residual(residual, context)),
            _ => {
                let rows_of_instant =
                    self.funding.iter().take_while(|income| funding_instant(income.time.at) == at).count();
                let mut rows: Vec<Income> = self.funding.drain(..rows_of_instant).collect();
                // Rows of one instant may have been posted in any order.
                rows.sort_by_key(Fact::key);
                Some(TimedEvent::Funding(rows))
            }
        })
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
                    at,
                };
                self.residuals.push_back((at, residual, info.context));
            }
        }
        Ok(())
    }

    /// Loads until the first instant in the buffer is complete.
    fn load_funding(&mut self, conn: &mut SqliteConnection) -> StoreResult<()> {
        let is_complete = |funding: &VecDeque<Income>| match (funding.front(), funding.back()) {
            (Some(first), Some(last)) => funding_instant(first.time.at) != funding_instant(last.time.at),
            _ => false,
        };
        while !self.funding_done && !is_complete(&self.funding) {
            let (ms, tran_id, asset) =
                self.funding_last.clone().unwrap_or((self.from_ms, String::new(), String::new()));
            let rows: Vec<IncomeRow> = income::table
                .filter(income::account_id.eq(self.account.as_str()))
                .filter(income::symbol.eq(self.symbol.as_str()))
                .filter(sql::<Bool>("income_type = 'FUNDING_FEE'"))
                .filter(
                    sql::<Bool>("(ts, tran_id, asset) > (")
                        .bind::<BigInt, _>(ms)
                        .sql(", ")
                        .bind::<Text, _>(&tran_id)
                        .sql(", ")
                        .bind::<Text, _>(&asset)
                        .sql(")"),
                )
                .order((income::ts, income::tran_id, income::asset))
                .limit(PAGE_ROWS)
                .select(IncomeRow::as_select())
                .load(conn)
                .map_err(failed("read income"))?;
            self.funding_done = rows.is_empty();
            for row in rows {
                self.funding_last = Some((row.ts, row.tran_id.clone(), row.asset.clone()));
                let Sourced { fact, .. } = Income::decode(&row)?;
                if self.seen_to.is_none_or(|seen_to| funding_instant(fact.time.at).as_ms() > seen_to)
                    && fact.key.income_type.is(IncomeType::FUNDING_FEE)
                {
                    self.funding.push_back(fact);
                }
            }
        }
        Ok(())
    }
}
