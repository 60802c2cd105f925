//! Binance USD-M futures.
//!
//! `rest` sends, `sign` signs, `dto` is what comes back, `parse` makes entities of it, `paging` knows how to go on.
//!
//! Invariants, each with a test of the same name:
//! 1. `entities_carry_their_payload_verbatim`.
//! 2. `a_duplicate_or_unsorted_page_is_put_right`.
//! 3. `rows_that_were_not_asked_for_are_refused`.
//! 4. `a_ledger_row_without_an_id_has_one_id_wherever_pages_begin`.

mod dto;
mod facts;
mod paging;
mod parse;
mod rest;
mod sign;
mod symbol;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ledger_core::{
    BalanceSnapshot, Fill, Income, Instrument, Order, OrderClass, PositionMode, PositionSide, PositionSnapshot,
    PriceSnapshot, Symbol, TimestampMs,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use self::facts::VENUE;
use self::facts::{
    ALL_ORDERS, BALANCE, EXCHANGE_INFO, INCOME, OPEN_ORDERS, ORDER, POSITION_MODE, POSITION_RISK, PREMIUM_INDEX,
    USER_TRADES,
};
use self::paging::{Stuck, TradeRequest, WindowAnswer};
pub use self::parse::fee_from_commission;
use self::rest::{RestClient, malformed};
use self::sign::Query;
pub use self::symbol::instrument_from_symbol;
use crate::api::{
    AccountIdentity, Answer, ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, Page, Stated, TimeWindow,
    TradeQuery, Usage, WindowQuery,
};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::{Endpoint, ErrorClass, ExchangeError, FieldProblem, SendOutcome};
use crate::income_id::IncomeDigest;
use crate::transport::{Method, Transport};
use crate::venue::VenueFacts;

/// One account at Binance USD-M futures, or at anything that speaks its language.
pub struct BinanceUsdm {
    rest: RestClient,
}

impl fmt::Debug for BinanceUsdm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BinanceUsdm").field("base_url", &self.rest.base_url()).finish_non_exhaustive()
    }
}

impl BinanceUsdm {
    /// An adapter for the account of `credentials`. `base_url` is [`VENUE`]'s own or that of a test exchange.
    ///
    /// # Errors
    /// [`ExchangeError::BaseUrl`] when credentials would travel unencrypted to another machine.
    pub fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        credentials: Credentials,
    ) -> Result<Self, ExchangeError> {
        Ok(Self { rest: RestClient::new(transport, clock, base_url, credentials)? })
    }

    async fn rows(&self, endpoint: &Endpoint, query: Query) -> Result<Vec<Box<RawValue>>, ExchangeError> {
        self.rest.read_signed(endpoint, query).await
    }
}

/// Reads a row, keeping its words.
fn stated<D: DeserializeOwned, T>(
    endpoint: &Endpoint,
    row: usize,
    raw: &RawValue,
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
) -> Result<Stated<T>, ExchangeError> {
    let dto: D = serde_json::from_str(raw.get()).map_err(|source| ExchangeError::Unreadable {
        endpoint: endpoint.clone(),
        body_start: crate::error::body_start(raw.get().as_bytes()),
        source,
    })?;
    let entity = parse(&dto).map_err(|unusable| malformed(endpoint, row, unusable))?;
    Ok(Stated { entity, payload: raw.get().into() })
}

fn all_stated<D: DeserializeOwned, T>(
    endpoint: &Endpoint,
    rows: &[Box<RawValue>],
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
) -> Result<Vec<Stated<T>>, ExchangeError> {
    rows.iter().enumerate().map(|(index, raw)| stated(endpoint, index, raw, &parse)).collect()
}

/// Refuses rows about another contract than the one asked for, and puts the others in order, each once.
fn in_order<T: PartialEq, K: Ord>(
    endpoint: &Endpoint,
    rows: Vec<Stated<T>>,
    symbol_of: impl Fn(&T) -> &Symbol,
    key_of: impl Fn(&T) -> K,
) -> Result<Vec<Stated<T>>, ExchangeError> {
    let mut sorted = BTreeMap::new();
    for (index, row) in rows.into_iter().enumerate() {
        if endpoint.symbol.as_ref().is_some_and(|asked| asked != symbol_of(&row.entity)) {
            return Err(malformed(endpoint, index, ("symbol", FieldProblem::NotAskedFor)));
        }
        sorted.insert(key_of(&row.entity), row);
    }
    Ok(sorted.into_values().collect())
}

fn incomplete(endpoint: &Endpoint, Stuck(detail): Stuck) -> ExchangeError {
    ExchangeError::Incomplete { endpoint: endpoint.clone(), detail }
}

fn with_window(query: Query, window: TimeWindow) -> Query {
    query.with("startTime", window.since().as_ms().to_string()).with("endTime", window.until().as_ms().to_string())
}

fn with_symbol(query: Query, symbol: Option<&Symbol>) -> Query {
    query.with_some("symbol", symbol)
}

fn with_order_ref(query: Query, order: &OrderRef) -> Result<Query, ExchangeError> {
    match order {
        OrderRef::Id(OrderClass::Regular, id) => Ok(query.with("orderId", id)),
        OrderRef::Client(id) => Ok(query.with("origClientOrderId", id)),
        OrderRef::Id(OrderClass::Conditional, _) => Err(ExchangeError::Unsupported { what: "a conditional order" }),
    }
}

/// The wire's name of a position side.
fn position_side_name(side: PositionSide) -> &'static str {
    match side {
        PositionSide::Net => "BOTH",
        PositionSide::Long => "LONG",
        PositionSide::Short => "SHORT",
    }
}

#[async_trait]
impl ExchangeReader for BinanceUsdm {
    fn venue(&self) -> &'static VenueFacts {
        &VENUE
    }

    fn usage(&self) -> Usage {
        self.rest.usage()
    }

    async fn server_time(&self) -> Result<TimestampMs, ExchangeError> {
        Ok(self.rest.measure_clock().await?.0)
    }

    async fn account_identity(&self) -> Result<AccountIdentity, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, BALANCE, None);
        let rows = self.rows(&endpoint, Query::new()).await?;
        let first = rows.first().ok_or_else(|| malformed(&endpoint, 0, ("accountAlias", FieldProblem::Missing)))?;
        let alias = stated::<dto::BalanceRow, _>(&endpoint, 0, first, parse::account_alias)?.entity;
        Ok(AccountIdentity {
            venue: VENUE.name.to_owned(),
            base_url: self.rest.base_url().to_owned(),
            account_alias: alias,
        })
    }

    async fn fetch_position_mode(&self) -> Result<PositionMode, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, POSITION_MODE, None);
        let row: dto::PositionModeRow = self.rest.read_signed(&endpoint, Query::new()).await?;
        parse::position_mode(&row).map_err(|unusable| malformed(&endpoint, 0, unusable))
    }

    async fn fetch_instruments(&self) -> Result<Answer<Instrument>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, EXCHANGE_INFO, None);
        let asked_at = self.rest.server_now().await?;
        let answer: dto::ExchangeInfo = self.rest.read_public(&endpoint, Query::new()).await?;
        Ok(Answer { rows: all_stated(&endpoint, &answer.symbols, parse::instrument)?, asked_at })
    }

    async fn fetch_mark_prices(&self, symbol: Option<Symbol>) -> Result<Answer<PriceSnapshot>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, PREMIUM_INDEX, symbol.as_ref());
        let asked_at = self.rest.server_now().await?;
        let query = with_symbol(Query::new(), symbol.as_ref());
        // One contract is answered as an object, all of them as a list.
        let rows = if symbol.is_some() {
            vec![self.rest.read_public::<Box<RawValue>>(&endpoint, query).await?]
        } else {
            self.rest.read_public(&endpoint, query).await?
        };
        let rows = all_stated(&endpoint, &rows, parse::mark_price)?;
        Ok(Answer { rows: in_order(&endpoint, rows, |row| &row.symbol, |row| row.symbol.clone())?, asked_at })
    }

    async fn fetch_positions(&self, symbol: Option<Symbol>) -> Result<Answer<PositionSnapshot>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, POSITION_RISK, symbol.as_ref());
        let asked_at = self.rest.server_now().await?;
        let rows = self.rows(&endpoint, with_symbol(Query::new(), symbol.as_ref())).await?;
        let rows = all_stated(&endpoint, &rows, |row| parse::position(row, asked_at))?;
        let rows = in_order(&endpoint, rows, |row| &row.symbol, |row| (row.symbol.clone(), row.position_side))?;
        Ok(Answer { rows, asked_at })
    }

    async fn fetch_balances(&self) -> Result<Answer<BalanceSnapshot>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, BALANCE, None);
        let asked_at = self.rest.server_now().await?;
        let rows = self.rows(&endpoint, Query::new()).await?;
        Ok(Answer { rows: all_stated(&endpoint, &rows, |row| parse::balance(row, asked_at))?, asked_at })
    }

    async fn fetch_open_orders(&self, symbol: Option<Symbol>) -> Result<Answer<Order>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, OPEN_ORDERS, symbol.as_ref());
        let asked_at = self.rest.server_now().await?;
        let rows = self.rows(&endpoint, with_symbol(Query::new(), symbol.as_ref())).await?;
        let rows = all_stated(&endpoint, &rows, parse::order)?;
        Ok(Answer { rows: in_order(&endpoint, rows, |row| &row.key.symbol, |row| row.key.clone())?, asked_at })
    }

    async fn fetch_order(&self, symbol: Symbol, order: OrderRef) -> Result<Option<Stated<Order>>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, ORDER, Some(&symbol));
        let query = with_order_ref(with_symbol(Query::new(), Some(&symbol)), &order)?;
        let raw: Box<RawValue> = match self.rest.read_signed(&endpoint, query).await {
            Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
            result => result?,
        };
        let rows = vec![stated(&endpoint, 0, &raw, parse::order)?];
        Ok(in_order(&endpoint, rows, |row| &row.key.symbol, |_| ())?.pop())
    }

    async fn fetch_orders(
        &self,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<Order, WindowQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, ALL_ORDERS, symbol.as_ref());
        let asked_at = self.rest.server_now().await?;
        let step = paging::window_step(&query, VENUE.orders);
        let parameters = with_window(with_symbol(Query::new(), symbol.as_ref()), step)
            .with("limit", VENUE.orders.page_rows_max.to_string());
        let raw = self.rows(&endpoint, parameters).await?;
        let next =
            paging::next_window(&query, raw.len(), VENUE.orders).map_err(|stuck| incomplete(&endpoint, stuck))?;
        let rows = all_stated(&endpoint, &raw, parse::order)?;
        let rows = in_order(&endpoint, rows, |row| &row.key.symbol, |row| row.key.clone())?;
        Ok(match next {
            WindowAnswer::Complete(next) => Page { rows, asked_at, next },
            WindowAnswer::Overflowed(narrower) => Page { rows, asked_at, next: Some(narrower) },
        })
    }

    async fn fetch_my_trades(
        &self,
        symbol: Symbol,
        query: TradeQuery,
    ) -> Result<Page<Fill, TradeQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, USER_TRADES, Some(&symbol));
        let asked_at = self.rest.server_now().await?;
        let parameters = with_symbol(Query::new(), Some(&symbol));
        let parameters = match paging::trade_request(&query) {
            TradeRequest::Window(window) => with_window(parameters, window),
            TradeRequest::FromId(id) => parameters.with("fromId", id),
            TradeRequest::Order(order_id) => parameters.with("orderId", order_id),
        };
        let parameters = parameters.with("limit", VENUE.trades.page_rows_max.to_string());
        let raw = self.rows(&endpoint, parameters).await?;
        let rows = all_stated(&endpoint, &raw, parse::fill)?;
        let rows = in_order(&endpoint, rows, |row| &row.key.symbol, |row| (row.sequence, row.key.clone()))?;
        let next = paging::next_trades(&query, &rows, raw.len()).map_err(|stuck| incomplete(&endpoint, stuck))?;
        Ok(Page { rows, asked_at, next })
    }

    async fn fetch_income(&self, query: WindowQuery) -> Result<Page<Income, WindowQuery>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, INCOME, None);
        let asked_at = self.rest.server_now().await?;
        // Rows without a transaction id are numbered within a second, so no page may begin or end in the middle of one.
        let query = paging::in_whole_seconds(query, VENUE.income);
        let step = paging::window_step(&query, VENUE.income);
        let raw = self.income_page(&endpoint, step).await?;
        match paging::next_window(&query, raw.len(), VENUE.income).map_err(|stuck| incomplete(&endpoint, stuck))? {
            WindowAnswer::Complete(next) => Ok(Page { rows: income_rows(&endpoint, &raw)?, asked_at, next }),
            WindowAnswer::Overflowed(narrower) if narrower.step_ms >= paging::SECOND_MS => {
                // What the page lacks may belong into any of its seconds: these rows come again.
                Ok(Page { rows: Vec::new(), asked_at, next: Some(narrower) })
            }
            // A second holds more than a page.
            WindowAnswer::Overflowed(narrower) => {
                let raw = self.crowded_income(&endpoint, step, narrower.step_ms).await?;
                let rest = query.window.after(step);
                let next = rest.map(|window| WindowQuery { window, step_ms: paging::SECOND_MS });
                Ok(Page { rows: income_rows(&endpoint, &raw)?, asked_at, next })
            }
        }
    }
}

impl BinanceUsdm {
    async fn income_page(&self, endpoint: &Endpoint, step: TimeWindow) -> Result<Vec<Box<RawValue>>, ExchangeError> {
        let parameters = with_window(Query::new(), step).with("limit", VENUE.income.page_rows_max.to_string());
        self.rows(endpoint, parameters).await
    }

    /// All rows of a window that holds more than a page, however short it is.
    async fn crowded_income(
        &self,
        endpoint: &Endpoint,
        window: TimeWindow,
        step_ms: i64,
    ) -> Result<Vec<Box<RawValue>>, ExchangeError> {
        let mut rows = Vec::new();
        let mut next = Some(WindowQuery { window, step_ms });
        while let Some(query) = next {
            let page = self.income_page(endpoint, paging::window_step(&query, VENUE.income)).await?;
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

/// Ledger rows of whole seconds; those without a transaction id are told apart by their ordinal among identical ones.
fn income_rows(endpoint: &Endpoint, raw: &[Box<RawValue>]) -> Result<Vec<Stated<Income>>, ExchangeError> {
    let mut sorted = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let row = stated::<dto::IncomeRow, _>(endpoint, index, raw, |row| Ok((parse::income_time(row)?, row.clone())))?;
        sorted.push((index, row));
    }
    // Rows of one millisecond stay as they came.
    sorted.sort_by_key(|(_, row)| row.entity.0);
    let mut seen: BTreeMap<IncomeDigest, u32> = BTreeMap::new();
    let mut rows = BTreeMap::new();
    for (index, row) in sorted {
        let ordinal = |digest| {
            let count = seen.entry(digest).or_default();
            *count += 1;
            *count - 1
        };
        let entity = parse::income(&row.entity.1, ordinal).map_err(|unusable| malformed(endpoint, index, unusable))?;
        rows.insert((entity.time.at, entity.key.clone()), Stated { entity, payload: row.payload });
    }
    Ok(rows.into_values().collect())
}

#[async_trait]
impl ExchangeTrader for BinanceUsdm {
    async fn create_order(&self, order: NewOrder) -> SendOutcome<Stated<Order>> {
        let endpoint = Endpoint::new(Method::Post, ORDER, Some(&order.symbol));
        let query = with_symbol(Query::new(), Some(&order.symbol))
            .with("side", order.side.as_str())
            .with("positionSide", position_side_name(order.position_side))
            .with("quantity", order.qty.to_string())
            .with("newClientOrderId", &order.client_order_id);
        let query = match order.kind {
            OrderKind::Market => query.with("type", "MARKET"),
            OrderKind::Limit { price } => {
                query.with("type", "LIMIT").with("timeInForce", "GTC").with("price", price.to_string())
            }
        };
        // In hedge mode the parameter is refused even when false.
        let query = if order.reduce_only { query.with("reduceOnly", "true") } else { query };
        // RESULT: a market order is answered when it is done, not when it arrived.
        self.order_answer(endpoint, query.with("newOrderRespType", "RESULT")).await
    }

    async fn cancel_order(&self, symbol: Symbol, order: OrderRef) -> SendOutcome<Stated<Order>> {
        let endpoint = Endpoint::new(Method::Delete, ORDER, Some(&symbol));
        match with_order_ref(with_symbol(Query::new(), Some(&symbol)), &order) {
            Ok(query) => self.order_answer(endpoint, query).await,
            Err(error) => SendOutcome::Rejected(error),
        }
    }

    async fn set_position_mode(&self, mode: PositionMode) -> SendOutcome<()> {
        const NO_CHANGE_NEEDED: i64 = -4059;
        let endpoint = Endpoint::new(Method::Post, POSITION_MODE, None);
        let query = Query::new().with("dualSidePosition", if mode == PositionMode::Hedge { "true" } else { "false" });
        if let Err(error) = self.rest.server_now().await {
            return SendOutcome::Rejected(error);
        }
        match self.rest.send_signed::<dto::NoticeRow>(&endpoint, query).await {
            Err(error) if error.code() == Some(NO_CHANGE_NEEDED) => SendOutcome::Done(()),
            result => SendOutcome::from_result(result.map(|_| ())),
        }
    }
}

impl BinanceUsdm {
    async fn order_answer(&self, endpoint: Endpoint, query: Query) -> SendOutcome<Stated<Order>> {
        // A clock that cannot be measured leaves the order unsent, whatever happened to the question for the time.
        if let Err(error) = self.rest.server_now().await {
            return SendOutcome::Rejected(error);
        }
        let result = match self.rest.send_signed::<Box<RawValue>>(&endpoint, query).await {
            Ok(raw) => stated(&endpoint, 0, &raw, parse::order),
            Err(error) => Err(error),
        };
        SendOutcome::from_result(result)
    }
}
