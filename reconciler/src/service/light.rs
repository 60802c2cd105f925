//! The light look: the exchange's positions and balances, with the working orders now and then, held against the book. It
//! repairs nothing; what differs at two looks one after the other asks for a full cycle.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{AccountIdentity, Answer, ExchangeError, ExchangeReader, Stated};
use ledger_core::{
    AccountId, BalanceSnapshot, Decimal, Order, OrderKey, PositionSide, PositionSnapshot, Symbol, TimestampMs,
};
use ledger_store::{OrderFilter, PageRequest, Pages, Scope, SeenLiquidation, Store};

use super::health::Unread;
use crate::error::{Doing, ReconcileError};
use crate::liquidation::liquidations;

/// What was answered, and where the book says something else.
#[derive(Debug)]
pub(super) struct LightAnswer {
    pub(super) asked_at: TimestampMs,
    pub(super) positions: Vec<PositionSnapshot>,
    pub(super) balances: Vec<BalanceSnapshot>,
    /// Those of them that are on record as they are.
    pub(super) wallets: Vec<BalanceSnapshot>,
    /// Where what is held would be liquidated, as far as the exchange says.
    pub(super) liquidations: Vec<SeenLiquidation>,
    /// The contracts of which something could not be read.
    pub(super) unreadable: BTreeSet<Symbol>,
    /// What of the positions could not be read.
    pub(super) unread: Unread,
    /// Whether the working orders were asked for, too.
    pub(super) has_orders: bool,
    /// Where the book differs.
    pub(super) differs: BTreeSet<Difference>,
}

/// Something of which book and exchange say another thing. That the same amount is missing twice is the same difference, whatever
/// is traded meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    pub(super) symbol: Symbol,
    /// What differs, and by how much.
    pub(super) what: String,
}

/// How many of the latest balances are looked at: an account has a handful of assets.
const BALANCES_MAX: u32 = 100;

fn entities<T: Clone>(answer: &Answer<T>) -> Vec<T> {
    answer.rows.iter().map(|row: &Stated<T>| row.entity.clone()).collect()
}

/// Asks, and compares.
pub(super) async fn look(
    exchange: &dyn ExchangeReader,
    book: &dyn Store,
    account: &AccountId,
    identity: &AccountIdentity,
    with_orders: bool,
) -> Result<LightAnswer, ReconcileError> {
    let asked = |error: ExchangeError| ReconcileError::Exchange(error);
    let positions = exchange.fetch_positions(None).await.map_err(asked)?;
    let balances = exchange.fetch_balances(identity).await.map_err(asked)?;
    let orders = if with_orders { Some(exchange.fetch_open_orders(None).await.map_err(asked)?) } else { None };
    let unread = positions.unreadable.iter().chain(orders.iter().flat_map(|orders| &orders.unreadable));
    let mut answer = LightAnswer {
        asked_at: positions.asked_at.min(balances.asked_at),
        positions: entities(&positions),
        balances: entities(&balances),
        wallets: Vec::new(),
        liquidations: liquidations(exchange.venue(), &positions),
        unreadable: unread.filter_map(|row| row.symbol.clone()).collect(),
        unread: Unread {
            symbols: positions.unreadable.iter().filter_map(|row| row.symbol.clone()).collect(),
            is_any: positions.unreadable.iter().any(|row| row.symbol.is_none()),
        },
        has_orders: with_orders,
        differs: BTreeSet::new(),
    };
    let recorded = book.balance_snapshots(&Scope::account(account.clone()), PageRequest::newest(BALANCES_MAX)).await;
    let mut latest = BTreeMap::new();
    for balance in recorded.doing("reading the balances")?.items {
        let known = latest.entry(balance.fact.asset.clone()).or_insert_with(|| balance.fact.clone());
        if known.at < balance.fact.at {
            *known = balance.fact;
        }
    }
    let is_known =
        |stated: &&BalanceSnapshot| latest.get(&stated.asset).is_some_and(|known| known.wallet == stated.wallet);
    answer.wallets = answer.balances.iter().filter(is_known).cloned().collect();
    let held = book.positions(account).await.doing("reading the positions")?;
    let held = held.iter().map(|it| ((it.symbol.clone(), it.position.position_side), it.position.qty));
    answer.differs.extend(unlike(&answer, &held.collect()));
    if let Some(orders) = &orders {
        let filter = OrderFilter { open_only: true, ..Scope::account(account.clone()).into() };
        let known = Pages::of(PageRequest::first(500), |page| book.orders(&filter, page)).all().await;
        let known = known.doing("reading the working orders")?;
        let known: BTreeSet<OrderKey> = known.into_iter().map(|order| order.order.fact.key).collect();
        let working: BTreeSet<OrderKey> =
            orders.rows.iter().map(|row: &Stated<Order>| row.entity.key.clone()).collect();
        let readable = |key: &&OrderKey| !answer.unreadable.contains(&key.symbol);
        let of = |key: &OrderKey, place: &str| Difference {
            symbol: key.symbol.clone(),
            what: format!("{} order {} works in the {place} only", key.class, key.order_id),
        };
        let only_there = working.difference(&known).filter(readable).map(|key| of(key, "exchange"));
        let only_here = known.difference(&working).filter(readable).map(|key| of(key, "book"));
        let differs: Vec<Difference> = only_there.chain(only_here).collect();
        answer.differs.extend(differs);
    }
    Ok(answer)
}

/// The positions of which book and exchange say something else.
fn unlike(answer: &LightAnswer, held: &BTreeMap<(Symbol, PositionSide), Decimal>) -> Vec<Difference> {
    let there = answer.positions.iter().map(|it| ((it.symbol.clone(), it.position_side), it.qty));
    let there: BTreeMap<_, _> = there.collect();
    let keys: BTreeSet<_> = held.keys().chain(there.keys()).cloned().collect();
    let differing = keys.into_iter().filter(|(symbol, _)| !answer.unreadable.contains(symbol)).filter_map(|key| {
        let qty = |of: &BTreeMap<_, Decimal>| of.get(&key).copied().unwrap_or(Decimal::ZERO);
        let (here, there) = (qty(held), qty(&there));
        let (symbol, side) = &key;
        let by = there.checked_sub(here).map_or_else(|_| "much".to_owned(), |by| by.to_string());
        let what = format!("the exchange holds {by} more of {side}");
        (here != there).then(|| Difference { symbol: symbol.clone(), what })
    });
    differing.collect()
}
