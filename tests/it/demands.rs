//! What trades and held positions demand of the ledger, in books of a simulated exchange: nothing is missing at any moment of
//! their life, and each row that is taken away or altered is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::simulator::{AccountSnapshot, AppOrder, Simulator, SimulatorAccount, SimulatorConfig};
use exchange_client::{Clock, ManualClock};
use ledger_core::{AccountId, Decimal, PositionSide, Quantity, Side, Symbol};
use ledger_store::{OpenOptions, SqliteStore};
use reconciler::{
    Check, CheckName, CycleReport, DiscrepancyKind, Reconciler, ReconcilerConfig, Verdict, WholeBook, verify_book,
};
use serde_json::Value;

use crate::support::{Sandbox, simulated};

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// An account that trades at random, and its book.
struct World {
    seed: u64,
    simulator: Arc<Simulator>,
    clock: Arc<ManualClock>,
    exchange: Arc<BinanceUsdm>,
    sandbox: Sandbox,
}

fn store_at(path: &std::path::Path) -> Arc<SqliteStore> {
    let venue = &exchange_client::binance_usdm::VENUE;
    let options = OpenOptions::inline().with_rules(venue.name, venue.ledger_rules);
    Arc::new(SqliteStore::open(path, &options).unwrap())
}

fn main_account() -> AccountId {
    AccountId::new("main").unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut account = SimulatorAccount::standard();
        account.hedge_mode = seed % 2 == 1;
        account.fees_in_bnb = !seed.is_multiple_of(3);
        account.deposits.push(("BNB".into(), "0.02".into()));
        let config = SimulatorConfig {
            accounts: vec![account],
            tick_ms: 600_000,
            settle_lag_ms: if seed.is_multiple_of(4) { 2_000 } else { 0 },
            weight_1m_max: None,
            ..SimulatorConfig::new(seed)
        };
        let (simulator, clock, exchange) = simulated(config);
        Self { seed, simulator, clock, exchange, sandbox: Sandbox::with_book(&[]) }
    }

    fn reconciler(&self) -> Reconciler {
        self.reconciler_of(&self.sandbox)
    }

    fn reconciler_of(&self, sandbox: &Sandbox) -> Reconciler {
        Reconciler {
            exchange: Arc::clone(&self.exchange) as _,
            book: store_at(&sandbox.path().join("fillbook.db")),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            config: ReconcilerConfig::new(main_account()),
        }
    }

    async fn sync(&self) -> CycleReport {
        self.reconciler().sync().await.unwrap()
    }

    fn books(&self) -> AccountSnapshot {
        self.simulator.books().accounts.remove(0)
    }

    /// One thing that may happen on a day.
    fn act(&self, dice: &mut Dice) {
        let alias = SimulatorAccount::standard().alias;
        let is_hedge = self.seed % 2 == 1;
        self.simulator.step(Duration::from_millis(1 + dice.roll(9_000_000)));
        let name = ["BTCUSDT", "ETHUSDT", "ETHUSDC"][usize::try_from(dice.roll(3)).unwrap()];
        let symbol = Symbol::new(name).unwrap();
        let lots = 1 + dice.roll(30);
        let qty = if name == "BTCUSDT" { format!("0.{lots:03}") } else { format!("{}.{}", lots / 10, 1 + lots % 9) };
        let qty: Quantity = qty.parse().unwrap();
        let side = if dice.roll(2) == 0 { Side::Buy } else { Side::Sell };
        let position_side = match (is_hedge, dice.roll(2)) {
            (false, _) => PositionSide::Net,
            (true, 0) => PositionSide::Long,
            (true, _) => PositionSide::Short,
        };
        let order = AppOrder {
            prefix: "web_",
            symbol: symbol.clone(),
            side,
            position_side,
            qty,
            price: None,
            reduce_only: false,
        };
        match dice.roll(12) {
            0 => {
                let amount = Decimal::new(i128::from(dice.roll(8_000_000_000)) - 4_000_000_000, 8).unwrap();
                self.simulator.deposit(&alias, "USDT", amount).unwrap();
            }
            1 => drop(self.simulator.force_liquidation(&alias, &symbol, position_side)),
            2 => drop(self.simulator.close_from_app(&alias, &symbol, position_side)),
            // Refused where there is nothing to close in hedge mode.
            _ => drop(self.simulator.trade_from_app(&alias, &order)),
        }
    }
}

/// The two checks, by name.
async fn demands(path: &std::path::Path) -> BTreeMap<CheckName, Check> {
    // Nothing of what is derived is of interest here, so the book may be its own copy.
    let store = store_at(path);
    let account = main_account();
    let whole =
        WholeBook { account: &account, venue: &exchange_client::binance_usdm::VENUE, store: &*store, scratch: &*store };
    let checks = verify_book(&whole, &mut |_| {}).await.unwrap();
    checks.into_iter().map(|check| (check.name, check)).collect()
}

const DEMANDS: [CheckName; 2] = [CheckName::FillsHaveIncome, CheckName::Funding];

fn is_demand(kind: DiscrepancyKind) -> bool {
    use DiscrepancyKind as Kind;
    matches!(kind, Kind::MissingIncome | Kind::MissingFunding | Kind::FundingMismatch)
}

/// A copy of the book that somebody changes by hand.
fn tampered(world: &World, statements: &str) -> Sandbox {
    let copy = Sandbox::empty();
    for (name, bytes) in world.sandbox.files() {
        copy.write(&name, bytes);
    }
    copy.tamper(statements);
    copy
}

#[expect(clippy::disallowed_methods, reason = "a long campaign asks for more than the suite has time for")]
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|count| count.parse().ok());
    match number("FILLBOOK_DEMAND_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FILLBOOK_DEMAND_SEEDS").unwrap_or(20),
    }
}

/// A finished life of a random account, with its book up to date. `each` looks on.
async fn live(seed: u64, mut each: impl AsyncFnMut(&World, u64)) -> World {
    let world = World::new(seed);
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0D1C_EFAC);
    for day in 0..40 {
        world.act(&mut dice);
        if day == 33 && seed % 5 == 4 {
            drop(world.simulator.settle_contract(&Symbol::new("ETHUSDC").unwrap()));
        }
        each(&world, dice.roll(6)).await;
    }
    for minutes in [3, 20, 20] {
        world.simulator.step(Duration::from_mins(minutes));
        world.sync().await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn random_accounts_demand_nothing_that_they_have() {
    let (mut kinds, mut compared) = (BTreeSet::new(), BTreeMap::<CheckName, usize>::new());
    for seed in seeds() {
        let assert_nothing = |report: &CycleReport| {
            let found: Vec<_> = report.findings.iter().filter(|found| is_demand(found.finding.kind)).collect();
            assert!(found.is_empty(), "seed {seed}: {found:#?}");
        };
        let world = live(seed, async |world, die| match die {
            0 => assert_nothing(&world.sync().await),
            1 => assert_nothing(&world.reconciler().audit().await.unwrap()),
            2 => {
                for (name, check) in demands(&world.sandbox.path().join("fillbook.db")).await {
                    assert!(!DEMANDS.contains(&name) || !check.failed(), "seed {seed}: {check:?}");
                }
            }
            _ => {}
        })
        .await;
        kinds.extend(world.books().income.iter().map(|row| (row.income_type.clone(), row.asset.clone())));
        for (name, check) in demands(&world.sandbox.path().join("fillbook.db")).await {
            if !DEMANDS.contains(&name) {
                continue;
            }
            let Verdict::Pass { compared: number } = check.verdict else { panic!("seed {seed}: {check:?}") };
            *compared.entry(name).or_default() += number;
        }
    }
    if seeds().count() == 1 {
        return;
    }
    for (kind, asset) in
        [("INSURANCE_CLEAR", "USDT"), ("COMMISSION", "BNB"), ("COMMISSION", "USDT"), ("FUNDING_FEE", "USDC")]
    {
        assert!(kinds.contains(&(kind.to_owned(), asset.to_owned())), "{kind} {asset}: {kinds:?}");
    }
    assert!(compared.values().all(|number| *number > 100), "{compared:?}");
}

/// A row of the book's ledger.
#[derive(Debug, Clone)]
struct Row {
    kind: String,
    tran_id: String,
    symbol: String,
    amount: Decimal,
    ms: i64,
}

fn ledger(sandbox: &Sandbox) -> Vec<Row> {
    let rows = sandbox.run(&["income", "--json"]).exits(0).json();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| Row {
        kind: text(row, "income_type"),
        tran_id: text(row, "tran_id"),
        symbol: text(row, "symbol"),
        amount: text(row, "amount").parse().unwrap(),
        ms: row["ts"].as_i64().unwrap(),
    };
    rows.iter().map(row).collect()
}

fn key(row: &Row) -> String {
    format!("(income_type = '{}' AND tran_id = '{}' AND symbol = '{}')", row.kind, row.tran_id, row.symbol)
}

fn keys(rows: &[Row]) -> String {
    rows.iter().map(key).collect::<Vec<_>>().join(" OR ")
}

fn failed(check: &Check) -> (usize, Vec<String>) {
    match &check.verdict {
        Verdict::Fail { count, differences, .. } => (*count, differences.clone()),
        _ => (0, Vec::new()),
    }
}

/// Whether a missing or altered funding row may go unnoticed: the position changed within a minute of it, or it is taken away
/// together with what the other position of the hedge was paid, and both paid each other: then the exchange may book nothing.
fn is_unnoticeable(books: &AccountSnapshot, row: &Row, taken: &[Row]) -> bool {
    let near = |ms: i64| (ms - row.ms).abs() <= 61_000;
    let of_instant: Vec<&Row> = taken.iter().filter(|other| other.symbol == row.symbol && near(other.ms)).collect();
    let sum = of_instant.iter().try_fold(Decimal::ZERO, |sum, other| sum.checked_add(other.amount));
    let has_changed = books.trades.iter().any(|trade| trade.symbol == row.symbol && near(trade.time_ms));
    has_changed || (!of_instant.is_empty() && sum == Ok(Decimal::ZERO))
}

#[tokio::test(start_paused = true)]
async fn every_row_that_is_taken_away_or_altered_is_noticed() {
    let (mut taken, mut noticed, mut explained, mut trades) = (0, 0, 0, 0);
    for seed in seeds().step_by(5) {
        let world = live(seed, async |_, _| {}).await;
        let books = world.books();
        let rows = ledger(&world.sandbox);
        let path = |sandbox: &Sandbox| sandbox.path().join("fillbook.db");
        // Of trades: a part of all rows at a time, each row in one of the parts.
        let is_trade = |row: &&Row| row.kind == "COMMISSION" || row.kind == "REALIZED_PNL";
        let of_trades: Vec<Row> = rows.iter().filter(is_trade).filter(|row| !row.amount.is_zero()).cloned().collect();
        for part in 0..4 {
            let mine: Vec<Row> = of_trades.iter().skip(part).step_by(4).cloned().collect();
            let deleted = tampered(&world, &format!("DELETE FROM income WHERE {}", keys(&mine)));
            let checks = demands(&path(&deleted)).await;
            let (count, named) = failed(&checks[&CheckName::FillsHaveIncome]);
            assert_eq!(count, mine.len(), "seed {seed}, part {part}: {:?}", checks[&CheckName::FillsHaveIncome]);
            assert!(named.iter().all(|line| line.contains("the ledger has no such row")), "{named:?}");
            let altered = tampered(&world, &format!("UPDATE income SET amount = '-77.7' WHERE {}", keys(&mine)));
            let checks = demands(&path(&altered)).await;
            let (count, _) = failed(&checks[&CheckName::IncomeHasFills]);
            assert_eq!(count, mine.len(), "seed {seed}, part {part}: {:?}", checks[&CheckName::IncomeHasFills]);
            trades += 2 * mine.len();
        }
        // Of funding: few at a time, for each is to be named.
        let funding: Vec<Row> = rows.iter().filter(|row| row.kind == "FUNDING_FEE").cloned().collect();
        for mine in funding.chunks(5) {
            let deletion = format!("DELETE FROM income WHERE {}", keys(mine));
            let alteration = format!("UPDATE income SET amount = '-7.7' WHERE {}", keys(mine));
            let nothing = Vec::new();
            for (statements, gone) in [(deletion, mine), (alteration, nothing.as_slice())] {
                let copy = tampered(&world, &statements);
                let checks = demands(&path(&copy)).await;
                let (_, named) = failed(&checks[&CheckName::Funding]);
                for row in mine {
                    taken += 1;
                    let when = minute_of(row.ms);
                    let is_named = named.iter().any(|line| line.contains(&row.symbol) && line.contains(&when));
                    match (is_named, is_unnoticeable(&books, row, gone)) {
                        (true, _) => noticed += 1,
                        (false, true) => explained += 1,
                        (false, false) => {
                            panic!("seed {seed}: {row:?} of {statements}: {:?}", checks[&CheckName::Funding])
                        }
                    }
                }
            }
        }
    }
    let tally = format!("{trades} rows of trades; {taken} of funding: {noticed} noticed, {explained} explained");
    assert!(trades > 0 && noticed * 10 > taken * 9, "{tally}");
}

/// The minute of an instant as fillbook shows it: rows are posted some moments after it.
fn minute_of(ms: i64) -> String {
    let minutes = ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    // Days since 1970 as a date of the Gregorian calendar.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

/// What `verify` says of one check, and its exit code.
fn said(sandbox: &Sandbox, check: &str) -> (i32, String) {
    let run = sandbox.run(&["verify", "--json"]);
    let checks = run.json();
    let found = checks.iter().find(|line| line["check"] == check).unwrap();
    (run.code, format!("{} {}", found["verdict"].as_str().unwrap(), found["detail"].as_str().unwrap()))
}

/// The command line names what somebody deleted or altered in a book, and looks bring back what was deleted.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_by_hand_is_named_and_restored() {
    let world = live(2, async |_, _| {}).await;
    let (books, rows) = (world.books(), ledger(&world.sandbox));
    let first = |kind: &str| rows.iter().find(|row| row.kind == kind && !is_unnoticeable(&books, row, &[])).unwrap();
    let (sound, _) = said(&world.sandbox, "funding");
    assert_eq!(sound, 0, "{}", world.sandbox.run(&["verify"]).transcript());
    let commission = rows.iter().find(|row| row.kind == "COMMISSION" && !row.amount.is_zero()).unwrap();
    for (check, row) in [("fills_have_income", commission), ("funding", first("FUNDING_FEE"))] {
        let copy = tampered(&world, &format!("DELETE FROM income WHERE {}", key(row)));
        let (code, detail) = said(&copy, check);
        // Without its funding a position is not what the facts give, which is worse.
        assert!(code == 3 || code == 6, "{code} {detail}");
        assert!(detail.starts_with("fail 1 ") && detail.contains(&row.symbol), "{detail}");
        assert!(detail.contains(&row.amount.to_string()) && detail.contains("no such row"), "{detail}");
        for look in 0..3 {
            world.simulator.step(Duration::from_mins(1));
            let report = world.reconciler_of(&copy).sync().await.unwrap();
            assert!(!report.leaves_discrepancies(), "{check} {look}: {:#?}", report.left);
        }
        let restored = ledger(&copy);
        assert!(restored.iter().any(|again| key(again) == key(row) && again.amount == row.amount), "{check}");
        let (code, detail) = said(&copy, check);
        assert!(code == 0 && detail.starts_with("pass"), "{code} {detail}");
    }
    let row = first("FUNDING_FEE");
    let copy = tampered(&world, &format!("UPDATE income SET amount = '-0.7777' WHERE {}", key(row)));
    let (_, detail) = said(&copy, "funding");
    assert!(detail.starts_with("fail 1 ") && detail.contains("the ledger says -0.7777"), "{detail}");
    assert!(detail.contains(&row.symbol) && detail.contains(&minute_of(row.ms)), "{detail}");
}
