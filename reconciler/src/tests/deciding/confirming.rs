//! What counts as confirmed, and what does not although two answers agree.

use super::*;
use crate::confirming::ReadBefore;

fn span(stream: &str, grade: CoverageGrade, since: i64, until: i64) -> CoverageSpan {
    CoverageSpan { stream: stream.into(), symbol: None, grade, since: at(since), until: at(until) }
}

/// What a plan confirms of a stream.
fn confirmed(seen: &Observation, stream: &str) -> Vec<(i64, i64)> {
    let spans = plan(seen).account_coverage;
    let spans = spans.into_iter().filter(|span| span.stream == stream && span.grade == CoverageGrade::Confirmed);
    spans.map(|span| (span.since.as_ms() - at(0).as_ms(), span.until.as_ms() - at(0).as_ms())).collect()
}

/// Two answers may lack the same rows because the exchange does not tell of a fill yet. Its order does.
#[test]
fn where_an_order_names_an_unseen_fill_nothing_is_confirmed() {
    let mut seen = half_known();
    seen.read_before =
        ReadBefore::new(vec![span("income", CoverageGrade::Asked, -990_000, -10_000)], Vec::new(), Vec::new());
    let order = &mut seen.orders.answer_mut().unwrap().rows[0].entity;
    order.created = Some(EventTime::ms(at(-600_000)));
    // All that the order has executed is on record or listed.
    assert_eq!(confirmed(&seen, "income"), [(-990_000, -10_000)]);
    assert_eq!(confirmed(&seen, "fills"), [(-990_000, -10_000)]);
    // The list lacks a part of it: that was executed somewhere between the order's creation and its last change.
    let close = seen.symbols.get_mut(&btc()).unwrap();
    let known: Vec<_> = close.book_fills.keys().cloned().collect();
    close.fills.answer_mut().unwrap().rows.retain(|key, _| known.contains(key));
    assert_eq!(confirmed(&seen, "income"), [(-990_000, -600_000), (-499_999, -10_000)]);
    assert_eq!(confirmed(&seen, "fills"), [(-990_000, -600_000)]);
    // An order that had ended before anything that is read now hides nothing of it.
    let order = &mut seen.orders.answer_mut().unwrap().rows[0].entity;
    (order.created, order.updated) = (Some(EventTime::ms(at(-3_000_000))), Some(EventTime::ms(at(-2_000_000))));
    assert_eq!(confirmed(&seen, "income"), [(-990_000, -10_000)]);
}
