//! Rows that were deleted from a book: noticed by whoever looks, and brought back by a sync for as long as the exchange answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::simulator::{Simulator, SimulatorConfig};
use exchange_client::{Clock, ManualClock, NewOrder, OrderKind, SystemClock};
use ledger_core::{AccountId, ClientOrderId, PositionSide, Side, Symbol, TimestampMs};
use ledger_store::contract::dump;
use ledger_store::{DiscrepancyStatus, OpenOptions, SqliteStore};
use reconciler::{CycleReport, DiscrepancyKind, Reconciler, ReconcilerConfig, RepairKind};

use crate::support::{Exchange, Sandbox, simulated};

const HOUR_MS: i64 = 3_600_000;

/// The machine's clock, so many milliseconds back.
#[derive(Debug)]
struct Behind(AtomicI64);

impl Clock for Behind {
    fn now(&self) -> TimestampMs {
        SystemClock.now().saturating_add_ms(-self.0.load(Ordering::SeqCst))
    }
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn store(sandbox: &Sandbox) -> Arc<SqliteStore> {
    let venue = &exchange_client::binance_usdm::VENUE;
    let options = OpenOptions::inline().with_rules(venue.name, venue.ledger_rules);
    Arc::new(SqliteStore::open(sandbox.path().join("fillbook.db"), &options).unwrap())
}

/// What the exchange stated of the account and what follows from it, without what it says of the moment.
fn book(sandbox: &Sandbox) -> Vec<String> {
    let (store, account) = (store(sandbox), AccountId::new("main").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut lines = runtime.block_on(dump(&*store, &account));
    let kept = ["signal ", "order ", "fill ", "cancel ", "income ", "funding rate ", "trip ", "open trip ", "book "];
    lines.retain(|line| kept.iter().any(|kind| line.starts_with(kind)));
    lines
}

/// Somebody traded for some days: positions that were held over funding instants, a stop that triggered, a liquidation.
fn traded() -> Exchange {
    let clock = Arc::new(Behind(AtomicI64::new(60 * HOUR_MS)));
    let exchange = Exchange::with_clock(907, Arc::clone(&clock) as Arc<dyn Clock>);
    let account = exchange.simulator.config().accounts[0].alias.clone();
    exchange.trade("fb-one", "ETHUSDT", Side::Buy, "0.5");
    exchange.trade("fb-two", "SOLUSDT", Side::Buy, "3");
    exchange.trade("fb-three", "SOLUSDT", Side::Sell, "3");
    exchange.trade("fb-four", "BTCUSDT", Side::Buy, "0.01");
    let price = exchange.simulator.price(&symbol("ETHUSDT")).unwrap();
    let trigger = format!("{}.00", price.to_string().split('.').next().unwrap().parse::<u32>().unwrap() - 20);
    exchange.place(NewOrder {
        client_order_id: ClientOrderId::new("fb-stop").unwrap(),
        symbol: symbol("ETHUSDT"),
        side: Side::Sell,
        position_side: PositionSide::Net,
        kind: OrderKind::StopMarket { trigger: trigger.parse::<ledger_core::Price>().unwrap().into() },
        size: "0.1".parse::<ledger_core::Quantity>().unwrap().into(),
        reduce_only: true,
    });
    let below = format!("{}.00", trigger.split('.').next().unwrap().parse::<u32>().unwrap() - 5);
    exchange.simulator.set_price(&symbol("ETHUSDT"), below.parse().unwrap()).unwrap();
    exchange.simulator.force_liquidation(&account, &symbol("BTCUSDT"), PositionSide::Net).unwrap();
    clock.0.store(0, Ordering::SeqCst);
    exchange
}

#[test]
fn what_was_deleted_is_noticed_and_restored() {
    let exchange = traded();
    let sandbox = Sandbox::empty();
    // A contract is looked at again when it is named: what was read once of its conditional orders is confirmed.
    for args in [&["sync"][..], &["sync"], &["sync", "--symbol", "ETHUSDT"]] {
        sandbox.command(args, &exchange.environment()).exits(0);
    }
    let verified = sandbox.run(&["verify"]).exits(0);
    assert!(verified.stdout.lines().any(|line| line.starts_with("confirmed rows") && line.contains("pass")));
    let whole = book(&sandbox);
    for (what, deleted) in [
        (
            "ledger rows",
            "DELETE FROM income WHERE rowid = (SELECT min(rowid) FROM income WHERE income_type = 'TRANSFER')",
        ),
        (
            "ledger rows",
            "DELETE FROM income WHERE rowid = (SELECT max(rowid) FROM income WHERE income_type = 'COMMISSION')",
        ),
        ("ledger rows", "DELETE FROM income WHERE income_type <> 'TRANSFER'"),
        ("orders", "DELETE FROM orders WHERE client_order_id = 'fb-three'"),
        ("orders", "DELETE FROM orders WHERE origin = 'liquidation'"),
        ("conditional orders of ETHUSDT", "DELETE FROM orders WHERE order_class = 'CONDITIONAL'"),
        (
            "funding rates of ETHUSDT",
            "DELETE FROM funding_rates WHERE rowid = (SELECT min(rowid) FROM funding_rates WHERE symbol = 'ETHUSDT')",
        ),
        ("fills", "DELETE FROM fills WHERE symbol = 'SOLUSDT'"),
    ] {
        sandbox.tamper(deleted);
        let verified = sandbox.run(&["verify"]);
        assert!(verified.code != 0, "{deleted}: {}", verified.transcript());
        let line = verified.stdout.lines().find(|line| line.starts_with("confirmed rows")).unwrap();
        let words = verified.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            line.contains("FAIL") && words.contains(&format!("{what} that the exchange stated")),
            "{deleted}: {words}"
        );
        assert!(words.contains("`fillbook sync` reads that time again"), "{words}");
        let files = sandbox.files();
        let audited = sandbox.command(&["audit", "--json"], &exchange.environment()).exits(3);
        assert!(audited.stdout.contains("\"lost_rows\""), "{deleted}: {}", audited.transcript());
        assert!(sandbox.files().get("fillbook.db") == files.get("fillbook.db"), "{deleted}: an audit writes nothing");
        let synced = sandbox.command(&["sync", "--json"], &exchange.environment());
        assert!(synced.code == 0, "{deleted}: {}", synced.transcript());
        assert!(synced.stdout.contains("\"restore_rows\""), "{deleted}: {}", synced.transcript());
        sandbox.run(&["verify"]).exits(0);
        let now = book(&sandbox);
        // Beside a funding instant the exchange tells its rate while the test runs.
        let is_news = |line: &&String| !whole.contains(line) && !line.starts_with("funding rate ");
        let other: Vec<_> = whole.iter().filter(|line| !now.contains(line)).chain(now.iter().filter(is_news)).collect();
        assert!(other.is_empty(), "{deleted}: {other:#?}");
        assert!(sandbox.run(&["discrepancies", "--json"]).exits(0).stdout.is_empty(), "{deleted}");
        // It is confirmed anew, and quiet from then on.
        sandbox.command(&["sync", "--symbol", "ETHUSDT"], &exchange.environment()).exits(0);
        sandbox.command(&["sync"], &exchange.environment()).exits(0);
    }
    let repairs = sandbox.run(&["repairs", "--kind", "restore_rows", "--json"]).exits(0).json();
    assert!(repairs.len() >= 8, "each of them: {repairs:?}");
}

/// What somebody put between confirmed rows is no loss: that time is read again, and confirmed with it once two looks have said
/// the same as before.
#[test]
fn what_came_in_addition_is_read_again_and_confirmed_anew() {
    let exchange = traded();
    let sandbox = Sandbox::empty();
    let sync = || sandbox.command(&["sync", "--json"], &exchange.environment()).exits(0);
    sync();
    sync();
    let confirmed = || {
        let verified = sandbox.run(&["verify"]).exits(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        verified[verified.find("confirmed rows").unwrap()..].to_owned()
    };
    assert!(!confirmed().contains("more rows came in"), "{}", confirmed());
    sandbox.tamper(
        "INSERT INTO income SELECT account_id, income_type, 'added', symbol, asset, '0', ts, ts_precision, fill_id, info, \
         source, field_sources, conflicts FROM income WHERE income_type = 'TRANSFER' LIMIT 1",
    );
    assert!(confirmed().contains("more rows came in"), "{}", confirmed());
    sync();
    sync();
    sync();
    assert!(!confirmed().contains("more rows came in"), "{}", confirmed());
    let rows = sandbox.run(&["income", "--json"]).exits(0);
    assert!(rows.stdout.contains("\"added\""), "{}", rows.stdout);
    // That the exchange does not list it under its type is told.
    let told = sandbox.run(&["discrepancies", "--json"]).exits(0).json();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["kind"], &told[0]["about"]), (&"unequal_ledger".into(), &"TRANSFER".into()), "{told:?}");
    assert!(told[0]["evidence"].as_str().unwrap().contains("(id added)"), "{told:?}");
}

struct World {
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: Arc<BinanceUsdm>,
    sandbox: Sandbox,
}

impl World {
    fn reconciler(&self) -> Reconciler {
        Reconciler {
            exchange: Arc::clone(&self.exchange) as _,
            book: store(&self.sandbox),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            config: ReconcilerConfig::new(AccountId::new("main").unwrap()),
        }
    }

    async fn sync(&self) -> CycleReport {
        self.simulator.step(Duration::from_mins(20));
        self.reconciler().sync().await.unwrap()
    }
}

fn lost(report: &CycleReport) -> Vec<DiscrepancyStatus> {
    let lost = report.findings.iter().filter(|found| found.finding.kind == DiscrepancyKind::LostRows);
    lost.map(|found| found.status).collect()
}

#[tokio::test]
async fn what_the_exchange_has_forgotten_stays_lost_until_somebody_accepts_it() {
    let config = SimulatorConfig { tick_ms: 600_000, weight_1m_max: None, ..SimulatorConfig::new(908) };
    let (simulator, clock, exchange) = simulated(config);
    let world = World { simulator, clock, exchange, sandbox: Sandbox::with_book(&[]) };
    world.sync().await;
    for _ in 0..5 {
        world.sync().await;
        world.simulator.step(Duration::from_hours(30 * 24));
    }
    let quiet = world.sync().await;
    assert!(!quiet.leaves_discrepancies() && lost(&quiet).is_empty(), "{:#?}", quiet.left);
    let before = world.sync().await.weight;
    world.sandbox.tamper("DELETE FROM income WHERE income_type = 'TRANSFER'");
    let audited = world.reconciler().audit().await.unwrap();
    assert_eq!(lost(&audited), [DiscrepancyStatus::Unresolved]);
    for _ in 0..3 {
        let report = world.sync().await;
        assert_eq!(lost(&report), [DiscrepancyStatus::Unresolved]);
        assert!(report.leaves_discrepancies());
        assert!(report.repairs.iter().all(|repair| repair.kind != RepairKind::RestoreRows));
        assert!(report.weight <= before, "{} {before}: what is forgotten is asked for again", report.weight);
    }
    world.sandbox.run(&["verify"]).exits(3);
    let open = world.sandbox.run(&["discrepancies", "--json"]).exits(0).json();
    let [open] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((&open["kind"], &open["status"]), (&"lost_rows".into(), &"unresolved".into()));
    let words = open["evidence"].as_str().unwrap();
    assert!(words.contains("2 of the 2 ledger rows") && words.contains("acknowledge it"), "{words}");
    let number = open["discrepancy"].to_string();
    world.sandbox.run(&["discrepancies", "--acknowledge", &number, "--reason", "a test of backups"]).exits(0);
    for _ in 0..2 {
        let report = world.sync().await;
        assert_eq!(lost(&report), [DiscrepancyStatus::Acknowledged]);
        assert!(!report.leaves_discrepancies());
        assert!(report.weight <= before, "{} {before}", report.weight);
    }
    let verified = world.sandbox.run(&["verify"]).exits(0);
    assert!(verified.stdout.contains("accepted by somebody's word"), "{}", verified.transcript());
}
