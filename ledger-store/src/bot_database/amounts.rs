//! Figures that a row states twice: price x quantity, and the amount that the raw payload says it comes to. A row that
//! contradicts itself is not believed.

use ledger_core::{Decimal, DerivedFigure, Price, half_unit};

use super::cells::Cells;

/// How many decimals an average is computed with where only the amount tells it: those of the exchange's amounts.
const AVERAGE_SCALE: u8 = 8;

/// Holds price x quantity of a trade against the exchange's `quoteQty` and the library's `cost`, and against the columns.
pub(super) fn check_fill(cells: &Cells, price: Decimal, qty: Decimal) -> Result<(), String> {
    for (column, own, chosen) in [("price", "price", price), ("qty", "qty", qty)] {
        if let (Some(text), true) = (cells.column(column), cells.exchange(own).is_some())
            && !DerivedFigure::float(text).is_ok_and(|figure| figure.is_double_of(chosen))
        {
            return Err(format!("{column}: the row says {}, the exchange's answer in it {chosen}", shown(text)));
        }
    }
    let derived = price.product(qty).map_err(|error| format!("price x quantity: {error}"))?;
    for (name, figure) in amounts(cells, "quoteQty") {
        if !figure.is(derived, Decimal::ZERO) {
            return Err(contradiction(name, figure, derived));
        }
    }
    Ok(())
}

/// Holds the columns of an order against the exchange's answer in it. Bots overwrite what was ordered by what came of it, so
/// the column may have either.
pub(super) fn check_terms(cells: &Cells) -> Result<(), String> {
    let columns =
        [("price", "price", &["avgPrice", "triggerPrice", "stopPrice"][..]), ("qty", "origQty", &["executedQty"])];
    for (column, ordered, others) in columns {
        let own = |field: &str| cells.exchange(field)?.parse().ok().filter(|amount: &Decimal| !amount.is_zero());
        let stated = cells.column(column).filter(|text| text.parse::<Decimal>().is_ok_and(|amount| !amount.is_zero()));
        let (Some(ordered), Some(text)) = (own(ordered), stated) else { continue };
        let figure = DerivedFigure::float(text).map_err(|error| format!("{column}: {error}"))?;
        let mut known = std::iter::once(ordered).chain(others.iter().filter_map(|field| own(field)));
        if !known.any(|amount| figure.is_double_of(amount)) {
            return Err(format!("{column}: the row says {}, the exchange's answer in it {ordered}", shown(text)));
        }
    }
    Ok(())
}

/// Holds executed quantity x average price against `cumQuote` and `cost`, and answers the average price; where it is not
/// stated, the amount tells it.
pub(super) fn check_execution(
    cells: &Cells,
    executed: Decimal,
    avg_price: Option<Price>,
    shown_average: Option<&str>,
) -> Result<Option<Price>, String> {
    let mut amounts = amounts(cells, "cumQuote");
    let Some(price) = avg_price else {
        let told = amounts.next().filter(|_| executed.is_positive());
        let told = told.and_then(|(_, figure)| figure.amount().div_round(executed, AVERAGE_SCALE).ok());
        return Ok(told.and_then(|price| Price::new(price).ok()));
    };
    let derived = executed.product(price.get()).map_err(|error| format!("executed x average price: {error}"))?;
    let slack = executed.product(shown_average.map_or(Decimal::ZERO, half_unit)).unwrap_or(Decimal::ZERO);
    for (name, figure) in amounts {
        if !figure.is(derived, slack) {
            return Err(contradiction(name, figure, derived));
        }
    }
    Ok(avg_price)
}

/// Whether price and quantity of a row, as its columns or its payload have them, miss the amount by a power of 1000.
pub(super) fn is_apart_by_thousands(cells: &Cells) -> bool {
    let number = |own: &str, column: &str| {
        let text = cells.exchange(own).or_else(|| cells.column(column).map(str::to_owned));
        text.and_then(|text| text.parse::<Decimal>().ok())
    };
    let trade = number("price", "price").zip(number("qty", "qty")).map(|pair| ("quoteQty", pair));
    let order = number("avgPrice", "").zip(number("executedQty", "")).map(|pair| ("cumQuote", pair));
    [trade, order].into_iter().flatten().any(|(own, (price, qty))| {
        let derived = price.product(qty);
        derived.is_ok_and(|derived| amounts(cells, own).any(|(_, figure)| figure.is_apart_by_thousands(derived)))
    })
}

/// The amounts of a payload: the exchange's exact one, and the library's double.
fn amounts<'a>(cells: &Cells, own: &'a str) -> impl Iterator<Item = (&'a str, DerivedFigure)> {
    let exact = cells.exchange(own).and_then(|text| DerivedFigure::exact(&text).ok()).map(|figure| (own, figure));
    let double = cells.unified("cost").and_then(|text| DerivedFigure::float(&text).ok()).map(|figure| ("cost", figure));
    // What nothing was executed of costs nothing, and some libraries leave it at 0.
    [exact, double].into_iter().flatten().filter(|(_, figure)| !figure.amount().is_zero())
}

fn contradiction(name: &str, figure: DerivedFigure, derived: Decimal) -> String {
    format!("{name}: it is {}, but price x quantity is {derived}: the row contradicts itself", figure.amount())
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect::<String>().escape_debug().to_string()
}
