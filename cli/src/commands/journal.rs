//! What the lists of the journal have in common: ages, and the JSON that the journal keeps.

use exchange_client::files::Zone;
use ledger_core::{AccountId, TimestampMs};
use ledger_store::{DiscrepancyFilter, Page, PageRequest, Store};
use serde_json::Value;

use crate::error::CommandError;
use crate::output::Cell;
use crate::times::show_time;

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
    Page { items: page.items.into_iter().map(|item| Entry::new(item, now)).collect(), next: page.next }
}

/// A number of the journal.
pub(super) fn number(id: i64) -> Cell {
    u64::try_from(id).map_or(Cell::Empty, Cell::Count)
}

/// The one line of evidence that is meant for a reader, else all of it.
pub(super) fn evidence(json: &str) -> Cell {
    Cell::Text(evidence_line(json))
}

pub(super) fn evidence_line(json: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return json.to_owned() };
    let line = value.get("evidence").and_then(Value::as_str).map(str::to_owned);
    line.or_else(|| mode_story(&value)).unwrap_or_else(|| words(&value))
}

/// The user's word about the position mode against what the exchange or a fact says.
fn mode_story(value: &Value) -> Option<String> {
    let stated = value.get("stated")?.as_str()?;
    let against = value.get("contradicted_by")?;
    let (what, mode) = (against.get("what")?.as_str()?, against.get("mode")?.as_str()?);
    let at = TimestampMs::new(against.get("ts")?.as_i64()?).ok()?;
    let at = show_time(at, &Zone::utc());
    Some(format!(
        "the position mode was said to be {stated}, but {what} at {at} UTC says {mode}; `fillbook init --position-mode` \
         corrects the word"
    ))
}

/// What contradicts the user's word about the position mode, if anything does.
pub(super) async fn mode_contradiction(store: &dyn Store, account: &AccountId) -> Result<Option<String>, CommandError> {
    let kind = Some("position_mode".to_owned());
    let filter = DiscrepancyFilter { kind, ..DiscrepancyFilter::open(account.clone()) };
    let found = store.discrepancies(&filter, &PageRequest::first(1)).await?.items.pop();
    Ok(found.map(|found| evidence_line(&found.entry.evidence_json)))
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
            (
                r#"{"contradicted_by":{"mode":"hedge","ts":1772352000000,"what":"a fact of a hedge"},"stated":"one_way"}"#,
                "the position mode was said to be one_way, but a fact of a hedge at 2026-03-01 08:00:00 UTC says hedge; `fillbook \
                 init --position-mode` corrects the word",
            ),
            ("not json", "not json"),
        ] {
            let Cell::Text(line) = evidence(json) else { panic!("{json}") };
            assert_eq!(line, told);
        }
    }
}
