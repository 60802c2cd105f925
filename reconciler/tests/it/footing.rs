//! Reports against the wallets of the simulated exchange: random accounts, periods cut at random.
//!
//! What a report has to say is worked out here from the exchange's own books, in fractions of whole numbers and by other
//! rules than the fold's: trades are cut into round trips by the running quantity, and every amount is the exchange's.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "what a die shows in a test is small"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use exchange_client::Clock;
use exchange_client::simulator::{AccountSnapshot, AppOrder, SimulatorAccount, SimulatorConfig};
use ledger_core::footing::{AssetFooting, FootingOutcome};
use ledger_core::{Decimal, GroupBy, PositionSide, Quantity, Side, Symbol, TimestampMs};
use reconciler::{ReportRequest, account_report};

use crate::support::Fixture;

/// Amounts in units of 10^-8.
type Units = i128;

fn units(amount: Decimal) -> Units {
    amount.mantissa_at(8).unwrap()
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A round trip by the exchange's books: its amounts, and when each was booked.
#[derive(Default)]
struct Trip {
    closed_ms: Option<i64>,
    amounts: Vec<(i64, String, Units)>,
}

/// A share of an amount, rounded towards zero: what is left goes to the other part.
fn share(amount: Units, part: Units, whole: Units) -> Units {
    amount * part / whole
}

/// Cuts the account's trades into round trips, with funding and clearance of one-way accounts.
fn trips(books: &AccountSnapshot) -> Vec<Trip> {
    let mut events: Vec<(i64, u8, usize)> = Vec::new();
    events.extend(books.trades.iter().enumerate().map(|(at, trade)| (trade.time_ms, 1, at)));
    let is_placed = |kind: &str| kind == "FUNDING_FEE";
    let placed = books.income.iter().enumerate().filter(|(_, row)| is_placed(&row.income_type));
    events.extend(placed.map(|(at, row)| (row.time_ms, 0, at)));
    events.sort_by_key(|(ms, order, at)| (*ms, *order, *at));
    let mut done = Vec::new();
    let mut open: BTreeMap<(String, PositionSide), (Units, Trip)> = BTreeMap::new();
    for (ms, kind, at) in events {
        if kind == 0 {
            let row = &books.income[at];
            if let Some((_, trip)) = open.get_mut(&(row.symbol.clone(), PositionSide::Net)) {
                trip.amounts.push((ms, row.asset.clone(), units(row.amount)));
            }
            continue;
        }
        let trade = &books.trades[at];
        let settle = if trade.symbol.ends_with("USDC") { "USDC" } else { "USDT" };
        let signed = if trade.buy { units(trade.qty) } else { -units(trade.qty) };
        let key = (trade.symbol.clone(), trade.position_side);
        let (held, mut trip) = open.remove(&key).unwrap_or_default();
        let now = held + signed;
        trip.amounts.push((ms, settle.to_owned(), units(trade.realized)));
        let fee = -units(trade.fee);
        if held != 0 && now != 0 && (held > 0) != (now > 0) {
            let closing = share(fee, held.abs(), signed.abs());
            trip.amounts.push((ms, trade.fee_asset.clone(), closing));
            trip.closed_ms = Some(ms);
            done.push(trip);
            let opened = Trip { closed_ms: None, amounts: vec![(ms, trade.fee_asset.clone(), fee - closing)] };
            open.insert(key, (now, opened));
            continue;
        }
        trip.amounts.push((ms, trade.fee_asset.clone(), fee));
        if now == 0 {
            trip.closed_ms = Some(ms);
            done.push(trip);
        } else {
            open.insert(key, (now, trip));
        }
    }
    done.extend(open.into_values().map(|(_, trip)| trip));
    done
}

/// What the report of a period has to say in an asset: closed whole, carried in, open.
fn expected(trips: &[Trip], asset: &str, since: i64, until: i64) -> [Units; 3] {
    let is_in = |ms: i64| (since..until).contains(&ms);
    let mut sums = [0; 3];
    for trip in trips {
        let is_closed = trip.closed_ms.is_some_and(is_in);
        for (ms, _, amount) in trip.amounts.iter().filter(|(_, of, _)| of == asset) {
            if is_closed {
                sums[0] += amount;
                if *ms < since {
                    sums[1] += amount;
                }
            } else if is_in(*ms) {
                sums[2] += amount;
            }
        }
    }
    sums
}

/// What was booked in an asset, of these types (all, if there are none).
fn booked(books: &AccountSnapshot, asset: &str, kinds: &[&str], since: i64, until: i64) -> Units {
    let rows = books.income.iter().filter(|row| row.asset == asset && (since..until).contains(&row.time_ms));
    rows.filter(|row| kinds.is_empty() || kinds.contains(&row.income_type.as_str())).map(|row| units(row.amount)).sum()
}

/// What the exchange says of unrealized profit when it is looked at, by asset.
#[derive(Default)]
struct Unrealized(Vec<(i64, BTreeMap<String, Units>)>);

impl Unrealized {
    fn note(&mut self, fixture: &Fixture) {
        let margins = fixture.simulator.books().accounts.remove(0).margins;
        let of = margins.into_iter().map(|(asset, margin)| (asset, units(margin.unrealized)));
        self.0.push((fixture.clock.now().as_ms(), of.collect()));
    }

    /// At most a few positions, each rounded to a unit by either side, and an average entry by half of one.
    fn assert_like(&self, look: usize, asset: &str, found: Decimal, what: &str) {
        let known = self.0[look].1.get(asset).copied().unwrap_or(0);
        assert!((units(found) - known).abs() <= 200, "{what}, {asset}: {found} instead of {known}");
    }
}

/// A fixture whose account trades at random, is looked at now and then, and once more at the end.
async fn traded(seed: u64) -> (Fixture, Unrealized) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D);
    let is_hedge = seed % 2 == 1;
    let mut account = SimulatorAccount::standard();
    account.hedge_mode = is_hedge;
    account.fees_in_bnb = !seed.is_multiple_of(3);
    account.deposits.push(("BNB".into(), "0.02".into()));
    let config = SimulatorConfig { accounts: vec![account], tick_ms: 600_000, ..SimulatorConfig::new(seed) };
    let fixture = Fixture::in_process(config).await;
    let alias = SimulatorAccount::standard().alias;
    let mut unrealized = Unrealized::default();
    for _ in 0..40 {
        fixture.simulator.step(Duration::from_millis(1 + dice.roll(9_000_000)));
        let name = ["BTCUSDT", "ETHUSDT", "ETHUSDC"][dice.roll(3) as usize];
        let symbol = Symbol::new(name).unwrap();
        let lots = 1 + dice.roll(30);
        let qty: Quantity = if name == "BTCUSDT" {
            format!("0.{lots:03}").parse().unwrap()
        } else {
            format!("{}.{}", lots / 10, 1 + lots % 9).parse().unwrap()
        };
        let side = if dice.roll(2) == 0 { Side::Buy } else { Side::Sell };
        let position_side = match (is_hedge, dice.roll(2)) {
            (false, _) => PositionSide::Net,
            (true, 0) => PositionSide::Long,
            (true, _) => PositionSide::Short,
        };
        let order = AppOrder {
            prefix: "web_",
            symbol: symbol.clone(),
            side,
            position_side,
            qty,
            price: None,
            reduce_only: false,
        };
        let amount = |units: u64| Decimal::new(i128::from(units) - 4_000_000_000, 8).unwrap();
        match dice.roll(12) {
            0 => fixture.simulator.deposit(&alias, "USDT", amount(dice.roll(8_000_000_000))).unwrap(),
            1 => {
                let kind = if dice.roll(2) == 0 { "REFERRAL_KICKBACK" } else { "NEVER_HEARD_OF" };
                fixture.simulator.post_income(&alias, kind, "", "USDC", amount(dice.roll(8_000_000_000))).unwrap();
            }
            2 => drop(fixture.simulator.force_liquidation(&alias, &symbol, position_side)),
            3 => {
                fixture.reconciler().sync().await.unwrap();
                unrealized.note(&fixture);
            }
            // Refused where there is nothing to close in hedge mode.
            _ => drop(fixture.simulator.trade_from_app(&alias, &order)),
        }
    }
    // Nothing happens after the last look: a funding instant may lie in any minute.
    for minutes in [3, 1, 1] {
        fixture.simulator.step(Duration::from_mins(minutes));
        fixture.reconciler().sync().await.unwrap();
        unrealized.note(&fixture);
    }
    (fixture, unrealized)
}

fn request(fixture: &Fixture, period: Option<(i64, i64)>) -> ReportRequest {
    let at = |ms| TimestampMs::new(ms).unwrap();
    ReportRequest {
        account: fixture.account.clone(),
        symbol: None,
        since: period.map(|(since, _)| at(since)),
        until: period.map(|(_, until)| at(until)),
        by: GroupBy::Engine,
        span_of: None,
    }
}

const TRADED: [&str; 4] = ["REALIZED_PNL", "COMMISSION", "FUNDING_FEE", "INSURANCE_CLEAR"];

/// Whether the exchange's own books say which position each amount is of.
fn is_plain(books: &AccountSnapshot) -> bool {
    !books.hedge_mode && !books.income.iter().any(|row| row.income_type == "INSURANCE_CLEAR")
}

fn assert_footed(footing: &AssetFooting, books: &AccountSnapshot, trips: &[Trip], period: (i64, i64), what: &str) {
    let asset = footing.asset.as_str();
    let (since, until) = period;
    let what = format!("{what}, {asset}: {footing:?}");
    assert_eq!(footing.outcome, FootingOutcome::Ties, "{what}");
    assert_eq!(footing.unexplained, Decimal::ZERO, "{what}");
    assert_eq!(units(footing.moved), booked(books, asset, &[], since, until), "{what}");
    let wallet = |ms| booked(books, asset, &[], 0, ms);
    assert_eq!(units(footing.before.unwrap().amount), wallet(since), "{what}");
    assert_eq!(units(footing.after.unwrap().amount), wallet(until), "{what}");
    let terms = &footing.terms;
    assert_eq!(units(terms.transfers), booked(books, asset, &["TRANSFER"], since, until), "{what}");
    let unknown: Units = terms.unknown.values().map(|unknown| units(unknown.amount)).sum();
    assert_eq!(unknown, booked(books, asset, &["NEVER_HEARD_OF"], since, until), "{what}");
    assert_eq!([terms.stand_in, terms.conversions], [Decimal::ZERO; 2], "{what}");
    // Everything that trading did to the wallet is in these, up to the exchange's rounding, which has its own.
    let traded = booked(books, asset, &TRADED, since, until);
    let kickback = booked(books, asset, &["REFERRAL_KICKBACK"], since, until);
    let sum = [
        terms.closed,
        -terms.carried_in,
        -terms.carried_out,
        terms.open,
        terms.rounding,
        terms.contracts,
        terms.account,
    ];
    let sum = sum.into_iter().fold(Decimal::ZERO, |sum, term| sum.checked_add(term).unwrap());
    assert_eq!(units(sum.round(8)), traded + kickback, "{what}");
    assert!(terms.rounding.abs() <= terms.rounding_max && terms.rounding_max < "0.001".parse().unwrap(), "{what}");
    if is_plain(books) {
        // Each trade's profit may be rounded by a unit and an entry's rounding times its size, each fee share by one.
        let slack = 200 + 60 * 100;
        for (found, known) in
            [terms.closed, terms.carried_in, terms.open].into_iter().zip(expected(trips, asset, since, until))
        {
            assert!((units(found.round(8)) - known).abs() <= slack, "{found} {known} {what}");
        }
    }
}

/// Beyond the first ones, accounts that are unlike these.
const FOUND: [u64; 1] = [
    // It was not looked at before its end, so that hardly any time lies between the first look and the last.
    45,
];

/// The accounts that are tried: a few by default, more where somebody has the time, one to find out more about it.
#[expect(clippy::disallowed_methods, reason = "a long campaign asks for more than the suite has time for")]
fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|count| count.parse().ok());
    match (number("FILLBOOK_FOOTING_SEED"), number("FILLBOOK_FOOTING_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..count).collect(),
        (None, None) => (0..20).chain(FOUND).collect(),
    }
}

#[tokio::test]
async fn random_accounts_tie_for_every_period() {
    let mut kinds = std::collections::BTreeSet::new();
    let mut plain_count = 0;
    for seed in seeds() {
        let (fixture, _) = traded(seed).await;
        let books = fixture.simulator.books().accounts.remove(0);
        let trips = trips(&books);
        plain_count += u64::from(is_plain(&books));
        kinds.extend(books.income.iter().map(|row| (row.income_type.clone(), row.asset.clone())));
        let end = fixture.clock.now().as_ms();
        let venue = &exchange_client::binance_usdm::VENUE;
        let whole = account_report(&*fixture.store, venue, &request(&fixture, None)).await.unwrap();
        for footing in &whole.report.footing {
            assert_footed(footing, &books, &trips, (0, end), &format!("seed {seed}, whole"));
        }
        let assets = whole.report.footing.len();
        assert_eq!(assets, 3, "seed {seed}");
        let first = fixture.first_look().await;
        let mut dice = Dice(seed ^ 0x00C0_FFEE);
        // Cuts at random, and exactly at and beside what happened.
        let span = (end - first - 200_000).max(60_000);
        let mut cuts: Vec<i64> = (0..6).map(|_| first + 1 + dice.roll(span as u64) as i64).collect();
        for _ in 0..6 {
            let row = &books.income[dice.roll(books.income.len() as u64) as usize];
            cuts.push((row.time_ms + dice.roll(3) as i64 - 1).max(first + 1));
        }
        cuts.sort_unstable();
        cuts.dedup();
        for pair in cuts.windows(2) {
            let period = (pair[0], pair[1]);
            let report = account_report(&*fixture.store, venue, &request(&fixture, Some(period))).await.unwrap();
            let rows = books.income.iter().filter(|row| (period.0..period.1).contains(&row.time_ms));
            let moved: std::collections::BTreeSet<_> = rows.map(|row| row.asset.as_str()).collect();
            let footed: std::collections::BTreeSet<_> =
                report.report.footing.iter().map(|footing| footing.asset.as_str()).collect();
            assert!(moved.is_subset(&footed), "seed {seed} {period:?}: {moved:?} {footed:?}");
            for footing in &report.report.footing {
                assert_footed(footing, &books, &trips, period, &format!("seed {seed} {period:?}"));
            }
        }
    }
    if seeds().len() == 1 {
        return;
    }
    // What was tried had everything in it.
    for (kind, asset) in [
        ("INSURANCE_CLEAR", "USDT"),
        ("COMMISSION", "BNB"),
        ("COMMISSION", "USDT"),
        ("FUNDING_FEE", "USDC"),
        ("NEVER_HEARD_OF", "USDC"),
        ("REFERRAL_KICKBACK", "USDC"),
        ("TRANSFER", "BNB"),
    ] {
        assert!(kinds.contains(&(kind.to_owned(), asset.to_owned())), "{kind} {asset}: {kinds:?}");
    }
    assert!(plain_count > 0);
}

/// From look to look, the report's equity is the exchange's own: wallet and unrealized profit, and so is its change.
#[tokio::test]
async fn what_an_account_is_worth_is_what_the_exchange_says() {
    let mut compared = [0; 2];
    for seed in 0..6 {
        let (fixture, unrealized) = traded(seed).await;
        let books = fixture.simulator.books().accounts.remove(0);
        let venue = &exchange_client::binance_usdm::VENUE;
        let whole = account_report(&*fixture.store, venue, &request(&fixture, None)).await.unwrap();
        for footing in &whole.report.footing {
            let equity = footing.equity.as_ref().unwrap();
            let what = format!("seed {seed}, whole");
            let (last_ms, _) = unrealized.0.last().unwrap();
            // Also where the wallet did not move since an earlier look, so that this one wrote nothing.
            assert!(equity.wallet_after.is_stated, "{what}: {equity:?}");
            assert!(equity.after.marked_at.is_none_or(|marked_at| marked_at.as_ms() == *last_ms), "{what}: {equity:?}");
            if let Some(amount) = equity.after.amount() {
                unrealized.assert_like(unrealized.0.len() - 1, footing.asset.as_str(), amount, &what);
            }
            assert_eq!(equity.amount_before().unwrap(), Decimal::ZERO, "{what}");
        }
        for (nth, pair) in unrealized.0.windows(2).enumerate() {
            let period = (pair[0].0 + 1, pair[1].0 + 1);
            let report = account_report(&*fixture.store, venue, &request(&fixture, Some(period))).await.unwrap();
            for footing in report.report.footing {
                let (asset, equity) = (footing.asset.as_str(), footing.equity.unwrap());
                let what = format!("seed {seed} {period:?}: {equity:?}");
                for (edge, look) in [(&equity.before, nth), (&equity.after, nth + 1)] {
                    // Marks are on record of some of the looks; others rest on one of the minute before.
                    let Some(amount) = edge.amount() else {
                        assert!(!edge.unknown.is_empty(), "{what}");
                        continue;
                    };
                    if edge.marked_at.is_some_and(|marked_at| marked_at.as_ms() != unrealized.0[look].0) {
                        continue;
                    }
                    compared[usize::from(edge.marked_at.is_some())] += 1;
                    unrealized.assert_like(look, asset, amount, &what);
                }
                let edges = equity.before.amount().zip(equity.after.amount());
                let Some(change) = edges.map(|(before, after)| after.checked_sub(before).unwrap()) else {
                    assert_eq!(equity.change(), None, "{what}");
                    continue;
                };
                let moved = booked(&books, asset, &[], period.0, period.1);
                assert_eq!(units(equity.change().unwrap()), moved + units(change), "{what}");
            }
        }
    }
    assert!(compared.iter().all(|count| *count > 20), "{compared:?}");
}

impl Fixture {
    /// When a wallet was looked at for the first time.
    async fn first_look(&self) -> i64 {
        use ledger_store::{FactReader, PageRequest, Scope};
        let scope = Scope::account(self.account.clone());
        let page = self.store.balance_snapshots(&scope, PageRequest::first(1)).await.unwrap();
        page.items[0].fact.at.as_ms()
    }
}
