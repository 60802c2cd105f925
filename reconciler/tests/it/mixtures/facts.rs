//! What a book holds that is not so.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::simulator::AccountSnapshot;
use ledger_core::{Decimal, PositionSide, TimestampMs};
use ledger_store::{FactReader, IncomeFilter, OrderFilter, PageRequest, Scope};

use crate::support::Fixture;

/// What was true at each look.
pub(super) type Truths = BTreeMap<i64, AccountSnapshot>;

/// What a book holds that is not so, in words.
pub(super) async fn false_facts(book: &Fixture) -> Vec<String> {
    let mut wrong = Vec::new();
    let now = book.simulator.books().accounts.remove(0);
    let trades: BTreeSet<_> = now.trades.iter().map(|it| (it.symbol.clone(), Some(it.id), it.qty, it.price)).collect();
    let mut seen = BTreeSet::new();
    for fill in book.book_fills().await {
        let fact = (fill.key.symbol.to_string(), fill.sequence, fill.qty.get(), fill.price.get());
        if !trades.contains(&fact) || !seen.insert(fact) {
            wrong.push(format!("fill {fill:?}"));
        }
    }
    let scope = Scope::account(book.account.clone());
    let all = || PageRequest::first(1_000);
    let orders = book.store.orders(&OrderFilter::from(scope.clone()), all()).await.unwrap().items;
    let ids: BTreeSet<_> = now.orders.iter().map(|it| (it.symbol.clone(), it.id.to_string())).collect();
    for order in orders.into_iter().map(|order| order.order.fact.key) {
        if !ids.contains(&(order.symbol.to_string(), order.order_id.to_string())) {
            wrong.push(format!("order {order:?}"));
        }
    }
    let filter = IncomeFilter { scope: scope.clone(), income_type: None };
    let rows = book.store.income(&filter, all()).await.unwrap().items;
    let mut known: Vec<_> = now.income.iter().map(|it| (it.time_ms, it.asset.clone(), it.amount)).collect();
    for row in rows.into_iter().map(|row| row.fact) {
        let fact = (row.time.at.as_ms(), row.key.asset.to_string(), row.amount);
        match known.iter().position(|known| *known == fact) {
            Some(at) => drop(known.swap_remove(at)),
            None => wrong.push(format!("ledger row {row:?}")),
        }
    }
    wrong
}

/// A number that a book has on record as the exchange's, and that it never was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Misstated {
    /// A wallet, or a contract and the side of its position.
    pub(super) about: (String, Option<PositionSide>),
    pub(super) told: Decimal,
    pub(super) at: TimestampMs,
}

pub(super) async fn misstated(book: &Fixture, truths: &Truths) -> BTreeSet<Misstated> {
    let mut misstated = BTreeSet::new();
    let scope = Scope::account(book.account.clone());
    let all = || PageRequest::first(1_000);
    for balance in book.store.balance_snapshots(&scope, all()).await.unwrap().items {
        let balance = balance.fact;
        let truth = truths.range(..=balance.at.as_ms()).next_back().map(|(_, truth)| truth);
        let wallet = truth.and_then(|truth| truth.wallets.get(balance.asset.as_str()).copied()).unwrap_or_default();
        if wallet != balance.wallet {
            let about = (balance.asset.to_string(), None);
            misstated.insert(Misstated { about, told: balance.wallet, at: balance.at });
        }
    }
    for held in book.store.position_snapshots(&scope, all()).await.unwrap().items.into_iter().map(|held| held.fact) {
        let truth = truths.range(..=held.at.as_ms()).next_back().map(|(_, truth)| truth).unwrap();
        let mut open = truth.positions.iter();
        let open = open.find(|it| it.symbol == held.symbol.as_str() && it.position_side == held.position_side);
        if open.map(|it| it.qty).unwrap_or_default() != held.qty {
            let about = (held.symbol.to_string(), Some(held.position_side));
            misstated.insert(Misstated { about, told: held.qty, at: held.at });
        }
    }
    misstated
}
