//! What was confirmed and is not in the book any more is told. What the exchange still lists is recorded like everything else
//! that the book lacks; whether that is all is seen afterwards. Where the book has more than was confirmed and nobody is to be
//! asked, what it has is proven anew.

use ledger_store::{CoverageGrade, CoverageSpan, Stretch};

use super::Plan;
use crate::observe::Observation;
use crate::proofs::lost_rows;
use crate::streams::FILLS;

pub(super) fn plan_lost(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    for broken in &observation.read_before.lost {
        match &broken.proof.stretch.symbol {
            Some(symbol) if observation.is_in_scope(symbol) => plan.symbol(symbol).find(lost_rows(broken)),
            None if observation.scope.is_empty() => plan.account_findings.push(lost_rows(broken)),
            _ => {}
        }
    }
    for Stretch { stream, symbol, since, until } in &observation.read_before.grown {
        let known = if stream == FILLS { CoverageGrade::Inferred } else { CoverageGrade::Asked };
        let covered = [known, CoverageGrade::Confirmed].map(|grade| CoverageSpan {
            stream: stream.clone(),
            symbol: symbol.clone(),
            grade,
            since: *since,
            until: *until,
        });
        plan.reopened.push(Stretch { stream: stream.clone(), symbol: symbol.clone(), since: *since, until: *until });
        plan.account_coverage.extend(covered);
    }
    plan
}
