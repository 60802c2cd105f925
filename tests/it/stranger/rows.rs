//! Rows as text, so that what was read and what is known can be compared and printed beside each other.

use std::collections::BTreeMap;

use ledger_core::{Decimal, PositionSide};
use serde_json::Value;

/// A row; decimals in their canonical form.
pub(super) type Row = BTreeMap<&'static str, String>;

pub(super) fn row<const N: usize>(fields: [(&'static str, String); N]) -> Row {
    BTreeMap::from(fields)
}

/// The rows of a list that was read.
#[track_caller]
pub(super) fn read(rows: &Value, seen: impl Fn(&Value) -> Row) -> Vec<Row> {
    rows.as_array().unwrap_or_else(|| panic!("no list: {rows}")).iter().map(seen).collect()
}

/// A field as text. One that is missing reads `null`, and equals nothing that is known.
pub(super) fn text(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A decimal as canonical text.
pub(super) fn decimal(row: &Value, field: &str) -> String {
    let text = text(row, field);
    text.parse::<Decimal>().map_or(text, |decimal| decimal.to_string())
}

pub(super) fn side(buy: bool) -> &'static str {
    if buy { "BUY" } else { "SELL" }
}

pub(super) fn position_side(side: PositionSide) -> String {
    match side {
        PositionSide::Net => "BOTH",
        PositionSide::Long => "LONG",
        PositionSide::Short => "SHORT",
    }
    .to_owned()
}

/// Both names of a perpetual contract: the exchange's, and ccxt's.
pub(super) fn unified_symbol(symbol: &str) -> String {
    let quote = if symbol.ends_with("USDC") { "USDC" } else { "USDT" };
    let base = symbol.strip_suffix(quote).unwrap();
    format!("{base}/{quote}:{quote}")
}

/// The same rows on both sides, in whatever order.
#[track_caller]
pub(super) fn same(what: &str, mut seen: Vec<Row>, known: impl IntoIterator<Item = Row>) {
    let mut missing: Vec<Row> = Vec::new();
    for row in known {
        match seen.iter().position(|seen| *seen == row) {
            Some(index) => drop(seen.swap_remove(index)),
            None => missing.push(row),
        }
    }
    assert!(
        missing.is_empty() && seen.is_empty(),
        "{what} differ\nonly the exchange knows:\n{missing:#?}\nonly the stranger read:\n{seen:#?}"
    );
}
