//! Cases about who sent an order, why it closed a position, and that it was cancelled.

use ledger_core::{
    AnyFact, Cancel, Condition, EventTime, ExitReason, Label, Order, Origin, Outcome, Side, Signal, SignalId,
    SignalKind, Source, Statement, TimePrecision, TimestampMs,
};

use super::Open;
use super::fixtures::{
    at, batch, by, dec, fill, fills, main_account, of_order, order, prepare, rest, symbol, trips_of,
};
use super::told_elsewhere::in_every_order;
use crate::filter::Scope;
use crate::outcome::ImpliedCancel;
use crate::page::PageRequest;

/// Who sent an order and why it closed its position is the same whoever told of it first, and follows from the strongest that
/// was said.
pub async fn the_story_of_an_order_is_the_same_in_every_order(open: Open<'_>) {
    let closing = |set: fn(&mut Order)| {
        let mut closing = order("ETHUSDT", "12", Side::Sell, "1", "90", 2);
        set(&mut closing);
        AnyFact::Order(closing)
    };
    let by_hand = |source| by(source, closing(|order| order.exit_reason = Some(ExitReason::ManualClose)));
    let program = by(Source::Rest, closing(|order| order.origin = Some(Origin::Program)));
    let person = by(Source::Stream, closing(|order| order.origin = Some(Origin::Person)));
    let forced = by(Source::Rest, closing(|order| order.origin = Some(Origin::Forced)));
    let liquidated = by(Source::Ccxt, closing(|order| order.origin = Some(Origin::Liquidation)));
    let stop = by(Source::ExchangeCsv, closing(|order| order.condition = Some(Condition::Stop)));
    let said = by(Source::Bot, closing(|order| order.exit_reason = Some(ExitReason::AutoExit)));
    let same_said = by(Source::Bot, closing(|order| order.exit_reason = Some(ExitReason::ManualClose)));
    let restored = Signal {
        restored: true,
        ..Signal::new(
            SignalId::new("r").unwrap(),
            EventTime::ms(at(2)),
            symbol("ETHUSDT"),
            Side::Sell,
            SignalKind::AutoExit,
        )
    };
    let names_it = by(Source::Repair, closing(|order| order.signal_id = SignalId::new("r").ok()));
    let inferred = by_hand(Source::Repair);
    let cases: [(&[&Statement], ExitReason); 9] = [
        // A forced order by a list alone, by its id alone, and by both, whatever others make of it.
        (&[&forced], ExitReason::Forced),
        (&[&liquidated, &forced, &program, &said], ExitReason::Liquidation),
        (&[&said, &stop, &person], ExitReason::AutoExit),
        (&[&stop, &person, &inferred], ExitReason::StopLoss),
        (&[&person, &inferred], ExitReason::ManualClose),
        // What was inferred holds as long as nothing else is known.
        (&[&inferred], ExitReason::ManualClose),
        (&[&inferred, &program], ExitReason::Unknown),
        // Once the sender says the very same, it counts for more.
        (&[&inferred, &same_said, &stop], ExitReason::ManualClose),
        (&[&names_it, &by(Source::Repair, AnyFact::Signal(restored))], ExitReason::Unknown),
    ];
    for (statements, exit_reason) in cases {
        let mut all = fills([
            of_order(fill("ETHUSDT", 1, Side::Buy, "1", "100"), "11"),
            of_order(fill("ETHUSDT", 2, Side::Sell, "1", "90"), "12"),
        ]);
        all.extend(statements.iter().map(|statement| (*statement).clone()));
        let found = in_every_order(open, &all, async |store| trips_of(store).await).await;
        let [trip] = found.as_slice() else { unreachable!("{found:?}") };
        assert_eq!(trip.exit_reason, exit_reason, "{statements:?}");
    }
}

/// An order that ended cancelled is a cancel, whoever reports it, and no other end is one. One that turns out to have ended
/// When an order was cancelled, and why, as far as that is stated.
type Cancelled<'a> = Option<((TimestampMs, TimePrecision), Option<&'a str>)>;

/// otherwise is in no list, whatever came first.
pub async fn an_order_that_ended_cancelled_is_a_cancel(open: Open<'_>) {
    let ended = |status: &str, updated: Option<i64>| {
        let mut ended = order("ETHUSDT", "5", Side::Buy, "0", "1", 1);
        ended.status = status.parse().unwrap();
        (ended.created, ended.updated) = (Some(EventTime::ms(at(1_000))), updated.map(|ms| EventTime::ms(at(ms))));
        ended
    };
    let cancelled = |source| by(source, AnyFact::Order(ended("CANCELED", Some(9_000))));
    let in_seconds = {
        let mut exported = ended("CANCELED", None);
        exported.updated = Some(EventTime::seconds(at(9_000)));
        by(Source::ExchangeCsv, AnyFact::Order(exported))
    };
    let untimed = by(Source::BotDatabase, AnyFact::Order(ended("CANCELED", None)));
    let with_reason = by(
        Source::Bot,
        AnyFact::Cancel(Cancel {
            reason: Label::new("too old").ok(),
            ..Cancel::new(ended("NEW", None).key, EventTime::ms(at(9_000)))
        }),
    );
    let filled = {
        let mut filled = ended("FILLED", Some(9_500));
        filled.executed = Some(ledger_core::Execution::new(dec("1"), "1".parse().ok()));
        rest(AnyFact::Order(filled))
    };
    let working = by(Source::Rest, AnyFact::Order(ended("NEW", Some(8_000))));
    let expired = rest(AnyFact::Order(ended("EXPIRED", Some(9_000))));
    let (stream, ccxt) = (cancelled(Source::Stream), cancelled(Source::Ccxt));
    let answered = cancelled(Source::Rest);
    let at_nine = (at(9_000), TimePrecision::Millisecond);
    let cases: [(&[&Statement], Cancelled<'_>); 11] = [
        (&[&answered], Some((at_nine, None))),
        (&[&stream], Some((at_nine, None))),
        (&[&in_seconds], Some(((at(9_000), TimePrecision::Second), None))),
        (&[&in_seconds, &ccxt, &answered], Some((at_nine, None))),
        (&[&untimed], Some(((at(1_000), TimePrecision::Millisecond), None))),
        (&[&untimed, &in_seconds], Some(((at(9_000), TimePrecision::Second), None))),
        (&[&with_reason, &answered, &working], Some((at_nine, Some("too old")))),
        (&[&expired], None),
        (&[&ccxt, &with_reason, &filled], None),
        (&[&stream, &expired, &working], None),
        // Before the order is known to have ended, who cancelled it is believed.
        (&[&with_reason, &working], Some((at_nine, Some("too old")))),
    ];
    for (statements, expected) in cases {
        let all: Vec<Statement> = statements.iter().map(|statement| (*statement).clone()).collect();
        let found = in_every_order(open, &all, async |store| {
            let page = store.cancels(&Scope::account(main_account()), PageRequest::first(10)).await.unwrap();
            page.items
        })
        .await;
        let found: Vec<_> = found
            .iter()
            .map(|cancel| {
                let (time, reason) = (cancel.fact.time, cancel.fact.reason.as_ref().map(Label::as_str));
                assert!(cancel.conflicts.is_empty(), "{statements:?}: {cancel:?}");
                ((time.at, time.precision), reason)
            })
            .collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{statements:?}");
    }
    // What became of the cancel is answered beside what became of the order.
    let book = open();
    prepare(&*book.store, &["ETHUSDT"]).await;
    let report = book.store.commit(batch(vec![answered.clone()])).await.unwrap();
    let implied = |statement, outcome| vec![ImpliedCancel { statement, outcome }];
    assert_eq!((report.outcomes.len(), report.cancels), (1, implied(0, Outcome::Recorded)));
    let report = book.store.commit(batch(vec![working, answered])).await.unwrap();
    assert_eq!((report.outcomes.len(), report.cancels), (2, implied(1, Outcome::AlreadyRecorded)));
}
