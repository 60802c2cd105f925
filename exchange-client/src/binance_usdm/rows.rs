//! From an answer's rows to entities with their words.
//!
//! Invariants, each with a test of the same name (in [`super::tests`]):
//! 1. `rows_that_contradict_each_other_are_an_error`, and equal ones are one. In a list of several contracts it is that of
//!    the contract that they are about: `a_row_that_cannot_be_read_says_nothing_about_its_contract_alone`.
//! 2. `rows_outside_the_window_are_an_error`: coverage is claimed from what was asked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ledger_core::{Income, Order, OrderClass, Symbol};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::dto;
use super::paging::Stuck;
use super::parse;
use crate::api::{Stated, TimeWindow, UnreadableRow};
use crate::error::{Endpoint, ExchangeError, FieldProblem};
use crate::foreign::{ForeignError, ForeignText};
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
        content_type: ForeignText::new(&format!("row {row}")),
        body_start: ForeignText::body_start(raw.get().as_bytes()),
        source: ForeignError::new(&source),
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

/// The rows that can be read, and the others with what they are about.
pub(super) fn readable<D: DeserializeOwned, T>(
    endpoint: &Endpoint,
    rows: &[Box<RawValue>],
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
) -> Readable<T> {
    let mut read = Readable { rows: Vec::with_capacity(rows.len()), unreadable: Vec::new() };
    for (index, raw) in rows.iter().enumerate() {
        match stated(endpoint, index, raw, &parse) {
            Ok(row) => read.rows.push(row),
            Err(error) => {
                let symbol = stated(endpoint, index, raw, parse::symbol).ok().map(|row| row.entity);
                read.unreadable.push(UnreadableRow { symbol, error, payload: raw.get().into() });
            }
        }
    }
    read
}

/// Rows of an answer, sorted by whether they can be read.
pub(super) struct Readable<T> {
    pub(super) rows: Vec<Stated<T>>,
    pub(super) unreadable: Vec<UnreadableRow>,
}

/// Rows of which one that cannot be read says nothing about other contracts than its own: in order, each once. A row that
/// does not say what it is about may be about any, so it fails the answer; so does one of an answer about one contract.
pub(super) fn by_contract<D: DeserializeOwned, T: PartialEq, K: Ord>(
    endpoint: &Endpoint,
    rows: &[Box<RawValue>],
    parse: impl Fn(&D) -> Result<T, parse::Unusable>,
    symbol_of: impl Fn(&T) -> &Symbol,
    (key_name, key_of): (&'static str, impl Fn(&T) -> K),
) -> Result<Readable<T>, ExchangeError> {
    let Readable { rows, mut unreadable } = readable(endpoint, rows, parse);
    let is_all = |row: &UnreadableRow| row.symbol.is_none() || endpoint.symbol.is_some();
    if let Some(index) = unreadable.iter().position(is_all) {
        return Err(unreadable.swap_remove(index).error);
    }
    if endpoint.symbol.is_some() {
        return Ok(Readable { rows: in_order(endpoint, rows, symbol_of, (key_name, key_of))?, unreadable });
    }
    let mut sorted: BTreeMap<K, Option<Stated<T>>> = BTreeMap::new();
    for (index, row) in rows.into_iter().enumerate() {
        match sorted.entry(key_of(&row.entity)) {
            Entry::Vacant(place) => {
                place.insert(Some(row));
            }
            Entry::Occupied(known) if known.get().as_ref().is_some_and(|known| known.entity == row.entity) => {}
            // Neither of two rows that say different things about one key is to be believed.
            Entry::Occupied(mut known) => {
                known.insert(None);
                unreadable.push(UnreadableRow {
                    symbol: Some(symbol_of(&row.entity).clone()),
                    error: malformed(endpoint, index, (key_name, FieldProblem::Contradicted)),
                    payload: row.payload,
                });
            }
        }
    }
    Ok(Readable { rows: sorted.into_values().flatten().collect(), unreadable })
}

/// Refuses rows about another contract than the one asked for, and puts the others in order, each once.
pub(super) fn in_order<T: PartialEq, K: Ord>(
    endpoint: &Endpoint,
    rows: Vec<Stated<T>>,
    symbol_of: impl Fn(&T) -> &Symbol,
    (key_name, key_of): (&'static str, impl Fn(&T) -> K),
) -> Result<Vec<Stated<T>>, ExchangeError> {
    let another = |row: &Stated<T>| endpoint.symbol.as_ref().is_some_and(|asked| asked != symbol_of(&row.entity));
    if let Some(index) = rows.iter().position(another) {
        return Err(malformed(endpoint, index, ("symbol", FieldProblem::NotAskedFor)));
    }
    each_once(endpoint, rows, (key_name, key_of))
}

/// In the order of their keys, each once. Two rows that say different things about one key are an error: taking either
/// would lose the other without a word.
pub(super) fn each_once<T: PartialEq, K: Ord>(
    endpoint: &Endpoint,
    rows: Vec<Stated<T>>,
    (key_name, key_of): (&'static str, impl Fn(&T) -> K),
) -> Result<Vec<Stated<T>>, ExchangeError> {
    let mut sorted = BTreeMap::new();
    for (index, row) in rows.into_iter().enumerate() {
        match sorted.entry(key_of(&row.entity)) {
            Entry::Vacant(place) => {
                place.insert(row);
            }
            Entry::Occupied(known) if known.get().entity == row.entity => {}
            Entry::Occupied(_) => return Err(malformed(endpoint, index, (key_name, FieldProblem::Contradicted))),
        }
    }
    Ok(sorted.into_values().collect())
}

/// Refuses rows of another time than the window asked for: an exchange that ignored it may have left out what lies inside.
pub(super) fn refuse_outside<T>(
    endpoint: &Endpoint,
    rows: &[Stated<T>],
    window: TimeWindow,
    (time_name, is_inside): (&'static str, impl Fn(&T, TimeWindow) -> bool),
) -> Result<(), ExchangeError> {
    match rows.iter().position(|row| !is_inside(&row.entity, window)) {
        None => Ok(()),
        Some(index) => Err(malformed(endpoint, index, (time_name, FieldProblem::NotAskedFor))),
    }
}

/// Whether an order is of a window, as `refuse_outside` wants it: by when it was created or by when it changed last. Which
/// of the two a list goes by differs between the lists, and is not documented for all.
pub(super) fn order_is_of(order: &Order, window: TimeWindow) -> bool {
    [order.created, order.updated].into_iter().flatten().any(|time| window.contains(time.at))
}

/// Orders of one class, in order of their keys, each once, and the rows that are none.
pub(super) fn orders(
    endpoint: &Endpoint,
    class: OrderClass,
    rows: &[Box<RawValue>],
) -> Result<Readable<Order>, ExchangeError> {
    let key = |row: &Order| row.key.clone();
    match class {
        OrderClass::Regular => by_contract(endpoint, rows, parse::order, |row| &row.key.symbol, ("orderId", key)),
        OrderClass::Conditional => {
            by_contract(endpoint, rows, parse::conditional_order, |row| &row.key.symbol, ("algoId", key))
        }
    }
}

/// Orders of the list of forced ones, in order of their keys, each once, and the rows that are none.
pub(super) fn forced_orders(endpoint: &Endpoint, rows: &[Box<RawValue>]) -> Result<Readable<Order>, ExchangeError> {
    let key = |row: &Order| row.key.clone();
    by_contract(endpoint, rows, parse::forced_order, |row| &row.key.symbol, ("orderId", key))
}

pub(super) fn incomplete(endpoint: &Endpoint, Stuck(detail): Stuck) -> ExchangeError {
    ExchangeError::Incomplete { endpoint: endpoint.clone(), detail: ForeignText::new(&detail) }
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
    let mut rows = Vec::with_capacity(sorted.len());
    for (index, row) in sorted {
        let ordinal = |digest| {
            let count = seen.entry(digest).or_default();
            *count += 1;
            *count - 1
        };
        let entity = parse::income(&row.entity.1, ordinal).map_err(|unusable| malformed(endpoint, index, unusable))?;
        rows.push(Stated { entity, payload: row.payload });
    }
    let mut rows = each_once(endpoint, rows, ("tranId", |row: &Income| row.key.clone()))?;
    rows.sort_by_key(|row| row.entity.time.at);
    Ok(rows)
}
