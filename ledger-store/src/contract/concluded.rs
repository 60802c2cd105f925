//! Cases about what was concluded and what contradicts it.

use ledger_core::{
    AnyFact, ClientOrderId, EventTime, IntentOutcome, IntentRole, Label, OrderClass, OrderIntent, Side, Signal,
    SignalId, SignalKind, Source,
};

use super::Open;
use super::fixtures::{at, by, commit, main_account, order, prepare, rest, symbol};
use crate::filter::{IntentFilter, Scope, SignalFilter, SignalOutlook};
use crate::page::PageRequest;

/// Signals taken for never sent and intents on record as rejected can be listed, and those among them whose order the
/// book has.
pub async fn what_is_concluded_and_contradicted_is_listed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    let signal = |id: &str, skipped: Option<&str>| {
        AnyFact::Signal(Signal {
            signal_id: SignalId::new(id).unwrap(),
            time: EventTime::ms(at(1)),
            skew_ms: None,
            symbol: symbol("ETHUSDT"),
            side: Side::Buy,
            kind: SignalKind::Entry,
            engine: None,
            reason: None,
            skipped: skipped.map(|why| Label::new(why).unwrap()),
            meta_json: None,
            restored: false,
        })
    };
    let intent = |id: &str, name: &str, outcome| {
        AnyFact::Intent(OrderIntent {
            client_order_id: ClientOrderId::new(id).unwrap(),
            symbol: symbol(name),
            class: OrderClass::Regular,
            side: Side::Buy,
            position_side: None,
            role: IntentRole::Entry,
            dca_step: 0,
            attempt: 1,
            order_type: Label::new("MARKET").unwrap(),
            qty: None,
            price: None,
            trigger_price: None,
            reduce_only: false,
            signal_id: None,
            engine: None,
            created_local: at(2),
            outcome,
        })
    };
    let sent = |id: &str, client: &str, signal: Option<&str>| {
        let mut order = order("ETHUSDT", id, Side::Buy, "1", "100", 3);
        order.client_order_id = Some(ClientOrderId::new(client).unwrap());
        order.signal_id = signal.map(|id| SignalId::new(id).unwrap());
        rest(AnyFact::Order(order))
    };
    let facts = [
        signal("named", Some(Signal::NEVER_SENT)),
        signal("alone", Some(Signal::REJECTED)),
        signal("by-bot", Some("cooldown")),
        signal("back", Some(Signal::SENT_AFTER_ALL)),
        signal("plain", None),
        intent("there", "ETHUSDT", IntentOutcome::Rejected),
        intent("accepted", "ETHUSDT", IntentOutcome::Accepted),
        intent("elsewhere", "BTCUSDT", IntentOutcome::Rejected),
        intent("nowhere", "ETHUSDT", IntentOutcome::Rejected),
    ];
    let mut statements: Vec<_> = facts.into_iter().map(|fact| by(Source::Repair, fact)).collect();
    statements.extend([
        sent("1", "there", Some("named")),
        sent("2", "accepted", Some("by-bot")),
        sent("3", "elsewhere", Some("plain")),
    ]);
    commit(store, statements).await;
    let all = SignalFilter::from(Scope::account(main_account()));
    let signals = async |filter: SignalFilter| {
        let page = store.signals(&filter, &PageRequest::first(100)).await.unwrap();
        page.items.into_iter().map(|signal| signal.fact.signal_id.to_string()).collect::<Vec<_>>()
    };
    let concluded = SignalFilter { outlook: Some(SignalOutlook::Concluded), ..all.clone() };
    assert_eq!(signals(concluded.clone()).await, ["alone", "named"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(true), ..concluded.clone() }).await, ["named"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(false), ..concluded }).await, ["alone"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(true), ..all.clone() }).await, ["by-bot", "named", "plain"]);
    let awaited = SignalFilter { outlook: Some(SignalOutlook::Awaited), ..all };
    assert_eq!(signals(awaited.clone()).await, ["back", "plain"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(false), ..awaited }).await, ["back"]);
    let filter = IntentFilter { contradicted_only: true, ..IntentFilter::from(Scope::account(main_account())) };
    let page = store.intents(&filter, &PageRequest::first(100)).await.unwrap();
    let contradicted: Vec<_> = page.items.iter().map(|intent| intent.fact.client_order_id.as_str()).collect();
    assert_eq!(contradicted, ["there"]);
}
