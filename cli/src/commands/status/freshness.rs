//! How far the book reaches, when it was last brought up to date, and what the exchange is about to forget.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::binance_usdm::VENUE;
use exchange_client::files::Zone;
use ledger_core::{AccountId, Symbol, TimestampMs};
use ledger_store::{
    CoverageGrade, DiscrepancyFilter, DiscrepancyStatus, PageRequest, Pages, Run, RunFilter, RunKind, Store,
};
use serde_json::{Value, json};

use super::super::PAGE;
use super::super::journal::words;
use super::super::rebuild::count;
use crate::error::CommandError;
use crate::output::Cell;
use crate::times::{show_day, show_time};

/// From this share of what the exchange keeps on, it is said that history is about to be lost.
const EXPIRING_PERCENT: i64 = 80;

/// How long something takes, in words.
pub(super) fn span(ms: i64) -> String {
    Cell::Span(ms).table(&Zone::utc())
}

/// Up to when a stream of facts is complete.
#[derive(Debug)]
pub(super) struct Reach {
    stream: String,
    /// How many contracts it is about; 0 for a stream of the whole account.
    symbol_count: usize,
    /// The contract that lags most, where there is more than one.
    last_symbol: Option<Symbol>,
    until: TimestampMs,
    /// Whether any of it follows only from something else.
    is_inferred: bool,
    /// When the exchange forgets what comes next; `None` where its venue is not known.
    forgotten_at: Option<TimestampMs>,
    age_ms: i64,
}

impl Reach {
    pub(super) fn text(&self, zone: &Zone) -> String {
        let what = match (self.symbol_count, &self.last_symbol) {
            (0, _) => self.stream.clone(),
            (1, Some(symbol)) => format!("{} of {symbol}", self.stream),
            (number, Some(symbol)) => format!("{} of {number} symbols ({symbol} least)", self.stream),
            (number, None) => format!("{} of {}", self.stream, count(number as u64, "symbol")),
        };
        let forgotten = match self.forgotten_at {
            Some(at) => format!("; the exchange keeps what came after until {}", show_day(at, zone)),
            None => String::new(),
        };
        let inferred = if self.is_inferred { " (part of it follows from other lists)" } else { "" };
        format!("{what} to {}, {} ago{inferred}{forgotten}", show_time(self.until, zone), span(self.age_ms))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "stream": self.stream, "symbols": self.symbol_count, "until_ts": self.until.as_ms(), "age_ms": self.age_ms,
            "inferred": self.is_inferred, "forgotten_ts": self.forgotten_at.map(TimestampMs::as_ms),
        })
    }
}

/// When the book was last brought up to date, and how far.
#[derive(Debug)]
pub(super) struct Freshness {
    pub(super) last_sync: Option<Run>,
    pub(super) reaches: Vec<Reach>,
    now: TimestampMs,
}

impl Freshness {
    pub(super) async fn of(store: &dyn Store, account: &AccountId, now: TimestampMs) -> Result<Self, CommandError> {
        let filter = RunFilter { kind: Some(RunKind::Sync), ..account.clone().into() };
        let last_sync = store.runs(&filter, PageRequest::newest(1)).await?.items.pop();
        // The latest end of each stream and contract; the earliest of them says how far the stream reaches as a whole.
        let mut ends: BTreeMap<(String, Option<Symbol>), (TimestampMs, CoverageGrade)> = BTreeMap::new();
        for covered in store.coverage(account).await? {
            let end = (covered.until, covered.grade);
            let known = ends.entry((covered.stream, covered.symbol)).or_insert(end);
            *known = (*known).max(end);
        }
        let mut streams: BTreeMap<String, Vec<(Option<Symbol>, TimestampMs, CoverageGrade)>> = BTreeMap::new();
        for ((stream, symbol), (until, grade)) in ends {
            streams.entry(stream).or_default().push((symbol, until, grade));
        }
        let reaches = streams.into_iter().filter_map(|(stream, ends)| {
            let (symbol, until, _) = ends.iter().min_by_key(|(_, until, _)| *until)?.clone();
            Some(Reach {
                symbol_count: ends.iter().filter(|(symbol, ..)| symbol.is_some()).count(),
                last_symbol: symbol,
                until,
                is_inferred: ends.iter().any(|(.., grade)| *grade == CoverageGrade::Inferred),
                forgotten_at: retention_ms(&stream).map(|retention| until.saturating_add_ms(retention)),
                age_ms: now.as_ms().saturating_sub(until.as_ms()),
                stream,
            })
        });
        Ok(Self { last_sync, reaches: reaches.collect(), now })
    }

    pub(super) fn last_sync_text(&self) -> String {
        let Some(run) = &self.last_sync else {
            return "never: `fillbook sync` compares with the exchange".to_owned();
        };
        let ago = span(self.now.as_ms().saturating_sub(run.started_local.as_ms()));
        let detail = run.detail_json.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let detail = detail.map(|detail| words(&detail)).filter(|words| !words.is_empty());
        let detail = detail.map_or(String::new(), |words| format!(": {words}"));
        // One that found nothing to record is in no journal.
        format!("run {}, the last that changed the book, {ago} ago, {}{detail}", run.id.0, run.status)
    }

    /// What must be read soon because the exchange forgets it.
    pub(super) fn attention(&self) -> Vec<String> {
        let soon = self.reaches.iter().filter_map(|reach| {
            let (retention, forgotten_at) = (retention_ms(&reach.stream)?, reach.forgotten_at?);
            let left = forgotten_at.as_ms().saturating_sub(self.now.as_ms());
            (reach.age_ms.saturating_mul(100) > retention.saturating_mul(EXPIRING_PERCENT)).then(|| {
                if left <= 0 {
                    format!("{}: the exchange has forgotten some of what was not read in time", reach.stream)
                } else {
                    format!(
                        "{}: the exchange forgets in {} what was not read: `fillbook sync`",
                        reach.stream,
                        span(left)
                    )
                }
            })
        });
        soon.collect()
    }
}

/// How long the exchange answers for a stream.
fn retention_ms(stream: &str) -> Option<i64> {
    match stream {
        "fills" => Some(VENUE.trades.retention_ms),
        "orders" => Some(VENUE.orders.retention_ms),
        "income" => Some(VENUE.income.retention_ms),
        _ => None,
    }
}

fn discrepancies(number: usize) -> String {
    count(number as u64, "discrepancy").replace("discrepancys", "discrepancies")
}

/// Discrepancies that still ask for something.
#[derive(Debug, Default)]
pub(super) struct OpenDiscrepancies {
    kinds: BTreeMap<String, usize>,
    /// Those that another look confirms, or finds gone.
    pub(super) pending: usize,
    /// Those that are confirmed, and that nobody has accepted.
    pub(super) confirmed: usize,
    /// The contracts that they are about.
    pub(super) symbols: BTreeSet<Symbol>,
    oldest_ms: i64,
}

impl OpenDiscrepancies {
    pub(super) async fn of(store: &dyn Store, account: &AccountId, now: TimestampMs) -> Result<Self, CommandError> {
        let mut open = Self::default();
        let filter = DiscrepancyFilter::open(account.clone());
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| store.discrepancies(&filter, page));
        while let Some(page) = pages.next().await? {
            for found in page.items {
                open.symbols.extend(found.entry.symbol.clone());
                *open.kinds.entry(found.entry.key.kind).or_default() += 1;
                open.pending += usize::from(found.entry.status == DiscrepancyStatus::Pending);
                open.confirmed += usize::from(found.entry.status == DiscrepancyStatus::Unresolved);
                open.oldest_ms = open.oldest_ms.max(now.as_ms().saturating_sub(found.first_seen_local.as_ms()));
            }
        }
        Ok(open)
    }

    pub(super) fn text(&self) -> String {
        let number: usize = self.kinds.values().sum();
        if number == 0 {
            return "nothing on record".to_owned();
        }
        let kinds: Vec<_> = self.kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        let pending = if self.pending > 0 {
            format!(", {} of them may settle by themselves", self.pending)
        } else {
            String::new()
        };
        let found = discrepancies(number);
        let oldest = span(self.oldest_ms);
        format!("{found}: {}{pending}; the oldest is {oldest} old: `fillbook discrepancies`", kinds.join(", "))
    }

    /// What a person has to know of them.
    pub(super) fn attention(&self) -> Vec<String> {
        let confirmed = (self.confirmed > 0)
            .then(|| format!("{} confirmed: `fillbook discrepancies`", discrepancies(self.confirmed)));
        let pending = (self.pending > 0).then(|| {
            let number = discrepancies(self.pending);
            format!("{number} not settled by the last look: `fillbook sync` looks again")
        });
        confirmed.into_iter().chain(pending).collect()
    }

    pub(super) fn json(&self) -> Value {
        json!({ "open": self.kinds.values().sum::<usize>(), "pending": self.pending, "confirmed": self.confirmed, "kinds": self.kinds, "oldest_ms": self.oldest_ms })
    }
}
