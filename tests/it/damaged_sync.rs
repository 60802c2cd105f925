//! A damaged row and a look at the exchange: its contract is left as it is, and the others are reconciled.

use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::simulator::{Simulator, SimulatorConfig};
use exchange_client::{Clock, ExchangeTrader, ManualClock, NewOrder, OrderKind, OrderSize};
use ledger_core::{AccountId, ClientOrderId, Decimal, PositionSide, Side, Symbol};
use ledger_store::{DerivedReader, DiscrepancyStatus, FactReader, FillFilter, OpenOptions, Scope, SqliteStore};
use reconciler::{CycleReport, DiscrepancyKind, Reconciler, ReconcilerConfig};

use crate::support::{Sandbox, simulated};

struct World {
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: Arc<BinanceUsdm>,
    sandbox: Sandbox,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = SimulatorConfig { weight_1m_max: None, ..SimulatorConfig::new(seed) };
        let (simulator, clock, exchange) = simulated(config);
        Self { simulator, clock, exchange, sandbox: Sandbox::with_book(&[]) }
    }

    async fn buy(&self, symbol: &str, qty: &str) {
        self.simulator.step(Duration::from_mins(10));
        let order = NewOrder {
            client_order_id: ClientOrderId::new(format!("by-hand-{}", self.clock.now())).unwrap(),
            symbol: Symbol::new(symbol).unwrap(),
            side: Side::Buy,
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: OrderSize::Qty(qty.parse().unwrap()),
            reduce_only: false,
        };
        assert!(self.exchange.create_order(order).await.done().is_some());
        self.simulator.step(Duration::from_mins(1));
    }

    fn store(&self) -> Arc<SqliteStore> {
        let path = self.sandbox.path().join("fillbook.db");
        Arc::new(
            SqliteStore::open(
                path,
                &OpenOptions::inline().with_rules(
                    exchange_client::binance_usdm::VENUE.name,
                    exchange_client::binance_usdm::VENUE.ledger_rules,
                ),
            )
            .unwrap(),
        )
    }

    async fn sync(&self) -> CycleReport {
        self.simulator.step(Duration::from_secs(20));
        let reconciler = Reconciler {
            exchange: Arc::clone(&self.exchange) as _,
            book: self.store(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            config: ReconcilerConfig::new(AccountId::new("main").unwrap()),
        };
        reconciler.sync().await.unwrap()
    }

    /// What the book holds of a contract, and how many fills it has.
    async fn held(&self, symbol: &str) -> (Option<Decimal>, u64) {
        let (store, account) = (self.store(), AccountId::new("main").unwrap());
        let symbol = Symbol::new(symbol).unwrap();
        let positions = store.positions(&account).await.unwrap();
        let held = positions.iter().find(|held| held.symbol == symbol).map(|held| held.position.qty);
        let fills = store.fill_count(&FillFilter::from(Scope::symbol(account, symbol))).await.unwrap();
        (held, fills)
    }

    /// How many fills the exchange has of a contract.
    fn traded(&self, symbol: &str) -> u64 {
        let books = self.simulator.books();
        let trades = books.accounts[0].trades.iter().filter(|trade| trade.symbol == symbol);
        u64::try_from(trades.count()).unwrap()
    }
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_unreadable_row_stops_its_contract_alone() {
    for (table, column, value) in
        [("fills", "price", "12x"), ("orders", "status", "{"), ("orders", "qty", "many"), ("income", "amount", "1,5")]
    {
        let world = World::new(401);
        world.buy("ETHUSDT", "1").await;
        world.buy("BTCUSDT", "0.01").await;
        assert!(!world.sync().await.leaves_discrepancies());
        // The file as it is before somebody damages it.
        let good = std::fs::read(world.sandbox.path().join("fillbook.db")).unwrap();
        world.sandbox.tamper(&format!("UPDATE {table} SET {column} = '{value}' WHERE symbol = 'ETHUSDT'"));
        world.buy("ETHUSDT", "0.5").await;
        world.buy("BTCUSDT", "0.02").await;
        for look in 0..3 {
            let report = world.sync().await;
            let found = report.findings.iter().find(|found| found.finding.kind == DiscrepancyKind::UnreadableRow);
            let found = found.unwrap_or_else(|| panic!("{table} {look}: {:#?}", report.findings));
            assert_eq!(found.status, DiscrepancyStatus::Unresolved);
            assert!(found.finding.evidence.contains(&format!("table {table}")), "{}", found.finding.evidence);
            let left: Vec<_> = report.left.iter().map(|left| left.entry.key.kind.as_str()).collect();
            assert_eq!(left, ["unreadable_row"], "{table} {look}: {:#?}", report.left);
            // The look in between may confirm what the one before it read.
            assert!(look == 1 || report.run.is_some() == (look == 0), "{table} {look}: the same again is no news");
            assert_eq!(world.held("BTCUSDT").await, (Some(dec("0.03")), world.traded("BTCUSDT")), "{table} {look}");
        }
        // A backup is brought back: all that was missed is there to be read.
        std::fs::write(world.sandbox.path().join("fillbook.db"), good).unwrap();
        for side in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(world.sandbox.path().join(format!("fillbook.db{side}")));
        }
        world.sync().await;
        assert!(!world.sync().await.leaves_discrepancies());
        assert_eq!(world.held("ETHUSDT").await, (Some(dec("1.5")), world.traded("ETHUSDT")));
    }
}

#[tokio::test]
async fn a_row_that_was_mended_is_told_no_more_and_nothing_was_missed() {
    let world = World::new(402);
    world.buy("ETHUSDT", "1").await;
    assert!(!world.sync().await.leaves_discrepancies());
    world.sandbox.tamper("CREATE TABLE aside AS SELECT * FROM fills; UPDATE fills SET qty = 'x'");
    world.buy("ETHUSDT", "0.5").await;
    world.simulator.step(Duration::from_hours(1));
    assert!(world.sync().await.leaves_discrepancies());
    // A day later nobody would read that far back by himself.
    world.simulator.step(Duration::from_hours(30));
    assert!(world.sync().await.leaves_discrepancies());
    world
        .sandbox
        .tamper("UPDATE fills SET qty = (SELECT qty FROM aside WHERE aside.fill_id = fills.fill_id); DROP TABLE aside");
    world.sandbox.run(&["rebuild"]).exits(0);
    let report = world.sync().await;
    assert!(!report.leaves_discrepancies(), "{:#?}", report.left);
    assert_eq!(world.held("ETHUSDT").await, (Some(dec("1.5")), world.traded("ETHUSDT")));
}
