//! The checks.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::WalletEffect;
use exchange_client::binance_usdm::VENUE;
use ledger_core::{
    AccountId, Asset, Decimal, Fill, FillId, FillKey, Income, IncomeType, MathError, Side, Symbol, TimestampMs,
};
use ledger_store::{DiscrepancyFilter, FillFilter, IncomeFilter, OrderFilter, PageRequest, Scope, SignalFilter, Store};

use super::super::PAGE;
use super::super::rebuild::count;
use crate::error::{CommandError, ExitCode};
use crate::output::Output;

/// How many examples a failed check names.
const EXAMPLES: usize = 3;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    NotCheckable,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotCheckable => "not checkable",
        }
    }
}

/// A check and what it found.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) detail: String,
    /// The exit code if it failed.
    pub(crate) failure: ExitCode,
}

impl Check {
    pub(super) fn pass(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Pass, detail: detail.into(), failure: ExitCode::Fine }
    }

    pub(super) fn not_checkable(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::NotCheckable, detail: why.into(), failure: ExitCode::Fine }
    }

    pub(super) fn fail(name: &'static str, failure: ExitCode, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, detail: detail.into(), failure }
    }
}

/// Faults of one kind: how many, and a few of them in words.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) number: u64,
    pub(super) examples: Vec<String>,
}

impl Faults {
    pub(super) fn add(&mut self, example: impl FnOnce() -> String) {
        self.number += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }

    pub(super) fn story(&self, what: &str) -> String {
        let more = if self.number > self.examples.len() as u64 { "; ..." } else { "" };
        format!("{}: {}{more}", count(self.number, what), self.examples.join("; "))
    }
}

/// Runs every check. `scratch` is a copy of the book that may be changed.
pub(crate) async fn all(
    store: &dyn Store,
    scratch: &dyn Store,
    account: &AccountId,
    output: &mut Output,
) -> Result<Vec<Check>, CommandError> {
    let mut checks = Vec::new();
    output.progress("checking the file");
    checks.push(schema(store).await?);
    output.progress("checking what is derived");
    checks.push(super::derived::derived(store, account).await?);
    output.progress("recomputing a copy");
    checks.push(super::derived::recomputation(store, scratch, account).await?);
    output.progress("adding up cash flows");
    checks.push(super::derived::conservation(store, account).await?);
    checks.push(conflicts(store, account).await?);
    checks.push(position_mode(store, account).await?);
    output.progress("checking orders");
    checks.push(executed(store, account).await?);
    checks.push(foreign(store, account).await?);
    checks.push(realized(store, account).await?);
    output.progress("checking income");
    checks.push(income(store, account).await?);
    checks.push(footing(store, account).await?);
    Ok(checks)
}

/// The database engine finds the file sound, its schema is this version's, and every payload is as it was received.
async fn schema(store: &dyn Store) -> Result<Check, CommandError> {
    let info = store.info().await?;
    let problems = store.integrity_check().await?;
    Ok(match problems.first() {
        None => Check::pass("schema", format!("version {}, file and payloads sound", info.schema_version)),
        Some(first) => {
            let more = if problems.len() > 1 { format!("; and {} more", problems.len() - 1) } else { String::new() };
            Check::fail("schema", ExitCode::Corrupt, format!("the file is not as it was written: {first}{more}"))
        }
    })
}

/// No fact is stated differently by different sources.
async fn conflicts(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "sources agree";
    let mut faults = Faults::default();
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.discrepancies(&DiscrepancyFilter::open(account.clone()), &request).await?;
        for found in page.items.iter().filter(|found| found.entry.key.kind == "conflicting_fact") {
            faults.add(|| format!("{} {}", found.entry.key.fingerprint, found.entry.evidence_json));
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    Ok(if faults.number > 0 {
        Check::fail(NAME, ExitCode::Discrepancies, faults.story("conflict"))
    } else {
        Check::pass(NAME, "no fact is stated in two ways")
    })
}

/// Nothing contradicts the user's word about the position mode, by which fills without a position side are placed.
async fn position_mode(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "position mode";
    if let Some(contradiction) = super::super::journal::mode_contradiction(store, account).await? {
        return Ok(Check::fail(NAME, ExitCode::Discrepancies, contradiction));
    }
    let account = store.account(account).await?;
    Ok(match account.as_ref().and_then(|account| account.mode().map(|mode| (mode, account.position_mode.is_some()))) {
        Some((mode, true)) => Check::pass(NAME, format!("{mode}, as was said; nothing contradicts it")),
        Some((mode, false)) => Check::pass(NAME, format!("{mode}, by the exchange's answer")),
        None => Check::pass(NAME, "nobody has said it, and no fill is placed by it"),
    })
}

/// Every order's executed quantity is the sum of its fills.
async fn executed(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "executed against fills";
    let filter = OrderFilter::from(Scope::account(account.clone()));
    let (mut faults, mut checked) = (Faults::default(), 0);
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.orders(&filter, &request).await?;
        for order in page.items {
            let fact = &order.order.fact;
            let Some(executed) = &fact.executed else { continue };
            if fact.key.class != ledger_core::OrderClass::Regular {
                continue;
            }
            checked += 1;
            let filled = order.filled_qty.unwrap_or_default();
            if filled != executed.qty {
                faults.add(|| {
                    format!("{} order {} executed {}, fills {filled}", fact.key.symbol, fact.key.order_id, executed.qty)
                });
            }
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    Ok(if faults.number > 0 {
        Check::fail(NAME, ExitCode::Discrepancies, faults.story("order"))
    } else if checked == 0 {
        Check::not_checkable(NAME, "no order says how much was executed")
    } else {
        Check::pass(NAME, count(checked, "order"))
    })
}

/// Which fills no signal of the book explains: trades by hand, or of another bot. They count like all others.
async fn foreign(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "foreign facts";
    let signals = SignalFilter::from(Scope::account(account.clone()));
    if store.signals(&signals, &PageRequest::first(1)).await?.items.is_empty() {
        return Ok(Check::not_checkable(NAME, "no signals on record"));
    }
    let filter = OrderFilter::from(Scope::account(account.clone()));
    let (mut own, mut foreign) = (0_u64, 0_u64);
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.orders(&filter, &request).await?;
        for order in page.items {
            if order.filled_qty.is_none_or(Decimal::is_zero) {
                continue;
            }
            let fact = &order.order.fact;
            *if fact.signal_id.is_some() || fact.engine.is_some() { &mut own } else { &mut foreign } += 1;
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    Ok(Check::pass(NAME, format!("{} of the bot, {foreign} by hand or of another bot", count(own, "executed order"))))
}

/// What the exchange reports as realized for each fill is what the fold says.
async fn realized(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "realized PnL against exchange";
    let books = store.symbol_books(account).await?;
    let number: u64 = books.iter().map(|book| book.pnl_mismatch_count).sum();
    if number > 0 {
        let page = store.pnl_mismatches(account, &PageRequest::first(PAGE)).await?;
        let mut faults = Faults::default();
        for mismatch in page.items {
            let told = |amount: Option<Decimal>| {
                amount.map_or_else(|| "unknown".to_owned(), |amount| amount.round(8).to_string())
            };
            faults.add(|| {
                let FillKey { symbol, fill_id, .. } = &mismatch.key;
                format!(
                    "{symbol} fill {fill_id} realized {}, the exchange says {}",
                    told(mismatch.derived),
                    told(mismatch.reported)
                )
            });
        }
        faults.number = number;
        return Ok(Check::fail(NAME, ExitCode::Discrepancies, faults.story("fill")));
    }
    let reported =
        any_fill(store, account, |fill| fill.exchange_realized_pnl.is_some_and(|pnl| !pnl.is_zero())).await?;
    Ok(if reported {
        Check::pass(NAME, "every closing fill agrees")
    } else {
        Check::not_checkable(NAME, "no fill says what the exchange realized")
    })
}

async fn any_fill(store: &dyn Store, account: &AccountId, holds: fn(&Fill) -> bool) -> Result<bool, CommandError> {
    let filter = FillFilter::from(Scope::account(account.clone()));
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.fills(&filter, &request).await?;
        if page.items.iter().any(|fill| holds(&fill.fact)) {
            return Ok(true);
        }
        let Some(next) = page.next else { return Ok(false) };
        request = request.after(next);
    }
}

/// The ledger rows of one fill, type and asset: the first row's time and the sum of their amounts. A fill can have
/// several rows, and both sides of a self-trade share an id.
type IncomeGroups = BTreeMap<(Symbol, FillId, IncomeType, Asset), (TimestampMs, Decimal)>;

/// Every realized profit and commission in the ledger has its fill, with the same amount.
async fn income(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "income against fills";
    let filter = IncomeFilter { scope: Scope::account(account.clone()), income_type: None };
    let (mut faults, mut checked, mut nameless) = (Faults::default(), 0_u64, 0_u64);
    let mut groups = IncomeGroups::new();
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.income(&filter, &request).await?;
        let read_to = page.items.last().map(|row| row.fact.time.at);
        for row in page.items {
            let Income { key, amount, time, fill_id, .. } = row.fact;
            if !key.income_type.is(IncomeType::REALIZED_PNL) && !key.income_type.is(IncomeType::COMMISSION) {
                continue;
            }
            let (Some(symbol), Some(fill_id)) = (key.symbol, fill_id) else {
                nameless += 1;
                continue;
            };
            let (_, sum) =
                groups.entry((symbol, fill_id, key.income_type, key.asset)).or_insert((time.at, Decimal::ZERO));
            *sum = sum.checked_add(amount)?;
        }
        // The rows of a fill share its time, so those of earlier times are complete.
        let complete = match (&page.next, read_to) {
            (Some(_), Some(read_to)) => groups.extract_if(.., |_, (at, _)| *at < read_to).collect(),
            _ => std::mem::take(&mut groups),
        };
        for ((symbol, fill_id, income_type, asset), (_, amount)) in complete {
            checked += 1;
            let fills = fills_of(store, account, &symbol, &fill_id).await?;
            if fills.is_empty() {
                faults.add(|| format!("{symbol} fill {fill_id} is missing ({income_type} {amount} {asset})"));
                continue;
            }
            match expected(&fills, &income_type, &asset)? {
                // Sources do not agree on the sign of a fee: the ledger's counts, and the fold takes it.
                Some(expected)
                    if fills.len() == 1 && income_type.is(IncomeType::COMMISSION) && expected.abs() == amount.abs() => {
                }
                Some(expected) if expected != amount => {
                    faults.add(|| {
                        format!("{symbol} fill {fill_id}: {income_type} {amount} {asset}, the fill says {expected}")
                    });
                }
                _ => {}
            }
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    let rest = if nameless > 0 { format!(" ({} name no fill)", count(nameless, "row")) } else { String::new() };
    Ok(if faults.number > 0 {
        Check::fail(NAME, ExitCode::Discrepancies, faults.story("row"))
    } else if checked == 0 && nameless > 0 {
        Check::not_checkable(NAME, format!("none of {} names its fill", count(nameless, "row")))
    } else if checked == 0 {
        Check::not_checkable(NAME, "no income on record")
    } else {
        Check::pass(NAME, format!("{}{rest}", count(checked, "row")))
    })
}

async fn fills_of(
    store: &dyn Store,
    account: &AccountId,
    symbol: &Symbol,
    fill_id: &FillId,
) -> Result<Vec<Fill>, CommandError> {
    let mut fills = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        let key = FillKey { symbol: symbol.clone(), fill_id: fill_id.clone(), side };
        fills.extend(store.fill(account, &key).await?.map(|fill| fill.fact));
    }
    Ok(fills)
}

/// What the ledger should say for these fills; `None` when they do not say it themselves.
fn expected(fills: &[Fill], income_type: &IncomeType, asset: &Asset) -> Result<Option<Decimal>, MathError> {
    let mut sum = Decimal::ZERO;
    for fill in fills {
        if income_type.is(IncomeType::COMMISSION) {
            let Some(fee) = &fill.fee else { return Ok(None) };
            if fee.asset == *asset {
                sum = sum.checked_sub(fee.amount)?;
            }
        } else {
            let Some(realized) = fill.exchange_realized_pnl else {
                return Ok(None);
            };
            sum = sum.checked_add(realized)?;
        }
    }
    Ok(Some(sum))
}

/// Between the first and the last balance on record, each asset moved by the sum of its ledger entries.
async fn footing(store: &dyn Store, account: &AccountId) -> Result<Check, CommandError> {
    const NAME: &str = "footing";
    let scope = Scope::account(account.clone());
    let mut edges: BTreeMap<Asset, [(TimestampMs, Decimal); 2]> = BTreeMap::new();
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.balance_snapshots(&scope, &request).await?;
        for balance in page.items {
            let point = (balance.fact.at, balance.fact.wallet);
            edges.entry(balance.fact.asset).or_insert([point; 2])[1] = point;
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    edges.retain(|_, [first, last]| first.0 < last.0);
    if edges.is_empty() {
        return Ok(Check::not_checkable(NAME, "fewer than two balances on record"));
    }
    let mut moved: BTreeMap<Asset, Decimal> = BTreeMap::new();
    let mut unknown_types: BTreeSet<IncomeType> = BTreeSet::new();
    // Assets with a row of the very millisecond of a balance: nothing says which of the two came first.
    let mut at_edge: BTreeSet<Asset> = BTreeSet::new();
    let filter = IncomeFilter { scope, income_type: None };
    let mut request = PageRequest::first(PAGE);
    loop {
        let page = store.income(&filter, &request).await?;
        for row in page.items {
            let Some([first, last]) = edges.get(&row.fact.key.asset) else {
                continue;
            };
            if row.fact.time.at == first.0 || row.fact.time.at == last.0 {
                at_edge.insert(row.fact.key.asset.clone());
            }
            if row.fact.time.at > first.0 && row.fact.time.at <= last.0 {
                if VENUE.wallet_effect(&row.fact.key.income_type) == WalletEffect::Undocumented {
                    unknown_types.insert(row.fact.key.income_type.clone());
                }
                let sum = moved.entry(row.fact.key.asset).or_default();
                *sum = sum.checked_add(row.fact.amount)?;
            }
        }
        let Some(next) = page.next else { break };
        request = request.after(next);
    }
    let mut faults = Faults::default();
    let (mut shown, mut undecided) = (Vec::new(), None);
    for (asset, [first, last]) in &edges {
        let change = last.1.checked_sub(first.1)?;
        // Without a single entry in between there is nothing to compare with: the ledger was not recorded.
        let Some(sum) = moved.get(asset).copied() else { continue };
        if change == sum {
            shown.push(format!("{change} {asset}"));
        } else if at_edge.contains(asset) {
            undecided = Some(asset);
        } else {
            faults.add(|| format!("{asset} moved by {change}, its ledger entries sum to {sum}"));
        }
    }
    Ok(if moved.is_empty() {
        Check::not_checkable(NAME, "no ledger entries on record between the balances")
    } else if let Some(income_type) = unknown_types.first().filter(|_| faults.number > 0) {
        Check::not_checkable(NAME, format!("what a row of type {income_type} does to the wallet is not known"))
    } else if faults.number > 0 {
        Check::fail(NAME, ExitCode::Corrupt, faults.story("asset"))
    } else if let Some(asset) = undecided {
        Check::not_checkable(NAME, format!("a balance of {asset} and a ledger entry are of one millisecond"))
    } else {
        Check::pass(NAME, format!("wallet and ledger both moved by {}", shown.join(", ")))
    })
}
