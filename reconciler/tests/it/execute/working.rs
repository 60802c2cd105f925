//! Orders that wait, additions, and who is asked first.

use exchange_client::{ExchangeTrader as _, NewOrder, OrderKind, OrderSize, Trigger};
use ledger_core::{ClientOrderId, Label, OrderStatus, PositionSide, Side};
use ledger_store::{FactReader as _, PageRequest, Scope};
use reconciler::{CancelRequest, CancelVerdict, DcaBasis, DcaOutcome, DcaRequest, EntryOutcome, NotNeeded, Unsendable};

use super::{Fixture, cause, entry, exchange, symbol};

async fn stop(fixture: &Fixture, name: &str, side: Side, trigger: &str) {
    let order = NewOrder {
        client_order_id: ClientOrderId::new(name).unwrap(),
        symbol: symbol(),
        side,
        position_side: PositionSide::Net,
        kind: OrderKind::StopMarket { trigger: Trigger::from(trigger.parse::<ledger_core::Price>().unwrap()) },
        size: OrderSize::Qty("0.01".parse().unwrap()),
        reduce_only: false,
    };
    assert!(fixture.exchange.create_order(order).await.done().is_some());
}

#[tokio::test(start_paused = true)]
async fn every_listed_order_is_cancelled_and_confirmed() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    let executor = fixture.executor();
    for (name, price) in [("s-1", "90000"), ("s-2", "91000.01")] {
        let outcome = executor.short_limit(&entry(name, "0.05"), price.parse().unwrap()).await.unwrap();
        assert!(matches!(outcome, EntryOutcome::Sent(_)), "{outcome:?}");
    }
    stop(&fixture, "stop-1", Side::Buy, "80000").await;
    stop(&fixture, "stop-2", Side::Sell, "50000").await;
    stop(&fixture, "stop-3", Side::Sell, "51000").await;
    let request =
        CancelRequest { symbol: symbol(), position_side: None, reason: Some(Label::new("flat at night").unwrap()) };
    let statuses = || {
        let truth = fixture.truth();
        let regular = truth.orders.iter().map(|order| order.status);
        regular.chain(truth.conditionals.iter().map(|order| order.status)).collect::<Vec<_>>()
    };
    let report = executor.cancel_conditional_by_side(&request, Side::Buy).await.unwrap();
    assert_eq!((report.orders.len(), report.all_over()), (1, true), "{report:?}");
    assert_eq!(statuses(), ["NEW", "NEW", "CANCELED", "NEW", "NEW"]);
    let report = executor.cancel_open_orders(&request).await.unwrap();
    assert_eq!((report.orders.len(), report.all_over()), (2, true), "{report:?}");
    assert!(report.orders.iter().all(|order| matches!(order.verdict, CancelVerdict::Cancelled)));
    assert_eq!(statuses(), ["CANCELED", "CANCELED", "CANCELED", "NEW", "NEW"]);
    let report = executor.cancel_stop_orders(&request).await.unwrap();
    assert_eq!((report.orders.len(), report.all_over()), (2, true), "{report:?}");
    assert_eq!(statuses(), ["CANCELED"; 5]);
    assert!(report.orders.iter().all(|order| order.order.status == OrderStatus::Canceled));
    // Each is on record, with its reason.
    let scope = Scope::account(fixture.account.clone());
    let cancels = fixture.store.cancels(&scope, PageRequest::newest(9)).await.unwrap().items;
    assert_eq!(cancels.len(), 5);
    assert!(
        cancels.iter().all(|cancel| cancel.fact.reason.as_ref().is_some_and(|why| why.as_str() == "flat at night"))
    );
    // A limit that was cancelled without a fill is over: the same signal may enter again.
    let again = executor.short_limit(&entry("s-1", "0.05"), "90000".parse().unwrap()).await.unwrap();
    let EntryOutcome::Sent(sent) = again else { panic!("{again:?}") };
    assert!(sent.client_order_id.as_str().ends_with("x2"));
}

#[tokio::test(start_paused = true)]
async fn an_addition_is_made_once_a_step() {
    for (hedge, is_long) in [(false, true), (false, false), (true, true), (true, false)] {
        let fixture = Fixture::in_process(exchange(5, hedge)).await;
        let set = |price: &str| {
            fixture.simulator.step(std::time::Duration::from_secs(1));
            fixture.simulator.set_price(&symbol(), price.parse().unwrap()).unwrap();
        };
        set("60000");
        let request = DcaRequest {
            symbol: symbol(),
            cause: cause("s-1"),
            engine: entry("s-1", "1").engine,
            qty: "0.02".parse().unwrap(),
            basis: DcaBasis::LastEntry,
            distance_percent: "2".parse().unwrap(),
            steps_max: 2,
        };
        // Every question by another executor: what it knows is in the book.
        let add = async || {
            let executor = fixture.executor();
            let outcome = if is_long {
                executor.dca_long_if_needed(&request).await
            } else {
                executor.dca_short_if_needed(&request).await
            };
            match outcome.unwrap() {
                DcaOutcome::Due { step, outcome: EntryOutcome::Sent(_) } => format!("step {step}"),
                DcaOutcome::NotNeeded(NotNeeded::NoPosition) => "no position".into(),
                DcaOutcome::NotNeeded(NotNeeded::NotFarEnough { .. }) => "near".into(),
                DcaOutcome::NotNeeded(NotNeeded::StepsUsedUp { steps }) => format!("{steps} made"),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(add().await, "no position");
        let executor = fixture.executor();
        let entered = if is_long {
            executor.long_market(&entry("s-1", "0.02")).await
        } else {
            executor.short_market(&entry("s-1", "0.02")).await
        };
        assert!(matches!(entered, Ok(EntryOutcome::Sent(_))), "{entered:?}");
        assert_eq!(add().await, "near");
        let far = if is_long { ["58700", "57400"] } else { ["61300", "62600"] };
        set(far[0]);
        assert_eq!([add().await, add().await], ["step 1", "near"], "{hedge} {is_long}");
        set(far[1]);
        assert_eq!([add().await, add().await], ["step 2", "2 made"]);
        assert_eq!((fixture.orders_of("e").len(), fixture.orders_of("d").len()), (1, 2));
        assert_eq!(fixture.booked().await, fixture.held());
        fixture.assert_equal().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_exchange_would_refuse_is_not_sent() {
    let fixture = Fixture::in_process(exchange(5, false)).await;
    let executor = fixture.executor();
    executor.prepare().await.unwrap();
    let outcome = executor.long_market(&entry("s-1", "0.0004")).await.unwrap();
    assert!(matches!(outcome, EntryOutcome::Unsendable(Unsendable::QtyBelowMin { .. })), "{outcome:?}");
    let outcome = executor.long_limit(&entry("s-1", "0.001"), "4000".parse().unwrap()).await.unwrap();
    assert!(matches!(outcome, EntryOutcome::Unsendable(Unsendable::NotionalBelowMin { .. })), "{outcome:?}");
    // Nothing of it is an attempt.
    let outcome = executor.long_market(&entry("s-1", "0.05")).await.unwrap();
    let EntryOutcome::Sent(sent) = outcome else { panic!("{outcome:?}") };
    assert!(sent.client_order_id.as_str().ends_with("x1"));
    // The exchange's own refusal is one, and the position that it leaves is the first one's.
    let outcome = executor.long_market(&entry("s-2", "50000")).await.unwrap();
    assert!(matches!(outcome, EntryOutcome::Refused { .. }), "{outcome:?}");
    fixture.assert_equal().await;
}
