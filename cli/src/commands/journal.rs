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

impl<T> Entry<T> {
    /// Notes the time beside an item.
    pub(super) fn new(item: T, now: TimestampMs) -> Self {
        Self { item, now }
    }
}

/// Notes the time beside each item of a page.
pub(super) fn dated<T>(page: Page<T>, now: TimestampMs) -> Page<Entry<T>> {
    let items = page.items.into_iter().map(|item| Entry::new(item, now)).collect();
    Page { items, unreadable: page.unreadable, next: page.next }
}

/// A number of the journal.
pub(super) fn number(id: i64) -> Cell {
    u64::try_from(id).map_or(Cell::Empty, Cell::Count)
}

/// JSON of the journal in words: `findings 3, repairs 3`. Zeros and empty values are left out; objects of a list are added
/// up.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let parts = object.iter().filter_map(|(name, value)| {
                if let Some(told) = checks(name, value) {
                    return Some(told);
                }
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
                    // What files had at their edges: for later imports, not for readers.
                    Value::Array(list) if list.iter().all(Value::is_object) => return None,
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

/// The checks of a run: how many passed, which failed, and how many could not be made.
fn checks(name: &str, value: &Value) -> Option<String> {
    let of = value.as_object().filter(|_| name == "checks")?;
    let names = |name: &str| {
        let list = of.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let passed = of.get("passed").and_then(Value::as_u64).filter(|passed| *passed > 0);
    let (failed, not_checkable) = (names("failed"), names("not_checkable").len());
    let parts = [
        passed.map(|passed| match names("in_part").len() {
            0 => format!("{passed} pass"),
            in_part => format!("{passed} pass ({in_part} in part)"),
        }),
        (!failed.is_empty()).then(|| format!("{} FAILED", failed.join(", ").replace('_', " "))),
        (not_checkable > 0).then(|| format!("{not_checkable} not checkable")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("checks: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journals_json_is_told_in_words() {
        for (json, told) in [
            (r#"{"findings":3,"left":0,"restored":true,"symbols":["A","B"]}"#, "findings 3, restored, symbols A B"),
            (r#"{"error":"the disk is full","ledgers":[{"file":"a","rows":2}]}"#, "error the disk is full"),
            (r#"[{"file":"a","new":2,"merged":0},{"file":"b","new":3}]"#, "new 5"),
            (
                r#"{"checks":{"state":"failed","passed":4,"failed":["footing"],"not_checkable":["quantity","average_entry"]}}"#,
                "checks: 4 pass, footing FAILED, 2 not checkable",
            ),
            (
                r#"{"checks":{"state":"clean","passed":5,"failed":[],"in_part":["realized_pnl"],"not_checkable":[]}}"#,
                "checks: 5 pass (1 in part)",
            ),
            (
                r#"{"checks":{"state":"clean","passed":6,"failed":[],"not_checkable":[]},"findings":1}"#,
                "checks: 6 pass, findings 1",
            ),
        ] {
            assert_eq!(words(&serde_json::from_str(json).unwrap()), told);
        }
    }
}
