//! Who sent an order, and why it closed a position.

use ledger_core::testing::{client_id, order, order_key, time};
use ledger_core::{
    BotOrder, Condition, ExitEvidence, ExitReason, IntentRole, IntentWords, Label, Order, OrderClass, OrderContext,
    OrderStatus, OrderWords, Origin, Side, SignalKind, SignalWords, Source, Sourced, VenueRules, conditionals_of,
    merge,
};
use proptest::prelude::*;

/// A venue of this test's own.
const RULES: VenueRules = VenueRules {
    client_id_prefixes: &[
        ("margin-call-", Origin::Liquidation),
        ("socialized", Origin::Adl),
        ("delisted-", Origin::Settlement),
        ("phone_", Origin::Person),
    ],
    forced_types: &[("MARGIN_CALL", Origin::Liquidation)],
    conditional_types: &[("GAIN", Condition::TakeProfit), ("LOSS", Condition::Stop)],
};

fn told(id: &str, order_type: &str, found: Option<Origin>) -> Order {
    let mut read = order("XYZUSDT", "1", Side::Sell, OrderStatus::Filled);
    read.client_order_id = ledger_core::ClientOrderId::new(id).ok();
    read.order_type = Label::new(order_type).ok();
    read.origin = found;
    RULES.tell(read)
}

#[test]
fn the_exchanges_own_orders_are_told_by_id_or_type() {
    use Origin::{Adl, Forced, Liquidation, Person, Program, Settlement};
    let cases = [
        // client order id, type, what the reader found out, origin, condition
        ("margin-call-17", "LIMIT", None, Some(Liquidation), None),
        ("socialized", "", None, Some(Adl), None),
        ("socialized-3", "", None, Some(Adl), None),
        ("delisted-XYZ", "", None, Some(Settlement), None),
        ("phone_1", "GAIN_MARKET", None, Some(Person), Some(Condition::TakeProfit)),
        ("bot-1", "LOSS", None, Some(Program), Some(Condition::Stop)),
        ("my-margin-call-", "MARKET", None, Some(Program), None),
        ("Phone_1", "MARKET", None, Some(Program), None),
        ("", "MARKET", None, None, None),
        // A type says more than an id that is nobody's in particular, and a list more than that of an app.
        ("bot-1", "MARGIN_CALL", None, Some(Liquidation), None),
        ("", "MARGIN_CALL", None, Some(Liquidation), None),
        ("phone_1", "LIMIT", Some(Forced), Some(Forced), None),
        ("", "LIMIT", Some(Forced), Some(Forced), None),
        // The kind of force says more than that it was forced; what the reader found out stands against its equal.
        ("socialized", "LIMIT", Some(Forced), Some(Adl), None),
        ("socialized", "MARGIN_CALL", Some(Liquidation), Some(Adl), None),
        ("margin-call-17", "MARGIN_CALL", Some(Adl), Some(Adl), None),
        ("delisted-XYZ", "", Some(Adl), Some(Adl), None),
    ];
    for (id, order_type, found, origin, condition) in cases {
        let read = told(id, order_type, found);
        assert_eq!((read.origin, read.condition), (origin, condition), "{id} {order_type} {found:?}");
    }
}

#[test]
fn the_stronger_evidence_decides_why_an_order_closed() {
    // Each one alone, the strongest first; all weaker ones are there beside it.
    type Evidence = (fn(&mut OrderContext), ExitReason, ExitEvidence);
    let evidence: [Evidence; 7] = [
        (|order| order.origin = Some(Origin::Settlement), ExitReason::Settlement, ExitEvidence::Exchange),
        (|order| order.said = Some(ExitReason::AutoExit), ExitReason::AutoExit, ExitEvidence::Sender),
        (|order| order.condition = Some(Condition::TakeProfit), ExitReason::TakeProfit, ExitEvidence::Condition),
        (|order| order.origin = Some(Origin::Person), ExitReason::ManualClose, ExitEvidence::Person),
        (
            |order| order.bot = Some(BotOrder { role: Some(IntentRole::StopLoss), can_only_close: true }),
            ExitReason::StopLoss,
            ExitEvidence::ClientOrderId,
        ),
        (
            |order| order.bot = Some(BotOrder { role: Some(IntentRole::Dca), can_only_close: true }),
            ExitReason::AutoExit,
            ExitEvidence::ReduceOnly,
        ),
        (|order| order.inferred = Some(ExitReason::StopLoss), ExitReason::StopLoss, ExitEvidence::Inferred),
    ];
    let mut order = OrderContext::default();
    assert_eq!((order.exit(), order.exit_reason()), (None, ExitReason::Unknown));
    for (set, reason, by) in evidence.iter().rev() {
        set(&mut order);
        assert_eq!(order.exit(), Some((*reason, *by)));
    }
    assert!(order.is_forced());
    // An order of the bot's that could open something as well.
    let bot = Some(BotOrder { role: Some(IntentRole::Entry), can_only_close: false });
    assert_eq!(OrderContext { bot, ..OrderContext::default() }.exit(), None);
    for (origin, reason) in [
        (Origin::Forced, ExitReason::Forced),
        (Origin::Adl, ExitReason::Adl),
        (Origin::Liquidation, ExitReason::Liquidation),
    ] {
        let order = OrderContext { origin: Some(origin), ..OrderContext::default() };
        assert_eq!((order.exit_reason(), order.is_forced()), (reason, true));
    }
    let program = OrderContext { origin: Some(Origin::Program), ..OrderContext::default() };
    assert_eq!((program.exit_reason(), program.is_forced()), (ExitReason::Unknown, false));
}

#[test]
fn what_fillbook_inferred_gives_way_to_all_evidence() {
    let on_record = |source| {
        let closing = Order { exit_reason: Some(ExitReason::ManualClose), ..told("", "LOSS_MARKET", None) };
        OrderWords::of(&Sourced::new(closing, source)).context(None, None).exit_reason()
    };
    assert_eq!((on_record(Source::Bot), on_record(Source::Repair)), (ExitReason::ManualClose, ExitReason::StopLoss));
    // A hand was inferred because there was no client order id; then one turned up.
    let inferred = |id| {
        let closing = Order { exit_reason: Some(ExitReason::ManualClose), ..told(id, "MARKET", None) };
        OrderWords::of(&Sourced::new(closing, Source::Repair)).context(None, None).exit_reason()
    };
    assert_eq!((inferred(""), inferred("bot-1")), (ExitReason::ManualClose, ExitReason::Unknown));
    // The kind of a signal that was restored was concluded from its order.
    let signal = |restored| SignalWords { engine: None, kind: SignalKind::AutoExit, reason: None, restored };
    let exit = |restored| OrderWords::default().context(None, Some(&signal(restored))).exit_reason();
    assert_eq!((exit(false), exit(true)), (ExitReason::AutoExit, ExitReason::Unknown));
}

#[test]
fn a_conditional_order_tells_of_the_regular_order_that_it_became() {
    let conditional = |id: &str, client: Option<&str>, became: Option<&str>| {
        let mut waiting = told("", "LOSS_MARKET", None);
        waiting.key = order_key("XYZUSDT", id);
        waiting.key.class = OrderClass::Conditional;
        waiting.client_order_id = client.map(client_id);
        waiting.triggered_order_id = became.map(|id| id.parse().unwrap());
        waiting
    };
    let all = [
        conditional("90", Some("a"), Some("7")),
        conditional("91", Some("a"), None),
        conditional("92", Some("b"), Some("8")),
        conditional("93", None, None),
    ];
    let found = |id: &str, client: Option<&str>| -> Vec<String> {
        let client = client.map(client_id);
        let found = conditionals_of(&order_key("XYZUSDT", id), client.as_ref(), all.iter());
        found.iter().map(|order| order.key.order_id.to_string()).collect()
    };
    assert_eq!(found("7", Some("b")), ["90"], "one that points to it comes before one of its client order id");
    assert_eq!(found("9", Some("a")), ["91"], "one that points elsewhere became another order");
    assert_eq!((found("9", Some("b")), found("9", None)), (vec![], vec![]));
    assert!(conditionals_of(&order_key("ABCUSDT", "7"), None, all.iter()).is_empty());

    let words = |order: Order| OrderWords::of(&Sourced::new(order, Source::Rest));
    let own = words(told("bot-1", "MARKET", None));
    let stop = words(conditional("90", Some("phone_1"), None));
    let joined = OrderWords::joined(Some(own.clone()), std::slice::from_ref(&stop));
    assert_eq!((joined.condition, joined.origin), (Some(Condition::Stop), Some(Origin::Program)));
    let alone = OrderWords::joined(None, std::slice::from_ref(&stop)).context(None, None);
    assert_eq!(alone.exit(), Some((ExitReason::StopLoss, ExitEvidence::Condition)));
    // Two that differ tell nothing.
    let gain = OrderWords { condition: Some(Condition::TakeProfit), ..stop.clone() };
    assert_eq!(OrderWords::joined(Some(own), &[stop, gain]).condition, None);
}

#[test]
fn the_senders_word_is_his_own_then_his_intent_then_his_signal() {
    let intent = |role| IntentWords { engine: None, role };
    let signal = SignalWords { engine: None, kind: SignalKind::ManualClose, reason: None, restored: false };
    let said = |own: Option<ExitReason>, role: Option<IntentRole>, with_signal: bool| {
        let words = OrderWords::default().with_exit_reason(own, false);
        let intent = role.map(intent);
        words.context(intent.as_ref(), Some(&signal).filter(|_| with_signal)).said
    };
    assert_eq!(said(Some(ExitReason::AutoExit), Some(IntentRole::StopLoss), true), Some(ExitReason::AutoExit));
    assert_eq!(said(None, Some(IntentRole::StopLoss), true), Some(ExitReason::StopLoss));
    assert_eq!(said(None, Some(IntentRole::TakeProfit), false), Some(ExitReason::TakeProfit));
    assert_eq!(said(None, Some(IntentRole::Exit), true), Some(ExitReason::ManualClose));
    assert_eq!(said(None, Some(IntentRole::Exit), false), Some(ExitReason::AutoExit));
    assert_eq!(said(None, Some(IntentRole::Entry), false), None);
    // Why a decision was made counts where it is one of the reasons for which positions end.
    for (kind, reason, expected) in [
        (SignalKind::AutoExit, "take_profit", Some(ExitReason::TakeProfit)),
        (SignalKind::AutoExit, "rsi above 70", Some(ExitReason::AutoExit)),
        (SignalKind::AutoExit, "unknown", Some(ExitReason::AutoExit)),
        (SignalKind::ManualClose, "stop_loss", Some(ExitReason::ManualClose)),
        (SignalKind::Entry, "take_profit", None),
    ] {
        let signal = SignalWords { engine: None, kind, reason: SignalWords::reason_of(reason), restored: false };
        assert_eq!(OrderWords::default().context(None, Some(&signal)).said, expected, "{kind} {reason}");
    }
}

#[test]
fn only_an_order_that_ended_cancelled_is_a_cancel() {
    for status in ["NEW", "PARTIALLY_FILLED", "FILLED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED", "CANCELED"] {
        let ended = order("XYZUSDT", "1", Side::Sell, status.parse().unwrap()).between(time(1_000), time(9_000));
        let cancel = ended.cancel(Source::Stream);
        assert_eq!(cancel.is_some(), status == "CANCELED", "{status}");
        if let Some((cancel, source)) = cancel {
            assert_eq!((cancel.key, cancel.side, cancel.time), (ended.key, Some(Side::Sell), time(9_000)));
            assert_eq!((cancel.reason, source), (None, Source::Stream));
        }
    }
    // Without the time of the change, its moment is an inference; without any time there is none.
    let mut untimed = order("XYZUSDT", "1", Side::Sell, OrderStatus::Canceled);
    assert_eq!(untimed.cancel(Source::Rest), None);
    untimed.created = Some(time(1_000));
    let (cancel, source) = untimed.cancel(Source::Rest).unwrap();
    assert_eq!((cancel.time, source), (time(1_000), Source::Repair));
}

proptest! {
    /// The strongest statement stands whatever comes first and however often, and only two certain ones that differ are a
    /// conflict: independent of the register, by sorting.
    #[test]
    fn origins_merge_alike_in_every_order(
        stated in prop::collection::vec(
            (prop::option::of(prop::sample::select(Origin::ALL)), prop::sample::select(vec![Source::Ccxt, Source::Stream, Source::Rest])),
            1..6,
        ),
        seed in any::<prop::sample::Index>(),
    ) {
        let fact = |(origin, source): &(Option<Origin>, Source)| {
            Sourced::new(Order { origin: *origin, ..told("", "", None) }, *source)
        };
        let merged = |all: &[(Option<Origin>, Source)]| {
            let mut all = all.iter().map(fact);
            let first = all.next().unwrap();
            all.fold(first, |book, next| merge(&book, &next).0)
        };
        let mut turned = stated.clone();
        turned.rotate_left(seed.index(stated.len()));
        turned.extend(stated.clone());
        turned.reverse();
        let (book, other) = (merged(&stated), merged(&turned));
        prop_assert_eq!(&book, &other);
        let has = |origin| stated.iter().any(|(stated, _)| *stated == Some(origin));
        let finest = [Origin::Settlement, Origin::Adl].map(has);
        prop_assert_eq!(book.conflicts.contains("origin"), finest == [true, true]);
        let expected = match finest {
            [true, true] => book.fact.origin.filter(|origin| [Origin::Settlement, Origin::Adl].contains(origin)),
            [true, false] => Some(Origin::Settlement),
            [false, true] => Some(Origin::Adl),
            [false, false] if has(Origin::Liquidation) => Some(Origin::Liquidation),
            [false, false] if has(Origin::Forced) => Some(Origin::Forced),
            // By an id, or nothing: whoever of the highest rank says one.
            [false, false] => {
                let stating = stated.iter().filter_map(|(origin, source)| Some((*source, (*origin)?)));
                stating.max().map(|(_, origin)| origin)
            }
        };
        prop_assert_eq!(book.fact.origin, expected);
        prop_assert_eq!(expected.is_none(), stated.iter().all(|(origin, _)| origin.is_none()));
    }
}
