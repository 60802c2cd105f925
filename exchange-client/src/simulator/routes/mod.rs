//! Which question gets which answer: the part of the REST interface that the simulator speaks, as one table of endpoints
//! with their weights.

mod account;
mod batch;
mod charts;
mod conditional;
mod history;
mod listen_key;
mod market_data;
mod orders;
pub(super) mod rows;

use serde_json::Value;

pub(super) use self::market_data::best_prices;

use super::SimulatorConfig;
use super::engine::Engine;
use super::faults::FaultProfile;
use super::market::{Market, MarketStatus};
use super::order::Lookup;
use super::refusal::Refusal;
use super::request::Params;
use super::stream::Streams;

const DAY_MS: i64 = 86_400_000;

/// An answer, or a refusal.
pub(super) type Answered = Result<Value, Refusal>;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Who has a key.
    Keyed,
    /// Who signs.
    Signed,
}

/// How long after the fact something can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "what is common to the names is their unit")]
pub(super) struct Lag {
    pub(super) settle_ms: i64,
    pub(super) conditional_ms: i64,
    pub(super) conditional_list_ms: i64,
}

/// A question on its way to its answer.
pub(super) struct Ask<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) config: &'a SimulatorConfig,
    pub(super) faults: FaultProfile,
    pub(super) params: &'a Params,
    /// Who asks; none of the accounts where that does not matter.
    pub(super) account: usize,
    pub(super) lag: Lag,
    pub(super) streams: &'a mut Streams,
}

/// An endpoint.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) access: Access,
    /// Its weight when it is about one contract, and when about all.
    weights: (u32, u32),
    /// What it costs where that goes by what else is asked for.
    weigh: Option<fn(&Params) -> u32>,
    /// How many orders it counts as in ten seconds; in a minute it is one.
    pub(super) orders: u32,
    pub(super) action: fn(&mut Ask<'_>) -> Answered,
}

impl Route {
    /// What a request costs, per minute and address.
    pub(super) fn weight(&self, params: &Params) -> u32 {
        match self.weigh {
            Some(weigh) => weigh(params),
            None if params.get("symbol").is_some() => self.weights.0,
            None => self.weights.1,
        }
    }
}

impl Route {
    /// Whether it counts as a question about funding, whose number is limited by itself.
    pub(super) fn asks_for_funding(&self) -> bool {
        matches!(self.path, "/fapi/v1/fundingRate" | "/fapi/v1/fundingInfo")
    }
}

/// The endpoint of a method and path.
pub(super) fn find(method: &str, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.method == method && route.path == path)
}

type Action = fn(&mut Ask<'_>) -> Answered;

const fn open(path: &'static str, weight: u32, action: Action) -> Route {
    Route { method: "GET", path, access: Access::Open, weights: (weight, weight), weigh: None, orders: 0, action }
}

const fn read(path: &'static str, weight: u32, action: Action) -> Route {
    Route { method: "GET", path, access: Access::Signed, weights: (weight, weight), weigh: None, orders: 0, action }
}

const fn change(method: &'static str, path: &'static str, weight: u32, action: Action) -> Route {
    Route { method, path, access: Access::Signed, weights: (weight, weight), weigh: None, orders: 0, action }
}

const fn keyed(method: &'static str, path: &'static str, weight: u32, action: Action) -> Route {
    Route { method, path, access: Access::Keyed, weights: (weight, weight), weigh: None, orders: 0, action }
}

const fn order(method: &'static str, path: &'static str, action: Action) -> Route {
    Route { method, path, access: Access::Signed, weights: (0, 0), weigh: None, orders: 1, action }
}

/// A batch, which counts as the five orders that it may have.
const fn several(method: &'static str, path: &'static str, action: Action) -> Route {
    Route { method, path, access: Access::Signed, weights: (5, 5), weigh: None, orders: 5, action }
}

const fn by_rows(route: Route) -> Route {
    Route { weigh: Some(charts::weight_of_rows), ..route }
}

const fn split(route: Route, all: u32) -> Route {
    Route { weights: (route.weights.0, all), ..route }
}

/// Every endpoint that the simulator speaks.
pub(super) const ROUTES: &[Route] = &[
    open("/fapi/v1/ping", 1, market_data::ping),
    open("/fapi/v1/time", 1, market_data::time),
    open("/fapi/v1/exchangeInfo", 1, market_data::exchange_info),
    Route { weigh: Some(market_data::weight_of_depth), ..open("/fapi/v1/depth", 10, market_data::depth) },
    open("/fapi/v1/trades", 5, market_data::trades),
    open("/fapi/v1/aggTrades", 20, market_data::aggregate_trades),
    by_rows(open("/fapi/v1/klines", 5, charts::klines)),
    by_rows(open("/fapi/v1/markPriceKlines", 5, charts::mark_price_klines)),
    by_rows(open("/fapi/v1/indexPriceKlines", 5, charts::index_price_klines)),
    split(open("/fapi/v1/premiumIndex", 1, market_data::premium_index), 10),
    open("/fapi/v1/fundingRate", 1, market_data::funding_rates),
    open("/fapi/v1/fundingInfo", 1, market_data::funding_info),
    split(open("/fapi/v1/ticker/24hr", 1, charts::ticker_24h), 40),
    split(open("/fapi/v1/ticker/price", 1, market_data::ticker_price), 2),
    split(open("/fapi/v2/ticker/price", 1, market_data::ticker_price), 2),
    split(open("/fapi/v1/ticker/bookTicker", 2, market_data::book_ticker), 5),
    open("/fapi/v1/openInterest", 1, market_data::open_interest),
    read("/fapi/v2/balance", 5, account::balances),
    read("/fapi/v3/balance", 5, account::balances),
    read("/fapi/v2/account", 5, account::account_v2),
    read("/fapi/v3/account", 5, account::account_v3),
    read("/fapi/v2/positionRisk", 5, account::position_risk_v2),
    read("/fapi/v3/positionRisk", 5, account::position_risk_v3),
    read("/fapi/v1/accountConfig", 5, account::account_config),
    read("/fapi/v1/symbolConfig", 5, account::symbol_config),
    read("/fapi/v1/leverageBracket", 1, account::leverage_brackets),
    read("/fapi/v1/commissionRate", 20, account::commission_rate),
    read("/fapi/v1/multiAssetsMargin", 30, account::multi_assets_margin),
    read("/fapi/v1/apiTradingStatus", 10, account::api_trading_status),
    read("/fapi/v1/feeBurn", 30, account::fee_burn),
    read("/fapi/v1/adlQuantile", 5, account::adl_quantile),
    read("/fapi/v1/rateLimit/order", 1, account::order_limits),
    read("/fapi/v1/positionSide/dual", 30, account::position_mode),
    change("POST", "/fapi/v1/positionSide/dual", 1, account::set_position_mode),
    change("POST", "/fapi/v1/leverage", 1, account::set_leverage),
    change("POST", "/fapi/v1/marginType", 1, account::set_margin_type),
    change("POST", "/fapi/v1/positionMargin", 1, account::move_margin),
    change("POST", "/fapi/v1/feeBurn", 1, account::set_fee_burn),
    change("POST", "/fapi/v1/multiAssetsMargin", 1, account::set_multi_assets_margin),
    split(read("/fapi/v1/openOrders", 1, orders::open_orders), 40),
    read("/fapi/v1/openOrder", 1, orders::open_order),
    read("/fapi/v1/allOrders", 5, history::all_orders),
    read("/fapi/v1/order", 1, orders::order),
    order("POST", "/fapi/v1/order", orders::place),
    change("POST", "/fapi/v1/order/test", 1, orders::test),
    order("PUT", "/fapi/v1/order", orders::amend),
    change("DELETE", "/fapi/v1/order", 1, orders::cancel),
    several("POST", "/fapi/v1/batchOrders", batch::place),
    several("PUT", "/fapi/v1/batchOrders", batch::amend),
    change("DELETE", "/fapi/v1/batchOrders", 1, batch::cancel),
    change("DELETE", "/fapi/v1/allOpenOrders", 1, orders::cancel_all),
    change("POST", "/fapi/v1/countdownCancelAll", 10, orders::count_down),
    read("/fapi/v1/orderAmendment", 1, history::amendments),
    order("POST", "/fapi/v1/algoOrder", conditional::place),
    read("/fapi/v1/algoOrder", 1, conditional::conditional),
    change("DELETE", "/fapi/v1/algoOrder", 1, conditional::cancel),
    split(read("/fapi/v1/openAlgoOrders", 1, conditional::open), 40),
    read("/fapi/v1/allAlgoOrders", 5, conditional::all),
    change("DELETE", "/fapi/v1/algoOpenOrders", 1, conditional::cancel_all),
    read("/fapi/v1/userTrades", 5, history::user_trades),
    read("/fapi/v1/income", 30, history::income),
    split(read("/fapi/v1/forceOrders", 20, history::force_orders), 50),
    keyed("POST", "/fapi/v1/listenKey", 1, listen_key::make),
    keyed("PUT", "/fapi/v1/listenKey", 1, listen_key::keep),
    keyed("DELETE", "/fapi/v1/listenKey", 1, listen_key::end),
];

impl Ask<'_> {
    fn now_ms(&self) -> i64 {
        self.engine.now_ms
    }

    /// A contract, unless it is gone.
    fn known<'e>(engine: &'e Engine, symbol: &str) -> Result<&'e Market, Refusal> {
        let market = engine.markets.get(symbol).ok_or_else(Refusal::symbol)?;
        if market.status == MarketStatus::Delisted { Err(Refusal::closed()) } else { Ok(market) }
    }

    /// The contract that must be named.
    fn market(&self) -> Result<&Market, Refusal> {
        Self::known(self.engine, self.params.required("symbol")?)
    }

    /// The contract that must be named, by name.
    fn symbol(&self) -> Result<String, Refusal> {
        Ok(self.market()?.spec.symbol.clone())
    }

    /// The contract that may be named.
    fn optional_symbol(&self) -> Result<Option<String>, Refusal> {
        self.params.get("symbol").map(|_| self.symbol()).transpose()
    }

    /// The contracts that an answer is about: the one named, or all that are listed.
    fn markets(&self) -> Result<Vec<&Market>, Refusal> {
        if self.params.get("symbol").is_some() {
            return Ok(vec![self.market()?]);
        }
        Ok(self.engine.markets.values().filter(|market| market.status != MarketStatus::Delisted).collect())
    }

    /// One row for a contract that was named, a list for all.
    fn one_or_all(&self, row: impl Fn(&Market) -> Value) -> Answered {
        match self.params.get("symbol") {
            Some(_) => self.market().map(row),
            None => Ok(self.markets()?.into_iter().map(row).collect()),
        }
    }

    /// Which order is meant: by `id_name`, else by `client_name`.
    fn lookup(&self, id_name: &str, client_name: &str) -> Result<Lookup, Refusal> {
        match (self.params.integer(id_name)?, self.params.get(client_name)) {
            (Some(id), _) => Ok(Lookup::Id(id)),
            (None, Some(client_id)) => Ok(Lookup::Client(client_id.to_owned())),
            (None, None) => Err(Refusal::missing(id_name)),
        }
    }

    /// Buy or sell.
    fn buys(&self) -> Result<bool, Refusal> {
        match self.params.required("side")? {
            "BUY" => Ok(true),
            "SELL" => Ok(false),
            _ => Err(Refusal::side()),
        }
    }

    /// A client id that the exchange takes.
    fn client_id(&self, name: &str) -> Result<Option<String>, Refusal> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'/' | b'_' | b'-');
        match self.params.get(name) {
            Some(id) if id.len() > 36 || !id.bytes().all(allowed) => Err(Refusal::client_order_id()),
            id => Ok(id.map(str::to_owned)),
        }
    }
}
