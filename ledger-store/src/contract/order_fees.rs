//! Cases about what an order's answer states of its fees: an estimate of what its missing fills cost, and nothing else.

use std::collections::BTreeMap;

use ledger_core::testing::{self, dec, fee};
use ledger_core::{AnyFact, Decimal, Fee, Fill, Order, OrderStatus, Side, Source, StatedFees, Statement};

use super::Open;
use super::dump::dump;
use super::fixtures::{by, commit, fill, fills, flat, main_account, of_order, order, prepare, rest};
use super::history::History;
use crate::filter::DiscrepancyFilter;
use crate::page::PageRequest;
use crate::record::DiscrepancyStatus;
use crate::store::Store;

const SEEDS: std::ops::Range<u64> = 0..40;

/// By asset: what is known, what is estimated; `None` where a part is unknown.
type Paid = Option<BTreeMap<String, (Decimal, Decimal)>>;

/// The fees of the only position, as the book derives them. What is nothing is left out.
async fn paid(store: &dyn Store) -> Paid {
    let positions = store.positions(&main_account()).await.unwrap();
    let mut paid = BTreeMap::new();
    for of_asset in positions.iter().flat_map(|position| &position.position.fees) {
        if of_asset.total.unknown_count > 0 {
            return None;
        }
        paid.insert(of_asset.asset.to_string(), (of_asset.total.known, of_asset.total.estimated));
    }
    paid.retain(|_, (known, estimated)| !known.is_zero() || !estimated.is_zero());
    Some(paid)
}

fn stated(qty: Decimal, fees: impl IntoIterator<Item = Fee>) -> Option<StatedFees> {
    StatedFees::new(qty, fees).unwrap()
}

/// An order's answer after the first of its fills, as a library gives it.
fn answer_after(first: &[Fill], is_last: bool) -> Order {
    let qty = first.iter().fold(Decimal::ZERO, |sum, fill| sum.checked_add(fill.qty.get()).unwrap());
    let at = first.last().map(|fill| fill.time).unwrap();
    let status = if is_last { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
    let mut answer = testing::order("ETHUSDT", "7", Side::Buy, status)
        .executed(qty, Some(testing::price("100")))
        .between(testing::time(1), at);
    answer.fees = stated(qty, first.iter().filter_map(|fill| fill.fee.clone()));
    answer
}

/// What has arrived so far says: the fills' own fees are known, and beside them stands what the answer about the most states
/// beyond them, by whole thousandths.
fn expected(arrived: &[Statement]) -> Paid {
    let mut known = BTreeMap::<String, Decimal>::new();
    let (mut filled, mut most) = (Decimal::ZERO, None::<&Order>);
    for statement in arrived {
        match &statement.fact {
            AnyFact::Fill(fill) => {
                filled = filled.checked_add(fill.qty.get()).unwrap();
                let fee = fill.fee.as_ref().unwrap();
                let sum = known.entry(fee.asset.to_string()).or_default();
                *sum = sum.checked_add(fee.amount).unwrap();
            }
            AnyFact::Order(order) => {
                let qty = |order: &Order| order.executed.as_ref().map(|executed| executed.qty);
                most = most.filter(|most| qty(most) >= qty(order)).or(Some(order));
            }
            _ => {}
        }
    }
    let mut paid: BTreeMap<String, (Decimal, Decimal)> =
        known.iter().map(|(asset, known)| (asset.clone(), (*known, Decimal::ZERO))).collect();
    if let Some(order) = most.filter(|order| order.executed.as_ref().is_some_and(|executed| executed.qty > filled)) {
        let fees = order.fees.as_ref()?;
        let names = |asset: &str| fees.paid().iter().any(|fee| fee.asset.as_str() == asset);
        if !known.iter().all(|(asset, known)| known.is_zero() || names(asset)) {
            return None;
        }
        for fee in fees.paid() {
            let (known, estimated) = paid.entry(fee.asset.to_string()).or_default();
            *estimated = fee.amount.checked_sub(*known).unwrap();
        }
    }
    paid.retain(|_, (known, estimated)| !known.is_zero() || !estimated.is_zero());
    Some(paid)
}

/// Answers and fills of an order in any order of arrival: at each moment the fees are those of the fills and the estimate of the
/// rest, and in the end those of the fills alone.
pub async fn a_stated_fee_is_an_estimate_until_the_fills_are_there(open: Open<'_>) {
    let mut estimates = 0;
    for seed in SEEDS {
        let mut history = History::new(seed);
        let count = 1 + history.below(4);
        let is_mixed = history.below(3) == 0;
        let own: Vec<Fill> = (1..=count)
            .map(|number| {
                let id = i64::try_from(number).unwrap();
                let asset = if is_mixed && history.below(2) == 0 { "BNB" } else { "USDT" };
                let amount = Decimal::from(i64::try_from(history.below(90)).unwrap() - 20);
                let amount = amount.checked_mul(dec("0.001")).unwrap().to_string();
                let qty = format!("{}", 1 + history.below(4));
                of_order(fill("ETHUSDT", id, Side::Buy, &qty, "100").with_fee(fee(&amount, asset)), "7")
            })
            .collect();
        let mut statements = fills(own.clone());
        let answers = (1..=count).map(|told| answer_after(own.get(..told).unwrap(), told == count));
        statements.extend(answers.map(|answer| by(Source::Ccxt, AnyFact::Order(answer))));
        let straight = open();
        prepare(&*straight.store, &["ETHUSDT"]).await;
        commit(&*straight.store, vec![flat("ETHUSDT", 0)]).await;
        commit(&*straight.store, statements.clone()).await;

        history.shuffle(&mut statements);
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        commit(store, vec![flat("ETHUSDT", 0)]).await;
        for arrived in 1..=statements.len() {
            let arrived = statements.get(..arrived).unwrap();
            commit(store, vec![arrived.last().cloned().unwrap()]).await;
            let (found, expected) = (paid(store).await, expected(arrived));
            assert_eq!(found, expected, "seed {seed}, after {arrived:?}");
            estimates += usize::from(found.iter().flatten().any(|(_, (_, estimated))| !estimated.is_zero()));
        }
        let is_estimated = |(_, (_, estimated)): (&String, &(Decimal, Decimal))| !estimated.is_zero();
        assert!(!paid(store).await.unwrap().iter().any(is_estimated), "seed {seed}");
        assert_eq!(dump(store, &main_account()).await, dump(&*straight.store, &main_account()).await, "seed {seed}");
    }
    assert!(estimates > 40, "the arrivals say too little: {estimates}");
}

/// Where the ledger decides what a fill was charged, that is taken off what the order's answer states, whichever comes first.
pub async fn a_stated_fee_counts_beside_what_the_ledger_decides(open: Open<'_>) {
    let mut answer = order("ETHUSDT", "7", Side::Buy, "3", "100", 5);
    answer.fees = stated(dec("3"), [fee("0.3", "USDT")]);
    let answer = by(Source::Ccxt, AnyFact::Order(answer));
    let charged = |trade: i64, amount: &str| {
        let mut entry = testing::income("COMMISSION", &format!("c{trade}"), "ETHUSDT", amount, trade * 1_000);
        entry.fill_id = Some(trade.to_string().parse().unwrap());
        rest(AnyFact::Income(entry))
    };
    // One fill states no fee, and the other with the sign of what the wallet saw.
    let silent = Fill { fee: None, ..of_order(fill("ETHUSDT", 1, Side::Buy, "1", "100"), "7") };
    let turned = of_order(fill("ETHUSDT", 2, Side::Buy, "1", "100").with_fee(fee("-0.1", "USDT")), "7");
    let own = |fill: &Fill| rest(AnyFact::Fill(fill.clone()));
    let all = [answer, own(&silent), own(&turned), charged(1, "-0.05"), charged(2, "-0.1")];
    for (turn, _) in all.iter().enumerate() {
        let book = open();
        let store = &*book.store;
        prepare(store, &["ETHUSDT"]).await;
        let (later, first) = all.split_at(turn);
        for statement in first.iter().chain(later) {
            commit(store, vec![statement.clone()]).await;
        }
        let expected = BTreeMap::from([("USDT".to_owned(), (dec("0.15"), dec("0.15")))]);
        assert_eq!(paid(store).await, Some(expected), "turn {turn}");
    }
    // One in another asset waits for a price, as that of a fill does.
    let book = open();
    prepare(&*book.store, &["ETHUSDT"]).await;
    let mut answer = order("ETHUSDT", "8", Side::Buy, "3", "100", 65);
    answer.fees = stated(dec("3"), [fee("0.3", "USDT"), fee("0.001", "BNB"), fee("0", "BTC")]);
    commit(&*book.store, vec![by(Source::Ccxt, AnyFact::Order(answer))]).await;
    let waiting = book.store.unpriced_fees(&main_account(), 9).await.unwrap();
    let waiting: Vec<_> = waiting.iter().map(|fee| (fee.asset.as_str(), fee.minute)).collect();
    assert_eq!(waiting, [("BNB", testing::at(60_000))]);
    // As long as nothing says what a fill cost, nothing says what the rest did.
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, all.get(..2).unwrap().to_vec()).await;
    assert_eq!(paid(store).await, None);
}

/// Two answers that state different fees of one quantity are in conflict as long as that stands for fills: those alone count when
/// they are there, and what is stated of less than executed says nothing. Whichever comes first, and however often.
pub async fn a_conflict_about_a_stated_fee_ends_with_its_fills(open: Open<'_>) {
    let answer = |source, executed: &str, of: &str, amount: &str| {
        let mut answer = order("ETHUSDT", "7", Side::Buy, executed, "100", 5);
        answer.fees = stated(dec(of), (!amount.is_empty()).then(|| fee(amount, "USDT")));
        by(source, AnyFact::Order(answer))
    };
    let part = |trade: i64, qty: &str| {
        rest(AnyFact::Fill(of_order(fill("ETHUSDT", trade, Side::Buy, qty, "100").with_fee(fee("0.1", "USDT")), "7")))
    };
    let [one, other] =
        [(Source::Ccxt, "0.3"), (Source::BotDatabase, "0.4")].map(|(source, fee)| answer(source, "3", "3", fee));
    let [first, second] = [part(1, "1"), part(2, "2")];
    // More was executed than both were about, and nothing states what that cost.
    let more = answer(Source::Ccxt, "4", "4", "");
    let facts = [one, other, first, second, more];
    let mut dumps = BTreeMap::new();
    let mut opened = 0;
    // Without the last fact in every order, and with it in some.
    for (count, step) in [(facts.len() - 1, 1), (facts.len(), 7)] {
        for turn in (0..factorial(count)).step_by(step) {
            let arrival = permutation(count, turn);
            let book = open();
            let store = &*book.store;
            prepare(store, &["ETHUSDT"]).await;
            let is_open = async || {
                let all = DiscrepancyFilter::all(main_account());
                let page = store.discrepancies(&all, PageRequest::first(9)).await.unwrap();
                let fees = page.items.iter().filter(|found| found.entry.key.fingerprint.contains("|fees|"));
                fees.clone().any(|found| found.entry.status != DiscrepancyStatus::Resolved)
            };
            for arrived in 1..=arrival.len() {
                let arrived = arrival.get(..arrived).unwrap();
                // The last one is told twice.
                for _ in 0..2 {
                    commit(store, vec![facts[*arrived.last().unwrap()].clone()]).await;
                    let has = |number: usize| arrived.contains(&number);
                    let expected = has(0) && has(1) && !(has(2) && has(3)) && !has(4);
                    assert_eq!(is_open().await, expected, "{arrived:?}");
                    opened += usize::from(expected);
                }
            }
            let dump = dump(store, &main_account()).await;
            assert_eq!(dumps.entry(count).or_insert_with(|| dump.clone()), &dump, "{arrival:?}");
        }
    }
    assert!(opened > 20, "{opened}");
}

fn factorial(count: usize) -> usize {
    (1..=count).product()
}

/// The `turn`th order of so many.
fn permutation(count: usize, mut turn: usize) -> Vec<usize> {
    let mut rest: Vec<usize> = (0..count).collect();
    let mut order = Vec::with_capacity(count);
    while !rest.is_empty() {
        order.push(rest.remove(turn % rest.len()));
        turn /= rest.len() + 1;
    }
    order
}
