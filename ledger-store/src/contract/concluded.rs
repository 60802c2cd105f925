//! Cases about what was concluded and what contradicts it.

use ledger_core::{
    AnyFact, ClientOrderId, EventTime, IntentOutcome, IntentRole, Label, Order, OrderClass, OrderIntent, Side, Signal,
    SignalId, SignalKind, Source,
};

use super::Open;
use super::fixtures::{at, by, commit, fill, main_account, of_order, order, prepare, rest, symbol};
use crate::filter::{FillFilter, IntentFilter, Scope, SignalFilter, SignalOutlook};
use crate::page::PageRequest;
use crate::pages::Pages;

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
    let intent = |id: &str, name: &str, outcome| AnyFact::Intent(OrderIntent { outcome, ..sent_with(id, name, None) });
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
        let page = store.signals(&filter, PageRequest::first(100)).await.unwrap();
        page.items.into_iter().map(|signal| signal.fact.signal_id.to_string()).collect::<Vec<_>>()
    };
    let concluded = SignalFilter { outlook: Some(SignalOutlook::Concluded), ..all.clone() };
    assert_eq!(signals(concluded.clone()).await, ["alone", "named"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(true), ..concluded.clone() }).await, ["named"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(false), ..concluded }).await, ["alone"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(true), ..all.clone() }).await, ["by-bot", "named", "plain"]);
    assert_eq!(signals(SignalFilter { id_prefix: Some("b"), ..all.clone() }).await, ["back", "by-bot"]);
    assert!(signals(SignalFilter { id_prefix: Some("back!"), ..all.clone() }).await.is_empty());
    let awaited = SignalFilter { outlook: Some(SignalOutlook::Awaited), ..all };
    assert_eq!(signals(awaited.clone()).await, ["back", "plain"]);
    assert_eq!(signals(SignalFilter { named_by_order: Some(false), ..awaited }).await, ["back"]);
    let filter = IntentFilter { contradicted_only: true, ..IntentFilter::from(Scope::account(main_account())) };
    let page = store.intents(&filter, PageRequest::first(100)).await.unwrap();
    let contradicted: Vec<_> = page.items.iter().map(|intent| intent.fact.client_order_id.as_str()).collect();
    assert_eq!(contradicted, ["there"]);
}

/// An intent of a market entry.
fn sent_with(id: &str, name: &str, signal: Option<&str>) -> OrderIntent {
    OrderIntent {
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
        signal_id: signal.map(|id| SignalId::new(id).unwrap()),
        engine: None,
        created_local: at(2),
        outcome: IntentOutcome::Accepted,
    }
}

/// The fills that opened a round trip and whose order is not known to have followed a signal can be listed, as far as the
/// exchange itself stated them.
pub async fn openers_without_a_signal_are_listed(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT", "BTCUSDT"]).await;
    let trade = |id: i64, side: Side, qty: &str, order: &str| {
        AnyFact::Fill(of_order(fill("ETHUSDT", id, side, qty, "100"), order))
    };
    let (buy, sell) = (Side::Buy, Side::Sell);
    let mut statements: Vec<_> = [
        // Opened, added to, closed.
        trade(1, buy, "1", "10"),
        trade(2, buy, "1", "11"),
        trade(3, sell, "2", "12"),
        // Its order names a signal; its order turns round and opens the next; that names none.
        trade(4, sell, "1", "13"),
        trade(5, buy, "3", "14"),
        trade(6, sell, "2", "15"),
        // The intent behind it names one; so does the conditional order that became it, and the intent behind that.
        trade(7, buy, "1", "16"),
        trade(8, sell, "1", "17"),
        trade(9, buy, "1", "18"),
        trade(10, sell, "1", "19"),
        trade(11, buy, "1", "20"),
        trade(12, sell, "1", "21"),
    ]
    .into_iter()
    .map(rest)
    .collect();
    // An export told it, and nobody else has; it is open still.
    let exported = AnyFact::Fill(of_order(fill("BTCUSDT", 13, sell, "1", "100"), "22"));
    statements.push(by(Source::ExchangeCsv, exported.clone()));
    let signal = SignalId::new("s-1").ok();
    let known = |id: &str, side: Side| order("ETHUSDT", id, side, "1", "100", 3);
    let conditional = |id: &str, became: &str| {
        let mut order = known(id, buy);
        (order.key.class, order.triggered_order_id) = (OrderClass::Conditional, became.parse().ok());
        order
    };
    for order in [
        Order { signal_id: signal.clone(), ..known("13", sell) },
        Order { client_order_id: ClientOrderId::new("c-16").ok(), ..known("16", buy) },
        Order { client_order_id: ClientOrderId::new("plain").ok(), ..known("14", buy) },
        Order { signal_id: signal.clone(), ..conditional("80", "18") },
        Order { client_order_id: ClientOrderId::new("c-20").ok(), ..conditional("81", "20") },
    ] {
        statements.push(rest(AnyFact::Order(order)));
    }
    for (id, signal) in [("c-16", Some("s-2")), ("c-20", Some("s-3")), ("plain", None)] {
        statements.push(by(Source::Bot, AnyFact::Intent(sent_with(id, "ETHUSDT", signal))));
    }
    commit(store, statements).await;
    let filter = FillFilter { unsignalled_openers_only: true, ..FillFilter::from(Scope::account(main_account())) };
    let listed = async || {
        let mut ids = Vec::new();
        let mut pages = Pages::of(PageRequest::first(1), |page| store.fills(&filter, page));
        while let Some(page) = pages.next().await.unwrap() {
            ids.extend(page.items.into_iter().map(|fill| fill.fact.key.fill_id.to_string()));
        }
        ids
    };
    assert_eq!(listed().await, ["1", "5"]);
    commit(store, vec![rest(exported)]).await;
    assert_eq!(listed().await, ["1", "5", "13"]);
    assert_eq!(store.fill_count(&filter).await.unwrap(), 3);
    commit(store, vec![by(Source::Repair, AnyFact::Order(Order { signal_id: signal, ..known("10", buy) }))]).await;
    assert_eq!(listed().await, ["5", "13"]);
    // A signal becomes known by an intent, until the exchange says that the order is not that intent's.
    let ordered = |client: &str| {
        let order = order("BTCUSDT", "22", sell, "1", "100", 3);
        AnyFact::Order(Order { client_order_id: ClientOrderId::new(client).ok(), ..order })
    };
    commit(store, vec![by(Source::ExchangeCsv, ordered("c-22"))]).await;
    assert_eq!(listed().await, ["5", "13"]);
    commit(store, vec![by(Source::Bot, AnyFact::Intent(sent_with("c-22", "BTCUSDT", Some("s-4"))))]).await;
    assert_eq!(listed().await, ["5"]);
    commit(store, vec![rest(ordered("plain-22"))]).await;
    assert_eq!(listed().await, ["5", "13"]);
    // A trade that turns up late opens the round trip in the place of another.
    let earlier = AnyFact::Fill(of_order(fill("ETHUSDT", 0, buy, "1", "100"), "9"));
    commit(store, vec![rest(earlier)]).await;
    assert_eq!(listed().await.first().map(String::as_str), Some("0"));
}
