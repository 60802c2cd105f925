//! The journal's evidence in one line for a reader.

use jiff::Timestamp;
use ledger_core::{Order, OrderClass, Source, TimestampMs};
use ledger_store::{BookOrder, NewDiscrepancy};
use serde_json::Value;

/// The evidence of a discrepancy in one line. Everything stands in its JSON.
pub fn evidence_line(entry: &NewDiscrepancy) -> String {
    let Ok(value) = serde_json::from_str::<Value>(&entry.evidence_json) else { return entry.evidence_json.clone() };
    let line = value.get("evidence").and_then(Value::as_str).map(str::to_owned);
    line.or_else(|| conflict(&entry.key.fingerprint, &value))
        .or_else(|| position_mode(&value))
        .unwrap_or_else(|| entry.evidence_json.clone())
}

/// An instant as people read it, in UTC.
pub(crate) fn instant(at: TimestampMs) -> String {
    Timestamp::from_millisecond(at.as_ms())
        .map_or_else(|_| format!("{at} ms"), |at| at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string())
}

/// How long something lasts as people read it: to a tenth of a second where it is short, so that what is measured twice
/// says the same.
pub(crate) fn lasting(ms: i64) -> String {
    let (tenths, seconds) = (ms.saturating_add(50) / 100, ms.saturating_add(500) / 1_000);
    match seconds {
        _ if tenths < 600 && tenths % 10 == 0 => format!("{} s", tenths / 10),
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        ..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// An order as people tell it from others.
pub(crate) fn describe_order(order: &Order) -> String {
    let mut what = format!("order {} ({} ", order.key.order_id, order.side);
    if order.key.class == OrderClass::Conditional {
        what = format!("conditional {what}");
    }
    if let Some(qty) = order.terms.qty {
        what = format!("{what}{qty} ");
    }
    let client = order.client_order_id.as_ref().map_or_else(String::new, |id| format!(", client order id {id}"));
    format!("{what}{}{client})", order.key.symbol)
}

/// The book's sum of an order's fills, for whoever shows it.
pub(crate) fn residual_text(order: &BookOrder) -> Option<String> {
    let residual = order.residual_qty?;
    Some(format!("{} lacks fills for {residual}", describe_order(&order.order.fact)))
}

/// A number of things, in words.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Disagreeing statements of one field: who says what, and whose word counts where rank alone decides.
fn conflict(fingerprint: &str, evidence: &Value) -> Option<String> {
    let mut parts = fingerprint.splitn(3, '|');
    let (kind, field, key) = (parts.next()?, parts.next()?, parts.next()?);
    let statements: Vec<(&str, &Value)> = evidence
        .get("statements")?
        .as_array()?
        .iter()
        .filter_map(|statement| Some((statement.get("source")?.as_str()?, statement.get("value")?)))
        .collect();
    if statements.is_empty() {
        return None;
    }
    let said = |(source, value): &(&str, &Value)| format!("{} says {}", source_in_words(source), plain(field, value));
    let all = statements.iter().map(said).collect::<Vec<_>>().join(", ");
    let about = format!("{} of {} {}", field.replace('_', " "), kind.replace('_', " "), key.replace('|', " "));
    let kept = kept(kind, field, &statements)
        .map_or_else(String::new, |source| format!("; the book goes by {}", source_in_words(source)));
    Some(format!("{about}: {all}{kept}"))
}

/// Whose word counts: of a fill, that of the highest rank. Of orders, versions decide, and of times, precision.
fn kept<'a>(kind: &str, field: &str, statements: &[(&'a str, &Value)]) -> Option<&'a str> {
    if kind != "fill" || field.contains("time") || field == "ts" {
        return None;
    }
    let ranked = statements.iter().filter_map(|(source, _)| Some((source.parse::<Source>().ok()?, *source)));
    let mut ranked: Vec<(Source, &str)> = ranked.collect();
    ranked.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    match ranked.as_slice() {
        [first, second, ..] if first.0 == second.0 => None,
        [first, ..] => Some(first.1),
        [] => None,
    }
}

fn source_in_words(source: &str) -> &str {
    match source {
        "repair" => "fillbook",
        "bot_database" => "the bot's database",
        "ccxt" => "ccxt",
        "exchange_csv" => "the exchange's export",
        "exchange_archive" => "the exchange's archive",
        "bot" => "the bot",
        "stream" => "the exchange's stream",
        "rest" => "the exchange (REST)",
        other => other,
    }
}

/// A value without JSON's quotes and braces.
fn plain(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if field.contains("time") || field.ends_with("ts") => {
            number.as_i64().and_then(|ms| TimestampMs::new(ms).ok()).map_or_else(|| number.to_string(), instant)
        }
        Value::Array(values) => values.iter().map(|value| plain(field, value)).collect::<Vec<_>>().join(" "),
        Value::Object(object) if object.len() == 2 && object.contains_key("amount") && object.contains_key("asset") => {
            let part = |name: &str| object.get(name).map(|value| plain(name, value)).unwrap_or_default();
            format!("{} {}", part("amount"), part("asset"))
        }
        Value::Object(object) => {
            let parts = object.iter().filter(|(_, value)| !value.is_null());
            parts
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(name, value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        other => other.to_string(),
    }
}

/// The user's word about the position mode against what the exchange or a fact says.
fn position_mode(value: &Value) -> Option<String> {
    let stated = value.get("stated")?.as_str()?;
    let against = value.get("contradicted_by")?;
    let (what, mode) = (against.get("what")?.as_str()?, against.get("mode")?.as_str()?);
    let at = instant(TimestampMs::new(against.get("ts")?.as_i64()?).ok()?);
    Some(format!(
        "the position mode was said to be {stated}, but {what} at {at} says {mode}; `fillbook init --position-mode` \
         corrects the word"
    ))
}

#[cfg(test)]
mod tests {
    use ledger_store::{DiscrepancyKey, DiscrepancyStatus};

    use super::*;

    #[test]
    fn a_duration_is_read_without_counting_digits() {
        for (ms, told) in [
            (1_049, "1 s"),
            (5_000, "5 s"),
            (5_250, "5.3 s"),
            (59_949, "59.9 s"),
            (59_980, "1 min 0 s"),
            (60_001, "1 min 0 s"),
            (1_599_977, "26 min 40 s"),
            (7_380_000, "2 h 3 min"),
            (277_200_000, "3 d 5 h"),
        ] {
            assert_eq!(lasting(ms), told, "{ms}");
        }
    }

    #[test]
    fn evidence_is_one_line_without_json() {
        for (fingerprint, json, told) in [
            (
                "BTCUSDT",
                r#"{"evidence":"the book has 1, the exchange 2","subject":"BTCUSDT"}"#,
                "the book has 1, the exchange 2",
            ),
            (
                "fill|price|BTCUSDT|BUY|501",
                r#"{"statements":[{"source":"exchange_csv","value":"100.2"},{"source":"rest","value":"100.1"}]}"#,
                "price of fill BTCUSDT BUY 501: the exchange's export says 100.2, the exchange (REST) says 100.1; the book goes \
                 by the exchange (REST)",
            ),
            (
                "fill|fee|BTCUSDT|BUY|501",
                r#"{"statements":[{"source":"ccxt","value":{"amount":"9.9","asset":"USDT"}},{"source":"exchange_archive","value":{"amount":"0.24","asset":"USDT"}}]}"#,
                "fee of fill BTCUSDT BUY 501: ccxt says 9.9 USDT, the exchange's archive says 0.24 USDT; the book goes by the \
                 exchange's archive",
            ),
            // Of two statements of one source, nothing here says which one counts.
            (
                "fill|price|BTCUSDT|BUY|501",
                r#"{"statements":[{"source":"rest","value":"100.2"},{"source":"rest","value":"100.1"}]}"#,
                "price of fill BTCUSDT BUY 501: the exchange (REST) says 100.2, the exchange (REST) says 100.1",
            ),
            // Of an order the greater version counts, whoever says it.
            (
                "order|status|BTCUSDT|REGULAR|77",
                r#"{"statements":[{"source":"rest","value":"CANCELED"},{"source":"ccxt","value":"FILLED"}]}"#,
                "status of order BTCUSDT REGULAR 77: the exchange (REST) says CANCELED, ccxt says FILLED",
            ),
            (
                "stated",
                r#"{"contradicted_by":{"mode":"hedge","ts":1772352000000,"what":"a fact of a hedge"},"stated":"one_way"}"#,
                "the position mode was said to be one_way, but a fact of a hedge at 2026-03-01 08:00:00.000 UTC says hedge; \
                 `fillbook init --position-mode` corrects the word",
            ),
            ("x", "not json", "not json"),
        ] {
            let entry = NewDiscrepancy {
                key: DiscrepancyKey { kind: "conflicting_fact".into(), fingerprint: fingerprint.into() },
                symbol: None,
                status: DiscrepancyStatus::Unresolved,
                evidence_json: json.into(),
            };
            assert_eq!(evidence_line(&entry), told);
        }
    }
}
