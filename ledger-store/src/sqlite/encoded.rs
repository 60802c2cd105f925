//! A batch made ready for the writer, on the caller's thread: grouped by kind and key, merged, and as rows.

use ledger_core::{
    AccountId, Anchor, AnyFact, BalanceSnapshot, Cancel, Fact, Field, Fill, FundingRate, Income, Instrument, Order,
    OrderIntent, Outcome, PositionModeSnapshot, PositionSnapshot, PriceSnapshot, Signal, Source, Sourced, Statement,
    TimestampMs, merge,
};

use super::discrepancy::CONFLICTING_FACT;
use super::fact_source::{self, FactSourceRow};
use super::fact_table::FactTable;
use crate::batch::{Batch, CoverageSpan, Refold, RunId, Stretch, SyncCursor, UnpricedFee};
use crate::record::{DiscrepancyKey, NewDiscrepancy, NewRepair};

/// Everything the batch states under one key.
pub(super) struct Group<F> {
    /// Where the outcome of the first statement goes.
    pub(super) index: usize,
    pub(super) first: Sourced<F>,
    /// Further statements under the same key, in the order of the batch.
    pub(super) rest: Vec<(usize, Sourced<F>)>,
}

/// Two statements that cannot both be true.
pub(super) struct Conflict {
    pub(super) key: DiscrepancyKey,
    pub(super) symbol: Option<String>,
    pub(super) field: Field,
    /// Who states what, each as JSON with `source` and `value`.
    pub(super) statements: [serde_json::Value; 2],
}

/// Under which key it is on record that the sources of a fact disagree about a field.
pub(super) fn conflict_key<F: FactTable>(fact: &F, field: Field) -> DiscrepancyKey {
    DiscrepancyKey {
        kind: CONFLICTING_FACT.to_owned(),
        fingerprint: format!("{}|{field}|{}", F::KIND, fact.fact_key()),
    }
}

/// The facts of one kind, and the rows for the case that all of them are new.
pub(super) struct Facts<F: FactTable> {
    pub(super) groups: Vec<Group<F>>,
    pub(super) rows: Vec<F::Row>,
}

impl<F> Group<F>
where
    F: FactTable,
{
    /// Merges the statements one after the other into `book`, and tells what became of each.
    pub(super) fn merge_into(
        &self,
        book: Option<&Sourced<F>>,
        outcomes: &mut [Outcome],
        conflicts: &mut Vec<Conflict>,
    ) -> Sourced<F> {
        let mut merged = match book {
            None => {
                set(outcomes, self.index, Outcome::Recorded);
                self.first.clone()
            }
            Some(book) => step(book, self.index, &self.first, outcomes, conflicts),
        };
        for (index, statement) in &self.rest {
            merged = step(&merged, *index, statement, outcomes, conflicts);
        }
        merged
    }
}

fn step<F: FactTable>(
    book: &Sourced<F>,
    index: usize,
    offered: &Sourced<F>,
    outcomes: &mut [Outcome],
    conflicts: &mut Vec<Conflict>,
) -> Sourced<F> {
    let (merged, outcome) = merge(book, offered);
    if let Outcome::Conflicts { fields } = &outcome {
        let as_json = |sourced: &Sourced<F>| serde_json::to_value(&sourced.fact).unwrap_or_default();
        let (ours, theirs) = (as_json(book), as_json(offered));
        for field in fields {
            let statement = |sourced: &Sourced<F>, fact: &serde_json::Value| serde_json::json!({ "source": sourced.provenance.of(field).as_str(), "value": value_of(fact, field) });
            conflicts.push(Conflict {
                key: conflict_key(&book.fact, field),
                symbol: symbol_in(&ours),
                field,
                statements: [statement(book, &ours), statement(offered, &theirs)],
            });
        }
    }
    set(outcomes, index, outcome);
    merged
}

/// The contract that a fact is about, wherever its kind keeps it.
fn symbol_in(fact: &serde_json::Value) -> Option<String> {
    fact.get("symbol").or_else(|| fact.get("key")?.get("symbol"))?.as_str().map(str::to_owned)
}

/// A field's value in a fact, under the names that serde gives it.
fn value_of(fact: &serde_json::Value, field: Field) -> serde_json::Value {
    let pointer = match field {
        "ts" if fact.get("created").is_some() => "/created",
        "ts" => "/time",
        "updated_ts" => "/updated",
        "created_local_ms" => "/created_local",
        "order_class" => "/class",
        "executed_qty" => "/executed/qty",
        "avg_price" => "/executed/avg_price",
        "terms" => "",
        _ => return fact.get(field).unwrap_or(fact).clone(),
    };
    fact.pointer(pointer).unwrap_or(fact).clone()
}

fn set(outcomes: &mut [Outcome], index: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(index) {
        *slot = outcome;
    }
}

struct Collector<F> {
    statements: Vec<(usize, Sourced<F>)>,
}

impl<F> Default for Collector<F> {
    fn default() -> Self {
        Self { statements: Vec::new() }
    }
}

impl<F: FactTable> Collector<F> {
    fn push(&mut self, index: usize, fact: F, source: Source) {
        self.statements.push((index, Sourced::new(fact, source)));
    }

    fn finish(self, account: &AccountId) -> Facts<F> {
        // A stable sort by key: statements under one key stay in the order of the batch.
        let mut keyed: Vec<_> =
            self.statements.into_iter().map(|(index, statement)| (statement.fact.key(), index, statement)).collect();
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        let mut groups: Vec<Group<F>> = Vec::with_capacity(keyed.len());
        let mut key_last: Option<<F as Fact>::Key> = None;
        for (key, index, statement) in keyed {
            match groups.last_mut() {
                Some(group) if key_last.as_ref() == Some(&key) => group.rest.push((index, statement)),
                _ => groups.push(Group { index, first: statement, rest: Vec::new() }),
            }
            key_last = Some(key);
        }
        let rows = groups
            .iter()
            .map(|group| {
                if group.rest.is_empty() {
                    F::encode(account, &group.first)
                } else {
                    F::encode(account, &group.merge_into(None, &mut [], &mut Vec::new()))
                }
            })
            .collect();
        Facts { groups, rows }
    }
}

/// A batch in the writer's terms. It can be applied more than once, should the first transaction be lost.
pub(super) struct EncodedBatch {
    pub(super) account: AccountId,
    pub(super) run_id: Option<RunId>,
    pub(super) recorded_at: TimestampMs,
    pub(super) refold: Refold,
    pub(super) cursors: Vec<SyncCursor>,
    pub(super) coverage: Vec<CoverageSpan>,
    pub(super) reopened: Vec<Stretch>,
    pub(super) discrepancies: Vec<NewDiscrepancy>,
    pub(super) settled: Vec<DiscrepancyKey>,
    pub(super) repairs: Vec<NewRepair>,
    pub(super) priced: Vec<UnpricedFee>,
    pub(super) user_id: Option<String>,
    pub(super) statement_count: usize,
    /// Which of its statements imply a cancel; the outcomes of those come behind those of the statements.
    pub(super) cancels_of: Vec<usize>,
    pub(super) instruments: Facts<Instrument>,
    pub(super) signals: Facts<Signal>,
    pub(super) intents: Facts<OrderIntent>,
    pub(super) orders: Facts<Order>,
    pub(super) fills: Facts<Fill>,
    pub(super) cancels: Facts<Cancel>,
    pub(super) income: Facts<Income>,
    pub(super) positions: Facts<PositionSnapshot>,
    pub(super) balances: Facts<BalanceSnapshot>,
    pub(super) prices: Facts<PriceSnapshot>,
    pub(super) funding_rates: Facts<FundingRate>,
    pub(super) anchors: Facts<Anchor>,
    pub(super) position_modes: Facts<PositionModeSnapshot>,
    pub(super) payloads: Vec<FactSourceRow>,
}

/// The key of a fact in `fact_sources`, by which its payloads are found.
pub(super) fn fact_key_of(fact: &AnyFact) -> String {
    match fact {
        AnyFact::Instrument(fact) => fact.fact_key(),
        AnyFact::Signal(fact) => fact.fact_key(),
        AnyFact::Intent(fact) => fact.fact_key(),
        AnyFact::Order(fact) => fact.fact_key(),
        AnyFact::Fill(fact) => fact.fact_key(),
        AnyFact::Cancel(fact) => fact.fact_key(),
        AnyFact::Income(fact) => fact.fact_key(),
        AnyFact::Position(fact) => fact.fact_key(),
        AnyFact::Balance(fact) => fact.fact_key(),
        AnyFact::Price(fact) => fact.fact_key(),
        AnyFact::FundingRate(fact) => fact.fact_key(),
        AnyFact::Anchor(fact) => fact.fact_key(),
        AnyFact::PositionMode(fact) => fact.fact_key(),
    }
}

fn payload_row(batch: &Batch, statement: &Statement) -> Option<FactSourceRow> {
    let payload = statement.payload.as_ref()?;
    Some(FactSourceRow {
        account_id: batch.account.as_str().to_owned(),
        kind: statement.fact.kind().as_str().to_owned(),
        fact_key: fact_key_of(&statement.fact),
        source: statement.source.as_str().to_owned(),
        hash: fact_source::hash_of(payload),
        payload: payload.to_string(),
        recorded_local_ms: batch.recorded_at.as_ms(),
        run_id: batch.run_id.map(|run| run.0),
    })
}

/// The cancel that a statement about an order implies.
fn implied_cancel(statement: &Statement) -> Option<Statement> {
    let AnyFact::Order(order) = &statement.fact else { return None };
    let (cancel, source) = order.cancel(statement.source)?;
    Some(Statement { fact: AnyFact::Cancel(cancel), source, payload: statement.payload.clone() })
}

impl EncodedBatch {
    pub(super) fn new(mut batch: Batch) -> Self {
        // Here and nowhere else, so that no source of orders can forget it.
        let implied = batch.statements.iter().enumerate();
        let (cancels_of, implied): (Vec<usize>, Vec<Statement>) =
            implied.filter_map(|(index, statement)| Some((index, implied_cancel(statement)?))).unzip();
        let mut payloads: Vec<_> =
            batch.statements.iter().chain(&implied).filter_map(|statement| payload_row(&batch, statement)).collect();
        // In the order of the table, which is clustered by key: neighbours land on the same page.
        payloads.sort_by(|a, b| (&a.kind, &a.fact_key, &a.source).cmp(&(&b.kind, &b.fact_key, &b.source)));
        let (mut instruments, mut signals, mut intents) =
            (Collector::default(), Collector::default(), Collector::default());
        let (mut orders, mut fills, mut cancels) = (Collector::default(), Collector::default(), Collector::default());
        let (mut income, mut anchors, mut position_modes) =
            (Collector::default(), Collector::default(), Collector::default());
        let (mut positions, mut balances, mut prices) =
            (Collector::default(), Collector::default(), Collector::default());
        let mut funding_rates = Collector::default();
        let statements = std::mem::take(&mut batch.statements);
        let statement_count = statements.len();
        for (index, Statement { fact, source, .. }) in statements.into_iter().chain(implied).enumerate() {
            match fact {
                AnyFact::Instrument(fact) => instruments.push(index, fact, source),
                AnyFact::Signal(fact) => signals.push(index, fact, source),
                AnyFact::Intent(fact) => intents.push(index, fact, source),
                AnyFact::Order(fact) => orders.push(index, fact.stated_by(source), source),
                AnyFact::Fill(fact) => fills.push(index, fact, source),
                AnyFact::Cancel(fact) => cancels.push(index, fact, source),
                AnyFact::Income(fact) => income.push(index, fact, source),
                AnyFact::Position(fact) => positions.push(index, fact, source),
                AnyFact::Balance(fact) => balances.push(index, fact, source),
                AnyFact::Price(fact) => prices.push(index, fact, source),
                AnyFact::FundingRate(fact) => funding_rates.push(index, fact, source),
                AnyFact::Anchor(fact) => anchors.push(index, fact, source),
                AnyFact::PositionMode(fact) => position_modes.push(index, fact, source),
            }
        }
        let account = batch.account;
        Self {
            instruments: instruments.finish(&account),
            signals: signals.finish(&account),
            intents: intents.finish(&account),
            orders: orders.finish(&account),
            fills: fills.finish(&account),
            cancels: cancels.finish(&account),
            income: income.finish(&account),
            positions: positions.finish(&account),
            balances: balances.finish(&account),
            prices: prices.finish(&account),
            funding_rates: funding_rates.finish(&account),
            anchors: anchors.finish(&account),
            position_modes: position_modes.finish(&account),
            payloads,
            statement_count,
            cancels_of,
            account,
            run_id: batch.run_id,
            recorded_at: batch.recorded_at,
            refold: batch.refold,
            cursors: batch.cursors,
            coverage: batch.coverage,
            reopened: batch.reopened,
            discrepancies: batch.discrepancies,
            settled: batch.settled,
            repairs: batch.repairs,
            priced: batch.priced,
            user_id: batch.user_id,
        }
    }
}
