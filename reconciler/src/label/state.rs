//! A bot's state file: one JSON object, an entry a symbol, for example
//! `{"BTC/USDT:USDT": {"in_pos": true, "meta": {"reason": "swing"}}}`.
//!
//! Read are, of entries that are in a position (`in_pos` is true or absent): `meta.engine`, else `meta.reason`, else
//! `reason`, and the direction from `side`, `pos_side` or `meta.side`. Entries that are no objects, and objects that say
//! nothing of this, belong to something else and are passed over.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_bad_entry_is_named_and_the_others_are_used`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ledger_core::{EngineLabel, Side, Symbol};
use serde_json::value::RawValue;

use super::{BadEntry, words};

/// Who opened the position of a symbol, as the bot's state says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLabel {
    /// The contract.
    pub symbol: Symbol,
    /// The direction of the opening order, where it says.
    pub side: Option<Side>,
    /// The strategy.
    pub engine: EngineLabel,
}

/// What a state file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateLabels {
    /// The usable entries, by name.
    pub labels: Vec<StateLabel>,
    /// Entries that are in a position and cannot be used.
    pub bad: Vec<BadEntry>,
}

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Reads a state file. What is no JSON object at all is one bad entry.
pub fn parse_state(text: &str) -> StateLabels {
    let mut read = StateLabels::default();
    let entries: Fields<'_> = match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(entries) => entries,
        Err(error) => {
            let reason = format!("it is no JSON object: {error}");
            read.bad.push(BadEntry { place: "the file".to_owned(), reason });
            return read;
        }
    };
    for (name, raw) in entries {
        match label(&name, raw) {
            Ok(label) => read.labels.extend(label),
            Err(reason) => {
                let place = format!("entry `{}`", name.escape_debug().take(60).collect::<String>());
                read.bad.push(BadEntry { place, reason });
            }
        }
    }
    read
}

fn label(name: &str, raw: &RawValue) -> Result<Option<StateLabel>, String> {
    let Ok(entry) = serde_json::from_str::<Fields<'_>>(raw.get()) else { return Ok(None) };
    if entry.get("in_pos").is_some_and(|in_pos| in_pos.get().trim() != "true") {
        return Ok(None);
    }
    let meta =
        entry.get("meta").and_then(|meta| serde_json::from_str::<Fields<'_>>(meta.get()).ok()).unwrap_or_default();
    let text = |fields: &Fields<'_>, name: &str| {
        fields.get(name).and_then(|raw| words::scalar(raw)).filter(|text| !text.trim().is_empty())
    };
    let engine = text(&meta, "engine").or_else(|| text(&meta, "reason")).or_else(|| text(&entry, "reason"));
    let Some(engine) = engine else { return Ok(None) };
    let symbol = words::symbol(name).ok_or("its name is no symbol")?;
    let side = text(&entry, "side").or_else(|| text(&entry, "pos_side")).or_else(|| text(&meta, "side"));
    let side = side.map(|side| words::side(&side).ok_or_else(|| format!("`{}` is no side", side.escape_debug())));
    let engine = EngineLabel::new(engine.trim()).map_err(|error| error.to_string())?;
    Ok(Some(StateLabel { symbol, side: side.transpose()?, engine }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_entry_is_named_and_the_others_are_used() {
        let text = r#"{
            "BTC/USDT:USDT": {"in_pos": true, "side": "LONG", "meta": {"reason": "swing", "ts": 1.5}},
            "ETH/USDT:USDT": {"in_pos": false, "meta": {"reason": "old"}},
            "SOLUSDT": {"meta": {"engine": "atlas", "reason": "rsi"}, "side": "short"},
            "XRPUSDT": {"in_pos": true, "meta": {}},
            "DOGEUSDT": {"in_pos": true, "side": "UP", "meta": {"reason": "x"}},
            "not a symbol": {"in_pos": true, "meta": {"reason": "x"}},
            "_last_run": 1780000000.25,
            "settings": {"leverage": 5}
        }"#;
        let read = parse_state(text);
        let labels: Vec<_> =
            read.labels.iter().map(|label| (label.symbol.as_str(), label.side, label.engine.as_str())).collect();
        assert_eq!(labels, [("BTCUSDT", Some(Side::Buy), "swing"), ("SOLUSDT", Some(Side::Sell), "atlas")]);
        let bad: Vec<_> = read.bad.iter().map(|bad| bad.place.as_str()).collect();
        assert_eq!(bad, ["entry `DOGEUSDT`", "entry `not a symbol`"]);
        assert_eq!(parse_state("[]").bad[0].place, "the file");
    }
}
