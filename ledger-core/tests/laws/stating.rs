//! Merging what the exchange or the user stated of an instant: positions, modes, balances, prices, anchors.

use super::merging::{in_any_order, laws, sourced};
use super::support::{at, symbol};
use super::*;
use std::collections::BTreeSet;

use ledger_core::{
    Anchor, BalanceSnapshot, Fact, FundingRate, KnownBefore, Label, PositionMode, PositionModeSnapshot, PositionSide,
    PositionSnapshot, PriceKind, PriceSnapshot,
};

fn quantities() -> impl Strategy<Value = Decimal> {
    prop::sample::select(["0", "1.5", "-1.5", "2"].map(dec).to_vec())
}

fn prices() -> impl Strategy<Value = Price> {
    prop::sample::select(["100", "100.5", "99.99999999"].map(|text| text.parse().unwrap()).to_vec())
}

fn positions() -> impl Strategy<Value = PositionSnapshot> {
    (quantities(), prop::option::of(prices())).prop_map(|(qty, entry_price)| PositionSnapshot {
        symbol: symbol(),
        position_side: PositionSide::Net,
        at: at(0),
        qty,
        entry_price,
    })
}

fn modes() -> impl Strategy<Value = PositionModeSnapshot> {
    prop::sample::select(PositionMode::ALL).prop_map(|mode| PositionModeSnapshot { at: at(0), mode })
}

/// Two of them agree at 8 decimals.
fn balances() -> impl Strategy<Value = BalanceSnapshot> {
    let wallets = ["0", "12.000000004", "12", "12.00000001"].map(dec).to_vec();
    prop::sample::select(wallets).prop_map(|wallet| BalanceSnapshot {
        asset: Asset::new("USDT").unwrap(),
        at: at(0),
        wallet,
    })
}

fn marks() -> impl Strategy<Value = PriceSnapshot> {
    prices().prop_map(|price| PriceSnapshot { symbol: symbol(), kind: PriceKind::Mark, at: at(0), price })
}

fn rates() -> impl Strategy<Value = FundingRate> {
    (quantities(), prop::option::of(prices())).prop_map(|(rate, mark_price)| FundingRate {
        symbol: symbol(),
        at: at(0),
        rate,
        mark_price,
    })
}

fn anchors() -> impl Strategy<Value = Anchor> {
    let labels = || prop::sample::select(vec![Label::new("a new account").unwrap(), Label::new("by hand").unwrap()]);
    let known = (0_i64..2, 0_u64..2).prop_map(|(ms, fill_count)| KnownBefore { until: at(ms - 9), fill_count });
    let optional = (prop::option::of(prices()), prop::option::of(known), prop::option::of(labels()));
    (quantities(), labels(), optional).prop_map(|(qty, derivation, (entry_price, known_before, withdrawn))| Anchor {
        symbol: symbol(),
        position_side: PositionSide::Net,
        at: at(0),
        qty,
        entry_price,
        derivation,
        known_before,
        withdrawn,
    })
}

/// What has to stand of a field, from the set of all statements: what somebody stated before what fillbook inferred, then
/// the source that is believed more, then the greater value. It is contested where two that are stated differ.
fn expected<F: Fact, T: Ord + Clone>(facts: &[Sourced<F>], said: impl Fn(&F) -> Option<T>) -> (Option<T>, bool) {
    let told: BTreeSet<_> = facts
        .iter()
        .filter_map(|it| Some((!it.provenance.source.is_inferred(), it.provenance.source, said(&it.fact)?)))
        .collect();
    let stated: BTreeSet<_> = told.iter().filter(|it| it.0).map(|it| &it.2).collect();
    (told.last().map(|it| it.2.clone()), stated.len() > 1)
}

fn several<F: Fact + std::fmt::Debug>(fact: impl Strategy<Value = F>) -> impl Strategy<Value = Vec<Sourced<F>>> {
    prop::collection::vec(sourced(fact), 3..6)
}

/// The laws of merging, and the same from every order of the statements.
fn settled<F: Fact + std::fmt::Debug>(facts: &[Sourced<F>], seed: u64) -> Result<Sourced<F>, TestCaseError> {
    laws(&facts[0], &facts[1], &facts[2])?;
    in_any_order(facts, seed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn position_snapshots(facts in several(positions()), seed in any::<u64>()) {
        let one = settled(&facts, seed)?;
        let (qty, entry) = (expected(&facts, |it| Some(it.qty)), expected(&facts, |it| it.entry_price));
        prop_assert_eq!((Some(one.fact.qty), one.conflicts.contains("qty")), qty);
        prop_assert_eq!((one.fact.entry_price, one.conflicts.contains("entry_price")), entry);
    }

    #[test]
    fn position_mode_snapshots(facts in several(modes()), seed in any::<u64>()) {
        let one = settled(&facts, seed)?;
        prop_assert_eq!((Some(one.fact.mode), one.conflicts.contains("mode")), expected(&facts, |it| Some(it.mode)));
    }

    #[test]
    fn balance_snapshots(facts in several(balances()), seed in any::<u64>()) {
        let one = settled(&facts, seed)?;
        prop_assert_eq!(Some(one.fact.wallet), expected(&facts, |it| Some(it.wallet)).0);
        // Amounts agree at the exchange's 8 decimals.
        let contested = expected(&facts, |it| Some(it.wallet.round(8))).1;
        prop_assert_eq!(one.conflicts.contains("wallet"), contested);
    }

    #[test]
    fn price_snapshots(facts in several(marks()), seed in any::<u64>()) {
        let one = settled(&facts, seed)?;
        let mark = (Some(one.fact.price), one.conflicts.contains("price"));
        prop_assert_eq!(mark, expected(&facts, |it| Some(it.price)));
    }

    #[test]
    fn funding_rates(facts in several(rates()), seed in any::<u64>()) {
        let one = settled(&facts, seed)?;
        let rate = (Some(one.fact.rate), one.conflicts.contains("rate"));
        prop_assert_eq!(rate, expected(&facts, |it| Some(it.rate)));
        let mark = (one.fact.mark_price, one.conflicts.contains("mark_price"));
        prop_assert_eq!(mark, expected(&facts, |it| it.mark_price));
    }

    /// An anchor that anybody has withdrawn stays withdrawn, whoever states it again.
    #[test]
    fn anchors_and_their_withdrawals(facts in several(anchors()), seed in any::<u64>()) {
        let one = settled(&facts, seed)?;
        let (fact, contested) = (&one.fact, |field| one.conflicts.contains(field));
        prop_assert_eq!((Some(fact.qty), contested("qty")), expected(&facts, |it| Some(it.qty)));
        prop_assert_eq!((fact.entry_price, contested("entry_price")), expected(&facts, |it| it.entry_price));
        prop_assert_eq!((fact.known_before, contested("known_before")), expected(&facts, |it| it.known_before));
        let derivation = (Some(fact.derivation.clone()), contested("derivation"));
        prop_assert_eq!(derivation, expected(&facts, |it| Some(it.derivation.clone())));
        prop_assert_eq!(&fact.withdrawn, &facts.iter().filter_map(|it| it.fact.withdrawn.clone()).max());
        prop_assert!(!contested("withdrawn"));
    }
}
