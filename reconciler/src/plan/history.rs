//! Deciding about a piece of history: what the exchange states of it is recorded and journaled as always. What needs the
//! present (positions, what is open, absence) is left to the look at the present, and what a later piece may still tell is
//! not told as missing.

use std::collections::BTreeSet;

use ledger_core::Order;
use ledger_store::DiscrepancyKey;

use super::account::{plan_account, plan_position_mode};
use super::candidates::Candidates;
use super::fills::plan_fills_of;
use super::labels::{Labels, plan_labels};
use super::orders::plan_orders;
use super::positions::{RecordContext, restore_records};
use super::streams::plan_history_streams;
use super::{Plan, SymbolPlan, failed_query};
use crate::asked::Asked;
use crate::discrepancy::DiscrepancyKind;
use crate::error::ReconcileError;
use crate::finding::Outlook;
use crate::observe::{HistoryPiece, Observation};
use crate::policy::Policy;

/// Decides what to record of a piece of history.
///
/// # Errors
/// [`ReconcileError::Cursor`] when a cursor on record cannot be read.
pub(crate) fn plan_history(piece: &HistoryPiece, policy: &Policy) -> Result<Plan, ReconcileError> {
    let observation = &piece.seen;
    let candidates = Candidates::new(observation, policy);
    let labels = Labels::new(observation, policy);
    let context = RecordContext { observation, policy, candidates: &candidates, labels: &labels };
    let mut plan = Plan::default();
    // The order is that of a look at the present, without the steps that need one.
    plan.add(plan_position_mode(observation));
    plan.add(plan_orders(observation, policy));
    plan.add(plan_fills_of_history(observation));
    for ((symbol, side), qty) in &piece.held {
        let records = restore_records(&context, symbol, *side, *qty, plan.symbol(symbol));
        plan.symbol(symbol).add(records);
    }
    plan.add(plan_labels_of_history(&context, &plan));
    plan.add(plan_account(observation, policy, &plan));
    plan.add(plan_history_streams(piece)?);
    plan.symbols.retain(|_, symbol| !symbol.is_empty());
    Ok(plan)
}

fn plan_fills_of_history(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    for (symbol, close) in &observation.symbols {
        match &close.fills {
            Asked::Answered(walk) => {
                let mut symbol_plan = plan_fills_of(observation, symbol, close, walk, observation.asked_at);
                without_unanswered(&mut symbol_plan);
                plan.symbols.insert(symbol.clone(), symbol_plan);
            }
            Asked::Failed(error) => {
                let finding = failed_query(observation, Some(symbol), format!("fills of {symbol}"), error);
                plan.symbol(symbol).find(finding);
            }
            Asked::NotAsked => {}
        }
    }
    plan
}

/// Whose order opened what is open now is known once all has been read.
fn plan_labels_of_history(context: &RecordContext<'_>, planned: &Plan) -> Plan {
    // Orders of other times wait for the look that has their positions in view.
    let listed: BTreeSet<_> = context.observation.stated_orders().map(|row| &row.entity.key).collect();
    let is_listed = |order: &Order| listed.contains(&order.key);
    let mut plan = plan_labels(context, context.observation.asked_at, planned, is_listed);
    for symbol_plan in plan.symbols.values_mut() {
        symbol_plan
            .findings
            .retain(|finding| finding.kind != DiscrepancyKind::MissingLabel || finding.outlook == Outlook::Settles);
    }
    plan
}

/// An order whose fills are not among those of this time may have them in another.
fn without_unanswered(symbol_plan: &mut SymbolPlan) {
    let answered: BTreeSet<DiscrepancyKey> =
        symbol_plan.repairs.iter().filter_map(|repair| repair.discrepancy.clone()).collect();
    symbol_plan
        .findings
        .retain(|finding| finding.kind != DiscrepancyKind::MissingFills || answered.contains(&finding.key()));
}
