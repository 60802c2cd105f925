//! Cases about ledger rows that one source tells with the exchange's id and another without.

use ledger_core::{AnyFact, EventTime, Income, Side, Source, Statement, testing};

use super::Open;
use super::fixtures::{at, by, dec, fill, fills, main_account, realizing, rest, trips_of};
use super::told_elsewhere::in_every_order;
use crate::filter::{IncomeFilter, Scope};
use crate::page::PageRequest;
use crate::store::Store;

/// A row of an hour after the opening with the exchange's id, to the millisecond.
fn named(kind: &str, id: &str, amount: &str) -> Statement {
    rest(AnyFact::Income(testing::income(kind, id, "ETHUSDT", amount, 3_600_120)))
}

/// The same row as a file tells that knows seconds and no ids: `ordinal` identical ones stand in front of it.
fn unnamed(kind: &str, ordinal: u32, amount: &str) -> Statement {
    by(Source::ExchangeCsv, AnyFact::Income(without_id(kind, ordinal, amount, EventTime::seconds(at(3_600_000)))))
}

fn without_id(kind: &str, ordinal: u32, amount: &str, time: EventTime) -> Income {
    // What the id is made of is the reader's matter; its form and its number are part of the book.
    let digits = dec(amount).abs().to_string().replace('.', "");
    let id = format!("digest:{digits:0>32}:{ordinal}");
    Income { time, ..testing::income(kind, &id, "ETHUSDT", amount, 0) }
}

fn traded() -> Vec<Statement> {
    fills([
        realizing(fill("ETHUSDT", 1_000, Side::Buy, "1", "100"), "0"),
        realizing(fill("ETHUSDT", 7_200, Side::Sell, "1", "110"), "10"),
    ])
}

/// The amounts of the ledger, and the funding of the only round trip.
async fn counted(store: &dyn Store) -> (Vec<String>, String) {
    let filter = IncomeFilter { scope: Scope::account(main_account()), income_type: None };
    let rows = store.income(&filter, PageRequest::first(20)).await.unwrap().items;
    let mut amounts: Vec<String> = rows.iter().map(|row| row.fact.amount.to_string()).collect();
    amounts.sort();
    let trips = trips_of(store).await;
    let funding = trips.first().and_then(|trip| trip.funding.first().cloned());
    let funding = funding.map_or_else(|| "none".to_owned(), |paid| paid.total.amount().unwrap().to_string());
    (amounts, funding)
}

/// Whichever comes first: as many rows with an id as without are the same, and what is left over counts.
pub async fn a_row_without_an_id_is_the_one_with_it(open: Open<'_>) {
    let funding = "FUNDING_FEE";
    let one = || unnamed(funding, 0, "-0.5");
    let two = || unnamed(funding, 1, "-0.5");
    let other_time = || {
        let time = EventTime::ms(at(3_600_119));
        rest(AnyFact::Income(without_id(funding, 0, "-0.5", time)))
    };
    for (rows, amounts, paid) in [
        (vec![one()], &["-0.5"][..], "-0.5"),
        (vec![one(), named(funding, "5", "-0.5")], &["-0.5"], "-0.5"),
        (vec![one(), two(), named(funding, "5", "-0.5")], &["-0.5", "-0.5"], "-1"),
        (vec![one(), two(), named(funding, "5", "-0.5"), named(funding, "6", "-0.5")], &["-0.5", "-0.5"], "-1"),
        (vec![one(), named(funding, "5", "-0.5"), named(funding, "6", "-0.5")], &["-0.5", "-0.5"], "-1"),
        // Another amount, type or millisecond is another row.
        (vec![one(), named(funding, "5", "-0.25")], &["-0.25", "-0.5"], "-0.75"),
        (vec![one(), named("SPECIAL_FUNDING_FEE", "5", "-0.5")], &["-0.5", "-0.5"], "-0.5"),
        (vec![other_time(), named(funding, "5", "-0.5")], &["-0.5", "-0.5"], "-1"),
    ] {
        let statements: Vec<_> = traded().into_iter().chain(rows).collect();
        let found = in_every_order(open, &statements, async |store| counted(store).await).await;
        assert_eq!(found, (amounts.iter().map(ToString::to_string).collect(), paid.to_owned()), "{statements:?}");
    }
}
