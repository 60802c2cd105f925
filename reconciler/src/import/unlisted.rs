//! Ledger rows that a file adds to a time of which the exchange's ledger was read as a whole.
//!
//! The exchange answered with every row of that time, and did not name these. So nothing says that they are the account's: they
//! are taken, as all that files say, and told as a discrepancy, because they count in every sum and nothing else need differ.

use std::collections::BTreeSet;

use ledger_core::{AnyFact, EventTime, IncomeKey, IncomeType, Source, Statement, Symbol, TimestampMs};
use ledger_store::{
    CoverageGrade, DiscrepancyKey, DiscrepancyStatus, IncomeFilter, NewDiscrepancy, PageRequest, Pages, Scope,
    StoreError,
};
use serde_json::json;

use super::{PAGE, Recording};
use crate::streams::INCOME;
use crate::wording::instant;

/// The kind of the discrepancy. Only somebody's word ends it.
const KIND: &str = "unlisted_income";

/// How many rows are told one by one.
const TOLD_MAX: usize = 100;

/// The rows that an import added to what was read.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// When the exchange's ledger was read as a whole, before the import.
    read: Vec<(TimestampMs, TimestampMs)>,
    rows: Vec<(IncomeKey, EventTime)>,
}

impl Added {
    /// The ledger row that a statement of a file adds to a time that was read, should it be new.
    pub(super) fn candidate(&self, statement: &Statement) -> Option<(IncomeKey, EventTime)> {
        let AnyFact::Income(row) = &statement.fact else { return None };
        let is_read = |(since, until): &(TimestampMs, TimestampMs)| *since <= row.time.at && row.time.latest() < *until;
        (statement.source < Source::Stream && self.read.iter().any(is_read)).then(|| (row.key.clone(), row.time))
    }

    /// Notes such a row, which was new.
    pub(super) fn note(&mut self, row: (IncomeKey, EventTime)) {
        self.rows.push(row);
    }
}

impl Recording<'_> {
    /// What was read of the exchange's ledger before the import.
    pub(super) async fn ledger_read(&self) -> Result<Added, StoreError> {
        let coverage = self.store.coverage(&self.account).await?;
        let is_read = |grade| matches!(grade, CoverageGrade::Asked | CoverageGrade::Confirmed);
        let read = coverage.into_iter().filter(|span| span.stream == INCOME && is_read(span.grade));
        Ok(Added { read: read.map(|span| (span.since, span.until)).collect(), rows: Vec::new() })
    }

    /// Tells the rows that the exchange did not name, unless they are those of it without their ids.
    pub(super) async fn tell_unlisted(&self, added: Added) -> Result<Vec<String>, StoreError> {
        let mut told = Vec::new();
        let mut batch = self.batch(Vec::new());
        let mut more = 0_usize;
        for (key, time) in added.rows {
            if !self.counts(&key, time).await? {
                continue;
            }
            if told.len() >= TOLD_MAX {
                more += 1;
                continue;
            }
            let symbol = key.symbol.as_ref().map_or("", Symbol::as_str);
            let of = if symbol.is_empty() { String::new() } else { format!(" of {symbol}") };
            let IncomeKey { income_type, asset, tran_id, .. } = &key;
            let evidence = format!(
                "{income_type} in {asset}{of} at {}: a file has this ledger row, and the exchange did not name it when its ledger \
                 of that time was read; it counts in every sum. Check whose it is, then acknowledge this",
                instant(time.at)
            );
            told.push(evidence.clone());
            batch.discrepancies.push(NewDiscrepancy {
                key: DiscrepancyKey {
                    kind: KIND.to_owned(),
                    fingerprint: format!("{income_type}/{asset}/{symbol}/{tran_id}"),
                },
                symbol: key.symbol.clone(),
                status: DiscrepancyStatus::Unresolved,
                evidence_json: json!({ "evidence": evidence }).to_string(),
            });
        }
        if more > 0 {
            told.push(format!("and {more} more ledger rows that the exchange did not name"));
        }
        if !batch.discrepancies.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(told)
    }

    /// Whether a row is none that is on record with its id.
    async fn counts(&self, key: &IncomeKey, time: EventTime) -> Result<bool, StoreError> {
        let (since, until) = (Some(time.at), Some(time.latest().saturating_add_ms(1)));
        let scope = Scope { since, until, symbol: key.symbol.clone(), account: self.account.clone() };
        let filter = IncomeFilter { scope, income_type: Some::<IncomeType>(key.income_type.clone()) };
        let mut seen = BTreeSet::new();
        let mut pages = Pages::of(PageRequest::first(PAGE), |page| self.store.income(&filter, page));
        while let Some(found) = pages.next().await? {
            seen.extend(found.items.into_iter().map(|row| row.fact.key));
        }
        Ok(seen.contains(key))
    }
}
