//! Balances: a single number each, which no other says again. One that the last statement and the ledger rows since lead to
//! is recorded; another waits until a second look says that the same amount is unexplained. An answer may be an old one, and
//! ledger rows come a moment later than what they moved.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_balance_that_the_ledger_explains_is_recorded_at_once`.
//! 2. `a_balance_that_nothing_explains_waits_for_a_second_look`.
//! 3. `the_first_balance_of_an_asset_takes_two_answers`.

use std::collections::BTreeMap;

use exchange_client::Stated;
use ledger_core::footing::foots_between;
use ledger_core::{BalanceSnapshot, Decimal, Income, IncomeKey, MathError};

use super::Plan;
use crate::asked::Asked;
use crate::discrepancy::{DiscrepancyKind, Subject};
use crate::finding::{Finding, Outlook};
use crate::memory::doubt::Claim;
use crate::observe::{Observation, observed_at};
use crate::wording::instant;

pub(super) fn plan_balances(observation: &Observation) -> Plan {
    let mut plan = Plan::default();
    let Asked::Answered(answer) = &observation.balances else { return plan };
    // Where a row of the ledger cannot be read, nothing tells what it would explain.
    let is_readable = observation.book.damaged.values().all(|row| row.table != "income");
    for row in &answer.rows {
        let BalanceSnapshot { asset, at, wallet } = &row.entity;
        let known = observation.book.balance(asset);
        // Only what says something new is kept: a balance that did not move is on record.
        if known.is_some_and(|known| known.wallet == *wallet) {
            continue;
        }
        // Nothing on record tells whether the first balance of an asset is so, and every later one is held against it.
        if known.is_none() && !observation.is_said_again(&row.entity) {
            let evidence = format!(
                "{asset}: the wallet is stated as {wallet} at {}, and a second answer does not say the same",
                instant(*at)
            );
            plan_doubted(observation, row, Claim::Differs(*wallet), evidence, &mut plan);
            continue;
        }
        // What cannot be added up is told by the check of the wallets.
        let unexplained =
            known.filter(|_| is_readable).and_then(|known| unexplained(observation, known, &row.entity).ok().flatten());
        let Some((known, Unexplained { moved, amount })) = known.zip(unexplained) else {
            plan.account_statements.push(row.statement());
            continue;
        };
        // Nothing is doubted for want of a ledger that did not answer; the next look that has it tells.
        if !observation.income.is_answered() {
            continue;
        }
        let evidence = format!(
            "{asset}: the wallet is stated as {wallet} at {}, {moved} from {} at {}, of which the ledger does not explain \
             {amount}",
            instant(*at),
            known.wallet,
            instant(known.at)
        );
        plan_doubted(observation, row, Claim::Differs(amount), evidence, &mut plan);
    }
    plan
}

/// A balance that waits for a second look to say the same, and is recorded then.
fn plan_doubted(
    observation: &Observation,
    row: &Stated<BalanceSnapshot>,
    claim: Claim,
    evidence: String,
    plan: &mut Plan,
) {
    let subject = Subject::Balance(row.entity.asset.clone());
    let finding = Finding::new(DiscrepancyKind::UnexplainedBalance, None, subject, Outlook::Stays, evidence);
    let mut finding = finding.doubted(claim, &observation.looks(observed_at(observation)));
    if !finding.is_doubtful {
        // Its doubt stays on record until the balance is: whoever is stopped in between goes on from there.
        finding.outlook = Outlook::Verify;
        plan.account_statements.push(row.statement());
    }
    plan.account_findings.push(finding);
}

struct Unexplained {
    /// By how much the wallet moved.
    moved: Decimal,
    /// How much of that the ledger does not explain.
    amount: Decimal,
}

/// What the ledger does not explain of how a wallet moved.
fn unexplained(
    observation: &Observation,
    known: &BalanceSnapshot,
    stated: &BalanceSnapshot,
) -> Result<Option<Unexplained>, MathError> {
    let moved = stated.wallet.checked_sub(known.wallet)?;
    let booked = observation.book.ledger_since.get(&known.asset);
    let answered = observation.income.iter().flat_map(|walk| &walk.rows).map(|Stated { entity, .. }| entity);
    let of_asset = answered.filter(|row| row.key.asset == known.asset && row.time.at >= known.at);
    let rows: BTreeMap<&IncomeKey, &Income> =
        of_asset.chain(booked.into_iter().flatten()).map(|row| (&row.key, row)).collect();
    let mut rows: Vec<Income> = rows.into_values().cloned().collect();
    rows.sort_by_key(|row| row.time.at);
    if foots_between(&rows, known.at, stated.at, moved)? {
        return Ok(None);
    }
    let inside = rows.iter().filter(|row| row.time.at > known.at && row.time.at <= stated.at);
    let mut amount = moved;
    for row in inside {
        amount = amount.checked_sub(row.amount)?;
    }
    Ok(Some(Unexplained { moved, amount }))
}
