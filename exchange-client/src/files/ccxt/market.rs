//! Which contract an object is about.

use ledger_core::{Asset, Instrument, Symbol};

use super::Unified;
use crate::binance_usdm::instrument_from_symbol;
use crate::files::cell::Cell;
use crate::files::context::linear;
use crate::files::error::{RowError, RowProblem, shown};

/// The contract that an object is about.
pub(super) struct Market {
    pub(super) symbol: Symbol,
    pub(super) instrument: Option<Instrument>,
    /// Whether its value is price x quantity.
    pub(super) is_linear: bool,
    /// What it settles in, where the object says.
    pub(super) settle_asset: Option<Asset>,
}

impl Market {
    /// The contract, which both halves have to name.
    pub(super) fn of(unified: &Unified<'_>) -> Result<Self, RowError> {
        let Some(cell) = unified.outer.get("symbol") else {
            return Err(RowError::cell("symbol", "", RowProblem::Missing));
        };
        let own = unified.in_info(&["symbol"]);
        let market = Self::named(cell, own.is_some() && unified.in_info(&["positionSide"]).is_some())?;
        if let Some(own) = own
            && own.text != market.symbol.as_str()
        {
            return Err(cell.error(RowProblem::Contradicts { info: own.column.to_owned(), found: shown(own.text) }));
        }
        if let Some(foreign) = unified.foreign_symbol.as_deref().and_then(plain_name)
            && market.is_linear
            && foreign != market.symbol.as_str()
        {
            let info = "info.symbol".to_owned();
            return Err(cell.error(RowProblem::Contradicts { info, found: shown(&foreign) }));
        }
        Ok(market)
    }

    /// The contract that a symbol names which is known to be a future's.
    pub(super) fn of_future(unified: &Unified<'_>) -> Result<Self, RowError> {
        match unified.outer.get("symbol") {
            Some(cell) => Self::named(cell, true),
            None => Err(RowError::cell("symbol", "", RowProblem::Missing)),
        }
    }

    /// The contract of a unified symbol. Early versions of the library named futures like spot pairs; only the exchange's
    /// answer tells them apart.
    fn named(cell: Cell<'_>, is_future: bool) -> Result<Self, RowError> {
        let Some((base, rest)) = cell.text.split_once('/') else {
            let symbol = cell.symbol()?;
            let is_linear = instrument_from_symbol(&symbol).is_some();
            return Ok(Self { symbol, instrument: None, is_linear, settle_asset: None });
        };
        let Some((quote, contract)) = rest.split_once(':') else {
            if !is_future {
                return Err(cell.error(RowProblem::NotFutures));
            }
            let is_linear = rest != "USD";
            let name = if is_linear { format!("{base}{rest}") } else { format!("{base}{rest}_PERP") };
            let symbol = Symbol::new(name).map_err(|problem| cell.error(problem))?;
            return Ok(Self { symbol, instrument: None, is_linear, settle_asset: None });
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
        let symbol = Symbol::new(name).map_err(|problem| cell.error(problem))?;
        let settle = Asset::new(settle).map_err(|problem| cell.error(problem))?;
        let instrument = if is_linear { linear(&symbol, settle.clone()) } else { None };
        Ok(Self { symbol, instrument, is_linear, settle_asset: Some(settle) })
    }
}

/// Another venue's name of a linear contract as the one that is kept, where it is written like one: `BTC-USDT-SWAP` and
/// `XBTUSDTM` are `BTCUSDT`. `None` for names that follow other rules.
fn plain_name(foreign: &str) -> Option<String> {
    let upper = foreign.to_ascii_uppercase().replace(['-', '_', '/'], "");
    let bare = ["SWAP", "PERP", "M"].iter().find_map(|suffix| upper.strip_suffix(suffix)).unwrap_or(&upper);
    let named = bare.strip_prefix("XBT").map_or_else(|| bare.to_owned(), |quote| format!("BTC{quote}"));
    let symbol = Symbol::new(&named).ok()?;
    instrument_from_symbol(&symbol).map(|_| named)
}
