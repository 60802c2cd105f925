//! Merging is a lattice: order, grouping and repetition of statements change nothing.

use super::*;
use std::collections::BTreeSet;

use ledger_core::{Fact, Fill, Order};

pub(super) fn laws<F: Fact + std::fmt::Debug>(
    a: &Sourced<F>,
    b: &Sourced<F>,
    c: &Sourced<F>,
) -> Result<(), TestCaseError> {
    let join = |x: &Sourced<F>, y: &Sourced<F>| merge(x, y).0;
    prop_assert_eq!(join(a, b), join(b, a), "commutative");
    prop_assert_eq!(join(&join(a, b), c), join(a, &join(b, c)), "associative");
    prop_assert_eq!(join(a, a), a.clone(), "idempotent");
    let ab = join(a, b);
    prop_assert_eq!(join(&ab, b), ab.clone(), "absorbing");
    // Offering again what is already merged in changes nothing, and says so unless it lost a conflict.
    let again = merge(&ab, b).1;
    prop_assert!(matches!(again, Outcome::AlreadyRecorded | Outcome::Conflicts { .. }), "{:?}", again);
    Ok(())
}

fn sources() -> impl Strategy<Value = Source> {
    prop::sample::select(Source::ALL)
}

pub(super) fn sourced<F: Fact + std::fmt::Debug>(fact: impl Strategy<Value = F>) -> impl Strategy<Value = Sourced<F>> {
    (fact, sources()).prop_map(|(fact, source)| Sourced::new(fact, source))
}

/// Orders as the book takes them in: half of them by REST, whose word on an ended order is the last.
fn stated_orders() -> impl Strategy<Value = Sourced<Order>> {
    (support::orders(), prop_oneof![Just(Source::Rest), sources()])
        .prop_map(|(order, source)| Sourced::new(order.stated_by(source), source))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn fills(a in sourced(support::fills()), b in sourced(support::fills()), c in sourced(support::fills())) {
        laws::<Fill>(&a, &b, &c)?;
    }
    #[test]
    fn orders(a in stated_orders(), b in stated_orders(), c in stated_orders()) {
        laws::<Order>(&a, &b, &c)?;
    }
    #[test]
    fn instruments(a in sourced(support::instruments()), b in sourced(support::instruments()), c in sourced(support::instruments())) {
        laws(&a, &b, &c)?;
    }
    #[test]
    fn signals(a in sourced(support::signals()), b in sourced(support::signals()), c in sourced(support::signals())) {
        laws(&a, &b, &c)?;
    }
    #[test]
    fn intents(a in sourced(support::intents()), b in sourced(support::intents()), c in sourced(support::intents())) {
        laws(&a, &b, &c)?;
    }
    #[test]
    fn cancels(a in sourced(support::cancels()), b in sourced(support::cancels()), c in sourced(support::cancels())) {
        laws(&a, &b, &c)?;
    }
    #[test]
    fn incomes(a in sourced(support::incomes()), b in sourced(support::incomes()), c in sourced(support::incomes())) {
        laws(&a, &b, &c)?;
    }

    #[test]
    fn a_conflict_is_noticed_in_every_order(facts in prop::collection::vec(sourced(support::fills()), 2..5), seed in any::<u64>()) {
        let one = in_any_order(&facts, seed)?;
        // What fillbook inferred is no side of a dispute.
        let stated: Vec<_> = facts.iter().filter(|f| !f.provenance.source.is_inferred()).collect();
        let prices: BTreeSet<_> = stated.iter().map(|f| f.fact.price).collect();
        prop_assert_eq!(one.conflicts.contains("price"), prices.len() > 1);
        let realized: BTreeSet<_> = stated.iter().filter_map(|f| f.fact.exchange_realized_pnl).map(|pnl| pnl.round(8)).collect();
        prop_assert_eq!(one.conflicts.contains("exchange_realized_pnl"), realized.len() > 1);
    }

    /// The largest executed quantity stands, unless REST has said how much an ended order executed; whoever says
    /// more than that, or REST itself at another time, is in conflict with it.
    #[test]
    fn the_last_word_on_an_order_stands(orders in prop::collection::vec(stated_orders(), 2..6), seed in any::<u64>()) {
        let one = in_any_order(&orders, seed)?;
        let ended = |order: &Sourced<Order>| order.provenance.source == Source::Rest && order.fact.status.is_terminal();
        let said = |is_last: bool| orders.iter().filter(move |order| {
            let thorough = order.fact.executed.as_ref().is_some_and(|it| it.qty.is_zero() || it.avg_price.is_some());
            (ended(order) && thorough) == is_last
        }).filter_map(|order| Some(order.fact.executed.as_ref()?.qty)).collect::<BTreeSet<_>>();
        let (last, others) = (said(true), said(false));
        let expected = last.last().or(others.last()).copied();
        prop_assert_eq!(one.fact.executed.as_ref().map(|it| it.qty), expected);
        let contested = match (last.last(), others.last()) {
            _ if last.len() > 1 => true,
            (Some(last), Some(most)) => most > last,
            _ => false,
        };
        prop_assert_eq!(one.conflicts.contains("executed_qty"), contested);
    }

    /// What an order cost stands as it was stated of the largest quantity; only there can two statements contradict each
    /// other, and the better source is believed.
    #[test]
    fn the_fees_stated_of_the_most_stand(orders in prop::collection::vec(stated_orders(), 2..6), seed in any::<u64>()) {
        let one = in_any_order(&orders, seed)?;
        let stated = || orders.iter().filter_map(|order| Some((order.fact.fees.clone()?, order.provenance.source)));
        let most = stated().map(|(fees, _)| fees.qty()).max();
        let of_most = || stated().filter(|(fees, _)| Some(fees.qty()) == most);
        let best = of_most().max_by_key(|(fees, source)| (*source, fees.clone())).map(|(fees, _)| fees);
        prop_assert_eq!(one.fact.fees, best);
        let rounded = |fees: &ledger_core::StatedFees| -> Vec<_> {
            fees.paid().iter().map(|fee| (fee.asset.clone(), fee.amount.round(8))).collect()
        };
        let told = of_most().map(|(fees, _)| rounded(&fees)).collect::<BTreeSet<_>>();
        prop_assert_eq!(one.conflicts.contains("fees"), told.len() > 1);
    }

    /// An end of an order that fillbook inferred gives way to any that is stated, is no side of a dispute, and still
    /// ends an order of which nobody else has said that it ended.
    #[test]
    fn an_inferred_end_gives_way_to_a_stated_one(orders in prop::collection::vec(stated_orders(), 2..6), seed in any::<u64>()) {
        let one = in_any_order(&orders, seed)?;
        let (orders, contested) = without_the_librarys(orders);
        let ends = |inferred: bool| orders.iter().filter(move |order| {
            order.fact.status.is_terminal() && order.provenance.source.is_inferred() == inferred
        }).map(|order| order.fact.status.clone()).collect::<BTreeSet<_>>();
        let (stated, inferred) = (ends(false), ends(true));
        prop_assert_eq!(one.conflicts.contains("status"), contested || stated.len() > 1);
        prop_assert_eq!(one.fact.status.is_terminal(), !(stated.is_empty() && inferred.is_empty()));
        if !stated.is_empty() {
            prop_assert!(stated.contains(&one.fact.status));
        }
    }

    /// How REST says that an order ended stands, whatever others say before or after; without that, the furthest of
    /// what is stated.
    #[test]
    fn the_last_word_on_how_an_order_ended_stands(orders in prop::collection::vec(stated_orders(), 2..6), seed in any::<u64>()) {
        let one = in_any_order(&orders, seed)?;
        let (orders, _) = without_the_librarys(orders);
        let furthest = |wanted: &dyn Fn(&Sourced<Order>) -> bool| {
            orders.iter().filter(|order| wanted(order)).map(|order| &order.fact.status).max()
        };
        let by_rest = |order: &Sourced<Order>| order.provenance.source == Source::Rest;
        let expected = furthest(&|order| order.fact.status.is_terminal() && by_rest(order))
            .or(furthest(&|order| order.fact.status.is_terminal() && !order.provenance.source.is_inferred()))
            .or(furthest(&|_| true));
        prop_assert_eq!(Some(&one.fact.status), expected);
    }

    #[test]
    fn a_conflict_of_amounts_is_noticed_in_every_order(facts in prop::collection::vec(sourced(support::incomes()), 2..5), seed in any::<u64>()) {
        let one = in_any_order(&facts, seed)?;
        let stated = facts.iter().filter(|f| !f.provenance.source.is_inferred());
        let amounts: BTreeSet<_> = stated.map(|f| f.fact.amount.round(8)).collect();
        prop_assert_eq!(one.conflicts.contains("amount"), amounts.len() > 1);
        // The best source is believed, however many decimals another one shows.
        let best = facts.iter().map(|f| f.provenance.source).max();
        let said: Vec<_> = facts.iter().filter(|f| Some(f.provenance.source) == best).map(|f| f.fact.amount).collect();
        prop_assert!(said.contains(&one.fact.amount));
    }
}

/// The statements whose status counts, and whether a library contradicts them: what it says against the exchange's answer counts
/// only where nobody else says anything.
fn without_the_librarys(orders: Vec<Sourced<Order>>) -> (Vec<Sourced<Order>>, bool) {
    let known = |order: &Sourced<Order>| order.fact.status.as_str() != "UNKNOWN";
    let is_library = |order: &Sourced<Order>| known(order) && order.provenance.source == Source::CcxtUnified;
    if !orders.iter().any(|order| known(order) && !is_library(order)) {
        return (orders, false);
    }
    let (library, others): (Vec<_>, Vec<_>) = orders.into_iter().partition(is_library);
    (others, !library.is_empty())
}

/// Merges facts in the given and in a shuffled order; both must be equal.
pub(super) fn in_any_order<F: Fact + std::fmt::Debug>(
    facts: &[Sourced<F>],
    seed: u64,
) -> Result<Sourced<F>, TestCaseError> {
    let fold = |facts: &[Sourced<F>]| facts[1..].iter().fold(facts[0].clone(), |book, offered| merge(&book, offered).0);
    let mut shuffled = facts.to_vec();
    let mut random = support::Random(seed);
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, usize::try_from(random.below(i64::try_from(at).unwrap() + 1)).unwrap());
    }
    let (one, two) = (fold(facts), fold(&shuffled));
    prop_assert_eq!(&one, &two);
    Ok(one)
}

/// A stream that says FILLED of an order that REST lists as cancelled is a mistake of the stream, in either order.
#[test]
fn rest_decides_how_an_order_ended() {
    let said = |status: &str, source: Source| {
        let mut order = support::order("1");
        order.status = status.parse().unwrap();
        Sourced::new(order.stated_by(source), source)
    };
    let (rest, stream) = (said("CANCELED", Source::Rest), said("FILLED", Source::Stream));
    for (first, second) in [(&rest, &stream), (&stream, &rest)] {
        let merged = merge(first, second).0;
        assert_eq!(merged.fact.status.as_str(), "CANCELED");
        assert_eq!(merged.provenance.of("status"), Source::Rest);
        assert!(merged.conflicts.contains("status"));
    }
    // What REST says of an order that is still working is no last word.
    let merged = merge(&said("PARTIALLY_FILLED", Source::Rest), &stream).0;
    assert_eq!(merged.fact.status.as_str(), "FILLED");
    assert!(merged.conflicts.is_empty());
}

#[test]
fn a_known_label_is_never_erased() {
    let mut named = support::order("1");
    named.engine = Some(ledger_core::EngineLabel::new("breakout").unwrap());
    let bare = support::order("1");
    let (merged, outcome) = merge(&Sourced::new(named, Source::Bot), &Sourced::new(bare, Source::Rest));
    assert_eq!(merged.fact.engine.unwrap().as_str(), "breakout");
    assert_eq!(outcome, Outcome::AlreadyRecorded);
    assert_eq!(merged.provenance.of("engine"), Source::Bot);
}

#[test]
fn a_finer_time_beats_a_coarser_one_that_agrees_and_rest_beats_the_stream() {
    let csv = support::fill("1", "7819.01", "0.002");
    let mut coarse = csv.clone();
    coarse.time = ledger_core::EventTime::seconds(csv.time.at);
    let (merged, outcome) = merge(&Sourced::new(coarse, Source::ExchangeCsv), &Sourced::new(csv.clone(), Source::Ccxt));
    assert_eq!(merged.fact.time, csv.time);
    assert_eq!(outcome, Outcome::Merged { fields: ["ts"].into() });
    let mut other = csv.clone();
    other.price = "7819.02".parse().unwrap();
    let (merged, outcome) =
        merge(&Sourced::new(csv.clone(), Source::Stream), &Sourced::new(other.clone(), Source::Rest));
    assert_eq!(merged.fact.price, other.price);
    assert_eq!(outcome, Outcome::Conflicts { fields: ["price"].into() });
    let (merged, _) = merge(&Sourced::new(other.clone(), Source::Rest), &Sourced::new(csv, Source::Stream));
    assert_eq!(merged.fact.price, other.price);
}
