//! Rows of the ledger that are lost, missing, or of another amount.

use ledger_core::demands::{HeldAround, HeldLeg};
use ledger_core::{Certainty, FundingRate, Income, IncomeType, Instrument, Price};
use ledger_store::{BrokenProof, Proof, ProofCheck, Stretch, Tally};

use super::*;
use crate::observe::TypeAnswer;

/// What was confirmed of the ledger: three rows, of which the book has this many.
fn confirmed(found: u64) -> Vec<BrokenProof> {
    let stretch = Stretch { stream: "income".into(), symbol: None, since: at(-9_000_000), until: at(-1_000_000) };
    let tally = |count| Tally { count, digest: count };
    let proof = Proof { stretch, tally: tally(3) };
    (found < 3).then(|| BrokenProof { proof, found: tally(found) }).into_iter().collect()
}

/// A book of which two rows of three were deleted, and what it has once all that the exchange lists is recorded.
pub(super) fn lost(found_after: u64) -> Scene {
    let mut seen = quiet();
    seen.read_before.lost = confirmed(1);
    let mut mock = MockStore::new();
    mock.expect_check_proofs()
        .returning(move |_, _| Ok(ProofCheck { checked: 1, rows: 3, broken: confirmed(found_after) }));
    Scene { seen, book: beside_nothing(mock) }
}

/// What of the account was read: all of the last million seconds.
fn read(mock: &mut MockStore) {
    let span = |stream: &str| CoverageSpan {
        stream: stream.into(),
        symbol: None,
        grade: CoverageGrade::Asked,
        since: at(-1_000_000_000),
        until: at(0),
    };
    let coverage = vec![span("income"), span("fills")];
    mock.expect_coverage().returning(move |_| Ok(coverage.clone()));
    let contract = Instrument::linear(btc(), usdt()).unwrap();
    mock.expect_instrument().returning(move |_, _| Ok(Some(Sourced::new(contract.clone(), Source::Rest))));
}

/// A trade that paid a fee, in a book that has its ledger row, or has not.
pub(super) fn fee(row: Option<&'static str>) -> Scene {
    let mut paid = fill(5, "77", "0.05");
    paid.fee = Some(ledger_core::Fee { amount: "0.1".parse().unwrap(), asset: usdt() });
    let mut mock = MockStore::new();
    read(&mut mock);
    let trade = Sourced::new(paid, Source::Rest);
    let by_key = trade.clone();
    mock.expect_fill_count().returning(|_| Ok(1));
    mock.expect_fill().returning(move |_, key| Ok(Some(by_key.clone()).filter(|fill| fill.fact.key == *key)));
    // The database names it for as long as no row is there; what was missing before is looked at by name.
    let named = if row.is_none() { vec![trade] } else { vec![] };
    mock.expect_fills_without_rows()
        .returning(move |_, _| Ok(ledger_store::Page { items: named.clone(), ..nothing() }));
    mock.expect_rows_without_trade().returning(|_, _, _, _| Ok(vec![]));
    let rows: Vec<_> =
        row.map(|amount| Sourced::new(income("COMMISSION", 1, amount), Source::Rest)).into_iter().collect();
    mock.expect_rows_of_trade().returning(move |_, _, _| Ok(rows.clone()));
    Scene { seen: quiet(), book: beside_nothing(mock) }
}

/// One was held at a funding instant: a ten-thousandth of 60,000 is 6. The ledger says this.
pub(super) fn funding(stated: Option<&'static str>) -> Scene {
    let mark_price = Some(Price::new("60000".parse().unwrap()).unwrap());
    let rate = FundingRate { symbol: btc(), at: at(-500_000), rate: "0.0001".parse().unwrap(), mark_price };
    let rate = Sourced::new(rate, Source::Rest);
    let row = stated.map(|amount| Income { fill_id: None, ..income(IncomeType::FUNDING_FEE, 1, amount) });
    let rows: Vec<_> = row.map(|row| Sourced::new(row, Source::Rest)).into_iter().collect();
    let mut mock = MockStore::new();
    read(&mut mock);
    let unpaid = rate.clone();
    mock.expect_rates_without_rows().returning(move |_| Ok(vec![unpaid.clone()]));
    mock.expect_held_around().returning(|_, _, instants| {
        let held = |at| HeldAround {
            at,
            legs: vec![HeldLeg {
                position_side: PositionSide::Net,
                sizes: vec![Decimal::ONE],
                certainty: Certainty::Known,
                stated_before: None,
                stated_after: None,
            }],
        };
        Ok(instants.into_iter().map(held).collect())
    });
    mock.expect_income().returning(move |_, _| Ok(ledger_store::Page { items: rows.clone(), ..nothing() }));
    mock.expect_funding_rates()
        .returning(move |_, _| Ok(ledger_store::Page { items: vec![rate.clone()], ..nothing() }));
    Scene { seen: quiet(), book: beside_nothing(mock) }
}

/// A transfer that the book has of the ledger of all types, where its own type lists it, or does not.
pub(super) fn by_type(is_unlisted: bool) -> Observation {
    let mut seen = quiet();
    let unlisted = if is_unlisted { vec![transfer(1, -500_000)] } else { vec![] };
    let window = TimeWindow::up_to(at(-1_000), at(-1_000_000));
    seen.by_type.answers.push(TypeAnswer {
        income_type: "TRANSFER".parse().unwrap(),
        window,
        rows: vec![],
        unlisted,
        is_refused: false,
    });
    seen
}
