//! Ledger rows that are demanded and missing are asked for again, wherever they lie: a narrow window each, beside what a look
//! reads anyway.
//!
//! Invariants, each with a test of the same name:
//! 1. `windows_of_missing_rows_are_few_and_narrow`.

use exchange_client::{ExchangeReader, TimeWindow, WindowQuery};
use ledger_core::{Income, TimestampMs};
use ledger_store::{Discrepancy, DiscrepancyStatus};

use super::walk::Walk;
use crate::memory::{DemandMemory, FundingMemory, Wait, recall_all};

/// How long before what demands it a row may be dated, and how long after it.
const BEFORE_MS: i64 = 60_000;
const AFTER_MS: i64 = 120_000;
/// Windows that lie closer together than this are one: a page has room for the rows between them.
const APART_MS: i64 = 3_600_000;
/// How many windows a look asks for: those of which the fewest looks know come first, so that all have their turn.
const WINDOWS_MAX: usize = 10;
/// How many pages it reads of one of them.
const PAGES_MAX: usize = 4;

/// The windows in which something is missing, of those that `is_open` says the exchange can still be asked about.
fn windows(on_record: &[Discrepancy], is_open: impl Fn(TimestampMs) -> bool) -> Vec<TimeWindow> {
    let demands = recall_all::<DemandMemory>(on_record).map(|(known, memory)| (known, memory.at, memory.wait));
    let funding = recall_all::<FundingMemory>(on_record).map(|(known, memory)| (known, memory.at, memory.wait));
    let is_asked = |known: &Discrepancy| known.entry.status != DiscrepancyStatus::Acknowledged;
    let mut missing: Vec<(u32, TimestampMs)> = demands
        .chain(funding)
        .filter(|(known, at, _)| is_asked(known) && is_open(*at))
        .map(|(_, at, Wait { looks, .. })| (looks, at))
        .collect();
    missing.sort_unstable();
    let mut windows: Vec<(TimestampMs, TimestampMs)> = Vec::new();
    for (_, at) in missing {
        let (since, until) = (at.saturating_add_ms(-BEFORE_MS), at.saturating_add_ms(AFTER_MS));
        let near = |(from, to): &&mut (TimestampMs, TimestampMs)| {
            since <= to.saturating_add_ms(APART_MS) && until >= from.saturating_add_ms(-APART_MS)
        };
        let is_room = windows.len() < WINDOWS_MAX;
        match windows.iter_mut().find(near) {
            Some((from, to)) => (*from, *to) = (since.min(*from), until.max(*to)),
            None if is_room => windows.push((since, until)),
            None => {}
        }
    }
    windows.into_iter().map(|(since, until)| TimeWindow::up_to(until, since)).collect()
}

/// Asks for what is missing beside `walk`, and adds the rows to it. Answers the windows that were asked for; what the exchange
/// does not answer is asked for by the next look.
pub(super) async fn ask_again(
    exchange: &dyn ExchangeReader,
    on_record: &[Discrepancy],
    oldest: TimestampMs,
    walk: &mut Walk<Income>,
) -> Vec<TimeWindow> {
    let mut asked = Vec::new();
    let is_open = |at: TimestampMs| !walk.window.contains(at) && at.saturating_add_ms(-BEFORE_MS) >= oldest;
    for window in windows(on_record, is_open) {
        let (mut next, mut rows) = (Some(WindowQuery::new(window)), Vec::new());
        for _ in 0..PAGES_MAX {
            let Some(query) = next.take() else { break };
            let Ok(page) = exchange.fetch_income(None, query).await else { return asked };
            rows.extend(page.rows);
            next = page.next;
        }
        if next.is_none() {
            asked.push(window);
        }
        // What lies in the walk was read by it.
        rows.retain(|row| !walk.window.contains(row.entity.time.at));
        walk.rows.extend(rows);
    }
    asked
}

#[cfg(test)]
mod tests {
    use ledger_core::FillId;
    use ledger_core::testing::{asset, at, symbol};
    use ledger_store::{DiscrepancyKey, NewDiscrepancy};
    use serde_json::{Map, Value};

    use super::*;
    use crate::discrepancy::{DiscrepancyKind, Subject};
    use crate::memory::Memory;
    use crate::tests::account_id;

    fn missing(id: i64, ms: i64, looks: u32, status: DiscrepancyStatus) -> Discrepancy {
        let (kind, fill_id) = (DiscrepancyKind::MissingIncome, FillId::new(id.to_string()).unwrap());
        let subject = Subject::Ledger(symbol("BTCUSDT"), fill_id.clone(), "COMMISSION".parse().unwrap(), asset("USDT"));
        let mut evidence = Map::new();
        let wait = Wait { since: at(0), looks };
        Memory::from(DemandMemory { fill_id, at: at(ms), wait }).write(&mut evidence);
        let key = DiscrepancyKey { kind: kind.as_str().to_owned(), fingerprint: subject.to_string() };
        let evidence_json = Value::from(evidence).to_string();
        Discrepancy {
            id,
            account: account_id(),
            entry: NewDiscrepancy { key, symbol: Some(symbol("BTCUSDT")), status, evidence_json },
            first_seen_local: at(0),
            last_seen_local: at(0),
            resolved_local: None,
            run_id: None,
        }
    }

    #[test]
    fn windows_of_missing_rows_are_few_and_narrow() {
        use DiscrepancyStatus::{Acknowledged, Pending, Unresolved};
        let hours = |count: i64| count * 3_600_000;
        let known = [
            missing(1, hours(10), 3, Unresolved),
            missing(2, hours(10) + 60_000, 1, Pending),
            missing(3, hours(20), 1, Pending),
            missing(4, hours(30), 1, Acknowledged),
            missing(5, hours(40), 1, Pending),
        ];
        let found = windows(&known, |instant| instant < at(hours(35)));
        let window = |since: i64, until: i64| TimeWindow::up_to(at(until), at(since));
        let near = window(hours(10) - BEFORE_MS, hours(10) + 60_000 + AFTER_MS);
        assert_eq!(found, [near, window(hours(20) - BEFORE_MS, hours(20) + AFTER_MS)]);
        // Of many, those come first that have been asked for least.
        let many: Vec<_> = (0..30).map(|id| missing(id, hours(3 * id), if id < 15 { 3 } else { 1 }, Pending)).collect();
        let found = windows(&many, |_| true);
        assert_eq!(found.len(), WINDOWS_MAX);
        assert!(found.iter().all(|window| window.since() > at(hours(44))), "{found:?}");
    }
}
