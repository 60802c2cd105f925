//! ledger-store beside plain rusqlite on the same tables, the same SQLite and the same settings, in one run.
//!
//! `cargo run --release` prints every measurement; each runs in a process of its own, so that peak memory is its own.
//! `cargo run --release -- commit 100000` runs one of them with another number of fills, `-- fold 1000000 9` with another
//! number of rounds as well.

use std::path::Path;
use std::time::{Duration, Instant};

use ledger_core::{
    AccountId, AnyFact, Asset, Decimal, EventTime, Fee, Fill, FillId, FillKey, Instrument, OrderId, PositionSide, Side,
    Source, Statement, Symbol, TimestampMs,
};
use ledger_store::{Batch, DerivedReader, NewAccount, OpenOptions, Refold, SqliteStore, Writer, rebuild};
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BATCH: usize = 10_000;
/// Those of the book's writer.
const SETTINGS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -65536;";
const START_MS: i64 = 1_767_225_600_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.get(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let rounds = arguments.get(2).map_or(Ok(5), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    match arguments.first().map(String::as_str) {
        Some("commit") => runtime.block_on(commit(count, rounds)),
        Some("fold") => runtime.block_on(fold(count, rounds)),
        Some("memory") => runtime.block_on(memory(count)),
        _ => {
            let this = std::env::current_exe()?;
            for name in ["commit", "fold", "memory"] {
                std::process::Command::new(&this).args([name, &count.to_string()]).status()?;
            }
            Ok(())
        }
    }
}

fn account() -> Result<AccountId> {
    Ok(AccountId::new("main")?)
}

/// Fills of ten to a round trip, two to an order, with a payload like the exchange's.
fn statement(index: usize) -> Result<Statement> {
    let id = i64::try_from(index)? + 1;
    let step = index % 10;
    let side = if step < 5 { Side::Buy } else { Side::Sell };
    let price = Decimal::new(i128::from(6_000_000 + (id * 7_919) % 10_000), 2)?;
    let qty = Decimal::new(15, 3)?;
    let fee = price.checked_mul(qty)?.checked_mul(Decimal::new(4, 4)?)?;
    let time = START_MS + id * 250;
    let payload = format!(
        "{{\"buyer\":{},\"commission\":\"{fee}\",\"commissionAsset\":\"USDT\",\"id\":{id},\"maker\":false,\"orderId\":{},\
         \"price\":\"{price}\",\"qty\":\"{qty}\",\"quoteQty\":\"{}\",\"realizedPnl\":\"0\",\"side\":\"{side}\",\
         \"positionSide\":\"BOTH\",\"symbol\":\"BTCUSDT\",\"time\":{time},\"marginAsset\":\"USDT\"}}",
        step < 5,
        id / 2 + 8_389_765_500_000_000_000,
        price.checked_mul(qty)?,
    );
    Ok(Statement {
        fact: AnyFact::Fill(Fill {
            key: FillKey {
                symbol: Symbol::new("BTCUSDT")?,
                fill_id: FillId::new((id + 100_000_000).to_string())?,
                side,
            },
            order_id: Some(OrderId::new((id / 2 + 8_389_765_500_000_000_000).to_string())?),
            time: EventTime::ms(TimestampMs::new(time)?),
            price: price.to_string().parse()?,
            qty: qty.to_string().parse()?,
            position_side: Some(PositionSide::Net),
            fee: Some(Fee { amount: fee, asset: Asset::new("USDT")? }),
            maker: Some(false),
            exchange_realized_pnl: None,
            sequence: Some(id + 100_000_000),
        }),
        source: Source::Rest,
        payload: Some(payload.into()),
    })
}

fn batch(statements: Vec<Statement>) -> Result<Batch> {
    Ok(Batch::new(account()?, TimestampMs::new(START_MS)?, statements).with_refold(Refold::Deferred))
}

async fn open(path: &Path) -> Result<SqliteStore> {
    let store = SqliteStore::open(path, &OpenOptions::creating())?;
    store
        .create_account(NewAccount {
            id: account()?,
            venue: "binance_usdm".to_owned(),
            created_local: TimestampMs::new(START_MS)?,
        })
        .await?;
    let instrument = Instrument::linear(Symbol::new("BTCUSDT")?, Asset::new("USDT")?)?;
    let statement = Statement { fact: AnyFact::Instrument(instrument), source: Source::Rest, payload: None };
    store.commit(batch(vec![statement])?).await?;
    Ok(store)
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// A plain prepared insert of rows that are ready: what the tables and SQLite cost by themselves.
fn plain_insert(path: &Path, batches: &[Vec<Statement>]) -> Result<Duration> {
    struct Ready {
        fill: Vec<rusqlite::types::Value>,
        source: Vec<rusqlite::types::Value>,
    }
    let mut ready = Vec::new();
    for statements in batches {
        let mut rows = Vec::with_capacity(statements.len());
        for statement in statements {
            let AnyFact::Fill(fill) = &statement.fact else { continue };
            let payload = statement.payload.as_deref().unwrap_or_default();
            let hash: Vec<u8> = Sha256::digest(payload.as_bytes())[..16].to_vec();
            let text = |text: &str| rusqlite::types::Value::Text(text.to_owned());
            let key = &fill.key;
            rows.push(Ready {
                fill: vec![
                    text("main"),
                    text(key.symbol.as_str()),
                    text(key.fill_id.as_str()),
                    text(key.side.as_str()),
                    text(fill.order_id.as_ref().map_or("", |id| id.as_str())),
                    fill.time.at.as_ms().into(),
                    text("ms"),
                    text(&fill.price.to_string()),
                    text(&fill.qty.to_string()),
                    text("NET"),
                    text(&fill.fee.as_ref().map(|fee| fee.amount.to_string()).unwrap_or_default()),
                    text("USDT"),
                    0_i64.into(),
                    rusqlite::types::Value::Null,
                    fill.sequence.unwrap_or_default().into(),
                    text("rest"),
                    rusqlite::types::Value::Null,
                    rusqlite::types::Value::Null,
                ],
                source: vec![
                    text("main"),
                    text("fill"),
                    text(&format!("{}|{}|{}", key.symbol, key.side, key.fill_id)),
                    text("rest"),
                    hash.into(),
                    text(payload),
                    START_MS.into(),
                    rusqlite::types::Value::Null,
                ],
            });
        }
        ready.push(rows);
    }
    let mut conn = rusqlite::Connection::open(path)?;
    conn.execute_batch(SETTINGS)?;
    let start = Instant::now();
    for rows in &ready {
        let transaction = conn.transaction()?;
        {
            let mut fill = transaction.prepare_cached(
                "INSERT INTO fills (account_id, symbol, fill_id, side, order_id, ts, ts_precision, price, qty, position_side,
                 fee, fee_asset, maker, exchange_realized_pnl, sequence, source, field_sources, conflicts)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?;
            let mut source = transaction.prepare_cached("INSERT INTO fact_sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
            for row in rows {
                fill.execute(rusqlite::params_from_iter(&row.fill))?;
                source.execute(rusqlite::params_from_iter(&row.source))?;
            }
        }
        transaction.commit()?;
    }
    Ok(start.elapsed())
}

/// Commits batches, two at a time: one is encoded while the other is written.
async fn commit_all(store: &SqliteStore, batches: Vec<Vec<Statement>>) -> Result<Duration> {
    let start = Instant::now();
    let mut batches = batches.into_iter();
    while let Some(first) = batches.next() {
        let second = batches.next().unwrap_or_default();
        let (first, second) = (batch(first)?, batch(second)?);
        let (first, second) = tokio::join!(store.commit(first), store.commit(second));
        first?;
        second?;
    }
    Ok(start.elapsed())
}

fn batches(count: usize) -> Result<Vec<Vec<Statement>>> {
    (0..count).step_by(BATCH).map(|first| (first..(first + BATCH).min(count)).map(statement).collect()).collect()
}

async fn commit(count: usize, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let generated = batches(count)?;
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let plain_path = folder.path().join(format!("plain{round}.db"));
        drop(open(&plain_path).await?);
        let plain = plain_insert(&plain_path, &generated)?;
        let path = folder.path().join(format!("book{round}.db"));
        let store = open(&path).await?;
        let ours = commit_all(&store, generated.clone()).await?;
        drop(store);
        let ratio = plain.as_secs_f64() / ours.as_secs_f64();
        ratios.push(ratio);
        println!(
            "commit of {count} new fills with payloads: {:.0}/s; plain rusqlite of ready rows: {:.0}/s; ratio {ratio:.2}",
            per_second(count, ours),
            per_second(count, plain)
        );
        std::fs::remove_file(plain_path)?;
        std::fs::remove_file(path)?;
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2} (target: at least 0.90)", ratios[ratios.len() / 2]);
    Ok(())
}

/// Reads every fill in fold order, and takes every column that is asked for.
fn plain_scan(path: &Path, columns: &str) -> Result<(usize, Duration)> {
    let conn = rusqlite::Connection::open(path)?;
    // As the book's own connections.
    conn.execute_batch(SETTINGS)?;
    let start = Instant::now();
    let mut scan = conn.prepare(&format!(
        "SELECT {columns} FROM fills
         WHERE account_id = 'main' AND symbol = 'BTCUSDT' AND position_side IS NOT NULL
         ORDER BY sequence, ts, fill_id, side"
    ))?;
    let columns = scan.column_count();
    let mut rows = scan.query([])?;
    let (mut count, mut owned) = (0, 0);
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            // Owned, as any reader has it that keeps the row longer than a step.
            if let rusqlite::types::Value::Text(text) = row.get(column)? {
                owned += text.len();
            }
        }
        count += 1;
    }
    assert!(owned > count);
    Ok((count, start.elapsed()))
}

/// The same fills without a round trip: every sixth to tenth one buys, too.
fn without_trips(batches: &mut [Vec<Statement>]) {
    for statement in batches.iter_mut().flatten() {
        if let AnyFact::Fill(fill) = &mut statement.fact {
            fill.key.side = Side::Buy;
        }
    }
}

async fn fold(count: usize, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bought.db");
    let store = open(&path).await?;
    let mut bought = batches(count)?;
    without_trips(&mut bought);
    commit_all(&store, bought).await?;
    println!("without round trips:");
    rebuilt_beside_scans(&store, &path, count, rounds).await?;
    drop(store);
    std::fs::remove_file(path)?;
    let path = folder.path().join("book.db");
    let store = open(&path).await?;
    commit_all(&store, batches(count)?).await?;
    println!("with a round trip in ten fills:");
    rebuilt_beside_scans(&store, &path, count, rounds).await?;
    late(&store, count).await
}

async fn rebuilt_beside_scans(store: &SqliteStore, path: &Path, count: usize, rounds: usize) -> Result<()> {
    let ns = |took: Duration| took.as_nanos() as f64 / count as f64;
    let (mut ours_ns, mut scan_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folded =
            "fill_id, side, order_id, ts, price, qty, position_side, fee, fee_asset, exchange_realized_pnl, sequence";
        let (rows, scan) = plain_scan(path, folded)?;
        assert_eq!(rows, count);
        let start = Instant::now();
        rebuild(store, &account()?, &mut |_, _| {}).await?;
        let ours = start.elapsed();
        println!(
            "scan + revalidate + fold + write of {count} fills: {:.0} ns a fill; plain rusqlite's scan of the same columns: {:.0}, ratio {:.2}",
            ns(ours),
            ns(scan),
            ours.as_secs_f64() / scan.as_secs_f64(),
        );
        ours_ns.push(ns(ours));
        scan_ns.push(ns(scan));
        ratios.push(ours.as_secs_f64() / scan.as_secs_f64());
    }
    for values in [&mut ours_ns, &mut scan_ns, &mut ratios] {
        values.sort_by(f64::total_cmp);
    }
    println!(
        "least of {rounds} rounds: {:.0} and {:.0} ns, ratio {:.2}; median ratio {:.2} (target: at most 2)",
        ours_ns[0],
        scan_ns[0],
        ours_ns[0] / scan_ns[0],
        ratios[rounds / 2]
    );
    Ok(())
}

async fn late(store: &SqliteStore, count: usize) -> Result<()> {
    for (what, index) in [("newest", count), ("1,000 back", count - 1_000), ("in the middle", count / 2)] {
        let mut late = statement(index)?;
        if let AnyFact::Fill(fill) = &mut late.fact {
            fill.key.side = fill.key.side.opposite();
        }
        let mut batch = batch(vec![late])?;
        batch.refold = Refold::Now;
        let start = Instant::now();
        let report = store.commit(batch).await?;
        let folded: u64 = report.refolded.iter().map(|report| report.fills).sum();
        println!(
            "a fill that comes late, {what}: {:.1} ms, {folded} fills folded",
            start.elapsed().as_secs_f64() * 1e3
        );
    }
    println!("{} positions", store.positions(&account()?).await?.len());
    Ok(())
}

fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

async fn memory(count: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = open(&folder.path().join("book.db")).await?;
    for fraction in [10, 1] {
        for first in (0..count / fraction).step_by(BATCH) {
            let last = (first + BATCH).min(count / fraction);
            store.commit(batch((first..last).map(statement).collect::<Result<_>>()?)?).await?;
        }
        rebuild(&store, &account()?, &mut |_, _| {}).await?;
        println!("peak memory with {} fills recorded and folded: {} MiB", count / fraction, peak_kib()? / 1_024);
    }
    Ok(())
}
