//! The wallets' side: balances, and which of the ledger's rows the book has.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::{Asset, FillId, Income, IncomeKey, Source, Sourced, Symbol, TimestampMs, merge};
use ledger_store::{IncomeFilter, PageRequest, Pages, Scope};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::asked::Asked;
use crate::error::{Doing, ReconcileError};
use crate::observe::observation::Observation;
use crate::streams::INCOME;

impl BookReader<'_> {
    /// The latest balance on record of each asset that the exchange states. One that has not moved for long lies far
    /// behind those that move all the time, so pages are read until all are found; an asset that was never recorded is
    /// sought once, for then it will be.
    pub(in crate::observe) async fn learn_balances(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let mut assets: BTreeSet<Asset> =
            seen.balances.iter().flat_map(|answer| &answer.rows).map(|row| row.entity.asset.clone()).collect();
        let scope = self.scope();
        let newest = PageRequest::newest(BOOK_PAGE_ROWS);
        let mut pages = Pages::of(newest, |page| self.book.balance_snapshots(&scope, page));
        while !assets.is_empty()
            && let Some(page) = pages.next().await.doing("reading the balances")?
        {
            let latest = page.items.into_iter().filter(|balance| assets.remove(&balance.fact.asset));
            seen.book.latest_balances.extend(latest);
        }
        self.learn_ledger_since(seen).await
    }

    /// The ledger rows since the latest balance of each asset that is stated otherwise now.
    async fn learn_ledger_since(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let rows = seen.balances.iter().flat_map(|answer| &answer.rows).map(|row| &row.entity);
        let stated: BTreeMap<&Asset, _> = rows.map(|row| (&row.asset, row.wallet)).collect();
        let known = seen.book.latest_balances.iter().map(|known| &known.fact);
        let moved = known.filter(|known| stated.get(&known.asset).is_some_and(|stated| *stated != known.wallet));
        let moved: BTreeMap<Asset, _> = moved.map(|known| (known.asset.clone(), known.at)).collect();
        let Some(since) = moved.values().min() else { return Ok(()) };
        let filter = IncomeFilter { scope: Scope { since: Some(*since), ..self.scope() }, income_type: None };
        let rows = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.income(&filter, page))
            .all()
            .await
            .doing("reading the income")?;
        for row in rows.into_iter().map(|row| row.fact) {
            if moved.get(&row.key.asset).is_some_and(|since| row.time.at >= *since) {
                seen.book.ledger_since.entry(row.key.asset.clone()).or_default().push(row);
            }
        }
        Ok(())
    }

    /// Compares what the ledger answered type by type with the book. Rows that it lacks are news like those of all types.
    pub(in crate::observe) async fn match_by_type(&self, seen: &mut Observation) -> Result<(), ReconcileError> {
        let Asked::Answered(walk) = &mut seen.income else { return Ok(()) };
        let mut listed: BTreeSet<IncomeKey> = walk.rows.iter().map(|row| row.entity.key.clone()).collect();
        for answer in seen.by_type.answers.iter_mut().filter(|answer| !answer.is_refused) {
            let window = answer.window;
            let scope =
                self.stretch(None, window.since().saturating_add_ms(-1_000), window.until().saturating_add_ms(1_000));
            let filter = IncomeFilter { scope, income_type: Some(answer.income_type.clone()) };
            let rows = Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.income(&filter, page))
                .all()
                .await
                .doing("reading the income")?;
            let told: BTreeMap<&IncomeKey, &Income> =
                answer.rows.iter().map(|row| (&row.entity.key, &row.entity)).collect();
            let is_unlisted = |row: &&Sourced<Income>| {
                row.provenance.source == Source::Rest
                    && window.contains(row.fact.time.at)
                    && !told.contains_key(&row.fact.key)
            };
            answer.unlisted = rows.iter().filter(is_unlisted).map(|row| row.fact.clone()).collect();
            let known: BTreeSet<IncomeKey> =
                rows.into_iter().filter(|row| says_no_more(&told, row)).map(|row| row.fact.key).collect();
            answer.rows.retain(|row| !known.contains(&row.entity.key));
            let unheard = answer.rows.iter().filter(|row| listed.insert(row.entity.key.clone()));
            walk.rows.extend(unheard.cloned());
        }
        Ok(())
    }

    /// Notes which ledger rows the book has; answers the trades that they speak of and the book lacks.
    pub(in crate::observe) async fn match_income(
        &self,
        seen: &mut Observation,
    ) -> Result<BTreeSet<(Symbol, FillId)>, ReconcileError> {
        let Asked::Answered(walk) = &seen.income else { return Ok(BTreeSet::new()) };
        let read_before = seen.read_before.parts((INCOME, None), walk.window);
        let times = walk.rows.iter().map(|row| row.entity.time.at).filter(|at| walk.window.contains(*at));
        let times = times.chain(read_before.iter().flat_map(|(since, until)| [*since, *until]));
        let mut windows: Vec<(TimestampMs, TimestampMs)> = times.clone().min().zip(times.max()).into_iter().collect();
        windows.extend(seen.asked_again.iter().map(|window| (window.since(), window.until())));
        let by_type = seen.by_type.answers.iter().flat_map(|answer| &answer.rows).map(|row| row.entity.time.at);
        windows.extend(by_type.clone().min().zip(by_type.max()));
        if windows.is_empty() {
            return Ok(BTreeSet::new());
        }
        // The book may know some from an export, to the second.
        let widened = windows
            .into_iter()
            .map(|(since, until)| self.stretch(None, since.saturating_add_ms(-1_000), until.saturating_add_ms(1_000)));
        let stretches: Vec<Scope> = widened.collect();
        let mut rows = Vec::new();
        for scope in &stretches {
            let filter = IncomeFilter { scope: scope.clone(), income_type: None };
            rows.extend(
                Pages::of(PageRequest::first(BOOK_PAGE_ROWS), |page| self.book.income(&filter, page))
                    .all()
                    .await
                    .doing("reading the income")?,
            );
        }
        let told: BTreeMap<&IncomeKey, &Income> = walk.rows.iter().map(|row| (&row.entity.key, &row.entity)).collect();
        let is_unlisted = |row: &&Sourced<Income>| {
            let at = row.fact.time.at;
            row.provenance.source == Source::Rest
                && !told.contains_key(&row.fact.key)
                && read_before.iter().any(|(since, until)| (*since..=*until).contains(&at))
        };
        seen.book.unlisted_income = rows.iter().filter(is_unlisted).map(|row| row.fact.time.at).collect();
        seen.book.known_income =
            rows.into_iter().filter(|row| says_no_more(&told, row)).map(|row| row.fact.key).collect();
        let named: BTreeSet<(Symbol, FillId)> = walk
            .rows
            .iter()
            .filter_map(|row| Some((row.entity.key.symbol.clone()?, row.entity.fill_id.clone()?)))
            .collect();
        if named.is_empty() {
            return Ok(named);
        }
        let mut unfilled = named;
        for scope in stretches {
            for key in self.fills(scope).await?.into_keys() {
                unfilled.remove(&(key.symbol, key.fill_id));
            }
        }
        Ok(unfilled)
    }
}

/// Whether the exchange tells no more of a row than the book has. What an export did not tell is news: its trade, its
/// millisecond.
fn says_no_more(told: &BTreeMap<&IncomeKey, &Income>, row: &Sourced<Income>) -> bool {
    let told = told.get(&row.fact.key).copied().cloned();
    told.is_none_or(|told| merge(row, &Sourced::new(told, Source::Rest)).0 == *row)
}
