//! Trading at Binance USD-M.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `a_sent_order_is_done_rejected_or_unknown`, and is sent once.
//! 2. `no_change_needed_is_done`.
//! 3. `each_order_of_a_side_has_an_outcome_of_its_own`.
//! 4. `an_answer_about_something_else_leaves_the_outcome_unknown`.
//! 5. `an_answer_that_contradicts_the_command_leaves_the_outcome_unknown`.
//! 6. `what_a_command_needs_to_know_is_asked_once_and_at_once`.

use async_trait::async_trait;
use ledger_core::{Order, OrderClass, PositionMode, PositionSide, Side, Symbol};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::agreement::{refuse_another, refuse_another_notice, refuse_other_order, refuse_other_terms, refuse_working};
use super::facts::{
    ALGO_OPEN_ORDERS, ALL_OPEN_ORDERS, LEVERAGE, MARGIN_TYPE, OPEN_ALGO_ORDERS, ORDER, POSITION_MODE, VENUE,
};
use super::parameters::{self, order_path, with_order_ref};
use super::rows::{malformed, orders, stated};
use super::sign::Query;
use super::{BinanceUsdm, dto, parse};
use crate::api::{
    Amendment, CancelOutcome, ExchangeTrader, InvalidOrder, MarginMode, NewOrder, OrderRef, SideCancel, Stated,
};
use crate::error::{Endpoint, ExchangeError, FieldProblem, SendOutcome};
use crate::transport::Method;

const NO_NEED_TO_CHANGE_MARGIN_TYPE: i64 = -4046;
const NO_NEED_TO_CHANGE_POSITION_MODE: i64 = -4059;

#[async_trait]
impl ExchangeTrader for BinanceUsdm {
    async fn create_order(&self, order: NewOrder) -> SendOutcome<Stated<Order>> {
        let acceptable = VENUE.client_order_id.accepts(order.client_order_id.as_str());
        let named = InvalidOrder::ClientOrderId { len_max: VENUE.client_order_id.len_max };
        if let Err(source) = order.check().and(if acceptable { Ok(()) } else { Err(named) }) {
            let client_order_id = order.client_order_id;
            return SendOutcome::Rejected(ExchangeError::InvalidOrder { client_order_id, source });
        }
        let class = order.kind.class();
        let endpoint = Endpoint::new(Method::Post, order_path(class), Some(&order.symbol));
        let asked = OrderRef::Client(class, order.client_order_id.clone());
        self.order_answer(&endpoint, &asked, parameters::new_order(&order), |stated| {
            refuse_other_order(&endpoint, &order, stated)
        })
        .await
    }

    async fn amend_order(&self, amendment: Amendment) -> SendOutcome<Stated<Order>> {
        if amendment.order.class() == OrderClass::Conditional {
            // The algo endpoints have no such request: cancel and place anew.
            return SendOutcome::Rejected(ExchangeError::Unsupported { what: "amending a conditional order" });
        }
        let endpoint = Endpoint::new(Method::Put, ORDER, Some(&amendment.symbol));
        self.order_answer(&endpoint, &amendment.order, parameters::amendment(&amendment), |stated| {
            refuse_other_terms(&endpoint, &amendment, stated)
        })
        .await
    }

    async fn cancel_order(&self, symbol: Symbol, order: OrderRef) -> CancelOutcome {
        let class = order.class();
        let endpoint = Endpoint::new(Method::Delete, order_path(class), Some(&symbol));
        let query = with_order_ref(Query::new().with("symbol", &symbol), &order);
        let raw = match self.send::<Box<RawValue>>(&endpoint, query).await {
            SendOutcome::Done(raw) => raw,
            SendOutcome::Rejected(error) => return SendOutcome::Rejected(error),
            SendOutcome::Unknown(error) => return SendOutcome::Unknown(error),
        };
        if class == OrderClass::Conditional && is_notice_only(&raw) {
            if let Err(error) = refuse_another_notice(&endpoint, &order, &raw) {
                return SendOutcome::Unknown(error);
            }
            // Only that it is done. The state is worth one question; without an answer it stays untold.
            let endpoint = Endpoint::new(Method::Get, order_path(class), Some(&symbol));
            let query = with_order_ref(Query::new().with("symbol", &symbol), &order);
            let found = self.at_once::<Box<RawValue>>(&endpoint, query).await;
            return SendOutcome::Done(found.and_then(|raw| ended_state(&endpoint, &order, &raw)).ok());
        }
        SendOutcome::from_result(ended_state(&endpoint, &order, &raw).map(Some))
    }

    async fn cancel_all_orders(&self, symbol: Symbol) -> SendOutcome<()> {
        let endpoint = Endpoint::new(Method::Delete, ALL_OPEN_ORDERS, Some(&symbol));
        self.acknowledged(&endpoint, Query::new().with("symbol", &symbol), None).await
    }

    async fn cancel_all_conditional_orders(&self, symbol: Symbol) -> SendOutcome<()> {
        let endpoint = Endpoint::new(Method::Delete, ALGO_OPEN_ORDERS, Some(&symbol));
        self.acknowledged(&endpoint, Query::new().with("symbol", &symbol), None).await
    }

    async fn cancel_conditional_by_side(
        &self,
        symbol: Symbol,
        side: Side,
        position_side: Option<PositionSide>,
    ) -> Result<Vec<SideCancel>, ExchangeError> {
        let endpoint = Endpoint::new(Method::Get, OPEN_ALGO_ORDERS, Some(&symbol));
        let rows = self.at_once::<Vec<Box<RawValue>>>(&endpoint, Query::new().with("symbol", &symbol)).await?;
        let listed = orders(&endpoint, OrderClass::Conditional, &rows)?.rows;
        let wanted = |order: &Order| {
            order.side == side && position_side.is_none_or(|wanted| order.position_side == Some(wanted))
        };
        let mut cancelled = Vec::new();
        for listed in listed.into_iter().filter(|listed| wanted(&listed.entity)) {
            let order = OrderRef::Id(OrderClass::Conditional, listed.entity.key.order_id.clone());
            let outcome = self.cancel_order(symbol.clone(), order).await;
            cancelled.push(SideCancel { listed, outcome });
        }
        Ok(cancelled)
    }

    async fn set_leverage(&self, symbol: Symbol, leverage: u32) -> SendOutcome<u32> {
        let endpoint = Endpoint::new(Method::Post, LEVERAGE, Some(&symbol));
        let query = Query::new().with("symbol", &symbol).with("leverage", leverage.to_string());
        match self.send::<dto::LeverageRow>(&endpoint, query).await {
            SendOutcome::Done(row) => SendOutcome::from_result(
                parse::leverage(&row, &symbol, leverage).map_err(|unusable| malformed(&endpoint, 0, unusable)),
            ),
            SendOutcome::Rejected(error) => SendOutcome::Rejected(error),
            SendOutcome::Unknown(error) => SendOutcome::Unknown(error),
        }
    }

    async fn set_margin_mode(&self, symbol: Symbol, mode: MarginMode) -> SendOutcome<()> {
        let endpoint = Endpoint::new(Method::Post, MARGIN_TYPE, Some(&symbol));
        let name = match mode {
            MarginMode::Cross => "CROSSED",
            MarginMode::Isolated => "ISOLATED",
        };
        let query = Query::new().with("symbol", &symbol).with("marginType", name);
        self.acknowledged(&endpoint, query, Some(NO_NEED_TO_CHANGE_MARGIN_TYPE)).await
    }

    async fn set_position_mode(&self, mode: PositionMode) -> SendOutcome<()> {
        let endpoint = Endpoint::new(Method::Post, POSITION_MODE, None);
        let query = Query::new().with("dualSidePosition", if mode == PositionMode::Hedge { "true" } else { "false" });
        self.acknowledged(&endpoint, query, Some(NO_NEED_TO_CHANGE_POSITION_MODE)).await
    }
}

/// Whether an answer says that something was done, and nothing about the order. It has been seen with and without.
fn is_notice_only(raw: &RawValue) -> bool {
    let notice = serde_json::from_str::<dto::NoticeRow>(raw.get()).ok().and_then(|row| parse::notice(&row));
    let order = serde_json::from_str::<dto::AlgoOrderRow>(raw.get()).unwrap_or_default();
    matches!(notice, Some((200, _))) && order.algo_status.is_none()
}

fn order_state(endpoint: &Endpoint, asked: &OrderRef, raw: &RawValue) -> Result<Stated<Order>, ExchangeError> {
    let order = match asked.class() {
        OrderClass::Regular => stated(endpoint, 0, raw, parse::order)?,
        OrderClass::Conditional => stated(endpoint, 0, raw, parse::conditional_order)?,
    };
    refuse_another(endpoint, asked, &order.entity)?;
    Ok(order)
}

/// The state of an order that was cancelled.
fn ended_state(endpoint: &Endpoint, asked: &OrderRef, raw: &RawValue) -> Result<Stated<Order>, ExchangeError> {
    let order = order_state(endpoint, asked, raw)?;
    refuse_working(endpoint, &order.entity)?;
    Ok(order)
}

impl BinanceUsdm {
    async fn send<T: DeserializeOwned>(&self, endpoint: &Endpoint, query: Query) -> SendOutcome<T> {
        // A clock that cannot be measured leaves the request unsent, whatever happened to the question for the time.
        if let Err(error) = self.rest.prepare_command().await {
            return SendOutcome::Rejected(error);
        }
        SendOutcome::from_result(self.rest.command(endpoint, &query).await)
    }

    /// Asks what is a part of a command: without waiting for a budget, and without repeating.
    async fn at_once<T: DeserializeOwned>(&self, endpoint: &Endpoint, query: Query) -> Result<T, ExchangeError> {
        self.rest.prepare_command().await?;
        self.rest.command(endpoint, &query).await
    }

    async fn order_answer(
        &self,
        endpoint: &Endpoint,
        asked: &OrderRef,
        query: Query,
        agree: impl Fn(&Order) -> Result<(), ExchangeError>,
    ) -> SendOutcome<Stated<Order>> {
        match self.send::<Box<RawValue>>(endpoint, query).await {
            SendOutcome::Done(raw) => SendOutcome::from_result(order_state(endpoint, asked, &raw).and_then(|order| {
                agree(&order.entity)?;
                Ok(order)
            })),
            SendOutcome::Rejected(error) => SendOutcome::Rejected(error),
            SendOutcome::Unknown(error) => SendOutcome::Unknown(error),
        }
    }

    /// Sends what is answered by a notice only; `fine` is the refusal that says that nothing had to be done.
    async fn acknowledged(&self, endpoint: &Endpoint, query: Query, fine: Option<i64>) -> SendOutcome<()> {
        match self.send::<dto::NoticeRow>(endpoint, query).await {
            SendOutcome::Done(row) => match parse::notice(&row) {
                Some((200, _)) => SendOutcome::Done(()),
                _ => SendOutcome::Unknown(malformed(endpoint, 0, ("code", FieldProblem::NotAskedFor))),
            },
            SendOutcome::Rejected(error) if fine.is_some() && error.code() == fine => SendOutcome::Done(()),
            SendOutcome::Rejected(error) => SendOutcome::Rejected(error),
            SendOutcome::Unknown(error) => SendOutcome::Unknown(error),
        }
    }
}
