//! Applying a batch: facts first, then the journal, then what they make out of date, in one transaction.

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger_core::{AccountId, Outcome};

use super::discrepancy::Sighting;
use super::effects::Effects;
use super::encoded::{Conflict, EncodedBatch, Facts, Group, conflict_key};
use super::fact_table::{FactTable, ROWS_MAX};
use super::failure::failed;
use super::fold_settings::FoldSettings;
use super::schema::accounts;
use super::{
    account, clearance, discrepancy, fact_source, ledger_fee, mark, opener, order_sums, placement, profit_asset,
    refold, repair, run, sync, unpriced_fee,
};
use crate::batch::Refold;
use crate::error::{StoreError, UnreadableRow};
use crate::outcome::{CommitReport, ImpliedCancel};
use crate::record::DiscrepancyKey;
use crate::store::StoreResult;

pub(super) fn require_account(conn: &mut SqliteConnection, account: &AccountId) -> StoreResult<()> {
    let found: i64 = accounts::table
        .filter(accounts::account_id.eq(account.as_str()))
        .count()
        .get_result(conn)
        .map_err(failed("look up the account"))?;
    if found == 1 { Ok(()) } else { Err(StoreError::UnknownAccount { account: account.clone() }) }
}

pub(super) fn apply(
    conn: &mut SqliteConnection,
    batch: &EncodedBatch,
    settings: &FoldSettings,
) -> StoreResult<CommitReport> {
    require_account(conn, &batch.account)?;
    if let Some(user_id) = &batch.user_id {
        account::bind_user(conn, &batch.account, user_id)?;
    }
    let mut recorder = Recorder {
        account: &batch.account,
        outcomes: vec![Outcome::AlreadyRecorded; batch.statement_count + batch.cancels_of.len()],
        conflicts: Vec::new(),
        settled: Vec::new(),
        effects: Effects { ledger_rules: settings.rules_of(conn, &batch.account)?, ..Effects::default() },
        unreadable: Vec::new(),
    };
    recorder.record(conn, &batch.instruments)?;
    recorder.record(conn, &batch.signals)?;
    recorder.record(conn, &batch.intents)?;
    recorder.record(conn, &batch.orders)?;
    recorder.record(conn, &batch.fills)?;
    recorder.record(conn, &batch.cancels)?;
    recorder.record(conn, &batch.income)?;
    recorder.record(conn, &batch.positions)?;
    recorder.record(conn, &batch.balances)?;
    recorder.record(conn, &batch.prices)?;
    recorder.record(conn, &batch.funding_rates)?;
    recorder.record(conn, &batch.anchors)?;
    recorder.record(conn, &batch.position_modes)?;
    let Recorder { mut outcomes, conflicts, settled, mut effects, unreadable, .. } = recorder;
    let cancels = batch.cancels_of.iter().zip(outcomes.split_off(batch.statement_count));
    let cancels = cancels.map(|(statement, outcome)| ImpliedCancel { statement: *statement, outcome }).collect();

    fact_source::insert(conn, &batch.payloads).map_err(failed("record payloads"))?;
    let mut report = journal(conn, batch, &conflicts, &settled, &mut effects)?;
    (report.outcomes, report.cancels, report.unreadable) = (outcomes, cancels, unreadable);
    let seen = Sighting { account: &batch.account, run_id: batch.run_id, at: batch.recorded_at };
    order_sums::update(conn, seen, &mut effects)?;
    ledger_fee::mark(conn, &batch.account, &mut effects)?;
    placement::update(conn, seen, &mut effects)?;
    clearance::mark(conn, &batch.account, &mut effects)?;
    profit_asset::mark(conn, &batch.account, &mut effects)?;
    mark::write(conn, &batch.account, &effects.marks)?;
    sync::reopen(conn, &batch.account, &batch.reopened)?;
    // What could not be merged is asked for again.
    if report.unreadable.is_empty() {
        sync::write_cursors(conn, &batch.account, &batch.cursors, batch.recorded_at)?;
        sync::write_coverage(conn, &batch.account, &batch.coverage)?;
        unpriced_fee::remove(conn, &batch.account, &batch.priced)?;
    }
    unpriced_fee::add(conn, &batch.account, &effects.foreign_fees)?;

    opener::update_restated(conn, &batch.account, &effects.restated)?;
    for symbol in effects.marks.into_keys() {
        match batch.refold {
            Refold::Now => report.refolded.push(refold::refold(conn, &batch.account, &symbol, settings)?),
            Refold::Deferred => report.pending.push(symbol),
        }
    }
    Ok(report)
}

/// Writes what the journal says of the batch, and answers the numbers.
fn journal(
    conn: &mut SqliteConnection,
    batch: &EncodedBatch,
    conflicts: &[Conflict],
    settled: &[DiscrepancyKey],
    effects: &mut Effects,
) -> StoreResult<CommitReport> {
    let mut report = CommitReport::default();
    let (account, at) = (&batch.account, batch.recorded_at);
    let seen = Sighting { account, run_id: batch.run_id, at };
    if let Some(run) = batch.run_id {
        run::require(conn, account, run)?;
    }
    for conflict in conflicts {
        discrepancy::record_conflict(conn, seen, conflict)?;
    }
    for key in settled {
        discrepancy::settle(conn, seen, key, effects)?;
    }
    for new in &batch.discrepancies {
        report.discrepancy_ids.push(discrepancy::record(conn, seen, new, effects)?);
    }
    for key in &batch.settled {
        report.settled_ids.push(discrepancy::settle(conn, seen, key, effects)?);
    }
    for new in &batch.repairs {
        let run = batch.run_id.ok_or(StoreError::RepairWithoutRun)?;
        report.repair_ids.push(repair::add(conn, account, run, at, new)?);
    }
    Ok(report)
}

struct Recorder<'a> {
    account: &'a AccountId,
    outcomes: Vec<Outcome>,
    conflicts: Vec<Conflict>,
    /// Conflicts that are none any more.
    settled: Vec<DiscrepancyKey>,
    effects: Effects,
    /// The rows that statements could not be merged into.
    unreadable: Vec<UnreadableRow>,
}

impl Recorder<'_> {
    /// The rest of the batch must not wait for a row that cannot be read. What is derived from it is out of date at the
    /// latest now that somebody has more to say.
    fn cannot_merge<F: FactTable>(&mut self, group: &Group<F>, why: &UnreadableRow) {
        let further = group.rest.iter().map(|(index, _)| *index);
        for index in std::iter::once(group.index).chain(further) {
            if let Some(slot) = self.outcomes.get_mut(index) {
                *slot = Outcome::Unreadable { reason: why.to_string() };
            }
        }
        F::note_effects(None, &group.first.fact, &mut self.effects);
        self.unreadable.push(why.clone());
    }

    fn record<F: FactTable>(&mut self, conn: &mut SqliteConnection, facts: &Facts<F>) -> StoreResult<()> {
        for (groups, rows) in facts.groups.chunks(ROWS_MAX).zip(facts.rows.chunks(ROWS_MAX)) {
            let row_id_max = F::row_id_max(conn).map_err(failed("record facts"))?;
            let inserted = F::insert(conn, rows).map_err(failed("record facts"))?;
            let (mut book, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
            if inserted < rows.len() {
                // Some keys were there already; rows that this statement added have larger row ids.
                let keys: Vec<_> = groups.iter().map(|group| group.first.fact.key()).collect();
                for row in F::existing(conn, self.account, &keys, row_id_max).map_err(failed("read facts"))? {
                    match F::decode(&row) {
                        Ok(sourced) => drop(book.insert(sourced.fact.key(), sourced)),
                        Err(StoreError::CorruptRow { row: why }) => drop(unreadable.insert(F::row_key(&row), why)),
                        Err(error) => return Err(error),
                    }
                }
            }
            for (group, row) in groups.iter().zip(rows) {
                if !unreadable.is_empty()
                    && let Some(why) = unreadable.get(&F::row_key(row))
                {
                    self.cannot_merge(group, why);
                    continue;
                }
                let before = book.get(&group.first.fact.key());
                if before.is_none() && group.rest.is_empty() {
                    if let Some(slot) = self.outcomes.get_mut(group.index) {
                        *slot = Outcome::Recorded;
                    }
                    F::note_effects(None, &group.first.fact, &mut self.effects);
                    continue;
                }
                let mut found = Vec::new();
                let merged = group.merge_into(before, &mut self.outcomes, &mut found);
                if !found.is_empty() {
                    F::note_conflict(&merged.fact, &mut self.effects);
                }
                // What later statements of the batch settled was never open.
                self.conflicts.extend(found.into_iter().filter(|conflict| merged.conflicts.contains(conflict.field)));
                if let Some(before) = before {
                    let settled = before.conflicts.difference(&merged.conflicts);
                    self.settled.extend(settled.map(|field| conflict_key(&before.fact, field)));
                }
                match before {
                    None => F::note_effects(None, &merged.fact, &mut self.effects),
                    Some(before) if *before != merged => {
                        F::update(conn, &F::encode(self.account, &merged)).map_err(failed("merge a fact"))?;
                        F::note_sources(before, &merged, &mut self.effects);
                        if before.fact != merged.fact {
                            F::note_effects(Some(&before.fact), &merged.fact, &mut self.effects);
                        } else if before.provenance.source != merged.provenance.source {
                            F::note_restated(&merged.fact, &mut self.effects);
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}
