//! Amounts as people read them.

use ledger_core::{AssetTotal, CertainTotal, Certainty, ContractKind, Decimal, Direction, Instrument, RoundTrip};
use serde_json::{Value, json};

/// A signed amount: `+12.5`, `-3`, `0`, with `~` before what contains estimates.
fn signed(amount: Decimal, certainty: Certainty) -> String {
    let plus = if amount.is_positive() { "+" } else { "" };
    let about = if certainty == Certainty::Estimated { "~" } else { "" };
    format!("{about}{plus}{amount}")
}

/// A total in words; an unknown part makes it unknown.
fn total(total: &CertainTotal) -> String {
    match (total.certainty(), total.amount()) {
        (Certainty::Unknown, _) | (_, Err(_)) => "unknown".to_owned(),
        (certainty, Ok(amount)) => signed(amount, certainty),
    }
}

/// Totals in words, an asset each: `+12.5 USDT, -0.001 BNB`.
pub(super) fn totals(totals: &[AssetTotal]) -> String {
    let word = |it: &AssetTotal| match it.total.certainty() {
        Certainty::Unknown => format!("unknown in {}", it.asset),
        _ => format!("{} {}", total(&it.total), it.asset),
    };
    let words: Vec<_> = totals.iter().map(word).collect();
    words.join(", ")
}

/// Totals for programs: an unknown amount is null.
pub(super) fn totals_json(totals: &[AssetTotal]) -> Value {
    let values = totals.iter().map(|it| {
        let known = it.total.amount().ok().filter(|_| it.total.certainty() != Certainty::Unknown);
        let amount = known.map(|amount| amount.to_string());
        json!({"asset": it.asset.as_str(), "amount": amount, "certainty": it.total.certainty().as_str()})
    });
    Value::Array(values.collect())
}

/// `amount` in percent of `whole`, to two places; `None` where that says nothing.
pub(super) fn percent(amount: Decimal, whole: Decimal) -> Option<Decimal> {
    let hundred = Decimal::new(100, 0).ok()?;
    let share = amount.checked_mul_round(hundred, 18).ok()?;
    if whole.is_positive() { share.div_round(whole, 2).ok() } else { None }
}

/// A percentage in words: `+1.25 %`.
pub(super) fn percent_text(percent: Decimal, certainty: Certainty) -> String {
    format!("{} %", signed(percent, certainty))
}

/// What a round trip earned in its settle asset, in percent of what its entries were worth. Of what is not known, and of inverse
/// contracts, whose worth is in another asset, there is none.
pub(super) fn trip_percent(trip: &RoundTrip, contract: Option<&Instrument>) -> Option<(Decimal, Certainty)> {
    let contract = contract.filter(|contract| contract.kind == ContractKind::Linear)?;
    let net = trip.net().ok()?.into_iter().find(|total| total.asset == trip.settle_asset)?.total;
    let certainty = net.certainty();
    if certainty == Certainty::Unknown {
        return None;
    }
    let worth = trip.entry_qty.checked_mul(trip.entry_price_avg?).ok()?.checked_mul(contract.multiplier.get()).ok()?;
    Some((percent(net.amount().ok()?, worth)?, certainty))
}

/// Long or short, by the sign of a quantity.
pub(super) fn direction_of(qty: Decimal) -> Direction {
    if qty.is_negative() { Direction::Short } else { Direction::Long }
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::dec;

    use super::*;

    #[test]
    fn amounts_say_how_sure_they_are() {
        let mut sum = CertainTotal::default();
        assert_eq!(total(&sum), "0");
        sum.add(dec("12.5"), Certainty::Known).unwrap();
        assert_eq!(total(&sum), "+12.5");
        sum.add(dec("-20"), Certainty::Estimated).unwrap();
        assert_eq!(total(&sum), "~-7.5");
        sum.add(dec("0"), Certainty::Unknown).unwrap();
        assert_eq!(total(&sum), "unknown");
        assert_eq!(totals_json(&[AssetTotal { asset: "USDT".parse().unwrap(), total: sum }])[0]["amount"], Value::Null);
        assert_eq!(percent(dec("-1"), dec("300")), Some(dec("-0.33")));
        assert_eq!(
            (percent(dec("1"), dec("0")), percent_text(dec("1.2"), Certainty::Known)),
            (None, "+1.2 %".to_owned())
        );
    }
}
