//! What counts as confirmed, and what does not although two answers agree.

use ledger_core::Fee;
use ledger_core::testing::asset;

use super::*;
use crate::confirming::ReadBefore;
use crate::memory::{DemandMemory, Wait};

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

/// The ledger's answers may lack the same row twice. Its fill tells that it is due.
#[test]
fn where_a_fill_lacks_its_rows_nothing_of_the_ledger_is_confirmed() {
    let commission = |fill_id: &str| Income {
        fill_id: Some(FillId::new(fill_id).unwrap()),
        time: EventTime::ms(at(-500_000)),
        ..checks::income("COMMISSION", 1, "-0.1")
    };
    let confirmed_with = |change: &dyn Fn(&mut Observation)| {
        let mut seen = half_known();
        let asked = span("income", CoverageGrade::Asked, -990_000, -10_000);
        seen.read_before = ReadBefore::new(vec![asked], Vec::new(), Vec::new());
        change(&mut seen);
        confirmed(&seen, "income")
    };
    let (whole, parted) = (vec![(-990_000, -10_000)], vec![(-990_000, -500_000), (-499_999, -10_000)]);
    // This look finds a fill that was charged: one of the answers has to have the row.
    let charge = |seen: &mut Observation| {
        let close = seen.symbols.get_mut(&btc()).unwrap();
        let row = close.fills.answer_mut().unwrap().rows.values_mut().last().unwrap();
        row.entity.fee = Some(Fee { amount: "0.1".parse().unwrap(), asset: asset("USDT") });
    };
    assert_eq!(confirmed_with(&charge), parted);
    let named = |fill_id: &str| {
        confirmed_with(&|seen| {
            charge(seen);
            let row = commission(fill_id);
            seen.book.known_income.insert(row.key.clone());
            seen.income = Asked::Answered(walk(vec![row]));
        })
    };
    assert_eq!(named("2"), whole);
    assert_eq!(named("1"), parted);
    // An earlier look misses a row: nothing there is confirmed while it waits for it, and then it is told as missing.
    let missing = |status| {
        confirmed_with(&|seen| {
            let usdt = asset("USDT");
            let subject = Subject::Ledger(btc(), FillId::new("1").unwrap(), "COMMISSION".parse().unwrap(), usdt);
            let finding =
                Finding::new(DiscrepancyKind::MissingIncome, Some(&btc()), subject, Outlook::Waits, String::new());
            let wait = Wait { since: at(-500_000), looks: 1 };
            let memory = DemandMemory { fill_id: FillId::new("1").unwrap(), at: at(-500_000), wait };
            let mut on_record = known(&finding.remembering(memory));
            on_record.entry.status = status;
            seen.book.discrepancies.push(on_record);
        })
    };
    assert_eq!(missing(DiscrepancyStatus::Pending), parted);
    assert_eq!(missing(DiscrepancyStatus::Unresolved), whole);
}
