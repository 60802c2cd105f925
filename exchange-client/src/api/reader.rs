//! The questions.

use async_trait::async_trait;
use ledger_core::{
    BalanceSnapshot, Fill, FundingRate, Income, IncomeType, Instrument, Order, OrderClass, PositionMode,
    PositionSnapshot, PriceSnapshot, Symbol, TimestampMs,
};

use super::{AccountIdentity, Answer, MarkPrice, OrderFilters, OrderRef, Page, Stated, TradeQuery, Usage, WindowQuery};
use crate::error::ExchangeError;
use crate::venue::VenueFacts;

/// Asks; changes nothing at the exchange.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait ExchangeReader: Send + Sync {
    /// The venue's limits and promises.
    fn venue(&self) -> &'static VenueFacts;

    /// What has been asked so far.
    fn usage(&self) -> Usage;

    /// Waits for as long as the exchange's answers lag behind each other ([`VenueFacts::settle_lag_ms`]): what is asked
    /// after that is a second look, and not the first one again.
    async fn outwait_lag(&self);

    /// The exchange's clock.
    ///
    /// # Errors
    /// [`ExchangeError`], as for every method here.
    async fn server_time(&self) -> Result<TimestampMs, ExchangeError>;

    /// Which account these credentials belong to: one answer, in which all rows say the same. No account is bound by one
    /// answer alone.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn account_identity(&self) -> Result<AccountIdentity, ExchangeError>;

    /// One-way or hedge mode.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_position_mode(&self) -> Result<PositionMode, ExchangeError>;

    /// All contracts.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_instruments(&self) -> Result<Answer<Instrument>, ExchangeError>;

    /// What orders of each contract must fulfil.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_order_filters(&self) -> Result<Answer<OrderFilters>, ExchangeError>;

    /// Mark prices of one contract or all.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_mark_prices(&self, symbol: Option<Symbol>) -> Result<Answer<MarkPrice>, ExchangeError>;

    /// Open positions of one contract or all. A position that is not listed was flat when asked, unless the answer does not
    /// [speak of](Answer::speaks_of) its contract.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_positions(&self, symbol: Option<Symbol>) -> Result<Answer<PositionSnapshot>, ExchangeError>;

    /// Wallet balances of the account `of`. An answer that names another account, in whichever row, is refused.
    ///
    /// # Errors
    /// [`ExchangeError`]; [`ExchangeError::AnotherAccount`] where somebody else's balances were answered.
    async fn fetch_balances(&self, of: &AccountIdentity) -> Result<Answer<BalanceSnapshot>, ExchangeError>;

    /// Working orders of one contract or all, conditional ones included. When either list fails, so does the answer. This
    /// is the one list of conditional orders that a venue may have for all contracts at once; those that ended may only be
    /// had contract by contract, with [`fetch_orders`](Self::fetch_orders).
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_open_orders(&self, symbol: Option<Symbol>) -> Result<Answer<Order>, ExchangeError>;

    /// One order; `None` when the exchange does not know it, which is no proof that there never was one: orders are
    /// forgotten with time, and conditional ones have been unknown for minutes after they were placed.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_order(&self, symbol: Symbol, order: OrderRef) -> Result<Option<Stated<Order>>, ExchangeError>;

    /// Orders of one class that were created in a window, of one contract or all: one page. Whether a class can be
    /// asked about all contracts at once is among the [venue's facts](crate::PagedFacts::needs_symbol).
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_orders(
        &self,
        class: OrderClass,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<Order, WindowQuery>, ExchangeError>;

    /// Fills of one contract: one page.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_my_trades(&self, symbol: Symbol, query: TradeQuery)
    -> Result<Page<Fill, TradeQuery>, ExchangeError>;

    /// Ledger entries of a window, all contracts, of one type or of all: one page.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_income(
        &self,
        income_type: Option<IncomeType>,
        query: WindowQuery,
    ) -> Result<Page<Income, WindowQuery>, ExchangeError>;

    /// Orders by which the exchange itself closed positions in a window, of one contract or all: one page. Their
    /// exit reason is [`Liquidation`](ledger_core::ExitReason::Liquidation) or [`Adl`](ledger_core::ExitReason::Adl).
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_force_orders(
        &self,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<Order, WindowQuery>, ExchangeError>;

    /// Funding rates of one contract or all in a window: one page. Of all contracts, rows that cannot be read are those of
    /// their contracts.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_funding_rates(
        &self,
        symbol: Option<Symbol>,
        query: WindowQuery,
    ) -> Result<Page<FundingRate, WindowQuery>, ExchangeError>;

    /// The last price of each minute of one contract that began in a window and is over: one page of prices of the kind
    /// [`KlineClose`](ledger_core::PriceKind::KlineClose). Minutes without a kline at the exchange are left out.
    ///
    /// # Errors
    /// [`ExchangeError`].
    async fn fetch_klines(
        &self,
        symbol: Symbol,
        query: WindowQuery,
    ) -> Result<Page<PriceSnapshot, WindowQuery>, ExchangeError>;
}
