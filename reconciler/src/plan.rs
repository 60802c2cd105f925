//! Deciding: what differs, and which of the exchange's statements repair it. Pure and synchronous; the same observation
//! gives the same plan.
//!
//! Invariants, each with a test of the same name:
//! 1. `nothing_is_planned_from_a_failed_query`.
//! 2. `a_book_that_agrees_needs_nothing`.
//! 3. `every_finding_has_its_evidence_in_one_line`.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{ExchangeError, OrderRef, Stated};
use ledger_core::{
    AnyFact, Decimal, ExitReason, Fill, IntentOutcome, IntentRole, MathError, Order, OrderClass, OrderIntent, OrderKey,
    Outcome, PositionMode, PositionSide, Source, Sourced, Statement, Symbol, TimestampMs, merge,
};
use ledger_store::{BookOrder, CoverageGrade, CoverageSpan, SyncCursor};
use serde_json::{Value, json};

use crate::discrepancy::{DiscrepancyKind, Finding, Subject};
use crate::error::ReconcileError;
use crate::observation::{FillWalk, Observation, SymbolObservation};
use crate::observe::{FILLS, INCOME, ORDERS};

/// What to change, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Set the account's position mode, where the book does not know it yet or it changed.
    pub position_mode: Option<PositionMode>,
    /// Contracts that the book lacks: recorded first, for nothing can be folded without them.
    pub instruments: Vec<Statement>,
    /// What concerns the account as a whole: the ledger, balances, the exchange's word on positions. Recorded last, with
    /// the cursors: a crash before only means that everything is asked again.
    pub account_statements: Vec<Statement>,
    /// How many of them are ledger rows that are new to the book.
    pub income_new: usize,
    /// How far the account-wide streams reach once this is recorded.
    pub account_cursors: Vec<SyncCursor>,
    /// What the account-wide streams cover then.
    pub account_coverage: Vec<CoverageSpan>,
    /// Findings about no symbol in particular.
    pub account_findings: Vec<Finding>,
    /// The symbols, each in a transaction of its own.
    pub symbols: BTreeMap<Symbol, SymbolPlan>,
}

/// What to change about one symbol, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SymbolPlan {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What to record.
    pub statements: Vec<Statement>,
    /// What the journal will say about it.
    pub repairs: Vec<PlannedRepair>,
    /// How far the symbol's fills reach then.
    pub cursors: Vec<SyncCursor>,
    /// What they cover then.
    pub coverage: Vec<CoverageSpan>,
}

/// A repair, as the journal will tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRepair {
    /// What it does.
    pub kind: &'static str,
    /// The finding that it answers: its kind and fingerprint.
    pub finding: (DiscrepancyKind, String),
    /// Why, for the reader.
    pub cause: String,
    /// What it rests on.
    pub evidence_json: String,
    /// What the book says before.
    pub before_json: Option<String>,
    /// What it will say.
    pub after_json: Option<String>,
}

impl Plan {
    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.account_findings.iter().chain(self.symbols.values().flat_map(|symbol| &symbol.findings))
    }

    /// Whether it would record a fact.
    pub fn changes_anything(&self) -> bool {
        self.position_mode.is_some()
            || !self.instruments.is_empty()
            || !self.account_statements.is_empty()
            || self.symbols.values().any(|symbol| !symbol.statements.is_empty())
    }

    fn symbol(&mut self, symbol: &Symbol) -> &mut SymbolPlan {
        self.symbols.entry(symbol.clone()).or_default()
    }
}

/// Decides what differs and what to record. `now` is the exchange's time.
///
/// # Errors
/// [`ReconcileError::Math`] when quantities cannot be added up.
pub fn plan(observation: &Observation, now: TimestampMs) -> Result<Plan, ReconcileError> {
    let mut plan = Plan::default();
    let account = &observation.book.account;
    if account.position_mode != Some(observation.position_mode) {
        plan.position_mode = Some(observation.position_mode);
    }
    plan_failed_queries(observation, &mut plan);
    plan_account(observation, &mut plan);
    plan_orders(observation, &mut plan);
    for (symbol, close) in &observation.symbols {
        plan_intents(observation, symbol, close, &mut plan);
        if let Ok(walk) = &close.fills {
            plan_fills(observation, symbol, close, walk, now, &mut plan).map_err(ReconcileError::Math)?;
        }
    }
    plan_positions(observation, now, &mut plan);
    Ok(plan)
}

fn plan_failed_queries(observation: &Observation, plan: &mut Plan) {
    for (symbol, what, error) in observation.failed_queries() {
        let finding = Finding {
            kind: DiscrepancyKind::QueryFailed,
            symbol: symbol.clone(),
            evidence: format!("{what} could not be read: {}", one_line(error)),
            subject: Subject::Query(what),
            may_settle: true,
        };
        match symbol {
            Some(symbol) => plan.symbol(&symbol).findings.push(finding),
            None => plan.account_findings.push(finding),
        }
    }
}

/// An error with its sources.
fn one_line(error: &ExchangeError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn plan_account(observation: &Observation, plan: &mut Plan) {
    let venue = observation.venue;
    // What happened in the last moments may still be missing from the answers.
    let settled = |asked_at: TimestampMs| asked_at.saturating_add_ms(-venue.settle_lag_ms);
    let mut reach = |stream: &str, since: TimestampMs, until: TimestampMs, is_contiguous: bool| {
        plan.account_cursors.extend(is_contiguous.then(|| cursor(stream, None, until)));
        plan.account_coverage.extend(coverage(stream, None, since, until));
    };
    // Orders of symbols out of scope are not recorded, so the stream of all symbols is not read that far.
    if let Ok(walk) = &observation.orders
        && observation.scope.is_empty()
    {
        reach(ORDERS, walk.window.since(), settled(walk.asked_at), walk.is_contiguous);
    }
    if let Ok(walk) = &observation.income {
        reach(INCOME, walk.window.since(), settled(walk.asked_at), walk.is_contiguous);
        let new = walk.rows.iter().filter(|row| !observation.book.known_income.contains(&row.entity.key));
        let before = plan.account_statements.len();
        plan.account_statements.extend(new.map(Stated::statement));
        plan.income_new = plan.account_statements.len() - before;
    }
    if let Some(Ok(answer)) = &observation.instruments {
        let wanted = answer.rows.iter().filter(|row| {
            let symbol = &row.entity.symbol;
            let book = &observation.book;
            let is_named = observation.symbols.contains_key(symbol) || book.unfolded.contains(symbol);
            is_named && observation.is_in_scope(symbol) && !book.instruments.contains(symbol)
        });
        plan.instruments.extend(wanted.map(Stated::statement));
    }
    if let Ok(answer) = &observation.balances {
        // Only what says something new is kept: a balance that did not move is on record.
        let latest: BTreeMap<_, _> =
            observation.book.latest_balances.iter().map(|known| (&known.fact.asset, known.fact.wallet)).collect();
        let moved = answer.rows.iter().filter(|row| latest.get(&row.entity.asset) != Some(&row.entity.wallet));
        plan.account_statements.extend(moved.map(Stated::statement));
    }
    let mut stated = BTreeSet::new();
    for (symbol, side) in observation.position_keys() {
        let Some(answer) = observation.exchange_positions(&symbol) else { continue };
        let mut known = observation.book.latest_positions.iter().map(|known| &known.fact);
        let known = known.rfind(|known| known.symbol == symbol && known.position_side == side);
        let mut rows = answer.rows.iter();
        match rows.find(|row| row.entity.symbol == symbol && row.entity.position_side == side) {
            Some(row) => {
                stated.insert(symbol.clone());
                let is_news = known
                    .is_none_or(|known| (known.qty, known.entry_price) != (row.entity.qty, row.entity.entry_price));
                if is_news {
                    plan.account_statements.push(row.statement());
                }
            }
            // Not listed by an answer that succeeded: flat, as of then.
            None if known.is_none_or(|known| !known.qty.is_zero()) => {
                let flat = ledger_core::PositionSnapshot {
                    symbol,
                    position_side: side,
                    at: answer.asked_at,
                    qty: Decimal::ZERO,
                    entry_price: None,
                };
                plan.account_statements.push(Statement {
                    fact: AnyFact::Position(flat),
                    source: Source::Rest,
                    payload: None,
                });
            }
            None => {}
        }
    }
    if let Ok(answer) = &observation.mark_prices {
        let held = answer.rows.iter().filter(|row| stated.contains(&row.entity.symbol));
        let on_record = |row: &&Stated<ledger_core::PriceSnapshot>| {
            let mut marks = observation.book.positions.iter().filter_map(|held| held.mark.as_ref());
            !marks.any(|mark| mark.symbol == row.entity.symbol && mark.at == row.entity.at)
        };
        plan.account_statements.extend(held.filter(on_record).map(Stated::statement));
    }
}

/// The exchange's statements about orders, the account-wide ones and those asked for by name.
fn plan_orders(observation: &Observation, plan: &mut Plan) {
    let wide = observation.orders.iter().flat_map(|walk| &walk.rows);
    let open = observation.open_orders.iter().flat_map(|answer| &answer.rows);
    let named = observation.symbols.values().flat_map(|close| &close.orders);
    let named = named.filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
    // The same order may be told several times; the last state is the one with the greatest execution, so all are
    // merged first.
    let mut stated: BTreeMap<OrderKey, Vec<&Stated<Order>>> = BTreeMap::new();
    for row in wide.chain(open).chain(named) {
        let rows = stated.entry(row.entity.key.clone()).or_default();
        if !rows.iter().any(|known| known.entity == row.entity) {
            rows.push(row);
        }
    }
    for (key, rows) in stated {
        plan_order(observation, &key, &rows, plan);
    }
}

fn plan_order(observation: &Observation, key: &OrderKey, rows: &[&Stated<Order>], plan: &mut Plan) {
    // A symbol that was not asked for stays as it is.
    if !observation.is_in_scope(&key.symbol) {
        return;
    }
    let booked = observation.book.orders.get(key);
    let mut state = booked.map(|booked| booked.order.clone());
    let mut news = Vec::new();
    for row in rows {
        let offered = Sourced::new(row.entity.clone(), Source::Rest);
        let (joined, is_news) = match &state {
            None => (offered, true),
            Some(known) => {
                let (joined, outcome) = merge(known, &offered);
                (joined, matches!(outcome, Outcome::Recorded | Outcome::Merged { .. } | Outcome::Conflicts { .. }))
            }
        };
        // A conflict that is on record already is not news.
        if is_news && state.as_ref() != Some(&joined) {
            news.push(row.statement());
        }
        state = Some(joined);
    }
    let Some(after) = state.filter(|_| !news.is_empty()).map(|state| state.fact) else { return };
    let executed = |order: &Order| order.executed.as_ref().map_or(Decimal::ZERO, |executed| executed.qty);
    let describe = |order: &Order| format!("{} with {} executed", order.status, executed(order));
    let what = describe_order(&after);
    let finding = match booked.map(|booked| &booked.order.fact) {
        None => Some((
            DiscrepancyKind::UnknownOrder,
            format!("{what} is {} at the exchange, unknown to the book", describe(&after)),
        )),
        Some(before) if before.status != after.status || executed(before) != executed(&after) => Some((
            DiscrepancyKind::OrderBehind,
            format!("{what} is {} at the exchange, {} in the book", describe(&after), describe(before)),
        )),
        Some(_) => None,
    };
    let symbol_plan = plan.symbol(&key.symbol);
    symbol_plan.statements.extend(news);
    let Some((kind, evidence)) = finding else { return };
    let finding = Finding {
        kind,
        symbol: Some(key.symbol.clone()),
        subject: Subject::Order(key.clone()),
        evidence,
        may_settle: false,
    };
    symbol_plan.repairs.push(PlannedRepair {
        kind: if kind == DiscrepancyKind::UnknownOrder { "restore_order" } else { "update_order" },
        finding: (kind, finding.fingerprint()),
        cause: finding.evidence.clone(),
        evidence_json: finding.evidence_json(),
        before_json: booked.map(|booked| order_json(&booked.order.fact).to_string()),
        after_json: Some(order_json(&after).to_string()),
    });
    symbol_plan.findings.push(finding);
}

fn describe_order(order: &Order) -> String {
    let mut what = format!("order {} ({} ", order.key.order_id, order.side);
    if let Some(qty) = order.terms.qty {
        what = format!("{what}{qty} ");
    }
    let client = order.client_order_id.as_ref().map_or_else(String::new, |id| format!(", client order id {id}"));
    format!("{what}{}{client})", order.key.symbol)
}

fn order_json(order: &Order) -> Value {
    json!({
        "order_id": order.key.order_id.as_str(),
        "status": order.status.as_str(),
        "executed_qty": order.executed.as_ref().map(|executed| executed.qty.to_string()),
    })
}

fn plan_fills(
    observation: &Observation,
    symbol: &Symbol,
    close: &SymbolObservation,
    walk: &FillWalk,
    now: TimestampMs,
    plan: &mut Plan,
) -> Result<(), MathError> {
    let settled = walk.asked_at.saturating_add_ms(-observation.venue.settle_lag_ms);
    let mut missing: BTreeMap<OrderKey, Vec<&Fill>> = BTreeMap::new();
    let symbol_plan = plan.symbol(symbol);
    symbol_plan.cursors.extend(walk.is_contiguous.then(|| cursor(FILLS, Some(symbol), settled)));
    symbol_plan.coverage.extend(coverage(FILLS, Some(symbol), walk.window.since(), settled));
    for row in walk.rows.values() {
        if let Some(known) = close.book_fills.get(&row.entity.key) {
            // The book may know it from a coarser source.
            let (joined, _) = merge(known, &Sourced::new(row.entity.clone(), Source::Rest));
            if joined != *known {
                symbol_plan.statements.push(row.statement());
            }
            continue;
        }
        symbol_plan.statements.push(row.statement());
        if let Some(order_id) = &row.entity.order_id {
            missing.entry(order_key(symbol, order_id.clone())).or_default().push(&row.entity);
        }
    }
    // Orders of which more was executed than all known fills add up to.
    let booked = observation.book.orders.values().filter(|booked| booked.order.fact.key.symbol == *symbol);
    for booked in booked.filter(|booked| booked.residual_qty.is_some()) {
        missing.entry(booked.order.fact.key.clone()).or_default();
    }
    for (key, fills) in missing {
        let (finding, repair) = missing_fills(observation, &key, &fills, now)?;
        symbol_plan.repairs.extend(repair);
        symbol_plan.findings.push(finding);
    }
    Ok(())
}

fn order_key(symbol: &Symbol, order_id: ledger_core::OrderId) -> OrderKey {
    OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id }
}

fn missing_fills(
    observation: &Observation,
    key: &OrderKey,
    fills: &[&Fill],
    now: TimestampMs,
) -> Result<(Finding, Option<PlannedRepair>), MathError> {
    let booked = observation.book.orders.get(key);
    let filled = booked.and_then(|booked| booked.filled_qty).unwrap_or_default();
    let executed = booked.and_then(|booked| booked.order.fact.executed.as_ref()).map(|executed| executed.qty);
    let mut restored = Decimal::ZERO;
    for fill in fills {
        restored = restored.checked_add(fill.qty.get())?;
    }
    let book_says = match (booked, executed) {
        (None, _) => "the book does not know the order".to_owned(),
        (Some(_), Some(executed)) => format!("the book has fills for {filled} of {executed} executed"),
        (Some(_), None) => format!("the book has fills for {filled}"),
    };
    let exchange_says = if fills.is_empty() {
        "the exchange shows no further fill".to_owned()
    } else {
        let ids: Vec<&str> = fills.iter().take(5).map(|fill| fill.key.fill_id.as_str()).collect();
        let more =
            if fills.len() > ids.len() { format!(" and {} more", fills.len() - ids.len()) } else { String::new() };
        format!(
            "the exchange has {} for {restored} that the book lacks: trade {}{more}",
            count(fills.len(), "fill"),
            ids.join(", ")
        )
    };
    let what =
        booked.map_or_else(|| format!("order {} ({})", key.order_id, key.symbol), |b| describe_order(&b.order.fact));
    // A fill can lag behind the state of its order for a moment.
    let changed_at = booked.and_then(|booked| booked.order.fact.updated).map(|updated| updated.at);
    let is_fresh = changed_at.is_some_and(|at| at.saturating_add_ms(observation.venue.settle_lag_ms) >= now);
    let finding = Finding {
        kind: DiscrepancyKind::MissingFills,
        symbol: Some(key.symbol.clone()),
        subject: Subject::Order(key.clone()),
        evidence: format!("{what}: {book_says}; {exchange_says}"),
        may_settle: fills.is_empty() && is_fresh,
    };
    let repair = (!fills.is_empty()).then(|| {
        let after = filled.checked_add(restored);
        PlannedRepair {
            kind: "restore_fills",
            finding: (finding.kind, finding.fingerprint()),
            cause: finding.evidence.clone(),
            evidence_json: json!({
                "evidence": finding.evidence,
                "fills": fills.iter().map(|fill| fill_json(fill)).collect::<Vec<_>>(),
            })
            .to_string(),
            before_json: Some(json!({ "filled_qty": filled.to_string() }).to_string()),
            after_json: after.ok().map(|after| json!({ "filled_qty": after.to_string() }).to_string()),
        }
    });
    Ok((finding, repair))
}

fn fill_json(fill: &Fill) -> Value {
    json!({
        "fill_id": fill.key.fill_id.as_str(), "side": fill.key.side.as_str(), "qty": fill.qty.to_string(),
        "price": fill.price.to_string(), "ts": fill.time.at.as_ms(),
    })
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Orders that were sent and whose outcome nobody knew: the exchange has been asked for them by client order id.
fn plan_intents(observation: &Observation, symbol: &Symbol, close: &SymbolObservation, plan: &mut Plan) {
    let unresolved = observation.book.unresolved_intents.iter().map(|intent| &intent.fact);
    for intent in unresolved.filter(|intent| intent.symbol == *symbol) {
        let reference = OrderRef::Client(intent.client_order_id.clone());
        let answer = close.orders.iter().find(|(order, _)| *order == reference);
        let Some((_, Ok(answer))) = answer else { continue };
        let sent = format!(
            "{} {} {} sent with client order id {}",
            intent.side,
            qty_text(intent),
            symbol,
            intent.client_order_id
        );
        let subject = Subject::Intent(intent.client_order_id.clone());
        let mut finding = Finding {
            kind: DiscrepancyKind::UnresolvedIntent,
            symbol: Some(symbol.clone()),
            subject,
            evidence: format!("{sent}: the exchange does not know it (yet), which proves nothing"),
            may_settle: true,
        };
        let symbol_plan = plan.symbol(symbol);
        if let Some(order) = answer {
            finding.evidence = format!("{sent}: the exchange has it as order {}", order.entity.key.order_id);
            finding.may_settle = false;
            symbol_plan.statements.extend(accepted(intent, &order.entity));
            symbol_plan.repairs.push(PlannedRepair {
                kind: "resolve_intent",
                finding: (finding.kind, finding.fingerprint()),
                cause: finding.evidence.clone(),
                evidence_json: finding.evidence_json(),
                before_json: Some(json!({ "outcome": intent.outcome.as_str() }).to_string()),
                after_json: Some(json!({ "outcome": IntentOutcome::Accepted.as_str() }).to_string()),
            });
        }
        symbol_plan.findings.push(finding);
    }
}

fn qty_text(intent: &OrderIntent) -> String {
    intent.qty.map_or_else(|| "(whole position)".to_owned(), |qty| qty.to_string())
}

/// What an intent adds to the order that came of it, and that it is resolved.
pub(crate) fn accepted(intent: &OrderIntent, order: &Order) -> [Statement; 2] {
    let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
    labelled.client_order_id = Some(intent.client_order_id.clone());
    labelled.engine.clone_from(&intent.engine);
    labelled.signal_id.clone_from(&intent.signal_id);
    labelled.exit_reason = match intent.role {
        IntentRole::Entry | IntentRole::Dca => None,
        IntentRole::Exit => Some(ExitReason::AutoExit),
        IntentRole::TakeProfit => Some(ExitReason::TakeProfit),
        IntentRole::StopLoss => Some(ExitReason::StopLoss),
    };
    let resolved = OrderIntent { outcome: IntentOutcome::Accepted, ..intent.clone() };
    [AnyFact::Order(labelled), AnyFact::Intent(resolved)].map(|fact| Statement {
        fact,
        source: Source::Bot,
        payload: None,
    })
}

fn plan_positions(observation: &Observation, now: TimestampMs, plan: &mut Plan) {
    for (symbol, side) in observation.position_keys() {
        // Without an answer nothing is said, and a symbol outside of what was asked for is left alone.
        let Some(stated) = observation.exchange_qty(&symbol, side) else { continue };
        let booked = observation.book.qty(&symbol, side);
        if stated == booked || !observation.symbols.contains_key(&symbol) {
            continue;
        }
        let position = if side == PositionSide::Net { symbol.to_string() } else { format!("{symbol} {side}") };
        let mut evidence = format!("{position}: the exchange holds {stated}, the book {booked}");
        if observation.book.unfolded.contains(&symbol) {
            evidence.push_str(" (its contract is not on record, so its fills could not be added up)");
        }
        let latest = observation.symbols.get(&symbol).and_then(|close| close.fills.as_ref().ok());
        let latest = latest.and_then(|walk| walk.rows.values().map(|row| row.entity.time.at).max());
        let is_fresh = latest.is_some_and(|at| at.saturating_add_ms(observation.venue.settle_lag_ms) >= now);
        plan.symbol(&symbol).findings.push(Finding {
            kind: DiscrepancyKind::PositionMismatch,
            symbol: Some(symbol.clone()),
            subject: Subject::Position(symbol, side),
            evidence,
            may_settle: is_fresh,
        });
    }
}

fn cursor(stream: &str, symbol: Option<&Symbol>, reached: TimestampMs) -> SyncCursor {
    SyncCursor { stream: stream.to_owned(), symbol: symbol.cloned(), position: reached.as_ms().to_string() }
}

fn coverage(stream: &str, symbol: Option<&Symbol>, since: TimestampMs, until: TimestampMs) -> Option<CoverageSpan> {
    (since < until).then(|| CoverageSpan {
        stream: stream.to_owned(),
        symbol: symbol.cloned(),
        grade: CoverageGrade::Asked,
        since,
        until,
    })
}

/// The book's sum of an order's fills, for whoever shows it.
pub(crate) fn residual_text(order: &BookOrder) -> Option<String> {
    let residual = order.residual_qty?;
    Some(format!("{} lacks fills for {residual}", describe_order(&order.order.fact)))
}
