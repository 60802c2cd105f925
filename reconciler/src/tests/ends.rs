//! Every kind of discrepancy: what raises it, and what settles it. A kind without its story does not compile.

mod ledgers;

use exchange_client::OrderRef;
use ledger_core::{BalanceSnapshot, EngineLabel, SignalId};
use ledger_store::{CoverageGrade, CoverageSpan, Discrepancy, DiscrepancyStatus, PnlMismatch, UnreadableRow};

use super::checks::{book_of, income, usdt};
use super::deciding::{btc, close_look, known, ordered, signal};
use super::restraint::long;
use super::*;
use crate::cycle::settle::settle;
use crate::memory::GapMemory;
use crate::{Finding, SettledBy, StateLabel, Subject};

/// What is seen of the exchange, and the book that it is checked against.
struct Scene {
    seen: Observation,
    book: Book,
}

impl From<Observation> for Scene {
    fn from(seen: Observation) -> Self {
        Self { seen, book: empty_book() }
    }
}

/// What raises a discrepancy, and what settles it.
struct Story {
    raised: Scene,
    settled: Scene,
}

fn story(raised: impl Into<Scene>, settled: impl Into<Scene>) -> Story {
    Story { raised: raised.into(), settled: settled.into() }
}

/// A look at one contract, with these fills at the exchange and in the book.
fn looked_at(fills: Vec<Fill>, book: Vec<Fill>, held_now: &str) -> Observation {
    let mut close = close_look(fills, book, held_now);
    if held_now == "0" {
        close.positions = Asked::Answered(answer(vec![]));
    }
    Observation { symbols: [(btc(), close)].into(), ..quiet() }
}

/// The exchange tells of an order that the book has not, and then the book has it.
fn told(order: &Order) -> Story {
    let order = parsed(order.clone());
    let told = || Observation { orders: Asked::Answered(walk(vec![order.clone()])), ..quiet() };
    let mut settled = told();
    settled.book.orders.insert(order.key.clone(), booked(order.clone(), "0.05"));
    let (mut raised, mut settled) = (told(), settled);
    (raised.book.has_bot, settled.book.has_bot) = (true, true);
    story(raised, settled)
}

fn closing_order(client: &str) -> Order {
    Order { client_order_id: Some(ClientOrderId::new(client).unwrap()), ..ordered("77", -400_000) }
}

/// A book that holds one, at this entry.
fn holding_at(entry: &str) -> Book {
    let mut held = long();
    held.position.position_side = PositionSide::Net;
    held.position.entry_price_avg = Some(entry.parse().unwrap());
    let mut mock = MockStore::new();
    mock.expect_positions().returning(move |_| Ok(vec![held.clone()]));
    beside_nothing(mock)
}

fn nothing<T>() -> ledger_store::Page<T> {
    ledger_store::Page { items: Vec::new(), unreadable: Vec::new(), next: None }
}

/// A book in which a fill realized another profit than the exchange reports; or none such.
fn realizing(differs: bool) -> Book {
    let mut mock = MockStore::new();
    mock.expect_pnl_mismatches().returning(move |_, _| {
        let mismatch = PnlMismatch {
            key: fill(5, "77", "1").key,
            at: at(-500_000),
            reported: Some(Decimal::ONE),
            derived: Some(Decimal::ZERO),
        };
        Ok(ledger_store::Page { items: if differs { vec![mismatch] } else { vec![] }, ..nothing() })
    });
    beside_nothing(mock)
}

/// A book whose wallet moved by 5 between two statements, with ledger rows of this.
fn moved_by_five(rows: &'static str) -> Book {
    let mut mock = MockStore::new();
    mock.expect_balance_snapshots().returning(|_, _| {
        let of = |ms, wallet: &str| Sourced::new(balance(ms, wallet), Source::Rest);
        Ok(ledger_store::Page { items: vec![of(-800_000, "15"), of(-900_000, "10")], ..nothing() })
    });
    mock.expect_income().returning(move |_, _| {
        let mut row = income("TRANSFER", 1, rows);
        row.time = EventTime::ms(at(-850_000));
        Ok(ledger_store::Page { items: vec![Sourced::new(row, Source::Rest)], ..nothing() })
    });
    beside_nothing(mock)
}

fn balance(ms: i64, wallet: &str) -> BalanceSnapshot {
    BalanceSnapshot { asset: usdt(), at: at(ms), wallet: wallet.parse().unwrap() }
}

/// The wallet was 10, and is stated as 15.
fn stated_otherwise(explained_by: Option<&str>) -> Observation {
    let mut seen = quiet();
    seen.balances = Asked::Answered(answer(vec![balance(0, "15")]));
    seen.book.latest_balances = vec![Sourced::new(balance(-600_000, "10"), Source::Rest)];
    seen.income = Asked::Answered(walk(explained_by.map(|amount| income("TRANSFER", 1, amount)).into_iter().collect()));
    seen
}

fn with_cursor(age_ms: i64) -> Observation {
    let mut seen = quiet();
    seen.income = Asked::Failed(lost());
    let position = (NOW_MS - age_ms).to_string();
    seen.book.cursors = vec![ledger_store::SyncCursor { stream: "income".into(), symbol: None, position }];
    seen
}

/// A gap in what was read of the ledger, and then it is covered.
fn gap(raised: Observation) -> Story {
    let span = CoverageSpan {
        stream: "income".into(),
        symbol: None,
        grade: CoverageGrade::Inferred,
        since: at(-9_000_000),
        until: at(-1_000_000),
    };
    let mut settled = quiet();
    settled.book.coverage = vec![span];
    story(raised, settled)
}

fn of_gap() -> GapMemory {
    GapMemory { stream: "income".into(), since: at(-9_000_000), until: at(-1_000_000) }
}

/// An exchange that keeps a working order, and then does not know it.
fn working(answer_of: Option<Order>) -> Observation {
    let open = order("9", OrderStatus::New, "0");
    let mut seen = looked_at(vec![], vec![], "0");
    let reference = OrderRef::Id(OrderClass::Regular, open.key.order_id.clone());
    seen.open_orders = Asked::Answered(answer(answer_of.clone().into_iter().collect()));
    seen.book.orders.insert(open.key.clone(), booked(open, "0"));
    let close = seen.symbols.get_mut(&btc()).unwrap();
    close.orders = vec![(reference, Asked::Answered(answer_of.map(stated)))];
    seen
}

/// An order that can only close, where `held_now` is held.
fn closing_only(held_now: &str) -> Observation {
    let mut order = order("9", OrderStatus::New, "0");
    (order.side, order.reduce_only) = (Side::Sell, Some(true));
    let mut seen = quiet();
    seen.positions = Asked::Answered(answer(if held_now == "0" { vec![] } else { vec![held(held_now)] }));
    seen.book.orders.insert(order.key.clone(), booked(order.clone(), "0"));
    seen.open_orders = Asked::Answered(answer(vec![order]));
    seen
}

/// One strategy's decision, and as many orders that may have followed it.
fn decided(orders: &[&str], linked: bool) -> Observation {
    let mut seen = looked_at(vec![], vec![], "0");
    let decision = signal("s-1", -400_000);
    if !linked {
        seen.book.signals = vec![Sourced::new(decision, Source::Bot)];
    }
    for id in orders {
        let order = Order {
            signal_id: linked.then(|| SignalId::new("s-1").unwrap()),
            engine: Some(EngineLabel::new("swing").unwrap()),
            ..ordered(id, -400_000)
        };
        seen.book.orders.insert(order.key.clone(), booked(order, "0.05"));
    }
    seen
}

fn of_kind(kind: DiscrepancyKind) -> Story {
    use DiscrepancyKind as Kind;
    let (first, second) = (fill(1, "77", "0.02"), fill(2, "77", "0.03"));
    match kind {
        Kind::LostRows => story(ledgers::lost(1), ledgers::lost(3)),
        Kind::MissingIncome => story(ledgers::fee(None), ledgers::fee(Some("-0.1"))),
        Kind::UnequalLedger => story(ledgers::by_type(true), ledgers::by_type(false)),
        Kind::MissingFunding => story(ledgers::funding(None), ledgers::funding(Some("-6"))),
        Kind::FundingMismatch => story(ledgers::funding(Some("-5")), ledgers::funding(Some("-6"))),
        Kind::MissingFills => {
            let mut raised = half_known();
            raised.symbols.get_mut(&btc()).unwrap().fills.answer_mut().unwrap().rows.remove(&second.key);
            story(raised, half_known())
        }
        Kind::UnknownOrder => told(&ordered("77", -400_000)),
        Kind::OrderBehind => {
            let now = order("77", OrderStatus::Filled, "0.05");
            let mut raised = Observation { orders: Asked::Answered(walk(vec![now.clone()])), ..quiet() };
            let mut settled = Observation { orders: Asked::Answered(walk(vec![now.clone()])), ..quiet() };
            let before = order("77", OrderStatus::New, "0");
            raised.book.orders.insert(now.key.clone(), booked(before, "0"));
            settled.book.orders.insert(now.key.clone(), booked(now, "0.05"));
            story(raised, settled)
        }
        Kind::OrderVanished => story(working(None), working(Some(order("9", OrderStatus::New, "0")))),
        Kind::UnrecordedPosition => story(looked_at(vec![], vec![], "1"), looked_at(vec![], vec![], "0")),
        Kind::UnrecordedClose => {
            let mut raised = looked_at(vec![], vec![], "0");
            raised.book.positions.push(long());
            story(raised, looked_at(vec![], vec![], "0"))
        }
        Kind::PositionMismatch => {
            let mut raised = looked_at(vec![], vec![], "2");
            let mut held = long();
            held.position.position_side = PositionSide::Net;
            raised.book.positions.push(held);
            story(raised, looked_at(vec![], vec![], "0"))
        }
        Kind::BeyondRange => {
            let huge = |id| fill(id, "90", &"9".repeat(38));
            story(looked_at(vec![huge(8), huge(9)], vec![], "0"), looked_at(vec![], vec![], "0"))
        }
        Kind::UnreadableRow => {
            let mut raised = quiet();
            let row = UnreadableRow { table: "fills", key: "7".into(), column: "qty", reason: "bad".into() };
            raised.book.damaged.insert(btc(), row);
            story(raised, quiet())
        }
        Kind::AverageEntryMismatch => {
            let scene = |entry| Scene { seen: looked_at(vec![], vec![], "1"), book: holding_at(entry) };
            story(scene("59000"), scene("60000"))
        }
        Kind::ConflictingFill => {
            let other = Fill { price: "59000".parse().unwrap(), ..first.clone() };
            let raised = looked_at(vec![first.clone()], vec![other], "0");
            story(raised, looked_at(vec![first.clone()], vec![first], "0"))
        }
        Kind::UnconfirmedFill => {
            let raised = looked_at(vec![], vec![first.clone()], "0");
            story(raised, looked_at(vec![first.clone()], vec![first], "0"))
        }
        Kind::Liquidation => told(&closing_order("autoclose-1")),
        Kind::Adl => told(&closing_order("adl_autoclose")),
        Kind::Settlement => told(&closing_order("settlement_autoclose-1")),
        Kind::ForeignFills => told(&closing_order("web_1")),
        Kind::PositionModeChanged => {
            let mode = || Asked::Answered(PositionMode::Hedge);
            let mut settled = Observation { position_mode: mode(), ..quiet() };
            settled.book.account.observed_mode = Some(PositionModeSnapshot { at: at(-1), mode: PositionMode::Hedge });
            story(Observation { position_mode: mode(), ..quiet() }, settled)
        }
        Kind::LedgerCut => {
            // Only an import finds it.
            let subject = Subject::History("income".into(), at(-9_000_000));
            let cut = Finding::new(kind, None, subject, Outlook::Stays, String::new()).remembering(of_gap());
            let mut raised = quiet();
            raised.book.discrepancies = vec![known(&cut)];
            gap(raised)
        }
        Kind::HistoryExpired => {
            let lost = TimeWindow::new(at(-9_000_000), at(-1_000_001)).unwrap();
            let mut raised = quiet();
            raised.income.answer_mut().unwrap().continuity = Continuity::Expired(lost);
            gap(raised)
        }
        Kind::HistoryExpiring => story(with_cursor(VENUE.income.retention_ms / 100 * 90), quiet()),
        Kind::ClockSkew => {
            let clock = ClockReading { skew_ms: 90_000, uncertainty_ms: 1 };
            story(Observation { clock, ..quiet() }, quiet())
        }
        Kind::OrphanOrder => story(closing_only("0"), closing_only("1")),
        Kind::QueryFailed => story(Observation { balances: Asked::Failed(lost()), ..quiet() }, quiet()),
        Kind::UnresolvedIntent => {
            let sent = OrderIntent { outcome: IntentOutcome::Unknown, created_local: at(-450_000), ..intent() };
            let scene = |found: Option<Order>| {
                let mut seen = quiet();
                seen.book.intents = [(sent.client_order_id.clone(), Sourced::new(sent.clone(), Source::Bot))].into();
                seen.orders = Asked::Answered(walk(found.into_iter().collect()));
                seen
            };
            let client_order_id = Some(sent.client_order_id.clone());
            story(scene(None), scene(Some(Order { client_order_id, ..ordered("77", -400_000) })))
        }
        Kind::SignalWithoutOrder => story(decided(&[], false), decided(&["77"], true)),
        Kind::AmbiguousSignal => story(decided(&["77", "78"], false), decided(&["77"], true)),
        Kind::MissingLabel => {
            let opened = |engine: Option<&str>| {
                let engine = engine.map(|engine| EngineLabel::new(engine).unwrap());
                let opener = Order { engine, ..ordered("77", -400_000) };
                let mut seen = quiet();
                seen.book.openers.insert((btc(), PositionSide::Net), opener.key.clone());
                seen.book.orders.insert(opener.key.clone(), booked(opener, "0.05"));
                let engine = EngineLabel::new("from-state").unwrap();
                let states = vec![StateLabel { symbol: btc(), side: None, engine }];
                seen.labels = LabelSources { events: vec![], states };
                seen
            };
            story(opened(None), opened(Some("swing")))
        }
        Kind::UnexplainedClose => {
            let nameless = Order { side: Side::Sell, client_order_id: None, ..ordered("77", -400_000) };
            let closed = |signal: Option<&str>| {
                let opening = fill(1, "70", "0.05");
                let mut closing = fill(2, "77", "0.05");
                closing.key.side = Side::Sell;
                let mut seen = looked_at(vec![opening.clone(), closing.clone()], vec![opening], "0");
                let mut order = parsed(nameless.clone());
                order.signal_id = signal.map(|id| SignalId::new(id).unwrap());
                seen.orders = Asked::Answered(walk(vec![parsed(nameless.clone())]));
                if signal.is_some() {
                    seen.book.orders.insert(order.key.clone(), booked(order, "0.05"));
                }
                seen.book.unfolded = [btc()].into();
                seen
            };
            story(closed(None), closed(Some("s-9")))
        }
        Kind::RealizedPnlMismatch => {
            let scene = |differs| Scene { seen: looked_at(vec![], vec![], "0"), book: realizing(differs) };
            story(scene(true), scene(false))
        }
        Kind::IncomeMismatch => {
            let row = || income("COMMISSION", 1, "-0.1");
            let scene = |fee| Scene {
                seen: Observation { income: Asked::Answered(walk(vec![row()])), ..quiet() },
                book: book_of(&[(Side::Buy, fee, None)]),
            };
            story(scene("0.2"), scene("0.1"))
        }
        Kind::UnexplainedBalance => story(stated_otherwise(None), stated_otherwise(Some("5"))),
        Kind::FootingMismatch => {
            let scene = |rows| Scene { seen: quiet(), book: moved_by_five(rows) };
            story(scene("4"), scene("5"))
        }
        Kind::UnreadableMemory => {
            let subject = Subject::History("income".into(), at(-1));
            let expired = DiscrepancyKind::HistoryExpired;
            let gap = Finding::new(expired, None, subject, Outlook::Stays, String::new()).remembering(of_gap());
            let mut broken = known(&gap);
            broken.entry.evidence_json = "{}".into();
            let (mut raised, mut settled) = (quiet(), quiet());
            raised.book.discrepancies = vec![broken];
            settled.book.discrepancies = vec![known(&gap)];
            story(raised, settled)
        }
    }
}

/// What a look finds of a kind, and what it takes for gone.
struct Looked {
    found: Vec<(Finding, DiscrepancyStatus)>,
    gone: Vec<ledger_store::DiscrepancyKey>,
}

async fn look(scene: &Scene) -> Looked {
    let plan = plan(&scene.seen);
    let verification = verify(&scene.seen, &*scene.book, &account_id()).await.unwrap();
    let settlement = settle(&scene.seen, &plan, &verification, &account_id(), at(0));
    let recorded = settlement.findings.iter().filter(|(_, status)| *status == DiscrepancyStatus::Resolved);
    let recorded = recorded.map(|(finding, _)| finding.key()).collect::<Vec<_>>();
    let gone = [recorded, plan.settled, settlement.batch.settled].concat();
    Looked { found: settlement.findings, gone }
}

#[tokio::test]
async fn every_kind_goes_by_itself_when_what_settles_it_is_seen() {
    let mut wrong = Vec::new();
    for kind in DiscrepancyKind::ALL.iter().copied() {
        let Story { raised, mut settled } = of_kind(kind);
        let looked = look(&raised).await;
        let is_it = |known: &Discrepancy| known.entry.key.kind == kind.as_str();
        let found = looked.found.into_iter().find(|(finding, _)| finding.kind == kind);
        let on_record = found.as_ref().map(|(finding, _)| known(finding));
        let imported = raised.seen.book.discrepancies.iter().find(|known| is_it(known)).cloned();
        let Some(on_record) = on_record.or(imported) else {
            wrong.push(format!("{kind} is not raised"));
            continue;
        };
        if let Some((finding, _)) = &found {
            assert_eq!(finding.settled_by, kind.settled_by());
            assert_ne!(finding.settled_by, SettledBy::Acknowledged, "{kind}");
        }
        let key = on_record.entry.key.clone();
        settled.seen.book.discrepancies.push(on_record);
        let later = look(&settled).await;
        let standing =
            later.found.iter().find(|(finding, status)| finding.kind == kind && *status != DiscrepancyStatus::Resolved);
        if let Some(standing) = standing {
            wrong.push(format!("{kind} stands: {standing:?}"));
        } else if !later.gone.contains(&key) {
            wrong.push(format!("{kind} stays on record"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
