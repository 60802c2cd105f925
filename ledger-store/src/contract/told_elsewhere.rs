//! Cases about what a fill does not say itself: its position, its fee, who sent its order and why.

use ledger_core::{
    AccountId, AnyFact, ClientOrderId, Condition, EngineLabel, EventTime, ExitReason, Fill, IntentOutcome, IntentRole,
    Label, Order, OrderClass, OrderIntent, PositionMode, PositionModeSnapshot, PositionSide, RoundTrip, Side, Signal,
    SignalId, SignalKind, Source, Statement,
};

use super::Open;
use super::fixtures::{
    at, batch, by, commit, dec, fill, fills, funding, main_account, of_order, order, prepare, prepare_account, rest,
    said, symbol, trips_of, usdt,
};
use crate::batch::Batch;
use crate::filter::{DiscrepancyFilter, FillFilter, Scope};
use crate::page::PageRequest;
use crate::store::{Store, rebuild};

/// Commits the statements one by one, in every order that begins with one of them, each time into a new book.
pub(super) async fn in_every_order<T: PartialEq + std::fmt::Debug>(
    open: Open<'_>,
    statements: &[Statement],
    result: impl AsyncFn(&dyn Store) -> T,
) -> T {
    let mut first: Option<T> = None;
    for turn in 0..statements.len() {
        for reversed in [false, true] {
            let book = open();
            let store = &*book.store;
            prepare(store, &["ETHUSDT"]).await;
            let mut order: Vec<_> = statements.to_vec();
            order.rotate_left(turn);
            if reversed {
                order.reverse();
            }
            for statement in order {
                commit(store, vec![statement]).await;
            }
            let found = result(store).await;
            rebuild(store, &main_account(), &mut |_, _| {}).await.unwrap();
            assert_eq!(result(store).await, found, "rebuilt, turn {turn}, reversed: {reversed}");
            match &first {
                None => first = Some(found),
                Some(first) => assert_eq!(found, *first, "turn {turn}, reversed: {reversed}"),
            }
        }
    }
    first.unwrap()
}

fn bare(id: i64, side: Side, qty: &str) -> Fill {
    Fill { position_side: None, ..fill("ETHUSDT", id, side, qty, "100") }
}

fn answered(second: i64, mode: PositionMode) -> Statement {
    rest(AnyFact::PositionMode(PositionModeSnapshot { at: at(second * 1_000), mode }))
}

/// `side quantity` of every position, and how many fills are in none.
async fn placed(store: &dyn Store) -> (Vec<String>, u64) {
    placed_of(store, &main_account()).await
}

async fn placed_of(store: &dyn Store, account: &AccountId) -> (Vec<String>, u64) {
    let positions = store.positions(account).await.unwrap();
    let shown = positions.iter().map(|it| format!("{} {}", it.position.position_side, it.position.qty)).collect();
    let filter = FillFilter { unplaced_only: true, ..Scope::account(account.clone()).into() };
    let unplaced = store.fill_count(&filter).await.unwrap();
    let books = store.symbol_books(account).await.unwrap();
    assert_eq!(books.iter().map(|book| book.unplaced_count).sum::<u64>(), unplaced);
    (shown, unplaced)
}

/// A fill changed the position that its order names, whichever comes first.
pub async fn a_fill_takes_its_position_from_its_order(open: Open<'_>) {
    let mut long = order("ETHUSDT", "7", Side::Buy, "2", "100", 5);
    long.position_side = Some(PositionSide::Long);
    let statements = [
        rest(AnyFact::Fill(of_order(bare(1, Side::Buy, "2"), "7"))),
        rest(AnyFact::Fill(bare(2, Side::Buy, "1"))),
        rest(AnyFact::Order(long)),
    ];
    let found = in_every_order(open, &statements, async |store| placed(store).await).await;
    assert_eq!(found, (vec!["LONG 2".to_owned()], 1));
}

/// In one-way mode there is one position only; that it was, the exchange's answers have to say on both sides.
pub async fn a_fill_is_placed_where_the_mode_is_proven(open: Open<'_>) {
    let (one_way, hedge) = (PositionMode::OneWay, PositionMode::Hedge);
    let stated = || vec![rest(AnyFact::Fill(bare(10, Side::Buy, "1"))), rest(AnyFact::Fill(bare(30, Side::Buy, "2")))];
    let cases: [(&[Statement], &[&str], u64); 6] = [
        (&[], &[], 2),
        (&[answered(50, one_way)], &["NET 3"], 0),
        (&[answered(20, one_way), answered(50, hedge)], &["NET 1"], 1),
        (&[answered(5, hedge), answered(20, one_way)], &["NET 2"], 1),
        (&[answered(20, hedge)], &[], 2),
        // A fact of a hedge in between, of another symbol, too.
        (
            &[
                answered(20, one_way),
                answered(50, one_way),
                rest(AnyFact::Fill(Fill {
                    position_side: Some(PositionSide::Short),
                    ..fill("BTCUSDT", 15, Side::Sell, "1", "100")
                })),
            ],
            &["NET 2"],
            1,
        ),
    ];
    for (answers, positions, unplaced) in cases {
        let statements: Vec<_> = stated().into_iter().chain(answers.iter().cloned()).collect();
        let found = in_every_order(open, &statements, async |store| placed(store).await).await;
        let positions: Vec<_> = positions.iter().map(ToString::to_string).collect();
        assert_eq!(found, (positions, unplaced), "{answers:?}");
    }
}

/// Every order of `items`.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new()];
    for (count, item) in items.iter().enumerate() {
        let longer = all.iter().flat_map(|order: &Vec<T>| {
            (0..=count).map(|place| {
                let mut order = order.clone();
                order.insert(place, item.clone());
                order
            })
        });
        all = longer.collect();
    }
    all
}

/// What sources say differently of a position side or a time decides the mode of a stretch by what is believed in the
/// end, whatever was believed in between.
pub async fn sides_in_dispute_place_fills_as_a_rebuild_does(open: Open<'_>) {
    let one_way = PositionMode::OneWay;
    let (of_hedge, of_net) = (Some(PositionSide::Long), Some(PositionSide::Net));
    let disputed = |second: i64, position_side| Fill {
        time: EventTime::ms(at(second * 1_000)),
        position_side,
        ..fill("ETHUSDT", 15, Side::Buy, "1", "100")
    };
    let ordered = |position_side| Order { position_side, ..order("ETHUSDT", "7", Side::Buy, "0", "100", 15) };
    let csv = |fact| by(Source::ExchangeCsv, fact);
    let cases: [([Statement; 2], &[&str]); 4] = [
        // A hedge's by one source and nobody's by a better one.
        ([csv(AnyFact::Fill(disputed(15, of_hedge))), rest(AnyFact::Fill(disputed(15, of_net)))], &["NET 3"]),
        ([csv(AnyFact::Fill(disputed(15, of_net))), rest(AnyFact::Fill(disputed(15, of_hedge)))], &["LONG 1"]),
        ([csv(AnyFact::Order(ordered(of_hedge))), rest(AnyFact::Order(ordered(of_net)))], &["NET 2"]),
        // A hedge's by both, at times on either side of an answer.
        (
            [csv(AnyFact::Fill(disputed(15, of_hedge))), rest(AnyFact::Fill(disputed(25, of_hedge)))],
            &["LONG 1", "NET 2"],
        ),
    ];
    for (sources, expected) in cases {
        let mut statements =
            vec![answered(10, one_way), answered(20, one_way), rest(AnyFact::Fill(bare(16, Side::Buy, "2")))];
        statements.extend(sources.clone());
        // An account of one book for each order, which is cheaper than a book for each.
        let book = open();
        let store = &*book.store;
        for (number, order) in permutations(&statements).into_iter().enumerate() {
            let account = prepare_account(store, &format!("order-{number}"), &["ETHUSDT"]).await;
            for statement in &order {
                store.commit(Batch { account: account.clone(), ..batch(vec![statement.clone()]) }).await.unwrap();
            }
            let mut found = placed_of(store, &account).await.0;
            found.sort();
            assert_eq!(found, expected, "{order:?}");
            // A rebuild starts from the same facts whatever their order was.
            if number % 30 == 0 {
                rebuild(store, &account, &mut |_, _| {}).await.unwrap();
                let mut rebuilt = placed_of(store, &account).await.0;
                rebuilt.sort();
                assert_eq!(rebuilt, expected, "rebuilt, {order:?}");
            }
        }
    }
}

/// The user's word places fills until facts say otherwise, and then it is told that they do.
pub async fn a_word_that_facts_contradict_is_a_discrepancy(open: Open<'_>) {
    let book = open();
    let store = &*book.store;
    prepare(store, &["ETHUSDT"]).await;
    commit(store, fills([bare(10, Side::Buy, "1")])).await;
    let told = async || {
        let filter = DiscrepancyFilter::open(main_account());
        let found = store.discrepancies(&filter, PageRequest::first(9)).await.unwrap().items;
        found.into_iter().map(|it| (it.entry.key.kind, it.entry.evidence_json)).collect::<Vec<_>>()
    };
    store.set_position_mode(&main_account(), PositionMode::OneWay, at(1)).await.unwrap();
    assert_eq!(placed(store).await, (vec!["NET 1".to_owned()], 0));
    assert!(told().await.is_empty());
    let hedged = ledger_core::PositionSnapshot { position_side: PositionSide::Long, ..said("ETHUSDT", "1", 90) };
    commit(store, vec![rest(AnyFact::Position(hedged))]).await;
    assert_eq!(placed(store).await.1, 1);
    let found = told().await;
    let [(kind, evidence)] = found.as_slice() else { unreachable!("{found:?}") };
    assert!(kind == "position_mode" && evidence.contains("one_way") && evidence.contains("hedge"), "{found:?}");
    // Another word, and the dispute is over.
    store.set_position_mode(&main_account(), PositionMode::Hedge, at(2)).await.unwrap();
    assert!(told().await.is_empty());
    commit(store, vec![answered(95, PositionMode::OneWay)]).await;
    assert_eq!(told().await.len(), 1);
}

fn charged(tran_id: &str, trade: i64, amount: &str) -> Statement {
    let mut entry = funding("ETHUSDT", tran_id, amount, 9);
    entry.key.income_type = "COMMISSION".parse().unwrap();
    entry.fill_id = Some(trade.to_string().parse().unwrap());
    rest(AnyFact::Income(entry))
}

/// `id side fee`, as folded, with `!` where the ledger decided, and the fees of the whole book.
async fn fees(store: &dyn Store) -> (Vec<String>, String) {
    let page = store.fills_in_fold_order(&main_account(), &symbol("ETHUSDT"), PageRequest::first(9)).await.unwrap();
    let shown = page.items.iter().map(|it| {
        let fee = it.fact.fee.as_ref().map_or("-".to_owned(), |fee| fee.amount.to_string());
        let by_ledger = if it.provenance.of("fee") == Source::Repair { "!" } else { "" };
        format!("{} {} {fee}{by_ledger}", it.fact.key.fill_id, it.fact.key.side)
    });
    let shown = shown.collect();
    let positions = store.positions(&main_account()).await.unwrap();
    let total = positions.iter().flat_map(|it| &it.position.fees).map(|total| total.total);
    (shown, total.map(|total| total.told().map_or("-".to_owned(), |it| it.to_string())).collect::<Vec<_>>().join(" "))
}

/// A source that states paid fees as negative numbers is put right by the ledger, in whatever order they come.
pub async fn the_ledger_decides_the_sign_of_a_fee(open: Open<'_>) {
    let with_fee = |id, side, fee: Option<&str>| {
        rest(AnyFact::Fill(Fill { fee: fee.map(usdt), ..fill("ETHUSDT", id, side, "1", "100") }))
    };
    let buy = Side::Buy;
    let cases: [(&[Statement], &[&str], &str); 7] = [
        (&[with_fee(1, buy, Some("-0.04")), charged("a", 1, "-0.04")], &["1 BUY 0.04!"], "0.04"),
        // Of another size it decides the sign only: how much, the fill says itself.
        (&[with_fee(1, buy, Some("0.05")), charged("a", 1, "-0.04")], &["1 BUY 0.05"], "0.05"),
        (&[with_fee(1, buy, Some("-0.05")), charged("a", 1, "-0.04")], &["1 BUY 0.05!"], "0.05"),
        (&[with_fee(1, buy, Some("-0.04")), charged("a", 1, "0.04")], &["1 BUY -0.04"], "-0.04"),
        (&[with_fee(1, buy, None), charged("a", 1, "-0.04")], &["1 BUY 0.04!"], "0.04"),
        // Several entries that do not add up, and one that can mean either half of a self-trade, decide nothing.
        (
            &[with_fee(1, buy, Some("-0.04")), charged("a", 1, "-0.04"), charged("b", 1, "-0.04")],
            &["1 BUY -0.04"],
            "-0.04",
        ),
        (
            &[with_fee(1, buy, Some("-0.04")), with_fee(1, Side::Sell, Some("0.02")), charged("a", 1, "-0.04")],
            &["1 BUY -0.04", "1 SELL 0.02"],
            "-0.02",
        ),
    ];
    for (statements, expected, total) in cases {
        let found = in_every_order(open, statements, async |store| fees(store).await).await;
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(found, (expected, total.to_owned()), "{statements:?}");
    }
}

fn told(trip: &RoundTrip) -> (Option<&str>, ExitReason) {
    (trip.engine.as_ref().map(EngineLabel::as_str), trip.exit_reason)
}

fn waiting(client: Option<&str>, triggered: Option<&str>, condition: Option<Condition>) -> Order {
    let mut waiting = order("ETHUSDT", "900", Side::Sell, "0", "1", 1);
    waiting.key.class = OrderClass::Conditional;
    waiting.executed = None;
    waiting.client_order_id = client.map(|id| ClientOrderId::new(id).unwrap());
    waiting.triggered_order_id = triggered.map(|id| id.parse().unwrap());
    waiting.condition = condition;
    waiting
}

fn intent(client: &str, role: IntentRole, engine: Option<&str>, signal: Option<&str>) -> Statement {
    by(
        Source::Bot,
        AnyFact::Intent(OrderIntent {
            client_order_id: ClientOrderId::new(client).unwrap(),
            symbol: symbol("ETHUSDT"),
            class: OrderClass::Conditional,
            side: Side::Sell,
            position_side: None,
            role,
            dca_step: 0,
            attempt: 0,
            order_type: Label::new("MARKET").unwrap(),
            qty: None,
            price: None,
            trigger_price: None,
            reduce_only: true,
            signal_id: signal.map(|id| SignalId::new(id).unwrap()),
            engine: engine.map(|engine| EngineLabel::new(engine).unwrap()),
            created_local: at(2),
            outcome: IntentOutcome::Accepted,
        }),
    )
}

/// Who sent an order, and why, is told by what it was before: a conditional order, an intent, a signal.
pub async fn labels_come_through_what_an_order_was(open: Open<'_>) {
    let client = |id: &str, client: &str, side| {
        let mut regular = order("ETHUSDT", id, side, "1", "100", 3);
        regular.client_order_id = Some(ClientOrderId::new(client).unwrap());
        regular.order_type = Some(Label::new("MARKET").unwrap());
        rest(AnyFact::Order(regular))
    };
    let labelled = |mut order: Order, engine: &str| {
        order.engine = Some(EngineLabel::new(engine).unwrap());
        rest(AnyFact::Order(order))
    };
    let signal = Signal {
        signal_id: SignalId::new("s1").unwrap(),
        time: ledger_core::EventTime::ms(at(1)),
        skew_ms: None,
        symbol: symbol("ETHUSDT"),
        side: Side::Sell,
        kind: SignalKind::AutoExit,
        engine: Some(EngineLabel::new("signalled").unwrap()),
        reason: None,
        skipped: None,
        meta_json: None,
        restored: false,
    };
    let unrelated = {
        Order { triggered_order_id: Some("77".parse().unwrap()), ..waiting(Some("exit"), None, Some(Condition::Stop)) }
    };
    let cases: [(&[Statement], Option<&str>, ExitReason); 6] = [
        // It points to the regular order, which the book knows from its fill only.
        (&[labelled(waiting(None, Some("12"), Some(Condition::Stop)), "other")], None, ExitReason::StopLoss),
        // The same client order id.
        (
            &[
                client("12", "exit", Side::Sell),
                rest(AnyFact::Order(waiting(Some("exit"), None, Some(Condition::TakeProfit)))),
            ],
            None,
            ExitReason::TakeProfit,
        ),
        // One that became another order is not meant.
        (&[client("12", "exit", Side::Sell), rest(AnyFact::Order(unrelated))], None, ExitReason::Unknown),
        // Intents, by the client order id of the regular or the conditional order.
        (
            &[
                client("11", "entry", Side::Buy),
                intent("entry", IntentRole::Entry, Some("intended"), None),
                rest(AnyFact::Order(waiting(Some("exit"), Some("12"), None))),
                intent("exit", IntentRole::StopLoss, None, None),
            ],
            Some("intended"),
            ExitReason::StopLoss,
        ),
        // A signal, named by an intent.
        (
            &[
                client("11", "entry", Side::Buy),
                intent("entry", IntentRole::Entry, None, Some("s1")),
                client("12", "exit", Side::Sell),
                intent("exit", IntentRole::Exit, None, Some("s1")),
                by(Source::Bot, AnyFact::Signal(signal)),
            ],
            Some("signalled"),
            ExitReason::AutoExit,
        ),
        // The order's own label comes first.
        (
            &[
                client("11", "entry", Side::Buy),
                labelled(order("ETHUSDT", "11", Side::Buy, "1", "100", 3), "own"),
                intent("entry", IntentRole::Entry, Some("intended"), None),
            ],
            Some("own"),
            ExitReason::Unknown,
        ),
    ];
    for (statements, engine, exit_reason) in cases {
        let mut all = fills([
            of_order(fill("ETHUSDT", 1, Side::Buy, "1", "100"), "11"),
            of_order(fill("ETHUSDT", 2, Side::Sell, "1", "90"), "12"),
        ]);
        all.extend(statements.iter().cloned());
        let found = in_every_order(open, &all, async |store| trips_of(store).await).await;
        let [trip] = found.as_slice() else { unreachable!("{found:?}") };
        assert_eq!(told(trip), (engine, exit_reason), "{statements:?}");
        assert_eq!(trip.gross.known.checked_add(trip.gross.estimated).unwrap(), dec("-10"));
    }
}
