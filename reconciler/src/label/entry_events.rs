//! The log of entries that a bot appends to: one JSON object a line.
//!
//! Read are, whichever of the names is there first:
//! - the time: `ts`, `time`, `timestamp`, `entry_ts`, `datetime` (see the crate's README for the spellings),
//! - the contract: `symbol`, `market`,
//! - the direction: `side`, `direction`, `position_side`,
//! - the strategy: `engine`, `strategy`, `engine_label`, else `reason`,
//! - the reason: `reason`,
//! - the order, if there: `order_id`, `orderId`, `entry_order_id`, and `client_order_id`, `clientOrderId`.
//!
//! Time, contract and strategy have to be there. Empty lines are skipped; other fields are not looked at.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_bad_line_is_named_and_the_others_are_used`.
//! 2. `ids_keep_all_their_digits`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use ledger_core::{ClientOrderId, EngineLabel, EventTime, Label, OrderId, Side, Symbol};
use serde_json::value::RawValue;

use super::{BadEntry, words};

/// An entry as the bot logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryEvent {
    /// Its line, from 1.
    pub line: usize,
    /// When, by the bot's clock.
    pub time: EventTime,
    /// The contract.
    pub symbol: Symbol,
    /// The direction of the order, where it says.
    pub side: Option<Side>,
    /// The strategy.
    pub engine: EngineLabel,
    /// Its reason, where it says.
    pub reason: Option<Label>,
    /// The exchange's id of the order, where it says.
    pub order_id: Option<OrderId>,
    /// The client order id, where it says.
    pub client_order_id: Option<ClientOrderId>,
}

/// What a log of entries holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryEvents {
    /// The usable lines, in their order.
    pub events: Vec<EntryEvent>,
    /// The others.
    pub bad: Vec<BadEntry>,
}

/// Reads a log of entries; a time without an offset is read in `zone`.
pub fn parse_entry_events(text: &str, zone: &TimeZone) -> EntryEvents {
    let mut read = EntryEvents::default();
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match event(index + 1, line, zone) {
            Ok(event) => read.events.push(event),
            Err(reason) => read.bad.push(BadEntry { place: format!("line {}", index + 1), reason }),
        }
    }
    read
}

fn event(line: usize, text: &str, zone: &TimeZone) -> Result<EntryEvent, String> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON object: {error}"))?;
    let get = |names: &[&str]| {
        let found = names.iter().find_map(|name| words::scalar(fields.get(*name)?));
        found.filter(|text| !text.trim().is_empty())
    };
    let need =
        |what: &str, names: &[&str]| get(names).ok_or_else(|| format!("it has no {what} ({})", names.join(", ")));
    let stamp = need("time", &["ts", "time", "timestamp", "entry_ts", "datetime"])?;
    let symbol = need("symbol", &["symbol", "market"])?;
    let engine = need("engine", &["engine", "strategy", "engine_label", "reason"])?;
    let side = get(&["side", "direction", "position_side"]);
    let unusable =
        |what: &str, text: &str| format!("`{}` is no {what}", text.escape_debug().take(60).collect::<String>());
    Ok(EntryEvent {
        line,
        time: words::time(&stamp, zone).ok_or_else(|| unusable("time", &stamp))?,
        symbol: words::symbol(&symbol).ok_or_else(|| unusable("symbol", &symbol))?,
        side: side.map(|side| words::side(&side).ok_or_else(|| unusable("side", &side))).transpose()?,
        engine: EngineLabel::new(engine.trim()).map_err(|error| error.to_string())?,
        reason: get(&["reason"]).and_then(|reason| Label::new(reason.trim()).ok()),
        order_id: get(&["order_id", "orderId", "entry_order_id"]).and_then(|id| OrderId::new(id).ok()),
        client_order_id: get(&["client_order_id", "clientOrderId"]).and_then(|id| ClientOrderId::new(id).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named_and_the_others_are_used() {
        let text = "\u{feff}{\"ts\": 1780000000.5, \"symbol\": \"BTC/USDT:USDT\", \"side\": \"LONG\", \"engine\": \"swing\", \"reason\": \"breakout\"}\n\
                    \n\
                    not json\n\
                    [1, 2]\n\
                    {\"ts\": 1780000060, \"symbol\": \"ETHUSDT\", \"side\": \"SHORT\", \"reason\": \"atlas\", \"meta\": {\"a\": [1]}}\n\
                    {\"symbol\": \"ETHUSDT\", \"engine\": \"x\"}\n\
                    {\"ts\": \"soon\", \"symbol\": \"ETHUSDT\", \"engine\": \"x\"}\n\
                    {\"ts\": 1780000060, \"symbol\": \"ETHUSDT\", \"engine\": \"x\", \"side\": \"UP\"}\n\
                    {\"ts\": 1780000060, \"symbol\": \"ETHUSDT\", \"engine\": \"\"}\r\n";
        let read = parse_entry_events(text, &TimeZone::UTC);
        let engines: Vec<_> = read.events.iter().map(|event| (event.line, event.engine.as_str(), event.side)).collect();
        assert_eq!(engines, [(1, "swing", Some(Side::Buy)), (5, "atlas", Some(Side::Sell))]);
        assert_eq!(read.events[0].symbol.as_str(), "BTCUSDT");
        assert_eq!(read.events[0].time.at.as_ms(), 1_780_000_000_500);
        assert_eq!(read.events[0].reason.as_ref().unwrap().as_str(), "breakout");
        let bad: Vec<_> = read.bad.iter().map(|bad| bad.place.as_str()).collect();
        assert_eq!(bad, ["line 3", "line 4", "line 6", "line 7", "line 8", "line 9"]);
        assert!(read.bad[2].reason.contains("no time"), "{}", read.bad[2].reason);
        assert!(read.bad[4].reason.contains("`UP` is no side"), "{}", read.bad[4].reason);
    }

    #[test]
    fn ids_keep_all_their_digits() {
        let text = r#"{"ts": 1780000000, "symbol": "BTCUSDT", "engine": "e", "order_id": 8389765568816714211, "client_order_id": "a-1"}"#;
        let read = parse_entry_events(text, &TimeZone::UTC);
        assert_eq!(read.events[0].order_id.as_ref().unwrap().as_str(), "8389765568816714211");
        assert_eq!(read.events[0].client_order_id.as_ref().unwrap().as_str(), "a-1");
    }
}
