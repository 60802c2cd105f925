//! What an executor leaves beside orders and fills: the prices that it went by, and the wallet after a close. The simulator's own
//! wallet says whether that is right.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::binance_usdm::VENUE;
use exchange_client::simulator::{FaultProfile, Simulator};
use exchange_client::{Request, Response, Transport, TransportError};
use ledger_core::{BalanceSnapshot, Decimal, IntentOutcome, OrderIntent, PriceKind, Source};
use ledger_store::{FactReader as _, Maintenance as _, OpenOptions, PageRequest, Scope, SqliteStore};
use reconciler::{
    BalanceRemark, CheckName, CloseReport, DcaBasis, DcaOutcome, DcaRequest, EntryOutcome, Executor, Verdict,
    WholeBook, verify_book,
};

use super::{Cut, Line, cause, close, entry, exchange, life, symbol};
use crate::support::Fixture;

const LONG: Duration = Duration::from_mins(5);

/// A way to the exchange that takes a millisecond.
struct Ticking {
    simulator: Arc<Simulator>,
    inner: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Ticking {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.simulator.step(Duration::from_millis(1));
        self.inner.send(request).await
    }
}

impl Fixture {
    /// An executor whose requests take time, as they do: what it sends is over before it asks what came of it.
    fn executor_in_time(&self) -> Executor {
        self.executor_over(&self.line_in_time(0))
    }

    fn line_in_time(&self, at: usize) -> Arc<Line> {
        let (simulator, inner) = (Arc::clone(&self.simulator), Arc::clone(&self.transport));
        let inner = Arc::new(Ticking { simulator, inner });
        let (count, kept) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Line { inner, at, cut: Cut::Before, orders_only: false, count, kept })
    }

    /// What is in the wallet, by the exchange's own books.
    fn wallet(&self) -> Decimal {
        self.truth().wallets["USDT"]
    }

    fn set_price(&self, price: &str) {
        self.simulator.step(Duration::from_secs(1));
        self.simulator.set_price(&symbol(), price.parse().unwrap()).unwrap();
    }

    /// The statements of the wallet on record, oldest first.
    async fn stated(&self) -> Vec<BalanceSnapshot> {
        let scope = Scope::account(self.account.clone());
        let known = self.store.balance_snapshots(&scope, PageRequest::first(99)).await.unwrap().items;
        assert!(known.iter().all(|known| known.provenance.source == Source::Rest), "{known:?}");
        let of_usdt = known.into_iter().map(|known| known.fact).filter(|known| known.asset.as_str() == "USDT");
        of_usdt.collect()
    }

    /// The marks on record, oldest first.
    async fn marks(&self) -> Vec<String> {
        let scope = Scope::symbol(self.account.clone(), symbol());
        let known = self.store.price_snapshots(&scope, PageRequest::first(99)).await.unwrap().items;
        let marks = known.into_iter().map(|known| known.fact).filter(|known| known.kind == PriceKind::Mark);
        marks.map(|mark| mark.price.get().to_string()).collect()
    }

    /// Every check of the whole book, those of the wallets among them.
    async fn assert_balances(&self) {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.db");
        self.store.backup(&copy).await.unwrap();
        let rules = OpenOptions::inline().with_rules(VENUE.name, VENUE.ledger_rules);
        let scratch = SqliteStore::open(&copy, &rules).unwrap();
        let whole = WholeBook { account: &self.account, venue: &VENUE, store: &*self.store, scratch: &scratch };
        let checks = verify_book(&whole, &mut |_| {}).await.unwrap();
        assert!(checks.iter().all(|check| !check.failed()), "{checks:?}");
        let footing = checks.iter().find(|check| check.name == CheckName::Footing).unwrap();
        assert!(matches!(footing.verdict, Verdict::Pass { .. }), "{footing:?}");
    }
}

/// In at 60000, out at another price.
async fn trade(fixture: &Fixture, executor: &Executor, name: &str, out: &str) -> CloseReport {
    fixture.set_price("60000");
    let entered = executor.long_market(&entry(name, "0.05")).await.unwrap();
    assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
    fixture.set_price(out);
    let report = executor.close_long_market(&close(name)).await;
    assert!(report.is_flat() && report.not_recorded.is_empty(), "{report:?}");
    report
}

#[tokio::test(start_paused = true)]
async fn a_wallet_is_recorded_after_a_close_where_the_book_leads_to_it() {
    for hedge in [false, true] {
        let fixture = Fixture::in_process(exchange(5, hedge)).await;
        let executor = fixture.executor_in_time();
        // Nothing is on record to start from: the first balance takes two answers, which a look asks for.
        let report = trade(&fixture, &executor, "s-1", "60100").await;
        assert!(matches!(report.balance_remark, Some(BalanceRemark::NoneOnRecord)), "{report:?}");
        assert!(report.balances.is_empty() && fixture.stated().await.is_empty());
        assert_eq!(fixture.marks().await, ["60000", "60100"]);
        fixture.decided().await;
        let before = fixture.stated().await.len();

        // By hand: 0.05 x 90, less the fees of both ways.
        let mut wallet = fixture.wallet();
        for (nth, out) in (2..).zip(["60090", "59800"]) {
            let report = trade(&fixture, &executor, &format!("s-{nth}"), out).await;
            let [stated] = report.balances.as_slice() else { panic!("{report:?}") };
            assert!(report.balance_remark.is_none() && stated.wallet == fixture.wallet(), "{report:?}");
            assert!(stated.wallet != wallet, "nothing moved");
            wallet = stated.wallet;
            assert_eq!(fixture.stated().await.last(), Some(stated));
        }
        assert_eq!(fixture.stated().await.len(), before + 2);
        // What came to the wallet from elsewhere is for a look to find in the ledger.
        fixture.simulator.step(Duration::from_secs(1));
        fixture.simulator.deposit("sim-main", "USDT", "250".parse().unwrap()).unwrap();
        let report = trade(&fixture, &executor, "s-4", "60050").await;
        let Some(BalanceRemark::Unexplained(stated)) = &report.balance_remark else { panic!("{report:?}") };
        assert!(report.balances.is_empty() && stated.wallet == fixture.wallet(), "{report:?}");
        assert_eq!(fixture.stated().await.len(), before + 2);
        fixture.assert_equal().await;
        assert_eq!(fixture.stated().await.last().map(|known| known.wallet), Some(fixture.wallet()));
        // From there on the book leads to it again, whether or not a look has had to write.
        for (nth, out) in (5..).zip(["60010", "60020"]) {
            let report = trade(&fixture, &executor, &format!("s-{nth}"), out).await;
            assert_eq!(report.balances.first().map(|known| known.wallet), Some(fixture.wallet()), "{report:?}");
            fixture.assert_equal().await;
        }
        fixture.assert_balances().await;
    }
}

/// The wallet is asked for last, and for as long as a verdict is waited for.
#[test]
fn an_exchange_that_does_not_tell_the_wallet_delays_no_close() {
    let held = || {
        let fixture = life(LONG, async || {
            let fixture = Fixture::in_process(exchange(5, false)).await;
            fixture.decided().await;
            fixture.simulator.step(Duration::from_secs(5));
            let entered = fixture.executor_in_time().long_market(&entry("s-1", "0.05")).await.unwrap();
            assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
            fixture
        });
        fixture.unwrap()
    };
    let close_over = |fixture: &Fixture, at: usize| {
        let line = fixture.line_in_time(at);
        let closed = life(LONG, async || {
            let began = tokio::time::Instant::now();
            let report = fixture.executor_over(&line).close_long_market(&close("s-1")).await;
            (report, began.elapsed())
        });
        let (report, took) = closed.unwrap();
        assert!(report.is_flat() && report.not_recorded.is_empty() && report.trip.is_some(), "{report:?}");
        (report, took, line)
    };
    let (report, quick, line) = close_over(&held(), 0);
    assert_eq!(report.balances.len(), 1, "{report:?}");
    let requests = line.count.load(Ordering::SeqCst);
    let fixture = held();
    let (report, took, line) = close_over(&fixture, requests);
    assert!(line.kept.lock().unwrap().as_ref().unwrap().path.ends_with("/balance"), "it is asked for last");
    assert!(matches!(report.balance_remark, Some(BalanceRemark::NotAnswered(_))), "{report:?}");
    assert!(report.balances.is_empty() && fixture.held().is_empty());
    assert_eq!(took.saturating_sub(quick).as_secs(), 2, "{took:?} instead of {quick:?}");
}

/// Answers that lie behind, fills and ledger entries that come late: what is recorded of the wallet is what was in it.
#[tokio::test(start_paused = true)]
async fn what_is_recorded_of_a_wallet_was_in_it_on_the_worst_day() {
    let (mut recorded, mut behind, mut left) = (0, 0, BTreeSet::new());
    for seed in 0..6 {
        let fixture = Fixture::in_process(exchange(seed, false)).await;
        fixture.decided().await;
        let faults = FaultProfile { stale: 150, late: 60, late_ms_max: 20_000, ..FaultProfile::none() };
        fixture.simulator.set_faults(faults.with_seed(seed));
        for nth in 0..15 {
            let (executor, name) = (fixture.executor_in_time(), format!("s-{nth}"));
            fixture.set_price(["60000", "60030", "59990"][nth % 3]);
            let entered = executor.long_market(&entry(&name, "0.05")).await;
            fixture.set_price(["60070", "59950", "60010"][nth % 3]);
            if matches!(entered, Ok(EntryOutcome::Sent(_))) {
                let report = executor.close_long_market(&close(&name)).await;
                for stated in &report.balances {
                    assert_eq!(stated.wallet, fixture.wallet(), "{seed} {nth}: {report:?}");
                }
                recorded += report.balances.len();
                behind += usize::from(report.balances.is_empty() && report.balance_remark.is_none());
                let why = report.balance_remark.map(|remark| format!("{remark:?}"));
                left.extend(why.and_then(|why| why.split('(').next().map(str::to_owned)));
            }
            // Not after each of them, so that some follow each other without a look in between.
            if nth % 3 == 2 {
                fixture.simulator.step(Duration::from_secs(70));
                let _ = fixture.reconciler().sync().await;
            }
        }
        fixture.simulator.set_faults(FaultProfile::none());
        let _ = fixture.executor_in_time().close_long_market(&close("s-end")).await;
        fixture.decided().await;
        fixture.assert_equal().await;
        fixture.assert_balances().await;
    }
    // What is tried here really happens: an answer that lies behind is the one on record.
    assert!(recorded > 20 && behind > 0, "{recorded} were recorded, {behind} lay behind, {left:?}");
    assert!(left.contains("FillsMissing"), "{left:?}");
}

/// A long and a short of one contract, of which both are closed in the same millisecond, and the wallet is asked for after each.
#[tokio::test(start_paused = true)]
async fn no_wallet_is_recorded_between_two_closes_of_one_millisecond() {
    for long_first in [true, false] {
        let fixture = Fixture::in_process(exchange(5, true)).await;
        fixture.decided().await;
        fixture.set_price("60000");
        let executor = fixture.executor();
        let opened = [
            executor.long_market(&entry("s-1", "0.05")).await.unwrap(),
            executor.short_market(&entry("s-2", "0.03")).await.unwrap(),
        ];
        assert!(opened.iter().all(|opened| matches!(opened, EntryOutcome::Sent(_))), "{opened:?}");
        fixture.set_price("60100");
        let before = fixture.stated().await.len();
        let mut between = None;
        for long in [long_first, !long_first] {
            let report = if long {
                executor.close_long_market(&close("s-1")).await
            } else {
                executor.close_short_market(&close("s-2")).await
            };
            assert!(report.is_flat() && report.not_recorded.is_empty() && report.balances.is_empty(), "{report:?}");
            let Some(BalanceRemark::InTheMoment(stated)) = report.balance_remark else { panic!("{report:?}") };
            assert!(stated.wallet == fixture.wallet() && between.replace(stated.wallet) != Some(stated.wallet));
        }
        let fills = fixture.store.fills(&Scope::account(fixture.account.clone()).into(), PageRequest::newest(2)).await;
        let times: BTreeSet<_> = fills.unwrap().items.into_iter().map(|fill| fill.fact.time.at).collect();
        assert_eq!(times, [fixture.clock_at(0)].into(), "both are of the very millisecond");
        assert_eq!(fixture.stated().await.len(), before);
        // The next look finds it, and the wallet foots.
        fixture.simulator.step(Duration::from_secs(70));
        fixture.assert_equal().await;
        fixture.decided().await;
        assert_eq!(fixture.stated().await.last().map(|known| known.wallet), Some(fixture.wallet()));
        fixture.assert_balances().await;
    }
}

/// An order of the other leg that was sent, and of which nobody knows yet what became of it, may be in the wallet already.
#[tokio::test(start_paused = true)]
async fn no_wallet_is_recorded_while_another_order_is_under_way() {
    let fixture = Fixture::in_process(exchange(5, true)).await;
    fixture.decided().await;
    fixture.set_price("60000");
    let sent = fixture.executor_in_time().short_market(&entry("s-2", "0.03")).await.unwrap();
    assert!(matches!(sent, EntryOutcome::Sent(_)), "{sent:?}");
    let close_while = async |outcome: IntentOutcome| {
        let (name, executor) = (format!("s-{}", outcome.as_str()), fixture.executor_in_time());
        let opened = executor.long_market(&entry(&name, "0.05")).await.unwrap();
        assert!(matches!(opened, EntryOutcome::Sent(_)), "{opened:?}");
        fixture.set_price("60100");
        let known = fixture.store.intents(&Scope::account(fixture.account.clone()).into(), PageRequest::first(1)).await;
        let known = known.unwrap().items.remove(0).fact;
        let client_order_id = "other-leg".parse().unwrap();
        let other = OrderIntent { client_order_id, outcome, ..known };
        fixture.recorder().intent(other).await.unwrap();
        let report = executor.close_long_market(&close(&name)).await;
        assert!(report.is_flat() && report.not_recorded.is_empty(), "{report:?}");
        report
    };
    for outcome in [IntentOutcome::Pending, IntentOutcome::Unknown] {
        let report = close_while(outcome).await;
        assert!(matches!(report.balance_remark, Some(BalanceRemark::FillsMissing)), "{report:?}");
        assert!(report.balances.is_empty());
    }
    let report = close_while(IntentOutcome::Rejected).await;
    assert!(report.balance_remark.is_none(), "{report:?}");
    assert_eq!(report.balances.first().map(|known| known.wallet), Some(fixture.wallet()));
}

#[test]
fn the_price_that_decided_an_addition_is_on_record() {
    let request = DcaRequest {
        symbol: symbol(),
        cause: cause("s-1"),
        engine: entry("s-1", "1").engine,
        qty: "0.02".parse().unwrap(),
        basis: DcaBasis::LastEntry,
        distance_percent: "2".parse().unwrap(),
        steps_max: 1,
    };
    let add = |cut: usize| {
        let added = life(LONG, async || {
            let fixture = Fixture::in_process(exchange(5, false)).await;
            fixture.set_price("60000");
            let entered = fixture.executor().long_market(&entry("s-1", "0.02")).await.unwrap();
            assert!(matches!(entered, EntryOutcome::Sent(_)), "{entered:?}");
            fixture.set_price("58700");
            let line = fixture.line(cut, Cut::Before, false);
            let outcome = fixture.executor_over(&line).dca_long_if_needed(&request).await.unwrap();
            let DcaOutcome::Due { outcome: EntryOutcome::Sent(sent), .. } = outcome else { panic!("{outcome:?}") };
            assert!(sent.not_recorded.is_none(), "{sent:?}");
            let asked = line.kept.lock().unwrap().as_ref().map(|request| request.path.clone());
            (fixture.marks().await, line.count.load(Ordering::SeqCst), asked)
        });
        added.unwrap()
    };
    let (marks, requests, _) = add(0);
    assert_eq!(marks, ["60000", "58700"]);
    // The price of the moment after the order does not come.
    let (marks, _, asked) = add(requests);
    assert!(asked.unwrap().ends_with("/premiumIndex"));
    assert_eq!(marks, ["60000", "58700"]);
}
