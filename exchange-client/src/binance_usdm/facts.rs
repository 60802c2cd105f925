//! Binance USD-M futures as data.

use ledger_core::{Condition, Origin, VenueRules};

use crate::transport::Method;
use crate::venue::{
    ClientOrderIdRule, DAY_MS, EndpointWeight, IncomeTypeFacts, MINUTE_MS, OrderLimits, PagedFacts, TradeIdOrder,
    VenueFacts, WalletEffect,
};

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
pub(super) const ALL_OPEN_ORDERS: &str = "/fapi/v1/allOpenOrders";
pub(super) const ALGO_ORDER: &str = "/fapi/v1/algoOrder";
pub(super) const OPEN_ALGO_ORDERS: &str = "/fapi/v1/openAlgoOrders";
pub(super) const ALL_ALGO_ORDERS: &str = "/fapi/v1/allAlgoOrders";
pub(super) const ALGO_OPEN_ORDERS: &str = "/fapi/v1/algoOpenOrders";
pub(super) const FORCE_ORDERS: &str = "/fapi/v1/forceOrders";
pub(super) const FUNDING_RATE: &str = "/fapi/v1/fundingRate";
pub(super) const KLINES: &str = "/fapi/v1/klines";
pub(super) const LEVERAGE: &str = "/fapi/v1/leverage";
pub(super) const LISTEN_KEY: &str = "/fapi/v1/listenKey";
pub(super) const MARGIN_TYPE: &str = "/fapi/v1/marginType";

const fn same(method: Method, path: &'static str, weight: u32) -> EndpointWeight {
    EndpointWeight { method, path, one_symbol: weight, all_symbols: weight }
}

const fn split(path: &'static str, one_symbol: u32, all_symbols: u32) -> EndpointWeight {
    EndpointWeight { method: Method::Get, path, one_symbol, all_symbols }
}

/// The longest window that is asked for where a window must be shorter than 7 days, not just as long.
const ALMOST_7_DAYS_MS: i64 = 7 * DAY_MS - 1_000;

/// Three months are 89 days at least: from February to April.
const THREE_MONTHS_MS: i64 = 89 * DAY_MS;

const fn paged(page_rows_max: usize, window_ms_max: i64, retention_ms: i64, needs_symbol: bool) -> PagedFacts {
    PagedFacts { page_rows_max, window_ms_max, retention_ms, needs_symbol }
}

const fn added(name: &'static str) -> IncomeTypeFacts {
    IncomeTypeFacts { name, effect: WalletEffect::Added }
}

const fn undocumented(name: &'static str) -> IncomeTypeFacts {
    IncomeTypeFacts { name, effect: WalletEffect::Undocumented }
}

/// Who gives an order its client order id, and what order types mean. The exchange's own prefixes and the type `LIQUIDATION`
/// are those of the event `ORDER_TRADE_UPDATE` in its documentation; `delivery_autoclose-` is documented for COIN-M alone, whose
/// settlements are called so. The prefixes of the web page and of the apps for iOS, Android and the desktop are not
/// documented: that is how their orders have been answered, each with a random name behind it. Everything else is sent by a
/// program: Link and Trade partners begin with `x-` and their number, and an order sent without an id gets a random one
/// without a prefix.
const ORDER_RULES: VenueRules = VenueRules {
    client_id_prefixes: &[
        ("autoclose-", Origin::Liquidation),
        ("adl_autoclose", Origin::Adl),
        ("settlement_autoclose-", Origin::Settlement),
        ("delivery_autoclose-", Origin::Settlement),
        ("web_", Origin::Person),
        ("ios_", Origin::Person),
        ("android_", Origin::Person),
        ("electron_", Origin::Person),
    ],
    forced_types: &[("LIQUIDATION", Origin::Liquidation)],
    // With and without _MARKET and _LIMIT, as older answers and other programs write them.
    conditional_types: &[
        ("TAKE_PROFIT", Condition::TakeProfit),
        ("STOP", Condition::Stop),
        ("TRAILING_STOP", Condition::Stop),
    ],
};

/// What Binance documents about its USD-M futures, as of November 2026.
pub static VENUE: VenueFacts = VenueFacts {
    name: "binance_usdm",
    base_url: "https://fapi.binance.com",
    trades: paged(1_000, 7 * DAY_MS, THREE_MONTHS_MS, true),
    orders: paged(1_000, ALMOST_7_DAYS_MS, 90 * DAY_MS, false),
    conditional_orders: paged(1_000, ALMOST_7_DAYS_MS, 90 * DAY_MS, true),
    // 100 rows at most. How far back they go is not documented: orders, which these are, go back 90 days; an answer without
    // a beginning reaches back seven, so that much is there.
    force_orders: paged(100, ALMOST_7_DAYS_MS, 90 * DAY_MS, false),
    force_orders_certain_ms: ALMOST_7_DAYS_MS,
    income: paged(1_000, 7 * DAY_MS, THREE_MONTHS_MS, false),
    // No limit of the window is documented. The list of all types is crowded, so there little is gained by more than a week.
    income_by_type: paged(1_000, THREE_MONTHS_MS, THREE_MONTHS_MS, false),
    // No limit of the window is documented: 1000 rates every 8 hours are most of a year.
    funding_rates: paged(1_000, 300 * DAY_MS, 3_650 * DAY_MS, false),
    // Shared with fundingInfo, and counted apart from the weight of all other requests.
    funding_requests_5m_max: 500,
    // One minute less than a page holds: a page that is not full is known to be complete.
    klines: paged(1_500, 1_499 * MINUTE_MS, 3_650 * DAY_MS, true),
    kline_weights: &[(100, 1), (500, 2), (1_001, 5), (1_501, 10)],
    unfilled_order_retention_ms: 3 * DAY_MS,
    // Fills have been seen to lag their order's status by seconds.
    settle_lag_ms: 10_000,
    receive_window_ms: 5_000,
    trade_id_order: TradeIdOrder::CountUpPerSymbol,
    liquidation_fields: ["markPrice", "liquidationPrice"],
    entry_price_scale: 8,
    weight_1m_max: 2_400,
    weights: &[
        same(Method::Get, TIME, 1),
        same(Method::Get, EXCHANGE_INFO, 1),
        split(PREMIUM_INDEX, 1, 10),
        same(Method::Get, FUNDING_RATE, 1),
        // As many rows as are answered by default; see `kline_weights`.
        same(Method::Get, KLINES, 5),
        same(Method::Get, BALANCE, 5),
        same(Method::Get, POSITION_RISK, 5),
        same(Method::Get, POSITION_MODE, 30),
        same(Method::Post, POSITION_MODE, 1),
        same(Method::Post, LEVERAGE, 1),
        same(Method::Post, MARGIN_TYPE, 1),
        split(OPEN_ORDERS, 1, 40),
        split(OPEN_ALGO_ORDERS, 1, 40),
        same(Method::Get, ORDER, 1),
        same(Method::Post, ORDER, 0),
        same(Method::Put, ORDER, 0),
        same(Method::Delete, ORDER, 1),
        same(Method::Get, ALGO_ORDER, 1),
        same(Method::Post, ALGO_ORDER, 0),
        same(Method::Delete, ALGO_ORDER, 1),
        same(Method::Delete, ALL_OPEN_ORDERS, 1),
        same(Method::Delete, ALGO_OPEN_ORDERS, 1),
        same(Method::Get, ALL_ORDERS, 5),
        same(Method::Get, ALL_ALGO_ORDERS, 5),
        same(Method::Get, USER_TRADES, 5),
        same(Method::Get, INCOME, 30),
        split(FORCE_ORDERS, 20, 50),
        same(Method::Post, LISTEN_KEY, 1),
        same(Method::Put, LISTEN_KEY, 1),
    ],
    order_limits: OrderLimits { per_10s_max: 300, per_1m_max: 1_200 },
    client_order_id: ClientOrderIdRule { len_max: 36, separators: ".:/_-" },
    order_rules: ORDER_RULES,
    income_types: &[
        added("TRANSFER"),
        added("WELCOME_BONUS"),
        added("REALIZED_PNL"),
        added("FUNDING_FEE"),
        added("COMMISSION"),
        added("INSURANCE_CLEAR"),
        added("REFERRAL_KICKBACK"),
        added("COMMISSION_REBATE"),
        added("API_REBATE"),
        added("CONTEST_REWARD"),
        added("CROSS_COLLATERAL_TRANSFER"),
        undocumented("OPTIONS_PREMIUM_FEE"),
        undocumented("OPTIONS_SETTLE_PROFIT"),
        added("INTERNAL_TRANSFER"),
        added("AUTO_EXCHANGE"),
        // The exchange's own spelling.
        added("DELIVERED_SETTELMENT"),
        added("COIN_SWAP_DEPOSIT"),
        added("COIN_SWAP_WITHDRAW"),
        undocumented("POSITION_LIMIT_INCREASE_FEE"),
        undocumented("STRATEGY_UMFUTURES_TRANSFER"),
        undocumented("BFUSD_REWARD"),
        undocumented("SPECIAL_FUNDING_FEE"),
        added("FEE_RETURN"),
    ],
    ledger_rules: super::ledger::RULES,
};

#[cfg(test)]
mod tests {
    use ledger_core::Symbol;

    use super::*;

    /// As documented, in words of its own: what a request costs with a symbol and without.
    const DOCUMENTED: &str = "
        GET     /fapi/v1/time               1   1
        GET     /fapi/v1/exchangeInfo       1   1
        GET     /fapi/v1/premiumIndex       1   10
        GET     /fapi/v1/fundingRate        1   1
        GET     /fapi/v1/klines             5   5
        GET     /fapi/v3/balance            5   5
        GET     /fapi/v3/positionRisk       5   5
        GET     /fapi/v1/positionSide/dual  30  30
        POST    /fapi/v1/positionSide/dual  1   1
        POST    /fapi/v1/leverage           1   1
        POST    /fapi/v1/marginType         1   1
        GET     /fapi/v1/openOrders         1   40
        GET     /fapi/v1/openAlgoOrders     1   40
        GET     /fapi/v1/order              1   1
        POST    /fapi/v1/order              0   0
        PUT     /fapi/v1/order              0   0
        DELETE  /fapi/v1/order              1   1
        GET     /fapi/v1/algoOrder          1   1
        POST    /fapi/v1/algoOrder          0   0
        DELETE  /fapi/v1/algoOrder          1   1
        DELETE  /fapi/v1/allOpenOrders      1   1
        POST    /fapi/v1/listenKey          1   1
        PUT     /fapi/v1/listenKey          1   1
        DELETE  /fapi/v1/algoOpenOrders     1   1
        GET     /fapi/v1/allOrders          5   5
        GET     /fapi/v1/allAlgoOrders      5   5
        GET     /fapi/v1/userTrades         5   5
        GET     /fapi/v1/income             30  30
        GET     /fapi/v1/forceOrders        20  50";

    #[test]
    fn weights_are_those_documented() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let mut documented = Vec::new();
        for line in DOCUMENTED.trim().lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [method, path, one, all] = words.as_slice() else { panic!("{line}") };
            let known = VENUE.weights.iter().filter(|known| (known.method.as_str(), known.path) == (*method, *path));
            let [known] = known.collect::<Vec<_>>()[..] else { panic!("{line}: not once in the table") };
            let weights = [Some(&symbol), None].map(|symbol| VENUE.weight(known.method, path, symbol).to_string());
            assert_eq!(weights, [*one, *all], "{line}");
            documented.push((*method, *path));
        }
        for known in VENUE.weights {
            assert!(documented.contains(&(known.method.as_str(), known.path)), "{known:?}");
        }
    }

    #[test]
    fn limits_are_those_documented() {
        assert_eq!(VENUE.weight_1m_max, 2_400);
        assert_eq!((VENUE.order_limits.per_10s_max, VENUE.order_limits.per_1m_max), (300, 1_200));
        assert_eq!(VENUE.receive_window_ms, 5_000);
        // Nothing documents it: fills have been seen seconds after their order, and coverage that is claimed too early loses
        // them for good.
        assert_eq!(VENUE.settle_lag_ms, 10_000);
        assert_eq!(VENUE.unfilled_order_retention_ms, 259_200_000);
        let limits = |facts: PagedFacts| (facts.page_rows_max, facts.window_ms_max, facts.retention_ms / DAY_MS);
        assert_eq!(limits(VENUE.trades), (1_000, 604_800_000, 89));
        assert_eq!(limits(VENUE.income), (1_000, 604_800_000, 89));
        for orders in [VENUE.orders, VENUE.conditional_orders] {
            assert_eq!(limits(orders), (1_000, 604_799_000, 90));
        }
        assert_eq!(limits(VENUE.force_orders), (100, 604_799_000, 90));
        assert_eq!(VENUE.funding_requests_5m_max, 500);
        assert_eq!((VENUE.funding_rates.page_rows_max, VENUE.klines.page_rows_max), (1_000, 1_500));
        for (rows, weight) in [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1_000, 5), (1_001, 10), (1_500, 10)] {
            assert_eq!(VENUE.kline_weight(rows), weight, "{rows}");
        }
    }
}
