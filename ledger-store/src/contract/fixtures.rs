//! Facts for the cases, short to write.

use ledger_core::{
    AccountId, Anchor, AnyFact, Certainty, Decimal, Fee, Fill, Income, Label, LedgerPlace, LedgerRules, Order,
    OrderStatus, PositionSide, PositionSnapshot, PriceSnapshot, Side, Source, Statement,
};

use ledger_core::testing;
pub use ledger_core::testing::{at, dec, linear, main_account, symbol};

use crate::batch::Batch;
use crate::filter::{Scope, TripFilter};
use crate::outcome::CommitReport;
use crate::page::PageRequest;
use crate::record::NewAccount;
use crate::store::Store;

/// Where the entries of the accounts' ledger belong: a backend opens its books with this table for the venue
/// `binance_usdm`.
pub const RULES: LedgerRules = LedgerRules::new(&[
    ("COMMISSION", LedgerPlace::Fill),
    ("REALIZED_PNL", LedgerPlace::Fill),
    ("FUNDING_FEE", LedgerPlace::Funding),
    ("INSURANCE_CLEAR", LedgerPlace::Clearance),
    ("DELIVERED_SETTELMENT", LedgerPlace::Settlement),
    ("REFERRAL_KICKBACK", LedgerPlace::Kickback),
    ("TRANSFER", LedgerPlace::Transfer),
]);

/// An account.
pub fn new_account(id: &str) -> NewAccount {
    NewAccount { id: AccountId::new(id).unwrap(), venue: "binance_usdm".to_owned(), created_local: at(0) }
}

/// A REST fill in one-way mode: trade id, which is its sequence, too, direction, quantity, price. It happens at `id`
/// seconds.
pub fn fill(name: &str, id: i64, side: Side, qty: &str, price: &str) -> Fill {
    Fill { maker: Some(false), ..testing::fill(name, id, side, qty, price).with_fee(usdt("0")) }
}

/// A fee in USDT.
pub fn usdt(amount: &str) -> Fee {
    testing::fee(amount, "USDT")
}

/// The same fill, with what the exchange says it realized; 0 proves an opening fill to be one.
#[must_use]
pub fn realizing(fill: Fill, pnl: &str) -> Fill {
    fill.realizing(dec(pnl))
}

/// The same fill, of an order.
#[must_use]
pub fn of_order(fill: Fill, order_id: &str) -> Fill {
    fill.of_order(testing::order_id(order_id))
}

/// A regular order that executed `executed` at `avg_price`, last changed at `second`.
pub fn order(name: &str, id: &str, side: Side, executed: &str, avg_price: &str, second: i64) -> Order {
    testing::order(name, id, side, OrderStatus::Filled)
        .executed(dec(executed), Some(testing::price(avg_price)))
        .between(testing::time(second * 1_000 - 1), testing::time(second * 1_000))
}

/// A funding payment at `second`.
pub fn funding(name: &str, tran_id: &str, amount: &str, second: i64) -> Income {
    testing::funding(name, tran_id, amount, second * 1_000)
}

/// The statement that a one-way position was flat at `second`: what proves where a book begins.
pub fn flat(name: &str, second: i64) -> Statement {
    by(
        Source::Repair,
        AnyFact::Anchor(Anchor {
            symbol: symbol(name),
            position_side: PositionSide::Net,
            at: at(second * 1_000),
            qty: Decimal::ZERO,
            entry_price: None,
            derivation: Label::new("the exchange stated no position").unwrap(),
            known_before: None,
            withdrawn: None,
        }),
    )
}

/// What the exchange says of a one-way position.
pub fn said(name: &str, qty: &str, second: i64) -> PositionSnapshot {
    PositionSnapshot {
        symbol: symbol(name),
        position_side: PositionSide::Net,
        at: at(second * 1_000),
        qty: dec(qty),
        entry_price: None,
    }
}

/// A mark price.
pub fn mark_price(name: &str, price: &str, second: i64) -> PriceSnapshot {
    testing::mark(name, price, second * 1_000)
}

/// A fact by REST, with a payload.
pub fn rest(fact: AnyFact) -> Statement {
    by(Source::Rest, fact)
}

/// A fact by some source, with a payload.
pub fn by(source: Source, fact: AnyFact) -> Statement {
    let payload = format!("{{\"by\":\"{source}\",\"fact\":{:?}}}", format!("{fact:?}"));
    Statement { fact, source, payload: Some(payload.into()) }
}

/// Fills by REST.
pub fn fills(fills: impl IntoIterator<Item = Fill>) -> Vec<Statement> {
    fills.into_iter().map(|fill| rest(AnyFact::Fill(fill))).collect()
}

/// A batch of the main account.
pub fn batch(statements: Vec<Statement>) -> Batch {
    Batch::new(main_account(), at(86_400_000), statements)
}

/// Creates the main account with the given contracts.
pub async fn prepare(store: &dyn Store, instruments: &[&str]) {
    prepare_account(store, "main", instruments).await;
}

/// Creates an account with the given contracts.
pub async fn prepare_account(store: &dyn Store, name: &str, instruments: &[&str]) -> AccountId {
    let account = new_account(name);
    store.create_account(account.clone()).await.unwrap();
    let statements = instruments.iter().map(|name| rest(AnyFact::Instrument(linear(name)))).collect();
    store.commit(Batch { account: account.id.clone(), ..batch(statements) }).await.unwrap();
    account.id
}

/// Commits to the main account.
pub async fn commit(store: &dyn Store, statements: Vec<Statement>) -> CommitReport {
    store.commit(batch(statements)).await.unwrap()
}

/// The quantity and certainty of the only position of a symbol.
pub async fn position_of(store: &dyn Store, name: &str) -> (Decimal, Certainty) {
    let positions = store.positions(&main_account()).await.unwrap();
    let found: Vec<_> = positions.iter().filter(|position| position.symbol == symbol(name)).collect();
    assert_eq!(found.len(), 1, "{name}: {positions:?}");
    found.first().map(|found| (found.position.qty, found.position.certainty)).unwrap()
}

/// The ended round trips of the main account.
pub async fn trips_of(store: &dyn Store) -> Vec<ledger_core::RoundTrip> {
    let filter = TripFilter { scope: Scope::account(main_account()), engine: None, position_side: None };
    store.trips(&filter, PageRequest::first(10_000)).await.unwrap().items
}
