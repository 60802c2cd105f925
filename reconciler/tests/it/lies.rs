//! An exchange that lies in one look: at each endpoint and in each way in turn. Three honest looks later the book is what
//! an honest exchange would have made it, and nothing is left of the lie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use exchange_client::{ExchangeReader, Request, Response, Transport, TransportError};
use ledger_store::DiscrepancyStatus;
use reconciler::{CycleReport, DiscrepancyKind};
use serde_json::Value;

use crate::support::{Fixture, for_months};

/// How an answer is falsified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// No rows at all.
    Empty,
    FirstMissing,
    MiddleMissing,
    LastMissing,
    /// Only the first half of the rows.
    Cut,
    /// Each row twice.
    Doubled,
    /// The ledger row of this transaction is missing, whatever is asked.
    Without(i64),
    /// The same, where rows of all types are asked for.
    OnlyByType(i64),
    /// The same, where rows of one type are asked for.
    NotByType(i64),
    /// The body ends in the middle.
    Torn,
    /// The first answer of this endpoint, for ever.
    Stale,
    /// An error status with a body that says nothing.
    Status(u16),
    Html,
    /// The connection breaks behind the request.
    Lost,
}

pub(crate) const LIES: [Lie; 14] = [
    Lie::Empty,
    Lie::FirstMissing,
    Lie::MiddleMissing,
    Lie::LastMissing,
    Lie::Cut,
    Lie::Doubled,
    Lie::Torn,
    Lie::Stale,
    Lie::Status(429),
    Lie::Status(418),
    Lie::Status(503),
    Lie::Status(403),
    Lie::Html,
    Lie::Lost,
];

/// Where lies are told.
pub(crate) const ENDPOINTS: [&str; 13] = [
    "/fapi/v1/income",
    "/fapi/v1/userTrades",
    "/fapi/v1/allOrders",
    "/fapi/v1/forceOrders",
    "/fapi/v1/allAlgoOrders",
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v1/order",
    "/fapi/v3/positionRisk",
    "/fapi/v3/balance",
    "/fapi/v1/premiumIndex",
    "/fapi/v1/exchangeInfo",
    "/fapi/v1/fundingRate",
];

impl Lie {
    pub(crate) fn told(self, answer: &Response, first: &Response) -> Option<Response> {
        let with_body = |body: Vec<u8>| Response { body: body.into(), ..answer.clone() };
        let error = |status: u16, body: &'static str| Response { status, headers: Vec::new(), body: body.into() };
        let changed = |change: &dyn Fn(&mut Vec<Value>)| {
            let mut value: Value = serde_json::from_slice(&answer.body).ok()?;
            let rows = match &mut value {
                Value::Array(rows) => rows,
                Value::Object(fields) => fields.get_mut("symbols").and_then(Value::as_array_mut)?,
                _ => return None,
            };
            change(rows);
            Some(with_body(value.to_string().into_bytes()))
        };
        match self {
            Self::Empty => changed(&Vec::clear),
            Self::FirstMissing => changed(&|rows| drop((!rows.is_empty()).then(|| rows.remove(0)))),
            Self::MiddleMissing => changed(&|rows| drop((!rows.is_empty()).then(|| rows.remove(rows.len() / 2)))),
            Self::LastMissing => changed(&|rows| drop(rows.pop())),
            Self::Cut => changed(&|rows| rows.truncate(rows.len() / 2)),
            Self::Doubled => changed(&|rows| *rows = rows.iter().flat_map(|row| [row.clone(), row.clone()]).collect()),
            Self::Without(id) | Self::OnlyByType(id) | Self::NotByType(id) => {
                changed(&|rows| rows.retain(|row| row["tranId"].as_i64() != Some(id)))
            }
            Self::Torn => Some(with_body(answer.body[..answer.body.len() / 2].to_vec())),
            Self::Stale => Some(first.clone()),
            Self::Status(status) => Some(error(status, "{}")),
            Self::Html => Some(error(200, "<html><body>maintenance</body></html>")),
            Self::Lost => None,
        }
    }
}

/// The way to an exchange, on which answers are falsified while a lie is told.
pub(crate) struct Liar {
    inner: Arc<dyn Transport>,
    lie: Mutex<Option<(&'static str, Lie)>>,
    first: Mutex<BTreeMap<String, Response>>,
    pub(crate) told: Mutex<usize>,
}

impl Liar {
    pub(crate) fn before(inner: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self { inner, lie: Mutex::default(), first: Mutex::default(), told: Mutex::default() })
    }

    pub(crate) fn set(&self, lie: Option<(&'static str, Lie)>) {
        *self.lie.lock().unwrap() = lie;
    }
}

/// Shares a liar with the adapter that asks through it.
struct Through(Arc<Liar>);

#[async_trait]
impl Transport for Through {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let path = request.path.clone();
        let names_a_type = request.query.contains("incomeType=");
        let answer = self.0.inner.send(request).await?;
        let first = self.0.first.lock().unwrap().entry(path.clone()).or_insert_with(|| answer.clone()).clone();
        let Some((_, lie)) = self.0.lie.lock().unwrap().filter(|(endpoint, _)| *endpoint == path) else {
            return Ok(answer);
        };
        let is_spared = match lie {
            Lie::OnlyByType(_) => names_a_type,
            Lie::NotByType(_) => !names_a_type,
            _ => false,
        };
        if is_spared {
            return Ok(answer);
        }
        *self.0.told.lock().unwrap() += 1;
        match lie.told(&answer, &first) {
            Some(falsified) => Ok(falsified),
            None if lie == Lie::Lost => Err(TransportError::Lost("reset".into())),
            None => Ok(answer),
        }
    }
}

impl Fixture {
    pub(crate) fn adapter_through(&self, liar: &Arc<Liar>) -> Arc<dyn ExchangeReader> {
        Arc::new(self.adapter_over(Through(Arc::clone(liar))))
    }

    /// One sync through the liar; whether it could be made at all.
    pub(crate) async fn sync_beside(&self, liar: &Arc<Liar>) -> Option<CycleReport> {
        self.reconciler_by_type(self.adapter_through(liar), 30).sync().await.ok()
    }
}

/// What is wrong with a book after the looks, in words; nothing where nothing is.
async fn wrong(fixture: &Fixture, report: &CycleReport) -> Vec<String> {
    let mut wrong: Vec<String> = report
        .unresolved()
        .map(|found| format!("{:?} {}", found.finding.kind, found.finding.evidence))
        .chain(report.left.iter().map(|left| format!("left {} {}", left.entry.key.kind, left.entry.evidence_json)))
        .chain(report.verification.checks.iter().filter(|check| check.failed()).map(|check| check.detail.clone()))
        .collect();
    let books = fixture.simulator.books();
    let rows = fixture.ledger_count().await;
    if rows != books.accounts[0].income.len() {
        wrong.push(format!("{rows} ledger rows of {}", books.accounts[0].income.len()));
    }
    let fills = fixture.book_fills().await.len();
    if fills != books.accounts[0].trades.len() {
        wrong.push(format!("{fills} fills of {}", books.accounts[0].trades.len()));
    }
    wrong
}

impl Fixture {
    async fn ledger_count(&self) -> usize {
        use ledger_store::{FactReader, IncomeFilter, PageRequest, Scope};
        let filter = IncomeFilter { scope: Scope::account(self.account.clone()), income_type: None };
        self.store.income(&filter, PageRequest::first(1_000)).await.unwrap().items.len()
    }
}

/// Whether every lie is told everywhere: a long campaign has the time.
#[expect(clippy::disallowed_methods, reason = "a long campaign asks for more than the suite has time for")]
fn tries_all() -> bool {
    std::env::var_os("FILLBOOK_ALL_LIES").is_some()
}

#[tokio::test(start_paused = true)]
async fn a_lie_in_one_look_is_healed_by_three_honest_ones() {
    let fixture = Fixture::in_process(for_months(7)).await;
    fixture.session(|_, _| false).await;
    fixture.simulator.step(Duration::from_hours(9 * 24));
    fixture.session(|_, _| false).await;
    let mut failed = Vec::new();
    for (number, endpoint) in ENDPOINTS.into_iter().enumerate() {
        // The lists that name what happened, in each way; of the others, a few ways each unless all are asked for.
        let is_tried = |at: usize| number < 3 || tries_all() || (at + number).is_multiple_of(4);
        for lie in LIES.into_iter().enumerate().filter(|(at, _)| is_tried(*at)).map(|(_, lie)| lie) {
            let book = fixture.with_empty_book().await;
            let liar = Liar::before(Arc::clone(&fixture.transport));
            liar.set(Some((endpoint, lie)));
            drop(book.sync_beside(&liar).await);
            liar.set(None);
            let mut report = None;
            for _ in 0..3 {
                fixture.simulator.step(Duration::from_mins(6));
                report = book.sync_beside(&liar).await;
            }
            let wrong = wrong(&book, &report.unwrap()).await;
            if !wrong.is_empty() {
                failed.push(format!("{endpoint} {lie:?}: {}", wrong.join("; ")));
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// One ledger row of each type that something demands: its transaction.
fn demanded_rows(fixture: &Fixture) -> Vec<(&'static str, i64)> {
    let books = fixture.simulator.books();
    let of = |kind: &'static str| {
        let rows: Vec<_> = books.accounts[0].income.iter().filter(|row| row.income_type == kind).collect();
        (kind, rows[rows.len() / 2].tran_id)
    };
    ["COMMISSION", "REALIZED_PNL", "FUNDING_FEE"].map(of).to_vec()
}

/// Two looks that lack the same row agree with each other. What was traded and held says that they are wrong.
#[tokio::test(start_paused = true)]
async fn a_row_that_two_looks_lack_is_demanded_until_it_is_there() {
    let fixture = Fixture::in_process(for_months(7)).await;
    fixture.session(|_, _| false).await;
    fixture.simulator.step(Duration::from_hours(9 * 24));
    fixture.session(|_, _| false).await;
    for (kind, id) in demanded_rows(&fixture) {
        let book = fixture.with_empty_book().await;
        let liar = Liar::before(Arc::clone(&fixture.transport));
        liar.set(Some(("/fapi/v1/income", Lie::Without(id))));
        for look in 0..2 {
            let report = book.sync_beside(&liar).await.unwrap();
            let missing: Vec<_> = report.findings.iter().filter(|found| is_demand(found.finding.kind)).collect();
            assert_eq!(missing.len(), 1, "{kind} {look}: {:#?}", report.findings);
            assert_eq!(missing[0].status, DiscrepancyStatus::Pending, "{kind} {look}");
            assert!(!report.leaves_discrepancies(), "{kind} {look}: {:#?}", report.left);
            fixture.simulator.step(Duration::from_mins(6));
        }
        liar.set(None);
        let mut report = None;
        for _ in 0..3 {
            report = book.sync_beside(&liar).await;
            fixture.simulator.step(Duration::from_mins(6));
        }
        let wrong = wrong(&book, &report.unwrap()).await;
        assert!(wrong.is_empty(), "{kind}: {wrong:#?}");
    }
}

/// As long as every look lacks it, it is asked for; a discrepancy it is once three looks and a quarter of an hour agree.
#[tokio::test(start_paused = true)]
async fn a_row_that_stays_missing_is_a_discrepancy_until_it_comes() {
    let fixture = Fixture::in_process(for_months(7)).await;
    fixture.session(|_, _| false).await;
    fixture.simulator.step(Duration::from_hours(9 * 24));
    fixture.session(|_, _| false).await;
    for (kind, id) in demanded_rows(&fixture) {
        let book = fixture.with_empty_book().await;
        let liar = Liar::before(Arc::clone(&fixture.transport));
        liar.set(Some(("/fapi/v1/income", Lie::Without(id))));
        // After 0, 5, 10, 15 and 20 minutes: four looks agree when 15 have passed.
        for (look, is_open) in [false, false, false, true, true].into_iter().enumerate() {
            let report = book.sync_beside(&liar).await.unwrap();
            let found = report.findings.iter().find(|found| is_demand(found.finding.kind));
            let found = found.unwrap_or_else(|| panic!("{kind} {look}: {:#?}", report.findings));
            let status = if is_open { DiscrepancyStatus::Unresolved } else { DiscrepancyStatus::Pending };
            assert_eq!(found.status, status, "{kind} {look}: {:?}", found.finding);
            // That it is missing is seen at the wallet, too, where that was looked at before.
            assert!(!is_open || report.leaves_discrepancies(), "{kind} {look}");
            assert!(found.finding.evidence.contains("acknowledge it"), "{}", found.finding.evidence);
            // An audit says the same, and counts no look.
            let audit = book.reconciler_over(book.adapter_through(&liar)).audit().await.unwrap();
            let audited = audit.findings.iter().find(|found| is_demand(found.finding.kind)).unwrap();
            assert_eq!(audited.finding.kind, found.finding.kind);
            fixture.simulator.step(Duration::from_mins(5));
        }
        liar.set(None);
        let mut report = None;
        for _ in 0..3 {
            report = book.sync_beside(&liar).await;
            fixture.simulator.step(Duration::from_mins(6));
        }
        let wrong = wrong(&book, &report.unwrap()).await;
        assert!(wrong.is_empty(), "{kind}: {wrong:#?}");
    }
}

fn is_demand(kind: DiscrepancyKind) -> bool {
    matches!(kind, DiscrepancyKind::MissingIncome | DiscrepancyKind::MissingFunding)
}

/// Nothing demands a transfer. What all looks lack among the rows of all types is found under its own name.
#[tokio::test(start_paused = true)]
async fn a_transfer_that_every_look_lacks_is_found_by_its_type() {
    let fixture = Fixture::in_process(for_months(7)).await;
    fixture.session(|_, _| false).await;
    fixture.simulator.step(Duration::from_hours(9 * 24));
    fixture.session(|_, _| false).await;
    let alias = "sim-main";
    fixture.simulator.deposit(alias, "USDT", "12.5".parse().unwrap()).unwrap();
    fixture.simulator.step(Duration::from_mins(6));
    let of = |kind: &str| {
        let books = fixture.simulator.books();
        books.accounts[0].income.iter().rev().find(|row| row.income_type == kind).unwrap().tran_id
    };
    let id = of("TRANSFER");
    let liar = Liar::before(Arc::clone(&fixture.transport));
    liar.set(Some(("/fapi/v1/income", Lie::OnlyByType(id))));
    let mut rows = Vec::new();
    let mut found = Vec::new();
    for _ in 0..4 {
        let report = fixture.sync_beside(&liar).await.unwrap();
        found.push(report.findings.iter().any(|found| found.finding.kind == DiscrepancyKind::UnequalLedger));
        rows.push(fixture.ledger_count().await);
        fixture.simulator.step(Duration::from_mins(6));
    }
    let all = fixture.simulator.books().accounts[0].income.len();
    // The third look asks for what the first one read and the second one confirmed.
    assert_eq!(rows, [all - 1, all - 1, all, all]);
    // A row that one cut has and the other has not is recorded; nobody has to look into that.
    assert_eq!(found, [false; 4]);
    // The other way around: a row that all types have and its own has not.
    let book = fixture.with_empty_book().await;
    liar.set(None);
    drop(book.sync_beside(&liar).await);
    liar.set(Some(("/fapi/v1/income", Lie::NotByType(id))));
    let mut told = Vec::new();
    for look in 0..4 {
        if look == 3 {
            liar.set(None);
        }
        fixture.simulator.step(Duration::from_mins(6));
        let report = book.sync_beside(&liar).await.unwrap();
        let unequal = report.findings.iter().find(|found| found.finding.kind == DiscrepancyKind::UnequalLedger);
        told.push(unequal.map(|found| found.status));
        assert_eq!(book.ledger_count().await, all);
        assert_eq!(report.leaves_discrepancies(), look == 2, "{:#?}", report.left);
    }
    let (pending, open) = (Some(DiscrepancyStatus::Pending), Some(DiscrepancyStatus::Unresolved));
    assert_eq!(told, [None, pending, open, None]);
}
