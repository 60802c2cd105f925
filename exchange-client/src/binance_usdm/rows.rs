//! From an answer's rows to entities with their words.

use std::collections::BTreeMap;

use ledger_core::{Income, Order, OrderClass, Symbol};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::dto;
use super::paging::Stuck;
use super::parse;
use crate::api::{OrderRef, Stated};
use crate::error::{Endpoint, ExchangeError, FieldProblem, body_start};
use crate::income_id::IncomeDigest;

pub(super) fn malformed(endpoint: &Endpoint, row: usize, (field, problem): parse::Unusable) -> ExchangeError {
    ExchangeError::Malformed { endpoint: endpoint.clone(), row, field, problem: Box::new(problem) }
}

/// Reads a row, keeping its words.
pub(super) fn stated<D: DeserializeOwned, T>(
    endpoint: &Endpoint,
    row: usize,
    raw: &RawValue,
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
) -> Result<Stated<T>, ExchangeError> {
    let dto: D = serde_json::from_str(raw.get()).map_err(|source| ExchangeError::Unreadable {
        endpoint: endpoint.clone(),
        content_type: format!("row {row}"),
        body_start: body_start(raw.get().as_bytes()),
        source,
    })?;
    let entity = parse(&dto).map_err(|unusable| malformed(endpoint, row, unusable))?;
    Ok(Stated { entity, payload: raw.get().into() })
}

pub(super) fn all_stated<D: DeserializeOwned, T>(
    endpoint: &Endpoint,
    rows: &[Box<RawValue>],
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
) -> Result<Vec<Stated<T>>, ExchangeError> {
    rows.iter().enumerate().map(|(index, raw)| stated(endpoint, index, raw, &parse)).collect()
}

/// The rows that can be read, and why the others cannot.
pub(super) fn readable<D: DeserializeOwned, T>(
    endpoint: &Endpoint,
    rows: &[Box<RawValue>],
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
) -> (Vec<Stated<T>>, Vec<ExchangeError>) {
    let (mut read, mut refused) = (Vec::with_capacity(rows.len()), Vec::new());
    for (index, raw) in rows.iter().enumerate() {
        match stated(endpoint, index, raw, &parse) {
            Ok(row) => read.push(row),
            Err(error) => refused.push(error),
        }
    }
    (read, refused)
}

/// Refuses rows about another contract than the one asked for, and puts the others in order, each once.
pub(super) fn in_order<T: PartialEq, K: Ord>(
    endpoint: &Endpoint,
    rows: Vec<Stated<T>>,
    symbol_of: impl Fn(&T) -> &Symbol,
    key_of: impl Fn(&T) -> K,
) -> Result<Vec<Stated<T>>, ExchangeError> {
    let mut sorted = BTreeMap::new();
    for (index, row) in rows.into_iter().enumerate() {
        if endpoint.symbol.as_ref().is_some_and(|asked| asked != symbol_of(&row.entity)) {
            return Err(malformed(endpoint, index, ("symbol", FieldProblem::NotAskedFor)));
        }
        sorted.insert(key_of(&row.entity), row);
    }
    Ok(sorted.into_values().collect())
}

pub(super) fn incomplete(endpoint: &Endpoint, Stuck(detail): Stuck) -> ExchangeError {
    ExchangeError::Incomplete { endpoint: endpoint.clone(), detail }
}

/// Refuses an order that is not the one asked for.
pub(super) fn refuse_another(endpoint: &Endpoint, asked: &OrderRef, order: &Order) -> Result<(), ExchangeError> {
    let (field, same) = match (asked, asked.class()) {
        (OrderRef::Id(_, id), OrderClass::Regular) => ("orderId", order.key.order_id == *id),
        (OrderRef::Id(_, id), OrderClass::Conditional) => ("algoId", order.key.order_id == *id),
        (OrderRef::Client(_, id), OrderClass::Regular) => ("clientOrderId", order.client_order_id.as_ref() == Some(id)),
        (OrderRef::Client(_, id), OrderClass::Conditional) => {
            ("clientAlgoId", order.client_order_id.as_ref() == Some(id))
        }
    };
    let field = if endpoint.symbol.as_ref().is_none_or(|asked| *asked == order.key.symbol) { field } else { "symbol" };
    if same && field != "symbol" { Ok(()) } else { Err(malformed(endpoint, 0, (field, FieldProblem::NotAskedFor))) }
}

/// Ledger rows of whole seconds; those without a transaction id are told apart by their ordinal among identical ones.
pub(super) fn income_rows(endpoint: &Endpoint, raw: &[Box<RawValue>]) -> Result<Vec<Stated<Income>>, ExchangeError> {
    let mut sorted = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let row = stated::<dto::IncomeRow, _>(endpoint, index, raw, |row| Ok((parse::income_time(row)?, row.clone())))?;
        sorted.push((index, row));
    }
    // Rows of one millisecond stay as they came.
    sorted.sort_by_key(|(_, row)| row.entity.0);
    let mut seen: BTreeMap<IncomeDigest, u32> = BTreeMap::new();
    let mut rows = BTreeMap::new();
    for (index, row) in sorted {
        let ordinal = |digest| {
            let count = seen.entry(digest).or_default();
            *count += 1;
            *count - 1
        };
        let entity = parse::income(&row.entity.1, ordinal).map_err(|unusable| malformed(endpoint, index, unusable))?;
        rows.insert((entity.time.at, entity.key.clone()), Stated { entity, payload: row.payload });
    }
    Ok(rows.into_values().collect())
}
