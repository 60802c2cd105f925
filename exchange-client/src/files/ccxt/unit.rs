//! How many coins one unit of a unified amount is.
//!
//! The library counts in contracts, whose size each venue chooses: 0.1 LTC, 100 DOGE, one coin. It is known where the object
//! or a market of the library in front of it states `contractSize`, and proven where the object's own cost is
//! price x amount x size. Taken for coins, 12 contracts of 100 would be 12 coins, and every check would pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::{AnyFact, ContractKind, Decimal, DerivedFigure, Instrument, Quantity, Source, Statement, Symbol};

use super::{Market, Unified};
use crate::files::BookVenue;
use crate::files::cell::Cell;
use crate::files::context::{Context, statement};
use crate::files::error::{RowError, RowProblem};
use crate::files::json::Object;

/// How many contracts' sizes are remembered; no venue has more.
const REMEMBERED: usize = 1 << 14;

/// The sizes of contracts that files have told so far.
#[derive(Debug, Clone, Default)]
pub struct ContractSizes(BTreeMap<Symbol, Decimal>);

impl ContractSizes {
    fn note(&mut self, symbol: &Symbol, size: Decimal) {
        if self.0.len() < REMEMBERED || self.0.contains_key(symbol) {
            self.0.insert(symbol.clone(), size);
        }
    }
}

/// What an object says of what was traded, in its own unit.
pub(super) struct Traded<'a> {
    pub(super) price: Option<Decimal>,
    pub(super) qty: Decimal,
    /// Price x quantity x size.
    pub(super) cost: Option<Cell<'a>>,
}

/// An amount in coins. That of an inverse contract stays in contracts.
///
/// # Errors
/// As for [`size`].
pub(super) fn coins(
    amount: Quantity,
    market: &Market,
    object: &Unified<'_>,
    traded: &Traded<'_>,
    context: &mut Context,
) -> Result<Quantity, RowError> {
    if !market.is_linear {
        return Ok(amount);
    }
    let size = size(market, object, traded, context)?;
    let qty = amount.get().checked_mul(size).map_err(|_| too_long(object))?;
    Quantity::new(qty).map_err(|problem| amount_error(object, problem.into()))
}

/// An amount that has too many digits in coins.
pub(super) fn too_long(object: &Unified<'_>) -> RowError {
    amount_error(object, RowProblem::Number(ledger_core::ParseDecimalError::TooPrecise))
}

/// A problem with the amount, as the object writes it.
fn amount_error(object: &Unified<'_>, problem: RowProblem) -> RowError {
    let cell = object.outer.first(&["amount", "filled"]).unwrap_or(Cell { column: "amount", text: "" });
    cell.error(problem)
}

/// The size of a linear contract, in coins.
///
/// # Errors
/// When nothing proves it, when the object contradicts what is known of it, and when it is not the one of the book's venue.
pub(super) fn size(
    market: &Market,
    object: &Unified<'_>,
    traded: &Traded<'_>,
    context: &mut Context,
) -> Result<Decimal, RowError> {
    let stated = object.outer.get("contractSize").map(Cell::quantity).transpose()?.map(Quantity::get);
    let known = stated.or_else(|| context.options.contract_sizes.0.get(&market.symbol).copied());
    let proof = Proof::of(traded)?;
    let size = match (known, proof) {
        (Some(known), Proof::None | Proof::Of { .. }) if proof.allows(traded, known) => known,
        (None, Proof::Of { size: Some(size), .. }) => size,
        (Some(known), Proof::Of { size: Some(found), cost }) => {
            return Err(cost.error(RowProblem::OtherSize { found: found.to_string(), known: known.to_string() }));
        }
        (_, Proof::Of { cost, .. }) => {
            let derived = traded.price.and_then(|price| price.product(traded.qty).ok());
            let derived = derived.map_or_else(String::new, |derived| derived.to_string());
            return Err(cost.error(RowProblem::NotTheProduct { derived, by_thousands: false }));
        }
        (_, Proof::None) => {
            let symbol = object.outer.get("symbol").map_or("", |cell| cell.text);
            let symbol = serde_json::to_string(symbol).unwrap_or_default();
            let line = format!(r#"{{"symbol":{symbol},"contractSize":SIZE}}"#);
            return Err(amount_error(object, RowProblem::UnitUnknown { line }));
        }
    };
    context.options.contract_sizes.note(&market.symbol, size);
    if context.options.venue == BookVenue::BinanceUsdm && size != Decimal::ONE {
        return Err(amount_error(object, RowProblem::OtherUnit { size: size.to_string() }));
    }
    Ok(size)
}

/// What a cost proves of the size.
#[derive(Clone, Copy)]
enum Proof<'a> {
    /// Nothing: it is not there, or too coarse to tell one size from another.
    None,
    /// That it is this one, or, if none fits, that the object contradicts itself.
    Of { size: Option<Decimal>, cost: Cell<'a> },
}

impl<'a> Proof<'a> {
    fn of(traded: &Traded<'a>) -> Result<Self, RowError> {
        let (Some(price), Some(cost)) = (traded.price, traded.cost) else { return Ok(Self::None) };
        let stated = DerivedFigure::float(cost.text).map_err(|problem| cost.error(problem))?;
        let Ok(derived) = price.product(traded.qty) else { return Ok(Self::None) };
        if derived.is_zero() || stated.amount().is_zero() {
            return Ok(Self::None);
        }
        let cost_at = |size: &Decimal| derived.product(*size);
        if let Some(size) = usual_sizes().find(|size| cost_at(size).is_ok_and(|cost| stated.is_double_of(cost))) {
            return Ok(Self::Of { size: Some(size), cost });
        }
        // A rounded cost of few digits would fit more than one size.
        let twentieth = stated.amount().div_round(Decimal::from(20), ledger_core::SCALE_MAX).unwrap_or(Decimal::ZERO);
        if stated.tolerance(stated.amount()) > twentieth {
            return Ok(Self::None);
        }
        let fits = |size: &Decimal| cost_at(size).is_ok_and(|cost| stated.is(cost, Decimal::ZERO));
        Ok(Self::Of { size: usual_sizes().find(fits), cost })
    }

    /// Whether it does not speak against a size that is known.
    fn allows(self, traded: &Traded<'_>, known: Decimal) -> bool {
        let Self::Of { cost, .. } = self else { return true };
        let derived = traded.price.and_then(|price| price.product(traded.qty).ok());
        let derived = derived.and_then(|derived| derived.product(known).ok());
        let stated = DerivedFigure::float(cost.text).ok();
        derived.zip(stated).is_some_and(|(derived, stated)| stated.is(derived, Decimal::ZERO))
    }
}

/// The sizes that venues choose: one, and 1, 2 and 5 of every power of ten.
fn usual_sizes() -> impl Iterator<Item = Decimal> {
    let powers = (-9..=9).flat_map(|power| [1, 2, 5].map(|digit| format!("{digit}e{power}").parse().ok()));
    std::iter::once(Some(Decimal::ONE)).chain(powers).flatten()
}

/// A market of the library: nothing is recorded of a linear one, but its size is known from here on. An inverse contract is
/// one of that size.
pub(super) fn market(
    object: &Object<'_>,
    payload: &Arc<str>,
    context: &mut Context,
) -> Result<Vec<Statement>, RowError> {
    let market =
        Market::of(&Unified { outer: object, info: None, foreign_symbol: None, counts_coins: false, exchange: None })?;
    let Some(size) = object.get("contractSize") else { return Ok(Vec::new()) };
    let size = size.quantity()?;
    if market.is_linear {
        context.options.contract_sizes.note(&market.symbol, size.get());
        return Ok(Vec::new());
    }
    let Some(settle_asset) = market.settle_asset else { return Ok(Vec::new()) };
    let kind = ContractKind::Inverse;
    let contract = Instrument {
        symbol: market.symbol,
        kind,
        multiplier: size,
        settle_asset,
        tick_size: None,
        step_size: None,
        liquidation_fee: None,
        terms_as_of: None,
    };
    Ok(vec![statement(AnyFact::Instrument(contract), Source::Ccxt, payload)])
}
