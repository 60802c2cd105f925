//! Asking Binance USD-M.

use std::time::Duration;

use async_trait::async_trait;
use ledger_core::{
    BalanceSnapshot, Fill, FundingRate, Income, IncomeType, Instrument, Order, OrderClass, PositionMode,
    PositionSnapshot, PriceSnapshot, Symbol, TimestampMs,
};
use serde_json::value::RawValue;

use super::agreement::{refuse_another, refuse_another_account};
use super::facts::{
    ALL_ALGO_ORDERS, ALL_ORDERS, BALANCE, EXCHANGE_INFO, FORCE_ORDERS, FUNDING_RATE, INCOME, KLINES, OPEN_ALGO_ORDERS,
    OPEN_ORDERS, POSITION_MODE, POSITION_RISK, PREMIUM_INDEX, USER_TRADES, VENUE,
};
use super::paging::{self, TradeRequest, WindowAnswer};
use super::parameters::{order_path, with_order_ref, with_window};
use super::rest::Timed;
use super::rows::{
    Readable, all_stated, by_contract, each_once, forced_orders, in_order, income_rows, incomplete, malformed,
    order_is_of, orders, readable, refuse_outside,
};
use super::sign::Query;
use super::{BinanceUsdm, dto, parse};
use crate::api::{
    AccountIdentity, Answer, ExchangeReader, MarkPrice, OrderFilters, OrderRef, Page, Stated, TimeWindow, TradeQuery,
    Usage, WindowQuery,
};
use crate::error::{Endpoint, ErrorClass, ExchangeError, FieldProblem};
use crate::transport::Method;
use crate::venue::{MINUTE_MS, PagedFacts, VenueFacts};

#[async_trait]
impl ExchangeReader for BinanceUsdm {
    fn venue(&self) -> &'static VenueFacts {
        &VENUE
    }

    fn usage(&self) -> Usage {
        self.rest.usage()
    }

    async fn outwait_lag(&self) {
        let lag_ms = u64::try_from(VENUE.settle_lag_ms).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(lag_ms)).await;
    }

    async fn server_time(&self) -> Result<TimestampMs, ExchangeError> {
        Ok(self.rest.measure_clock().await?.0)
    }

    async fn account_identity(&self) -> Result<AccountIdentity, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, BALANCE, None);
        let rows = self.rows(&endpoint, Query::new()).await?.answer;
        let named = all_stated(&endpoint, &rows, parse::account_alias)?;
        let first = named.first().ok_or_else(|| malformed(&endpoint, 0, ("accountAlias", FieldProblem::Missing)))?;
        let account = AccountIdentity {
            venue: VENUE.name.to_owned(),
            base_url: self.rest.base_url().to_owned(),
            account_alias: first.entity.clone(),
        };
        refuse_another_account(&endpoint, &account, &named)?;
        Ok(account)
    }

    async fn fetch_position_mode(&self) -> Result<PositionMode, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, POSITION_MODE, None);
        let row = self.rest.read_signed::<dto::PositionModeRow>(&endpoint, Query::new()).await?.answer;
        parse::position_mode(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))
    }

    async fn fetch_instruments(&self) -> Result<Answer<Instrument>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, EXCHANGE_INFO, None);
        let listed = self.rest.read_public::<dto::ExchangeInfo>(&endpoint, Query::new()).await?;
        let Readable { rows, unreadable } = readable(&endpoint, &listed.answer.symbols, parse::instrument);
        let rows = each_once(&endpoint, rows, ("symbol", |row: &Instrument| row.symbol.clone()))?;
        Ok(Answer { rows, asked_at: listed.sent_at, unreadable })
    }

    async fn fetch_order_filters(&self) -> Result<Answer<OrderFilters>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, EXCHANGE_INFO, None);
        let listed = self.rest.read_public::<dto::ExchangeInfo>(&endpoint, Query::new()).await?;
        let Readable { rows, unreadable } = readable(&endpoint, &listed.answer.symbols, parse::order_filters);
        let rows = each_once(&endpoint, rows, ("symbol", |row: &OrderFilters| row.symbol.clone()))?;
        Ok(Answer { rows, asked_at: listed.sent_at, unreadable })
    }

    async fn fetch_mark_prices(&self, symbol: Option<Symbol>) -> Result<Answer<MarkPrice>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, PREMIUM_INDEX, symbol.as_ref());
        let query = Query::new().with_some("symbol", symbol.as_ref());
        // One contract is answered as an object, all of them as a list.
        let (rows, asked_at) = if symbol.is_some() {
            let one = self.rest.read_public::<Box<RawValue>>(&endpoint, query).await?;
            (vec![one.answer], one.sent_at)
        } else {
            let all = self.rest.read_public(&endpoint, query).await?;
            (all.answer, all.sent_at)
        };
        let Readable { rows, unreadable } = readable(&endpoint, &rows, parse::mark_price);
        let rows =
            in_order(&endpoint, rows, |row| &row.price.symbol, ("symbol", |row: &MarkPrice| row.price.symbol.clone()))?;
        Ok(Answer { rows, asked_at, unreadable })
    }

    async fn fetch_positions(&self, symbol: Option<Symbol>) -> Result<Answer<PositionSnapshot>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, POSITION_RISK, symbol.as_ref());
        let Timed { answer, sent_at: asked_at } =
            self.rows(&endpoint, Query::new().with_some("symbol", symbol.as_ref())).await?;
        let key = |row: &PositionSnapshot| (row.symbol.clone(), row.position_side);
        let parse = |row: &dto::PositionRow| parse::position(row, asked_at);
        let Readable { rows, unreadable } =
            by_contract(&endpoint, &answer, parse, |row| &row.symbol, ("positionSide", key))?;
        Ok(Answer { rows, asked_at, unreadable })
    }

    async fn fetch_balances(&self, of: &AccountIdentity) -> Result<Answer<BalanceSnapshot>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, BALANCE, None);
        let Timed { answer, sent_at: asked_at } = self.rows(&endpoint, Query::new()).await?;
        refuse_another_account(&endpoint, of, &all_stated(&endpoint, &answer, parse::account_alias)?)?;
        let rows = all_stated(&endpoint, &answer, |row| parse::balance(row, asked_at))?;
        let rows = each_once(&endpoint, rows, ("asset", |row: &BalanceSnapshot| row.asset.clone()))?;
        Ok(Answer { rows, asked_at, unreadable: Vec::new() })
    }

    async fn fetch_open_orders(&self, symbol: Option<Symbol>) -> Result<Answer<Order>, ExchangeError> {
        // Conditional ones first: one that triggers in between is then seen twice, as both, rather than not at all.
        let conditional = Endpoint::new(Method::Get, OPEN_ALGO_ORDERS, symbol.as_ref());
        let Timed { answer: Readable { mut rows, mut unreadable }, sent_at: asked_at } =
            self.listed_orders(&conditional, OrderClass::Conditional).await?;
        let regular = Endpoint::new(Method::Get, OPEN_ORDERS, symbol.as_ref());
        let others = self.listed_orders(&regular, OrderClass::Regular).await?.answer;
        rows.extend(others.rows);
        unreadable.extend(others.unreadable);
        rows.sort_by(|left, right| left.entity.key.cmp(&right.entity.key));
        Ok(Answer { rows, asked_at, unreadable })
    }

    async fn fetch_order(&self, symbol: Symbol, order: OrderRef) -> Result<Option<Stated<Order>>, ExchangeError> {
        let class = order.class();
        let endpoint = Endpoint::new(Method::Get, order_path(class), Some(&symbol));
        let query = with_order_ref(Query::new().with("symbol", &symbol), &order);
        let raw = match self.rest.read_signed::<Box<RawValue>>(&endpoint, query).await {
            Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
            result => result?.answer,
        };
        let found = orders(&endpoint, class, &[raw])?.rows.pop();
        if let Some(found) = &found {
            refuse_another(&endpoint, &order, &found.entity)?;
        }
        Ok(found)
    }

    async fn fetch_orders(
        &self,
        class: OrderClass,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<Order, WindowQuery>, ExchangeError> {
        let path = match class {
            OrderClass::Regular => ALL_ORDERS,
            OrderClass::Conditional => ALL_ALGO_ORDERS,
        };
        if symbol.is_none() && VENUE.orders_of(class).needs_symbol {
            return Err(ExchangeError::Unsupported { what: "a list of conditional orders of all contracts at once" });
        }
        let endpoint = Endpoint::new(Method::Get, path, symbol.as_ref());
        self.window_page(&endpoint, Access::Signed, query, VENUE.orders_of(class), |rows, step| {
            let listed = orders(&endpoint, class, rows)?;
            refuse_outside(&endpoint, &listed.rows, step, ("time", order_is_of))?;
            Ok(listed)
        })
        .await
    }

    async fn fetch_my_trades(
        &self,
        symbol: Symbol,
        query: TradeQuery,
    ) -> Result<Page<Fill, TradeQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, USER_TRADES, Some(&symbol));
        let parameters = Query::new().with("symbol", &symbol);
        let parameters = match paging::trade_request(&query) {
            TradeRequest::Window(window) => {
                paging::within_retention(window, self.rest.server_now().await?, VENUE.trades)
                    .map_err(|stuck| incomplete(&endpoint, stuck))?;
                with_window(parameters, window)
            }
            TradeRequest::FromId(id) => parameters.with("fromId", id),
            TradeRequest::Order(order_id) => parameters.with("orderId", order_id),
        };
        let parameters = parameters.with("limit", VENUE.trades.page_rows_max.to_string());
        let Timed { answer: raw, sent_at: asked_at } = self.rows(&endpoint, parameters).await?;
        let rows = all_stated(&endpoint, &raw, parse::fill)?;
        refuse_other_trades(&endpoint, &query, &rows)?;
        let key = |row: &Fill| (row.sequence, row.key.clone());
        let rows = in_order(&endpoint, rows, |row| &row.key.symbol, ("id", key))?;
        let next = paging::next_trades(&query, &rows, raw.len()).map_err(|stuck| incomplete(&endpoint, stuck))?;
        Ok(Page { rows, asked_at, unreadable: Vec::new(), next })
    }

    async fn fetch_income(
        &self,
        income_type: Option<IncomeType>,
        query: WindowQuery,
    ) -> Result<Page<Income, WindowQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, INCOME, None);
        let limits = if income_type.is_some() { VENUE.income_by_type } else { VENUE.income };
        let now = self.rest.server_now().await?;
        paging::within_retention(query.window, now, limits).map_err(|stuck| incomplete(&endpoint, stuck))?;
        // Rows without a transaction id are numbered within a second, so no page may begin or end in the middle of one.
        let query = paging::in_whole_seconds(query, limits);
        let step = paging::window_step(&query, limits);
        let Timed { answer: raw, sent_at: asked_at } = self.income_page(&endpoint, income_type.as_ref(), step).await?;
        match paging::next_window(&query, raw.len(), limits).map_err(|stuck| incomplete(&endpoint, stuck))? {
            WindowAnswer::Complete(next) => {
                Ok(Page { rows: income_rows(&endpoint, &raw)?, asked_at, unreadable: Vec::new(), next })
            }
            WindowAnswer::Overflowed(narrower) if narrower.step_ms >= paging::SECOND_MS => {
                // What the page lacks may belong into any of its seconds: these rows come again.
                Ok(Page { rows: Vec::new(), asked_at, unreadable: Vec::new(), next: Some(narrower) })
            }
            // A second holds more than a page.
            WindowAnswer::Overflowed(narrower) => {
                let raw = self.crowded_income(&endpoint, income_type.as_ref(), step, narrower.step_ms).await?;
                let rest = query.window.after(step);
                let next = rest.map(|window| WindowQuery { window, step_ms: paging::SECOND_MS });
                Ok(Page { rows: income_rows(&endpoint, &raw)?, asked_at, unreadable: Vec::new(), next })
            }
        }
    }

    async fn fetch_force_orders(
        &self,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<Order, WindowQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, FORCE_ORDERS, symbol.as_ref());
        self.window_page(&endpoint, Access::Signed, query, VENUE.force_orders, |rows, step| {
            let listed = forced_orders(&endpoint, rows)?;
            refuse_outside(&endpoint, &listed.rows, step, ("time", order_is_of))?;
            Ok(listed)
        })
        .await
    }

    async fn fetch_funding_rates(
        &self,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<FundingRate, WindowQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, FUNDING_RATE, symbol.as_ref());
        self.window_page(&endpoint, Access::Open, query, VENUE.funding_rates, |rows, step| {
            let key = |row: &FundingRate| (row.at, row.symbol.clone());
            let listed = by_contract(&endpoint, rows, parse::funding_rate, |row| &row.symbol, ("fundingTime", key))?;
            let is_inside = |row: &FundingRate, step: TimeWindow| step.contains(row.at);
            refuse_outside(&endpoint, &listed.rows, step, ("fundingTime", is_inside))?;
            Ok(listed)
        })
        .await
    }

    async fn fetch_klines(
        &self,
        symbol: Symbol,
        query: WindowQuery,
    ) -> Result<Page<PriceSnapshot, WindowQuery>, ExchangeError> {
        let step = paging::window_step(&query, VENUE.klines);
        // What a request costs goes by how many rows it asks for: one more than there can be, so that a page is never full.
        let rows_max = u32::try_from(step.length_ms() / MINUTE_MS + 2).unwrap_or(u32::MAX);
        let rows_max = rows_max.min(u32::try_from(VENUE.klines.page_rows_max).unwrap_or(u32::MAX));
        let endpoint = Endpoint::new(Method::Get, KLINES, Some(&symbol)).of_rows(rows_max);
        let parameters = with_window(Query::new().with("symbol", &symbol).with("interval", "1m"), step)
            .with("limit", rows_max.to_string());
        let Timed { answer: raw, sent_at: asked_at } =
            self.rest.read_public::<Vec<Box<RawValue>>>(&endpoint, parameters).await?;
        let rows = all_stated(&endpoint, &raw, |row| parse::kline(row, &symbol))?;
        let is_inside = |row: &PriceSnapshot, step: TimeWindow| step.contains(row.at.saturating_add_ms(1 - MINUTE_MS));
        refuse_outside(&endpoint, &rows, step, ("openTime", is_inside))?;
        let mut rows = in_order(&endpoint, rows, |row| &row.symbol, ("openTime", |row: &PriceSnapshot| row.at))?;
        // The last price of a minute is known when the minute is over.
        rows.retain(|row| row.entity.at < asked_at);
        let next = query.window.after(step).map(|window| WindowQuery { window, ..query });
        Ok(Page { rows, asked_at, unreadable: Vec::new(), next })
    }
}

/// Refuses trades of another order, another time or before the id that was asked for. What a walk by id begins with
/// [`paging::next_trades`] checks.
fn refuse_other_trades(endpoint: &Endpoint, query: &TradeQuery, rows: &[Stated<Fill>]) -> Result<(), ExchangeError> {
    let (field, other) = match query {
        TradeQuery::Window(_) | TradeQuery::After(_) | TradeQuery::Resume { .. } => {
            if let TradeRequest::Window(step) = paging::trade_request(query) {
                refuse_outside(endpoint, rows, step, ("time", |row: &Fill, step| step.contains(row.time.at)))?;
            }
            return Ok(());
        }
        TradeQuery::Order(asked) => {
            ("orderId", rows.iter().position(|row| row.entity.order_id.as_ref() != Some(asked)))
        }
        TradeQuery::FromId(from) => ("id", rows.iter().position(|row| row.entity.sequence < from.as_sequence())),
    };
    match other {
        None => Ok(()),
        Some(index) => Err(malformed(endpoint, index, (field, FieldProblem::NotAskedFor))),
    }
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Everybody: nothing is signed, and the key stays here.
    Open,
    /// The account.
    Signed,
}

impl BinanceUsdm {
    async fn rows(&self, endpoint: &Endpoint, query: Query) -> Result<Timed<Vec<Box<RawValue>>>, ExchangeError> {
        self.rest.read_signed(endpoint, query).await
    }

    /// A list of open orders of one class, of the endpoint's contract or all.
    async fn listed_orders(
        &self,
        endpoint: &Endpoint,
        class: OrderClass,
    ) -> Result<Timed<Readable<Order>>, ExchangeError> {
        let Timed { answer, sent_at } =
            self.rows(endpoint, Query::new().with_some("symbol", endpoint.symbol.as_ref())).await?;
        Ok(Timed { answer: orders(endpoint, class, &answer)?, sent_at })
    }

    /// A step of a window. Of a full page nobody knows which rows it lacks, so its step is asked again in halves.
    async fn window_page<T>(
        &self,
        endpoint: &Endpoint,
        access: Access,
        query: WindowQuery,
        limits: PagedFacts,
        parse: impl FnOnce(&[Box<RawValue>], TimeWindow) -> Result<Readable<T>, ExchangeError>,
    ) -> Result<Page<T, WindowQuery>, ExchangeError> {
        let now = self.rest.server_now().await?;
        paging::within_retention(query.window, now, limits).map_err(|stuck| incomplete(endpoint, stuck))?;
        let step = paging::window_step(&query, limits);
        let parameters = with_window(Query::new().with_some("symbol", endpoint.symbol.as_ref()), step)
            .with("limit", limits.page_rows_max.to_string());
        let Timed { answer: raw, sent_at: asked_at } = match access {
            Access::Open => self.rest.read_public(endpoint, parameters).await?,
            Access::Signed => self.rows(endpoint, parameters).await?,
        };
        let next = paging::next_window(&query, raw.len(), limits).map_err(|stuck| incomplete(endpoint, stuck))?;
        let Readable { rows, unreadable } = parse(&raw, step)?;
        let next = match next {
            WindowAnswer::Complete(next) => next,
            // What came is true all the same.
            WindowAnswer::Overflowed(narrower) => Some(narrower),
        };
        Ok(Page { rows, asked_at, unreadable, next })
    }

    async fn income_page(
        &self,
        endpoint: &Endpoint,
        income_type: Option<&IncomeType>,
        step: TimeWindow,
    ) -> Result<Timed<Vec<Box<RawValue>>>, ExchangeError> {
        let parameters = Query::new().with_some("incomeType", income_type.map(IncomeType::as_str));
        let parameters = with_window(parameters, step).with("limit", VENUE.income.page_rows_max.to_string());
        let page = self.rows(endpoint, parameters).await?;
        let times = all_stated(endpoint, &page.answer, parse::income_time)?;
        refuse_outside(endpoint, &times, step, ("time", |at: &TimestampMs, step| step.contains(*at)))?;
        let Some(asked) = income_type else { return Ok(page) };
        let types = all_stated(endpoint, &page.answer, parse::income_type)?;
        match types.iter().position(|row| row.entity != *asked) {
            None => Ok(page),
            Some(index) => Err(malformed(endpoint, index, ("incomeType", FieldProblem::NotAskedFor))),
        }
    }

    /// All rows of a window that holds more than a page, however short it is.
    async fn crowded_income(
        &self,
        endpoint: &Endpoint,
        income_type: Option<&IncomeType>,
        window: TimeWindow,
        step_ms: i64,
    ) -> Result<Vec<Box<RawValue>>, ExchangeError> {
        let mut rows = Vec::new();
        let mut next = Some(WindowQuery { window, step_ms });
        while let Some(query) = next {
            let step = paging::window_step(&query, VENUE.income);
            let page = self.income_page(endpoint, income_type, step).await?.answer;
            let followed = paging::next_window(&query, page.len(), VENUE.income);
            next = match followed.map_err(|stuck| incomplete(endpoint, stuck))? {
                WindowAnswer::Complete(next) => {
                    rows.extend(page);
                    next
                }
                WindowAnswer::Overflowed(narrower) => Some(narrower),
            };
        }
        Ok(rows)
    }
}
