//! A table of cases by hand.

mod laws;

use std::collections::BTreeSet;

use ledger_core::testing::{at, dec, price};
use ledger_core::{Decimal, Direction, ExitReason};

use super::*;

const NOW: i64 = 1_000_000;

fn plan(direction: Direction) -> Plan {
    Plan {
        direction,
        began_at: at(NOW - 60_000),
        leverage: Some(dec("10")),
        qty_max: dec("2"),
        taken: BTreeSet::new(),
        steps: 0,
        cost: Some(dec("400")),
        last_entry: Some(price("200")),
        trail: None,
    }
}

fn distance(percent: &str) -> Distance {
    Distance { percent: dec(percent), unit: Unit::Price, basis: Basis::Entry }
}

fn stop_at(percent: &str) -> RulesDraft {
    RulesDraft { stop: Some(StopRule { distance: distance(percent), rests: false }), ..RulesDraft::default() }
}

fn take(percent: &str, share: &str, rests: bool) -> TakeProfitRule {
    TakeProfitRule { distance: distance(percent), share_percent: dec(share), rests }
}

fn additions(steps_max: u32, budget: Option<&str>) -> AddRule {
    AddRule {
        distance_percent: dec("1.5"),
        basis: AddBasis::Average,
        qty: "0.5".parse().unwrap(),
        steps_max,
        budget: budget.map(dec),
    }
}

/// Two contracts, entered at 200, everything asked and heard just now.
struct Case {
    plan: Plan,
    rules: Rules,
    exchange: Option<Seen>,
    book_qty: Decimal,
    differs_since: Option<i64>,
    is_shared: bool,
    orders: Vec<OwnOrder>,
    mark: Option<(&'static str, i64)>,
    held_back: Option<&'static str>,
    close_asked: bool,
}

impl Case {
    fn new(direction: Direction, draft: RulesDraft) -> Self {
        Self {
            plan: plan(direction),
            rules: Rules::new(draft).unwrap(),
            exchange: Some(Seen {
                qty: dec("2"),
                entry: Some(price("200")),
                break_even: Some(price("200.2")),
                at: at(NOW - 1_000),
            }),
            book_qty: dec("2"),
            differs_since: None,
            is_shared: false,
            orders: Vec::new(),
            mark: Some(("200", NOW - 500)),
            held_back: None,
            close_asked: false,
        }
    }

    fn at(mut self, mark: &'static str) -> Self {
        self.mark = Some((mark, NOW - 500));
        self
    }

    fn decide(&self) -> Decision {
        let mark = self.mark.map(|(mark, ms)| Priced { price: price(mark), at: at(ms) });
        decide(&Sight {
            now: at(NOW),
            plan: &self.plan,
            rules: &self.rules,
            exchange: self.exchange,
            book_qty: self.book_qty,
            differs_since: self.differs_since.map(at),
            is_shared: self.is_shared,
            orders: &self.orders,
            mark,
            last: None,
            held_back: self.held_back,
            close_asked: self.close_asked,
            grid: Grid {
                tick: Some(dec("0.1")),
                step: Some(dec("0.01")),
                qty_min: Some(dec("0.01")),
                notional_min: Some(dec("5")),
            },
        })
        .unwrap()
    }

    fn closes(&self) -> Option<ExitReason> {
        self.decide().actions.iter().find_map(|action| match action {
            Action::Close { reason, .. } => Some(*reason),
            _ => None,
        })
    }
}

fn order(id: &str, role: Role, state: OrderState, trigger: Option<&str>, extent: Extent) -> OwnOrder {
    OwnOrder { client_order_id: id.parse().unwrap(), role, state, trigger: trigger.map(price), extent }
}

#[test]
fn an_edge_is_reached_at_it_and_behind_it() {
    use Direction::{Long, Short};
    let roe = |percent: &str| Distance { unit: Unit::Roe, ..distance(percent) };
    let even = |percent: &str| Distance { basis: Basis::BreakEven, ..distance(percent) };
    let stop = |distance| RulesDraft { stop: Some(StopRule { distance, rests: false }), ..RulesDraft::default() };
    let profit = |distance| RulesDraft {
        take_profits: vec![TakeProfitRule { distance, share_percent: dec("100"), rests: false }],
        ..RulesDraft::default()
    };
    let (lost, won) = (Some(ExitReason::StopLoss), Some(ExitReason::TakeProfit));
    // Entry 200, without loss at 200.2, leverage 10. What is on the edge, and one step to each side.
    let table = [
        (Long, stop(distance("2")), ["196.1", "196", "195.9"], [None, lost, lost]),
        (Short, stop(distance("2")), ["203.9", "204", "204.1"], [None, lost, lost]),
        (Long, stop(roe("20")), ["196.1", "196", "195.9"], [None, lost, lost]),
        (Short, stop(roe("20")), ["203.9", "204", "204.1"], [None, lost, lost]),
        (Long, stop(even("5")), ["190.2", "190.19", "190.1"], [None, lost, lost]),
        (Short, stop(even("5")), ["210.2", "210.21", "210.3"], [None, lost, lost]),
        (Long, profit(distance("1.5")), ["202.9", "203", "203.1"], [None, won, won]),
        (Short, profit(distance("1.5")), ["197.1", "197", "196.9"], [None, won, won]),
        (Long, profit(roe("15")), ["202.9", "203", "203.1"], [None, won, won]),
        (Short, profit(roe("15")), ["197.1", "197", "196.9"], [None, won, won]),
    ];
    for (direction, draft, marks, expected) in table {
        let closes = marks.map(|mark| Case::new(direction, draft.clone()).at(mark).closes());
        assert_eq!(closes, expected, "{direction:?} {draft:?}");
    }
    // The time limit: of a plan that began a minute ago.
    let limits = [60_001, 60_000, 59_999]
        .map(|ms| Case::new(Long, RulesDraft { time_limit_ms: Some(ms), ..RulesDraft::default() }).closes());
    assert_eq!(limits, [None, Some(ExitReason::AutoExit), Some(ExitReason::AutoExit)]);
}

#[test]
fn a_trailing_stop_is_armed_follows_and_turns() {
    let rule = TrailingRule { arms_at: distance("1"), callback_percent: dec("0.5") };
    let case = |direction, mark, trail: Option<&str>| {
        let draft = RulesDraft { trailing: Some(rule), ..RulesDraft::default() };
        let mut case = Case::new(direction, draft).at(mark);
        case.plan.trail = trail.map(|peak| Trail { armed_at: at(5), peak: price(peak) });
        case.decide().actions
    };
    let armed = |ms, peak: &str| Action::Trail(Trail { armed_at: at(ms), peak: price(peak) });
    let close = Action::Close { reason: ExitReason::AutoExit, extent: Extent::Whole };
    assert_eq!(case(Direction::Long, "201.9", None), []);
    assert_eq!(case(Direction::Long, "202", None), [armed(NOW, "202")]);
    assert_eq!(case(Direction::Long, "204", Some("202")), [armed(5, "204")]);
    // A half percent below 204 is 202.98.
    assert_eq!(case(Direction::Long, "202.99", Some("204")), []);
    assert_eq!(case(Direction::Long, "202.98", Some("204")), std::slice::from_ref(&close));
    assert_eq!(case(Direction::Short, "198.1", None), []);
    assert_eq!(case(Direction::Short, "198", None), [armed(NOW, "198")]);
    assert_eq!(case(Direction::Short, "196", Some("198")), [armed(5, "196")]);
    assert_eq!(case(Direction::Short, "196.97", Some("196")), []);
    assert_eq!(case(Direction::Short, "196.98", Some("196")), [close]);
}

#[test]
fn a_take_profit_closes_its_share_of_the_largest_quantity() {
    let levels = vec![take("1", "30", false), take("2", "30", false), take("3", "40", false)];
    let draft = RulesDraft { take_profits: levels, ..RulesDraft::default() };
    let at_202 = Case::new(Direction::Long, draft.clone()).at("202");
    assert_eq!(at_202.decide().actions, [Action::Take { level: 0, qty: dec("0.6") }]);
    // Both at once where the price jumped over both.
    let at_204 = Case::new(Direction::Long, draft.clone()).at("204");
    assert_eq!(at_204.decide().actions.len(), 2);
    let mut taken = Case::new(Direction::Long, draft.clone()).at("204");
    taken.plan.taken.insert(0);
    (taken.book_qty, taken.exchange.as_mut().unwrap().qty) = (dec("1.4"), dec("1.4"));
    assert_eq!(taken.decide().actions, [Action::Take { level: 1, qty: dec("0.6") }]);
    // The last one takes whatever is left.
    assert_eq!(Case::new(Direction::Long, draft.clone()).at("206").closes(), Some(ExitReason::TakeProfit));
    // What nobody knows of is not sent again; the others go on.
    let mut undecided = at_204;
    undecided.orders.push(order("a", Role::TakeProfit(0), OrderState::Undecided, None, Extent::Qty(dec("0.6"))));
    let decision = undecided.decide();
    assert_eq!(decision.actions, [Action::Take { level: 1, qty: dec("0.6") }]);
    assert_eq!(decision.waits, [(Role::TakeProfit(0), Wait::Undecided)]);
    // A rest that no order of its own could close goes with the part.
    let mut small = Case::new(Direction::Long, draft).at("202");
    (small.book_qty, small.exchange.as_mut().unwrap().qty) = (dec("0.605"), dec("0.605"));
    assert_eq!(small.closes(), Some(ExitReason::TakeProfit));
}

#[test]
fn what_is_unknown_or_old_opens_nothing_and_forbids_no_stop() {
    let draft = RulesDraft {
        add: Some(additions(3, Some("1000"))),
        take_profits: vec![take("1", "50", false)],
        ..stop_at("2")
    };
    let case = |mark| Case::new(Direction::Long, draft.clone()).at(mark);
    let add = Action::Add { step: 1, qty: dec("0.5") };
    assert_eq!(case("197").decide().actions, std::slice::from_ref(&add));
    assert_eq!(case("197.1").decide().actions, []);

    // A price of more than three seconds ago decides nothing, and is asked for.
    for (ms, is_old) in [(NOW - 3_000, false), (NOW - 3_001, true)] {
        let mut old = case("195");
        old.mark = Some(("195", ms));
        assert_eq!(old.decide().actions.contains(&Action::AskPrice), is_old);
        assert_eq!(old.closes().is_none(), is_old, "{ms}");
    }
    let mut unheard = case("197");
    unheard.mark = None;
    let decision = unheard.decide();
    assert_eq!(decision.actions, [Action::AskPrice]);
    assert!(decision.waits.contains(&(Role::Add(1), Wait::Price)));

    // A position of more than five seconds ago adds nothing and takes no profit; a stop goes on.
    for (ms, is_old) in [(NOW - 5_000, false), (NOW - 5_001, true)] {
        let seen_then = |mark| {
            let mut case = case(mark);
            case.exchange.as_mut().unwrap().at = at(ms);
            case
        };
        assert_eq!(seen_then("197").decide().actions.contains(&add), !is_old);
        assert_eq!(seen_then("197").decide().actions.contains(&Action::AskPosition), is_old);
        assert_eq!(seen_then("202").decide().actions.contains(&Action::Take { level: 0, qty: dec("1") }), !is_old);
        assert_eq!(seen_then("196").closes(), Some(ExitReason::StopLoss));
    }
    // What holds an entry back holds no exit back.
    let mut held_back = case("197");
    held_back.held_back = Some("1 open matter");
    assert_eq!(held_back.decide().waits, [(Role::Add(1), Wait::HeldBack)]);
    assert_eq!(held_back.decide().actions, []);
    held_back.mark = Some(("196", NOW));
    assert_eq!(held_back.closes(), Some(ExitReason::StopLoss));
    // Without any word of the exchange, a command and a time limit still close.
    let mut blind = Case::new(Direction::Short, RulesDraft { time_limit_ms: Some(1), ..RulesDraft::default() });
    (blind.exchange, blind.mark) = (None, None);
    assert_eq!(blind.decide().actions, [Action::Close { reason: ExitReason::AutoExit, extent: Extent::Whole }]);
    // A leverage that nobody knows makes no edge.
    let roe = Distance { unit: Unit::Roe, ..distance("20") };
    let mut unknown = Case::new(
        Direction::Long,
        RulesDraft { stop: Some(StopRule { distance: roe, rests: true }), ..RulesDraft::default() },
    );
    unknown.plan.leverage = None;
    let decision = unknown.at("100").decide();
    assert_eq!(decision.actions, [Action::TellNaked]);
    assert_eq!(decision.waits, [(Role::Stop, Wait::Basis), (Role::Stop, Wait::Basis)]);
}

#[test]
fn additions_are_counted_by_what_executed_and_end_at_the_budget() {
    let case = |steps, budget: Option<&str>, cost: Option<&str>| {
        let draft = RulesDraft { add: Some(additions(2, budget)), ..stop_at("50") };
        let mut case = Case::new(Direction::Long, draft).at("190");
        (case.plan.steps, case.plan.cost) = (steps, cost.map(dec));
        case.decide()
    };
    let add = |step| vec![Action::Add { step, qty: dec("0.5") }];
    assert_eq!(case(0, None, None).actions, add(1));
    assert_eq!(case(1, None, None).actions, add(2));
    assert_eq!(case(2, None, None).actions, []);
    // Half a contract at 190 costs 95.
    assert_eq!(case(0, Some("495"), Some("400")).actions, add(1));
    assert_eq!(case(0, Some("494.99"), Some("400")).waits, [(Role::Add(1), Wait::Budget)]);
    assert_eq!(case(0, Some("1000"), None).waits, [(Role::Add(1), Wait::Budget)], "a cost that nobody knows");
    let mut undecided =
        Case::new(Direction::Long, RulesDraft { add: Some(additions(2, None)), ..stop_at("50") }).at("190");
    undecided.orders.push(order("a", Role::Add(1), OrderState::Undecided, None, Extent::Qty(dec("0.5"))));
    assert_eq!(undecided.decide().actions, []);
}

#[test]
fn a_stop_rests_where_the_rule_has_one() {
    let rests = |direction| {
        let rule = StopRule { distance: distance("2.03"), rests: true };
        Case::new(direction, RulesDraft { stop: Some(rule), ..RulesDraft::default() })
    };
    let place = |trigger: &str| Action::PlaceStop { trigger: price(trigger), extent: Extent::Whole };
    // 195.94 and 204.06, on steps of 0.1, so that they apply earlier.
    let long = rests(Direction::Long);
    assert_eq!(long.decide().actions, [Action::TellNaked, place("196.0")]);
    assert_eq!(rests(Direction::Short).decide().actions, [Action::TellNaked, place("204.0")]);
    // In its first seconds it is not naked yet.
    for (ms, is_naked) in [(NOW - 4_999, false), (NOW - 5_000, true)] {
        let mut young = rests(Direction::Long);
        young.plan.began_at = at(ms);
        assert_eq!(young.decide().actions.contains(&Action::TellNaked), is_naked);
    }
    let working = |id, trigger, extent| order(id, Role::Stop, OrderState::Working, Some(trigger), extent);
    let mut right = rests(Direction::Long);
    right.orders.push(working("a", "196", Extent::Whole));
    assert_eq!(right.decide().actions, []);
    // One that moves is placed first; the old one goes once the new one rests.
    let mut moved = rests(Direction::Long);
    moved.orders.push(working("a", "195", Extent::Whole));
    assert_eq!(moved.decide().actions, [place("196.0")]);
    moved.orders.push(working("b", "196", Extent::Whole));
    assert_eq!(moved.decide().actions, [Action::Cancel { client_order_id: "a".parse().unwrap() }]);
    // Of a position that is partly somebody else's, our part.
    let mut shared = rests(Direction::Long);
    (shared.is_shared, shared.book_qty) = (true, dec("0.7"));
    let ours = Action::PlaceStop { trigger: price("196"), extent: Extent::Qty(dec("0.7")) };
    assert_eq!(shared.decide().actions, [Action::TellNaked, ours]);
    // One of which nobody knows is waited for.
    let mut undecided = rests(Direction::Long);
    undecided.orders.push(order("a", Role::Stop, OrderState::Undecided, Some("196"), Extent::Whole));
    assert_eq!(undecided.decide().actions, [Action::TellNaked]);
}

#[test]
fn a_resting_take_profit_follows_the_position() {
    let draft =
        RulesDraft { take_profits: vec![take("1", "30", true), take("2", "70", true)], ..RulesDraft::default() };
    let case = || Case::new(Direction::Long, draft.clone());
    let place =
        |level, trigger: &str, qty: &str| Action::PlaceTakeProfit { level, trigger: price(trigger), qty: dec(qty) };
    assert_eq!(case().decide().actions, [place(0, "202", "0.6"), place(1, "204", "2")]);
    let mut resting = case();
    let working = |id, level, trigger, qty| {
        order(id, Role::TakeProfit(level), OrderState::Working, Some(trigger), Extent::Qty(dec(qty)))
    };
    resting.orders.push(working("a", 0, "202", "0.6"));
    resting.orders.push(working("b", 1, "204", "2"));
    assert_eq!(resting.decide().actions, []);
    // Added to: the entry and the shares change. The old ones go before new ones come.
    (resting.plan.qty_max, resting.book_qty) = (dec("3"), dec("3"));
    let seen = resting.exchange.as_mut().unwrap();
    (seen.qty, seen.entry) = (dec("3"), Some(price("198")));
    let cancelled = ["a", "b"].map(|id| Action::Cancel { client_order_id: id.parse().unwrap() });
    assert_eq!(resting.decide().actions, cancelled);
    resting.orders.clear();
    assert_eq!(resting.decide().actions, [place(0, "200", "0.9"), place(1, "202", "3")]);
}

#[test]
fn an_exit_goes_before_everything_else() {
    let draft = RulesDraft { add: Some(additions(3, None)), take_profits: vec![take("1", "50", true)], ..stop_at("2") };
    let mut case = Case::new(Direction::Long, draft).at("190");
    assert_eq!(case.decide().actions, [Action::Close { reason: ExitReason::StopLoss, extent: Extent::Whole }]);
    case.close_asked = true;
    assert_eq!(case.closes(), Some(ExitReason::ManualClose));
    (case.close_asked, case.mark) = (false, Some(("201", NOW)));
    assert_eq!(case.closes(), None);
    // A close that was begun goes on, whatever the price does.
    case.orders.push(order("x", Role::Exit, OrderState::Undecided, None, Extent::Whole));
    assert_eq!(case.closes(), Some(ExitReason::AutoExit));
    // Flat: what rests goes, and then the plan is over.
    case.exchange.as_mut().unwrap().qty = Decimal::ZERO;
    assert_eq!(case.decide().actions, [Action::Cancel { client_order_id: "x".parse().unwrap() }]);
    case.orders.clear();
    assert_eq!(case.decide().actions, [Action::End]);
}

#[test]
fn what_differs_is_closed_by_the_smaller_and_a_stop_takes_all_after_ten_seconds() {
    let extent = |mark: &'static str, since_ms: Option<i64>, is_shared| {
        let mut case = Case::new(Direction::Long, RulesDraft { time_limit_ms: Some(900_000), ..stop_at("2") }).at(mark);
        (case.differs_since, case.is_shared, case.book_qty) = (since_ms, is_shared, dec("0.5"));
        case.close_asked = mark == "200";
        case.decide().actions.into_iter().find_map(|action| match action {
            Action::Close { extent, .. } => Some(extent),
            _ => None,
        })
    };
    let (ours, all) = (Some(Extent::Qty(dec("0.5"))), Some(Extent::Whole));
    assert_eq!(extent("190", Some(NOW - 9_999), false), ours);
    assert_eq!(extent("190", Some(NOW - 10_000), false), all);
    assert_eq!(extent("190", Some(NOW - 10_000), true), ours);
    assert_eq!(extent("190", None, true), ours);
    assert_eq!(extent("190", None, false), all);
    assert_eq!(extent("200", Some(NOW - 10_000), false), ours, "a command is no stop");
}

#[test]
fn break_even_counts_fees_funding_and_the_closing_fee() {
    let at_even = |direction, fees: &str, funding: &str, rate: &str| {
        let even = break_even(direction, dec("2"), price("200"), dec(fees), dec(funding), dec(rate));
        even.unwrap().unwrap().get().round(6)
    };
    // Long: (400 + 0.4 - 0.1) / (2 * 0.9995); short: (400 - 0.4 + 0.1) / (2 * 1.0005).
    assert_eq!(at_even(Direction::Long, "0.4", "0.1", "0.0005"), dec("200.250125"));
    assert_eq!(at_even(Direction::Short, "0.4", "0.1", "0.0005"), dec("199.750125"));
    assert_eq!(at_even(Direction::Long, "0", "0", "0"), dec("200"));
    let none = break_even(Direction::Short, dec("0"), price("200"), dec("0"), dec("0"), dec("0"));
    assert_eq!(none, Ok(None));
}

#[test]
fn rules_are_checked_as_a_whole() {
    let faults = |draft: RulesDraft| Rules::new(draft).unwrap_err().into_iter().collect::<Vec<_>>();
    assert_eq!(faults(RulesDraft::default()), [RulesFault::Empty]);
    let profits = |rules: Vec<TakeProfitRule>| RulesDraft { take_profits: rules, ..RulesDraft::default() };
    let wrong = RulesDraft { time_limit_ms: Some(0), ..profits(vec![take("2", "60", true), take("1", "60", true)]) };
    assert_eq!(faults(wrong), [RulesFault::Shares, RulesFault::TakeProfitOrder, RulesFault::TimeLimit]);
    assert_eq!(faults(profits(vec![take("1", "0", true)])), [RulesFault::Share]);
    assert_eq!(faults(stop_at("100")), [RulesFault::StopBeyondZero]);
    assert_eq!(faults(stop_at("0")), [RulesFault::Distance]);
    let add = RulesDraft { add: Some(additions(0, Some("0"))), ..RulesDraft::default() };
    assert_eq!(faults(add), [RulesFault::Additions, RulesFault::AdditionsWithoutStop]);
    let trailing = TrailingRule { arms_at: distance("1"), callback_percent: dec("100") };
    assert_eq!(faults(RulesDraft { trailing: Some(trailing), ..RulesDraft::default() }), [RulesFault::Callback]);
    assert!(Rules::new(RulesDraft { add: Some(additions(1, None)), ..stop_at("2") }).is_ok());
}
