//! A mocked exchange beside a mocked book, and what a cycle between them writes.

use exchange_client::{OrderRef, TradeQuery};
use ledger_core::{Direction, ExitReason, RoundTrip, Signal};
use ledger_store::{
    Batch, BookPosition, Discrepancy, DiscrepancyStatus, NewDiscrepancy, NewRepair, OrderFilter, SignalFilter,
    SignalOutlook, SyncCursor,
};

use super::super::*;
use crate::{CycleReport, Reconciler, ReconcilerConfig};

/// What the exchange and the book know, and when it is.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) now_ms: i64,
    pub(super) held: Vec<PositionSnapshot>,
    pub(super) ordered: Vec<Order>,
    pub(super) traded: Vec<Fill>,
    pub(super) signals: Vec<Signal>,
    pub(super) booked: Vec<BookOrder>,
    pub(super) fills: Vec<Fill>,
    pub(super) standing: Vec<Discrepancy>,
    /// How far each symbol was read, and what the exchange said of positions, by the looks before.
    pub(super) cursors: Vec<SyncCursor>,
    pub(super) said: Vec<PositionSnapshot>,
    pub(super) labels: LabelSources,
}

/// What a cycle has written.
#[derive(Default)]
pub(super) struct Written {
    pub(super) statements: Vec<String>,
    pub(super) repairs: Vec<String>,
    pub(super) findings: Vec<NewDiscrepancy>,
    /// In how many transactions.
    pub(super) batches: usize,
    pub(super) cursors: Vec<SyncCursor>,
    pub(super) said: Vec<PositionSnapshot>,
}

impl World {
    fn exchange(&self) -> MockExchangeReader {
        let mut exchange = MockExchangeReader::new();
        exchange.expect_venue().return_const(&VENUE);
        exchange.expect_usage().returning(Usage::default);
        exchange.expect_account_identity().returning(|| Ok(identity()));
        exchange.expect_fetch_position_mode().returning(|| Ok(PositionMode::OneWay));
        let now = at(self.now_ms);
        exchange.expect_server_time().returning(move || Ok(now));
        let held = self.held.clone();
        exchange.expect_fetch_positions().returning(move |_| Ok(answer(held.clone())));
        exchange.expect_fetch_open_orders().returning(|_| Ok(answer(vec![])));
        let (ordered, asked) = (self.ordered.clone(), self.ordered.clone());
        exchange.expect_fetch_orders().returning(move |class, symbol, _| {
            let is_meant = |order: &&Order| {
                order.key.class == class && symbol.as_ref().is_none_or(|symbol| order.key.symbol == *symbol)
            };
            Ok(page(ordered.iter().filter(is_meant).cloned().collect()))
        });
        exchange.expect_fetch_order().returning(move |symbol, reference| {
            let is_meant = |order: &&Order| match &reference {
                OrderRef::Id(class, id) => (order.key.class, &order.key.order_id) == (*class, id),
                OrderRef::Client(class, id) => (order.key.class, order.client_order_id.as_ref()) == (*class, Some(id)),
            };
            Ok(asked.iter().filter(|order| order.key.symbol == symbol).find(is_meant).cloned().map(stated))
        });
        let traded = self.traded.clone();
        exchange.expect_fetch_my_trades().returning(move |symbol, query| {
            let is_meant = |fill: &&Fill| match &query {
                TradeQuery::Window(window) => window.since() <= fill.time.at && fill.time.at < window.until(),
                TradeQuery::Order(id) => fill.order_id.as_ref() == Some(id),
                TradeQuery::FromId(id) | TradeQuery::After(id) => fill.sequence >= id.as_str().parse().ok(),
                resume @ TradeQuery::Resume { .. } => panic!("{resume:?}"),
            };
            let of_symbol = traded.iter().filter(|fill| fill.key.symbol == symbol);
            Ok(page(of_symbol.filter(is_meant).cloned().collect()))
        });
        exchange.expect_fetch_force_orders().returning(|_, _| Ok(page(vec![])));
        exchange.expect_fetch_income().returning(|_, _| Ok(page(vec![])));
        exchange.expect_fetch_balances().returning(|_| Ok(answer(vec![])));
        exchange.expect_fetch_mark_prices().returning(|_| Ok(answer(vec![])));
        exchange.expect_fetch_instruments().returning(|| Ok(answer(vec![])));
        exchange
    }

    /// A book that was brought up to date a minute ago. It has no contracts, so what it holds is what its fills add up to.
    fn book(&self, written: &Arc<Mutex<Vec<Batch>>>) -> Book {
        let mut mock = MockStore::new();
        let named = self.booked.iter().map(|order| order.order.fact.key.symbol.clone());
        let named: BTreeSet<Symbol> = named.chain(self.fills.iter().map(|fill| fill.key.symbol.clone())).collect();
        mock.expect_symbols().returning(move |_| Ok(named.iter().cloned().collect()));
        mock.expect_funding_reach().returning(|_| Ok(vec![]));
        mock.expect_unpriced_fees().returning(|_, _| Ok(vec![]));
        let cursor =
            |stream: &str| SyncCursor { stream: stream.into(), symbol: None, position: at(-60_000).to_string() };
        let cursors = [&["orders", "force_orders", "income"].map(cursor)[..], &self.cursors].concat();
        mock.expect_cursors().returning(move |_| Ok(cursors.clone()));
        let said: Vec<_> = self.said.iter().map(|said| Sourced::new(said.clone(), Source::Rest)).collect();
        mock.expect_latest_positions().returning(move |_| Ok(said.clone()));
        let positions = self.positions();
        mock.expect_positions().returning(move |_| Ok(positions.clone()));
        let trips: Vec<_> = self.fills.iter().filter(|fill| fill.sequence == Some(1)).map(opened_by).collect();
        mock.expect_open_trips().returning(move |_| Ok(trips.clone()));
        let (booked, by_key) = (self.booked.clone(), self.booked.clone());
        mock.expect_orders().returning(move |filter, _| {
            let is_meant = |known: &&BookOrder| is_meant(known, filter);
            Ok(all(booked.iter().filter(is_meant).cloned().collect()))
        });
        mock.expect_order()
            .returning(move |_, key| Ok(by_key.iter().find(|known| known.order.fact.key == *key).cloned()));
        let (fills, by_key) = (self.fills.clone(), self.fills.clone());
        let in_order = self.fills.clone();
        let booked_fill = |fill: &Fill| Sourced::new(fill.clone(), Source::Rest);
        mock.expect_fills().returning(move |filter, _| {
            let of_symbol = |fill: &&Fill| filter.scope.symbol.as_ref().is_none_or(|symbol| fill.key.symbol == *symbol);
            Ok(all(fills.iter().filter(of_symbol).map(booked_fill).collect()))
        });
        mock.expect_fills_in_fold_order().returning(move |_, symbol, _| {
            let of_symbol = in_order.iter().filter(|fill| fill.key.symbol == *symbol);
            Ok(all(of_symbol.map(booked_fill).collect()))
        });
        mock.expect_fill().returning(move |_, key| Ok(by_key.iter().find(|fill| fill.key == *key).map(booked_fill)));
        mock.expect_as_folded().returning(|_, _, fills| Ok(fills));
        let signals = self.signals.clone();
        mock.expect_signal().returning(|_, _| Ok(None));
        mock.expect_signals().returning(move |filter: &SignalFilter, _| {
            let is_meant = filter.named_by_order != Some(true) && filter.outlook != Some(SignalOutlook::Concluded);
            let items = signals.iter().filter(|_| is_meant).map(|signal| Sourced::new(signal.clone(), Source::Bot));
            Ok(all(items.collect()))
        });
        mock.expect_intent().returning(|_, _| Ok(None));
        let standing = self.standing.clone();
        mock.expect_discrepancies().returning(move |_, _| Ok(all(standing.clone())));
        // One run, closed by its number.
        mock.expect_begin_run().times(..=1).returning(|_, _, _| Ok(RunId(7)));
        mock.expect_end_run().times(..=1).withf(|run, _, _, _| *run == RunId(7)).returning(|_, _, _, _| Ok(()));
        mock.expect_bind_identity().times(1).returning(|_, _| Ok(()));
        mock.expect_pending_refolds().returning(|| Ok(vec![]));
        let log = Arc::clone(written);
        mock.expect_commit().returning(move |batch| {
            let count = |number: usize| (0..i64::try_from(number).unwrap()).collect();
            let (discrepancy_ids, repair_ids) = (count(batch.discrepancies.len()), count(batch.repairs.len()));
            log.lock().unwrap().push(batch);
            Ok(CommitReport { discrepancy_ids, repair_ids, ..CommitReport::default() })
        });
        beside_nothing(mock)
    }

    /// What the book's fills add up to.
    fn positions(&self) -> Vec<BookPosition> {
        let mut held: BTreeMap<Symbol, Decimal> = BTreeMap::new();
        for fill in &self.fills {
            let qty = held.entry(fill.key.symbol.clone()).or_default();
            *qty = qty.checked_add(fill.signed_qty()).unwrap();
        }
        let position = |(symbol, qty)| {
            let mut known = BookPosition { symbol, ..restraint::long() };
            (known.position.position_side, known.position.qty) = (PositionSide::Net, qty);
            known.position.entry_price_avg = "60000".parse().ok();
            known
        };
        held.into_iter().map(position).collect()
    }

    /// A whole cycle.
    pub(super) async fn sync(&self) -> (CycleReport, Written) {
        let batches = Arc::new(Mutex::new(Vec::new()));
        let mut config = ReconcilerConfig::new(account_id());
        config.observe.labels = self.labels.clone();
        let clock = Arc::new(ManualClock::new(at(self.now_ms)));
        let reconciler = Reconciler { exchange: Arc::new(self.exchange()), book: self.book(&batches), clock, config };
        let report = reconciler.sync().await.unwrap();
        let mut written = Written::default();
        let mut last = BTreeMap::new();
        for batch in batches.lock().unwrap().iter() {
            assert_eq!(batch.run_id, Some(RunId(7)), "everything belongs to the run");
            let about: BTreeSet<_> =
                batch.statements.iter().filter_map(|statement| symbol_of(&statement.fact)).collect();
            assert!(about.len() <= 1, "a transaction for each contract: {about:?}");
            written.batches += 1;
            written.cursors.extend(batch.cursors.iter().filter(|cursor| cursor.symbol.is_some()).cloned());
            written.said.extend(batch.statements.iter().filter_map(|statement| match &statement.fact {
                AnyFact::Position(said) => Some(said.clone()),
                _ => None,
            }));
            written.statements.extend(batch.statements.iter().filter_map(|statement| told(&statement.fact)));
            written.repairs.extend(batch.repairs.iter().map(|repair: &NewRepair| repair.kind.clone()));
            for seen in &batch.discrepancies {
                last.insert(seen.key.clone(), seen.clone());
            }
            for key in &batch.settled {
                last.remove(key);
            }
        }
        written.findings = last.into_values().collect();
        written.statements.sort();
        written.repairs.sort();
        (report, written)
    }

    /// The next look, so much later, with what this one has left on record.
    pub(super) fn later(&self, seconds: i64, written: &Written) -> Self {
        let standing = written.findings.iter().map(|entry| Discrepancy {
            id: 1,
            account: account_id(),
            entry: entry.clone(),
            first_seen_local: at(self.now_ms),
            last_seen_local: at(self.now_ms),
            resolved_local: None,
            run_id: Some(RunId(6)),
        });
        Self {
            now_ms: self.now_ms + seconds * 1_000,
            standing: standing.collect(),
            cursors: written.cursors.clone(),
            said: written.said.clone(),
            ..self.clone()
        }
    }
}

fn is_meant(known: &BookOrder, filter: &OrderFilter) -> bool {
    let order = &known.order.fact;
    let scope = &filter.scope;
    (!filter.open_only || !order.status.is_terminal())
        && (!filter.residual_only || known.residual_qty.is_some())
        && (filter.signal_id.is_none() || order.signal_id == filter.signal_id)
        && (filter.client_order_id.is_none() || order.client_order_id == filter.client_order_id)
        && scope.symbol.as_ref().is_none_or(|symbol| order.key.symbol == *symbol)
}

/// A round trip that is open.
fn opened_by(fill: &Fill) -> RoundTrip {
    RoundTrip {
        symbol: fill.key.symbol.clone(),
        position_side: PositionSide::Net,
        number: 1,
        direction: Direction::Long,
        opened_at: Some(fill.time.at),
        closed_at: None,
        opening: ledger_core::Opening::Fill { side: fill.key.side, fill_id: fill.key.fill_id.clone() },
        closed_by: None,
        entry_qty: fill.qty.get(),
        entry_price_avg: None,
        exit_qty: Decimal::ZERO,
        exit_price_avg: None,
        qty_max: fill.qty.get(),
        settle_asset: checks::usdt(),
        gross: ledger_core::CertainTotal::default(),
        exchange_realized_pnl: None,
        fees: vec![],
        funding: vec![],
        clearance: vec![],
        was_liquidated: false,
        engine: None,
        other_engines: vec![],
        exit_reason: ExitReason::Unknown,
        fill_count: 1,
        certainty: ledger_core::Certainty::Known,
    }
}

/// All there is, in one page.
fn all<T>(items: Vec<T>) -> ledger_store::Page<T> {
    ledger_store::Page { items, unreadable: Vec::new(), next: None }
}

/// The contract of a fact that is recorded with its contract.
fn symbol_of(fact: &AnyFact) -> Option<&Symbol> {
    match fact {
        AnyFact::Fill(fill) => Some(&fill.key.symbol),
        AnyFact::Order(order) => Some(&order.key.symbol),
        AnyFact::Signal(signal) => Some(&signal.symbol),
        _ => None,
    }
}

/// A fact in a few words; what is said of positions and balances along with it is left out.
fn told(fact: &AnyFact) -> Option<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    Some(match fact {
        AnyFact::Fill(fill) => format!("fill {} {} {}", fill.key.symbol, fill.key.fill_id, fill.qty),
        AnyFact::Order(order) => {
            let signal = order
                .signal_id
                .as_ref()
                .map(|id| if id.as_str().starts_with("s-") { id.to_string() } else { "restored".into() });
            let engine = order.engine.as_ref().map(ToString::to_string);
            let exit = order.exit_reason.map(|reason| reason.to_string());
            format!(
                "order {} {} {} {} {}",
                order.key.order_id,
                order.status,
                or_none(signal),
                or_none(engine),
                or_none(exit)
            )
        }
        AnyFact::Signal(signal) => {
            let engine = signal.engine.as_ref().map(ToString::to_string);
            format!(
                "signal {} {} {} {}",
                signal.kind,
                signal.side,
                or_none(engine),
                if signal.restored { "restored" } else { "" }
            )
        }
        AnyFact::Position(_) | AnyFact::Balance(_) | AnyFact::Price(_) => return None,
        other => format!("{other:?}"),
    })
}

pub(super) fn kinds(findings: &[NewDiscrepancy]) -> Vec<(&str, DiscrepancyStatus)> {
    findings.iter().map(|seen| (seen.key.kind.as_str(), seen.status)).collect()
}
