//! Prices and quantities as the exchange takes them, never to the disadvantage of who asked.
//!
//! Invariants, each with a test of the same name:
//! 1. `rounding_keeps_to_the_grid_and_is_off_by_less_than_a_step`, as plain integers have it.
//! 2. `no_order_is_larger_or_dearer_than_asked_for`: quantities are rounded down, the limit of a purchase down and that of a
//!    sale up.
//! 3. `what_cannot_be_sent_says_why`.

use exchange_client::{OrderFilters, QtyFilter};
use ledger_core::{Decimal, MathError, Price, Quantity, Side};
use thiserror::Error;

/// Why the exchange would refuse an order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unsendable {
    /// The contract cannot be traded at present.
    #[error("the contract cannot be traded at present")]
    NotTrading,
    /// Too little.
    #[error("{qty} is below the smallest quantity of this contract, {min}")]
    QtyBelowMin {
        /// The quantity that was asked for.
        qty: Quantity,
        /// The smallest one.
        min: Decimal,
    },
    /// Too much for one order. Entries are not split, because each part would be an order of its own with an outcome of its
    /// own: ask for less, or for several steps.
    #[error("{qty} is above the largest quantity of one order of this contract, {max}")]
    QtyAboveMax {
        /// The quantity that was asked for.
        qty: Quantity,
        /// The largest one.
        max: Decimal,
    },
    /// The price is below the smallest one.
    #[error("the price {price} is below the smallest step of prices, {tick}")]
    PriceBelowTick {
        /// The price that was asked for.
        price: Price,
        /// The smallest step.
        tick: Decimal,
    },
    /// Worth too little.
    #[error("{notional} is below the smallest value of an order of this contract, {min}")]
    NotionalBelowMin {
        /// Price x quantity, after rounding.
        notional: Decimal,
        /// The smallest value.
        min: Decimal,
    },
}

/// An order that opens something, as it can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) qty: Quantity,
    pub(super) price: Option<Price>,
}

/// How much of a position the next order closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) qty: Quantity,
    /// Whether the filters would not let it pass, so that a refusal is final.
    pub(super) is_dust: bool,
}

/// The largest multiple of `step` that is not above `value`, which is not below 0; without a step the value itself.
pub(crate) fn down(value: Decimal, step: Option<Decimal>) -> Result<Decimal, MathError> {
    let Some(step) = step.filter(|step| step.is_positive()) else { return Ok(value) };
    let scale = value.scale().max(step.scale());
    let (value, step) = (value.mantissa_at(scale)?, step.mantissa_at(scale)?);
    Decimal::new(value - value.rem_euclid(step), scale)
}

/// The smallest multiple of `step` that is not below `value`.
pub(crate) fn up(value: Decimal, step: Option<Decimal>) -> Result<Decimal, MathError> {
    let floor = down(value, step)?;
    match step {
        Some(step) if floor != value => floor.checked_add(step),
        _ => Ok(floor),
    }
}

/// An entry or addition as it can be sent, or why it cannot. The value of a market order is left to the exchange to judge:
/// its price is not known before.
pub(super) fn opening(
    filters: &OrderFilters,
    side: Side,
    asked: Quantity,
    limit: Option<Price>,
) -> Result<Result<Opening, Unsendable>, MathError> {
    if !filters.is_trading {
        return Ok(Err(Unsendable::NotTrading));
    }
    let filter = if limit.is_some() { &filters.limit_qty } else { &filters.market_qty };
    let rounded = down(asked.get(), filter.step)?;
    let min = filter.min.or(filter.step).unwrap_or(Decimal::ZERO);
    let Some(qty) = Quantity::new(rounded).ok().filter(|_| rounded >= min) else {
        return Ok(Err(Unsendable::QtyBelowMin { qty: asked, min }));
    };
    if let Some(max) = filter.max.filter(|max| rounded > *max) {
        return Ok(Err(Unsendable::QtyAboveMax { qty: asked, max }));
    }
    let Some(limit) = limit else { return Ok(Ok(Opening { qty, price: None })) };
    let to_tick = match side {
        Side::Buy => down(limit.get(), filters.tick_size)?,
        Side::Sell => up(limit.get(), filters.tick_size)?,
    };
    let Ok(price) = Price::new(to_tick) else {
        let tick = filters.tick_size.unwrap_or(Decimal::ZERO);
        return Ok(Err(Unsendable::PriceBelowTick { price: limit, tick }));
    };
    let notional = to_tick.checked_mul(rounded)?;
    if let Some(min) = filters.notional_min.filter(|min| notional < *min) {
        return Ok(Err(Unsendable::NotionalBelowMin { notional, min }));
    }
    Ok(Ok(Opening { qty, price: Some(price) }))
}

/// How much of a position the next order closes: all of it, rounded down, and no more than one order may have. Where
/// rounding leaves nothing that the filters let pass, it is all of it as it stands: filters can be out of date, and a
/// refused order costs nothing. `None` where nothing is held.
pub(super) fn closing(filter: Option<&QtyFilter>, held: Decimal) -> Option<Closing> {
    let whole = Quantity::new(held).ok()?;
    let exact = |is_dust| Some(Closing { qty: whole, is_dust });
    let Some(filter) = filter else { return exact(false) };
    let capped = filter.max.map_or(held, |max| held.min(max));
    // What cannot be calculated with is left to the exchange.
    let Ok(rounded) = down(capped, filter.step) else { return exact(false) };
    match Quantity::new(rounded) {
        Ok(qty) if filter.min.is_none_or(|min| rounded >= min) => Some(Closing { qty, is_dust: false }),
        _ => exact(true),
    }
}

/// The price of a stop that trades on `side`, on the grid of the exchange: never further against the position than asked for.
/// What cannot be calculated with is left to the exchange.
pub(super) fn triggering(asked: Price, side: Side, tick: Option<Decimal>) -> Price {
    let rounded = match side {
        Side::Sell => up(asked.get(), tick),
        Side::Buy => down(asked.get(), tick),
    };
    rounded.ok().and_then(|rounded| Price::new(rounded).ok()).unwrap_or(asked)
}

#[cfg(test)]
mod tests {
    use ledger_core::Symbol;
    use proptest::prelude::*;

    use super::*;

    /// Integers at a common scale: the model that has no rounding of its own.
    fn decimal(units: i64, scale: u8) -> Decimal {
        Decimal::new(i128::from(units), scale).unwrap()
    }

    fn filters(step: Decimal, min: Decimal, max: Decimal, tick: Decimal, notional_min: Decimal) -> OrderFilters {
        let qty = QtyFilter { step: Some(step), min: Some(min), max: Some(max) };
        OrderFilters {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            is_trading: true,
            tick_size: Some(tick),
            limit_qty: qty,
            market_qty: qty,
            notional_min: Some(notional_min),
        }
    }

    proptest! {
        #[test]
        fn rounding_keeps_to_the_grid_and_is_off_by_less_than_a_step(
            value in 0_i64..1_000_000_000_000, step in 1_i64..1_000_000, scale in 0_u8..9,
        ) {
            let (floor, ceiling) = (value / step * step, (value + step - 1) / step * step);
            let step = Some(decimal(step, scale));
            prop_assert_eq!(down(decimal(value, scale), step).unwrap(), decimal(floor, scale));
            prop_assert_eq!(up(decimal(value, scale), step).unwrap(), decimal(ceiling, scale));
            prop_assert_eq!(down(decimal(value, scale), None).unwrap(), decimal(value, scale));
        }

        #[test]
        fn no_order_is_larger_or_dearer_than_asked_for(
            qty in 1_i64..10_000_000, price in 1_i64..10_000_000, step in 1_i64..50_000, tick in 1_i64..50_000,
            min in 0_i64..100_000, max in 1_i64..20_000_000, buys in any::<bool>(),
        ) {
            let filters = filters(
                decimal(step, 5), decimal(min, 5), decimal(max, 5), decimal(tick, 3), decimal(0, 0),
            );
            let side = if buys { Side::Buy } else { Side::Sell };
            let asked = Quantity::new(decimal(qty, 5)).unwrap();
            let limit = Price::new(decimal(price, 3)).unwrap();
            let floor = qty / step * step;
            let to_tick = if buys { price / tick * tick } else { (price + tick - 1) / tick * tick };
            let sent = opening(&filters, side, asked, Some(limit)).unwrap();
            let is_sendable = floor > 0 && floor >= min && floor <= max && to_tick > 0;
            prop_assert_eq!(sent.is_ok(), is_sendable, "{:?}", sent);
            if let Ok(sent) = sent {
                prop_assert_eq!(sent.qty.get(), decimal(floor, 5));
                prop_assert_eq!(sent.price.unwrap().get(), decimal(to_tick, 3));
                prop_assert!(sent.qty <= asked);
                let is_fair = if buys { sent.price.unwrap() <= limit } else { sent.price.unwrap() >= limit };
                prop_assert!(is_fair);
            }
            // A close is never larger than the position, and only what rounds to nothing is not on the grid.
            let close = closing(Some(&filters.market_qty), asked.get()).unwrap();
            let capped = qty.min(max) / step * step;
            let expected = if capped > 0 && capped >= min { capped } else { qty };
            prop_assert_eq!(close.qty.get(), decimal(expected, 5));
            prop_assert_eq!(close.is_dust, expected != capped || capped < min);
        }
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        let dec = |text: &str| text.parse::<Decimal>().unwrap();
        let filters = filters(dec("0.001"), dec("0.01"), dec("100"), dec("0.5"), dec("5"));
        let why = |filters: &OrderFilters, qty: &str, price: Option<&str>| {
            let price = price.map(|price| price.parse().unwrap());
            opening(filters, Side::Buy, qty.parse().unwrap(), price).unwrap().unwrap_err().to_string()
        };
        assert_eq!(why(&filters, "0.0009", None), "0.0009 is below the smallest quantity of this contract, 0.01");
        assert!(why(&filters, "0.0099", None).contains("below the smallest quantity"));
        assert!(
            why(&filters, "100.001", None).contains("above the largest quantity of one order of this contract, 100")
        );
        assert!(why(&filters, "1", Some("0.49")).contains("below the smallest step of prices, 0.5"));
        // By the rounded price: 0.01 x 499.5.
        assert!(why(&filters, "0.01", Some("499.99")).starts_with("4.995 is below the smallest value"));
        let closed = OrderFilters { is_trading: false, ..filters.clone() };
        assert_eq!(why(&closed, "1", None), "the contract cannot be traded at present");
        // A close does not ask whether the contract trades or what it is worth; the exchange says so.
        assert_eq!(closing(Some(&closed.market_qty), dec("0.0005")).map(|close| close.is_dust), Some(true));
        assert_eq!(closing(None, dec("0.0005")).map(|close| close.is_dust), Some(false));
        assert_eq!(closing(None, Decimal::ZERO), None);
    }
}
