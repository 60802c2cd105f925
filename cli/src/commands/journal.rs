//! What the lists of the journal have in common: ages, and the JSON that the journal keeps.

use ledger_core::TimestampMs;
use ledger_store::Page;
use serde_json::Value;

use crate::output::Cell;

/// An entry of the journal, with the time at which it is looked at.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) item: T,
    now: TimestampMs,
}

impl<T> Entry<T> {
    /// How long ago `at` was.
    pub(super) fn since(&self, at: TimestampMs) -> Cell {
        Cell::Span(self.now.as_ms().saturating_sub(at.as_ms()))
    }
}

/// Notes the time beside each item of a page.
pub(super) fn dated<T>(page: Page<T>, now: TimestampMs) -> Page<Entry<T>> {
    Page { items: page.items.into_iter().map(|item| Entry { item, now }).collect(), next: page.next }
}

/// A number of the journal.
pub(super) fn number(id: i64) -> Cell {
    u64::try_from(id).map_or(Cell::Empty, Cell::Count)
}

/// The one line of evidence that is meant for a reader, else all of it.
pub(super) fn evidence(json: &str) -> Cell {
    let line = serde_json::from_str::<Value>(json).ok().and_then(|value| {
        value.get("evidence").and_then(Value::as_str).map(str::to_owned).or_else(|| Some(words(&value)))
    });
    Cell::Text(line.unwrap_or_else(|| json.to_owned()))
}

/// JSON of the journal in words: `findings 3, repairs 3`. Zeros and empty values are left out; objects of a list are added
/// up.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let parts = object.iter().filter_map(|(name, value)| {
                let shown = match value {
                    Value::Null | Value::Bool(false) => return None,
                    Value::Number(number) if number.as_i64() == Some(0) => return None,
                    Value::Bool(true) => return Some(name.replace('_', " ")),
                    Value::String(text) if text.is_empty() => return None,
                    Value::String(text) => text.clone(),
                    Value::Array(list) if list.is_empty() => return None,
                    Value::Array(list) if list.iter().all(Value::is_string) => {
                        list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
                    }
                    other => other.to_string(),
                };
                Some(format!("{} {shown}", name.replace('_', " ")))
            });
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::Array(list) => {
            let mut sums: Vec<(String, u64)> = Vec::new();
            for (name, number) in list.iter().filter_map(Value::as_object).flatten() {
                let Some(number) = number.as_u64() else { continue };
                match sums.iter_mut().find(|(known, _)| known == name) {
                    Some((_, sum)) => *sum = sum.saturating_add(number),
                    None => sums.push((name.clone(), number)),
                }
            }
            let parts = sums.iter().filter(|(_, sum)| *sum > 0).map(|(name, sum)| format!("{name} {sum}"));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journals_json_is_told_in_words() {
        for (json, told) in [
            (r#"{"evidence":"the book has 1, the exchange 2","subject":"BTCUSDT"}"#, "the book has 1, the exchange 2"),
            (
                r#"{"findings":3,"left":0,"checks_clean":true,"symbols":["A","B"]}"#,
                "checks clean, findings 3, symbols A B",
            ),
            (r#"[{"file":"a","new":2,"merged":0},{"file":"b","new":3}]"#, "new 5"),
            ("not json", "not json"),
        ] {
            let Cell::Text(line) = evidence(json) else { panic!("{json}") };
            assert_eq!(line, told);
        }
    }
}
