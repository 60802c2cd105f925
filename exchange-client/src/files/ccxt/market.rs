//! Which contract an object is about.

use ledger_core::{Asset, Instrument, Symbol};

use super::Unified;
use crate::files::cell::Cell;
use crate::files::context::linear;
use crate::files::error::{RowError, RowProblem};

/// The contract that an object is about.
pub(super) struct Market {
    pub(super) symbol: Symbol,
    pub(super) instrument: Option<Instrument>,
}

impl Market {
    pub(super) fn of(unified: &Unified<'_>) -> Result<Self, RowError> {
        let Some(cell) = unified.outer.get("symbol") else {
            return Err(RowError::cell("symbol", "", RowProblem::Missing));
        };
        let own = unified.in_info(&["symbol"]).map(Cell::symbol).transpose()?;
        if own.is_none() && unified.info.is_some() {
            // Another venue's answer: its quantities may be contracts of any size.
            return Err(RowError::cell("info.symbol", "", RowProblem::Missing));
        }
        let Some((base, rest)) = cell.text.split_once('/') else {
            let symbol = own.map_or_else(|| cell.symbol(), Ok)?;
            return Ok(Self { symbol, instrument: None });
        };
        let Some((quote, contract)) = rest.split_once(':') else {
            // Early versions of the library named futures like spot pairs; only `info` tells them apart.
            return match own {
                Some(symbol) if unified.in_info(&["positionSide"]).is_some() => Ok(Self { symbol, instrument: None }),
                _ => Err(cell.error(RowProblem::NotFutures)),
            };
        };
        let (settle, expiry) = match contract.split_once('-') {
            Some((settle, expiry)) => (settle, Some(expiry)),
            None => (contract, None),
        };
        if expiry.is_some_and(|expiry| expiry.contains('-')) {
            return Err(cell.error(RowProblem::NotFutures));
        }
        let is_linear = settle == quote;
        let name = match (expiry, is_linear) {
            (Some(expiry), _) => format!("{base}{quote}_{expiry}"),
            (None, true) => format!("{base}{quote}"),
            (None, false) => format!("{base}{quote}_PERP"),
        };
        let symbol = match own {
            Some(symbol) => symbol,
            None => Symbol::new(name).map_err(|problem| cell.error(problem))?,
        };
        let settle = Asset::new(settle).map_err(|problem| cell.error(problem))?;
        let instrument = if is_linear { linear(&symbol, settle) } else { None };
        Ok(Self { symbol, instrument })
    }
}
