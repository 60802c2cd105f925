//! Deciding about a piece of history: what the exchange states of it is recorded and journaled as always. What needs the
//! present (positions, what is open, absence) is left to the look at the present, and what a later piece may still tell is
//! not told as missing.

use std::collections::BTreeSet;

use exchange_client::ExchangeError;
use ledger_core::Symbol;
use ledger_store::DiscrepancyKey;

use super::account::{plan_account, plan_position_mode};
use super::candidates::Candidates;
use super::fills::plan_fills;
use super::labels::{Labels, plan_labels};
use super::orders::plan_orders;
use super::positions::{RecordContext, beyond_range, restore_records};
use super::streams::plan_history_streams;
use super::{Plan, SymbolPlan, failed_query};
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Outlook};
use crate::error::ReconcileError;
use crate::observe::Stretch;
use crate::policy::Policy;

/// Decides what to record of a piece of history.
///
/// # Errors
/// [`ReconcileError::Cursor`] when a cursor on record cannot be read.
pub(crate) fn plan_history(stretch: &Stretch, policy: &Policy) -> Result<Plan, ReconcileError> {
    let observation = &stretch.seen;
    let mut plan = Plan::default();
    plan_position_mode(observation, &mut plan);
    plan_orders(observation, policy, &mut plan);
    for (symbol, close) in &observation.symbols {
        match &close.fills {
            Asked::Answered(walk) => {
                if let Err(error) = plan_fills(observation, symbol, close, walk, observation.asked_at, &mut plan) {
                    let finding = beyond_range(symbol, ledger_core::PositionSide::Net, error);
                    plan.symbol(symbol).find(finding);
                }
                without_unanswered(plan.symbol(symbol));
            }
            Asked::Failed(error) => could_not_be_read(observation, symbol, error, &mut plan),
            Asked::NotAsked => {}
        }
    }
    let candidates = Candidates::new(observation, policy);
    let labels = Labels::new(observation, policy);
    let context = RecordContext { observation, policy, candidates: &candidates, labels: &labels };
    for ((symbol, side), qty) in &stretch.held {
        restore_records(&context, symbol, *side, *qty, plan.symbol(symbol));
    }
    plan_labels(observation, &candidates, &labels, observation.asked_at, &mut plan);
    for symbol_plan in plan.symbols.values_mut() {
        // Whose order opened what is open now is known once all has been read.
        symbol_plan
            .findings
            .retain(|finding| finding.kind != DiscrepancyKind::MissingLabel || finding.outlook == Outlook::Settles);
    }
    plan_account(observation, policy, &mut plan);
    plan_history_streams(stretch, &mut plan)?;
    plan.symbols.retain(|_, symbol| !symbol.is_empty());
    Ok(plan)
}

fn could_not_be_read(
    observation: &crate::observe::Observation,
    symbol: &Symbol,
    error: &ExchangeError,
    plan: &mut Plan,
) {
    let finding = failed_query(observation, Some(symbol), format!("fills of {symbol}"), error);
    plan.symbol(symbol).find(finding);
}

/// An order whose fills are not among those of this time may have them in another.
fn without_unanswered(symbol_plan: &mut SymbolPlan) {
    let answered: BTreeSet<DiscrepancyKey> =
        symbol_plan.repairs.iter().filter_map(|repair| repair.discrepancy.clone()).collect();
    symbol_plan
        .findings
        .retain(|finding| finding.kind != DiscrepancyKind::MissingFills || answered.contains(&finding.key()));
}
