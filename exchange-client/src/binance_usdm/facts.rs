//! Binance USD-M futures as data.

use crate::transport::Method;
use crate::venue::{DAY_MS, EndpointWeight, PagedFacts, TradeIdOrder, VenueFacts};

pub(super) const TIME: &str = "/fapi/v1/time";
pub(super) const EXCHANGE_INFO: &str = "/fapi/v1/exchangeInfo";
pub(super) const PREMIUM_INDEX: &str = "/fapi/v1/premiumIndex";
pub(super) const BALANCE: &str = "/fapi/v3/balance";
pub(super) const POSITION_RISK: &str = "/fapi/v3/positionRisk";
pub(super) const POSITION_MODE: &str = "/fapi/v1/positionSide/dual";
pub(super) const OPEN_ORDERS: &str = "/fapi/v1/openOrders";
pub(super) const ORDER: &str = "/fapi/v1/order";
pub(super) const ALL_ORDERS: &str = "/fapi/v1/allOrders";
pub(super) const USER_TRADES: &str = "/fapi/v1/userTrades";
pub(super) const INCOME: &str = "/fapi/v1/income";

const fn same(method: Method, path: &'static str, weight: u32) -> EndpointWeight {
    EndpointWeight { method, path, one_symbol: weight, all_symbols: weight }
}

const fn split(path: &'static str, one_symbol: u32, all_symbols: u32) -> EndpointWeight {
    EndpointWeight { method: Method::Get, path, one_symbol, all_symbols }
}

/// What Binance documents about its USD-M futures, as of November 2026.
pub static VENUE: VenueFacts = VenueFacts {
    name: "binance_usdm",
    base_url: "https://fapi.binance.com",
    trades: PagedFacts { page_rows_max: 1_000, window_ms_max: 7 * DAY_MS, retention_ms: 90 * DAY_MS },
    // A window must be shorter than 7 days, not just as long.
    orders: PagedFacts { page_rows_max: 1_000, window_ms_max: 7 * DAY_MS - 1_000, retention_ms: 90 * DAY_MS },
    income: PagedFacts { page_rows_max: 1_000, window_ms_max: 7 * DAY_MS, retention_ms: 90 * DAY_MS },
    unfilled_order_retention_ms: 3 * DAY_MS,
    // Fills have been seen to lag their order's status by seconds.
    settle_lag_ms: 10_000,
    receive_window_ms: 5_000,
    trade_id_order: TradeIdOrder::CountUpPerSymbol,
    entry_price_scale: 8,
    weight_1m_max: 2_400,
    weights: &[
        same(Method::Get, TIME, 1),
        same(Method::Get, EXCHANGE_INFO, 1),
        split(PREMIUM_INDEX, 1, 10),
        same(Method::Get, BALANCE, 5),
        same(Method::Get, POSITION_RISK, 5),
        same(Method::Get, POSITION_MODE, 30),
        same(Method::Post, POSITION_MODE, 1),
        split(OPEN_ORDERS, 1, 40),
        same(Method::Get, ORDER, 1),
        same(Method::Post, ORDER, 0),
        same(Method::Delete, ORDER, 1),
        same(Method::Get, ALL_ORDERS, 5),
        same(Method::Get, USER_TRADES, 5),
        same(Method::Get, INCOME, 30),
    ],
    wallet_income_types: &[
        "TRANSFER",
        "WELCOME_BONUS",
        "REALIZED_PNL",
        "FUNDING_FEE",
        "COMMISSION",
        "INSURANCE_CLEAR",
        "REFERRAL_KICKBACK",
        "COMMISSION_REBATE",
        "API_REBATE",
        "CONTEST_REWARD",
        "CROSS_COLLATERAL_TRANSFER",
        "INTERNAL_TRANSFER",
        "AUTO_EXCHANGE",
        "DELIVERED_SETTELMENT",
        "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW",
        "FEE_RETURN",
    ],
};
