//! Whose answer the `info` of a unified object is, by its fields.

use std::collections::BTreeSet;

use crate::files::error::shown;
use crate::files::json::Object;

/// Whose answer it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// An answer about trades or orders of Binance's futures.
    BinanceUsdm,
    /// A message of the event stream of Binance's futures.
    StreamMessage,
    /// Another one.
    Foreign {
        /// In words that follow "its `info`".
        found: String,
        /// Whose, where its fields tell.
        venue: Option<&'static str>,
    },
}

/// A venue, and the fields that only its answers have: one of them is enough to recognise it.
type Trace = (&'static str, &'static [&'static str]);

/// Fields that only one venue has in its trades or orders. Binance USD-M has none of them.
const TRACES: &[Trace] = &[
    ("Binance spot", &["isBuyer", "isBestMatch", "cummulativeQuoteQty"]),
    ("OKX", &["instId"]),
    ("Bybit", &["execId", "execQty", "cumExecQty", "leavesQty", "execType"]),
    ("Hyperliquid", &["coin", "startPosition"]),
    ("Bitget", &["baseVolume", "marginCoin", "tradeScope"]),
    ("Gate", &["contract", "fill_price"]),
    ("HTX", &["contract_code"]),
    ("Deribit", &["instrument_name"]),
    ("BitMEX", &["execID", "lastQty"]),
    ("Kraken", &["fill_id", "cliOrdId", "fillType"]),
    ("MEXC", &["positionMode", "dealAvgPrice", "vol"]),
    ("KuCoin", &["tradeType", "settleCurrency", "feeCurrency", "dealSize", "filledSize", "liquidity"]),
];

/// What each trade of Binance's futures has.
const TRADE: [&str; 5] = ["symbol", "orderId", "price", "qty", "time"];
/// What each regular order has.
const ORDER: [&str; 4] = ["symbol", "orderId", "origQty", "executedQty"];
/// What each conditional order has.
const CONDITIONAL_ORDER: [&str; 2] = ["symbol", "algoId"];

/// What each message about an order of the stream has.
const STREAM_MESSAGE: [&str; 6] = ["s", "S", "o", "x", "X", "q"];

/// The venue that alone has a field that an object has.
fn traced(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    TRACES.iter().find(|(_, fields)| fields.iter().any(|field| has(field))).map(|(venue, _)| *venue)
}

/// The name of the venue, other than Binance USD-M, that alone answers with an object of these fields.
pub fn other_venue(fields: &mut dyn Iterator<Item = &str>) -> Option<&'static str> {
    let fields: BTreeSet<&str> = fields.collect();
    traced(|field| fields.contains(field))
}

/// The exchange that an object names in a field of its own, by the name that it has here.
pub(super) fn named(exchange: &str) -> String {
    let id = exchange.to_ascii_lowercase();
    let same = |venue: &&str| venue.split(' ').next().is_some_and(|name| id.starts_with(&name.to_ascii_lowercase()));
    TRACES.iter().map(|(venue, _)| *venue).find(same).unwrap_or(exchange).to_owned()
}

impl Answer {
    /// Whose it is, where its fields tell.
    pub(super) fn exchange(&self) -> Option<&'static str> {
        match self {
            Self::BinanceUsdm | Self::StreamMessage => Some("Binance USD-M"),
            Self::Foreign { venue, .. } => *venue,
        }
    }

    pub(super) fn of(info: &Object<'_>) -> Self {
        let has_all = |names: &[&str]| names.iter().all(|name| info.has(name));
        if let Some(venue) = traced(|field| info.has(field)) {
            return Self::Foreign { found: format!("is an answer of {venue}"), venue: Some(venue) };
        }
        if has_all(&TRADE) || has_all(&ORDER) || has_all(&CONDITIONAL_ORDER) {
            return Self::BinanceUsdm;
        }
        if has_all(&STREAM_MESSAGE) {
            return Self::StreamMessage;
        }
        let fields = info.names().take(4).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
        let found = format!("is no answer of Binance USD-M about a trade or an order (it has {fields})");
        Self::Foreign { found, venue: None }
    }
}
