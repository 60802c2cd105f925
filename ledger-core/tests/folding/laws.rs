//! Laws of the fold, over random events.

use super::*;

use std::collections::BTreeMap;

use ledger_core::{Movement, MovementKind, RoundTrip, TripKey};

/// Random events of all kinds as text, so that a failing case can be read.
fn events() -> impl Strategy<Value = Vec<String>> {
    let sides = prop::sample::select(vec!["", "LONG ", "SHORT "]);
    let way = prop::sample::select(vec!["BUY", "SELL"]);
    let fee = prop::option::of((-50_i64..500, prop::sample::select(vec!["USDT", "BNB"])));
    let pnl = prop::option::of(prop::sample::select(vec!["0", "1", "-3.5"]));
    let fill =
        (sides.clone(), way.clone(), 1_i64..9, 95_i64..105, fee, pnl).prop_map(|(side, way, qty, price, fee, pnl)| {
            let fee = fee.map(|(fee, asset)| format!(" fee {} {asset}", Decimal::new(fee.into(), 3).unwrap()));
            let pnl = pnl.map(|pnl| format!(" pnl {pnl}"));
            // Some of the fees come back later.
            let back = fee.as_ref().filter(|_| price == 101).map(|_| " back 0.007 USDT");
            let fee = fee.unwrap_or_default();
            format!("{side}{way} {qty} @ {price}{fee}{}{}", pnl.unwrap_or_default(), back.unwrap_or_default())
        });
    let fees = prop::collection::vec((-50_i64..500, prop::sample::select(vec!["USDT", "BNB"])), 0..3);
    let residual = (sides.clone(), way, 1_i64..9, prop::option::of(95_i64..105), fees).prop_map(
        |(side, way, qty, price, fees)| {
            let head = if fees.is_empty() { "" } else { " fee" };
            let price = price.map(|price| format!(" @ {price}")).unwrap_or_default();
            fees.into_iter().fold(format!("residual {side}{way} {qty}{price}{head}"), |text, (fee, asset)| {
                format!("{text} {} {asset}", Decimal::new(fee.into(), 3).unwrap())
            })
        },
    );
    let anchor = (sides, 0_i64..9, prop::option::of(95_i64..105)).prop_map(|(side, qty, price)| {
        let qty = if side == "SHORT " { -qty } else { qty };
        format!("anchor {side}{qty}{}", price.map(|price| format!(" @ {price}")).unwrap_or_default())
    });
    let head = prop::sample::select(vec!["", " in 30", " rate 0.001 mark 100", " in 45 rate -0.001 mark 100"]);
    let rows = prop::collection::vec((-40_i64..40, prop::sample::select(vec!["USDT", "BNB"])), 1..4);
    let funding = (head, rows).prop_map(|(head, rows)| {
        rows.into_iter().fold(format!("funding{head}"), |text, (amount, asset)| {
            format!("{text} {} {asset}", Decimal::new(amount.into(), 2).unwrap())
        })
    });
    let forced = (1_i64..9, 95_i64..105, prop::sample::select(vec!["liquidation", "adl", "program", "forced"]))
        .prop_map(|(qty, price, order)| format!("SELL {qty} @ {price} sent-by {order}"));
    let clearance = (0_i64..50, -40_i64..20, prop::sample::select(vec!["USDT", "BNB", "others USDT"])).prop_map(
        |(after, amount, asset)| {
            let (others, asset) = asset.split_once(' ').map_or(("", asset), |(_, asset)| (" others", asset));
            format!("clearance in {after}{others} {} {asset}", Decimal::new(amount.into(), 2).unwrap())
        },
    );
    let settlement =
        (0_i64..50, -40_i64..40).prop_map(|(after, amount)| format!("settlement in {after} {amount} USDT"));
    prop::collection::vec(
        prop_oneof![
            12 => fill, 1 => residual, 1 => anchor, 2 => funding, 1 => Just("unplaced".to_owned()),
            2 => forced, 1 => clearance, 1 => settlement, 6 => (1_i64..70).prop_map(|seconds| format!("wait {seconds}")),
        ],
        1..60,
    )
}

/// Fills of these positions of a hedge.
fn fills_of(sides: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let way = prop::sample::select(vec!["BUY", "SELL"]);
    let fill =
        (prop::sample::select(sides), way, 1_i64..4).prop_map(|(side, way, qty)| format!("{side} {way} {qty} @ 100"));
    prop::collection::vec(fill, 0..25)
}

/// Sums by kind and asset: what is known, what is estimated, how many are unknown.
#[derive(Debug, Default, PartialEq)]
struct Sums(BTreeMap<(MovementKind, String), (BigRational, BigRational, u64)>);

impl Sums {
    #[expect(clippy::panic, reason = "a movement that contradicts itself fails the test")]
    fn add(&mut self, movement: &Movement) {
        let (known, estimated, unknown) = self.0.entry((movement.kind, movement.asset.to_string())).or_default();
        match (movement.amount, movement.certainty) {
            (Some(amount), Certainty::Known) => *known += big(amount),
            (Some(amount), Certainty::Estimated) => *estimated += big(amount),
            (None, Certainty::Unknown) => *unknown += 1,
            _ => panic!("an amount is there exactly if it is told: {movement:?}"),
        }
        self.tidy();
    }

    fn set(&mut self, kind: MovementKind, asset: &str, total: &CertainTotal, is_paid: bool) {
        let signed = |amount: Decimal| if is_paid { -big(amount) } else { big(amount) };
        let parts = (signed(total.known), signed(total.estimated), total.unknown_count);
        self.0.insert((kind, asset.to_owned()), parts);
        self.tidy();
    }

    /// Leaves out what was realized.
    fn forget(&mut self) {
        self.0.retain(|(kind, _), _| *kind != MovementKind::Realized);
    }

    /// Nothing is as good as none.
    fn tidy(&mut self) {
        self.0.retain(|_, (known, estimated, unknown)| !known.is_zero() || !estimated.is_zero() || *unknown > 0);
    }
}

/// What fees and funding rows say, summed from the text itself, in integers of thousandths.
fn sums_of(events: &[String], word: &str, asset: &str) -> i64 {
    let mut sum = BigRational::zero();
    for event in events {
        let tokens: Vec<&str> = event.split_whitespace().collect();
        if !tokens.contains(&word) {
            continue;
        }
        // What comes back of a fee stands at the end of its line.
        let back = tokens.iter().position(|token| *token == "back").unwrap_or(tokens.len());
        let (before, behind) = tokens.split_at(back);
        for pair in if word == "back" { behind } else { before }.windows(2).filter(|pair| pair[1] == asset) {
            sum += big(dec(pair[0]));
        }
    }
    i64::try_from((sum * BigRational::from_integer(1_000.into())).to_integer()).unwrap()
}

fn thousandths<'a>(totals: impl Iterator<Item = &'a CertainTotal>) -> i64 {
    let sum: BigRational = totals.map(|total| big(total.amount().unwrap())).sum();
    let scaled = sum * BigRational::from_integer(1_000.into());
    assert!(scaled.is_integer());
    i64::try_from(scaled.to_integer()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Fees and funding, per asset, whatever happens: all that came in is in some round trip, or unallocated.
    #[test]
    fn round_trips_hold_all_the_money(events in events()) {
        let mut book = Book::default();
        for event in &events {
            book.run(event);
            prop_assert!(book.fold.is_conserved().unwrap(), "after {}", event);
        }
        book.end();
        prop_assert!(book.fold.is_conserved().unwrap());
        let open = book.fold.open_trips().unwrap();
        let unallocated = book.fold.unallocated_funding().unwrap();
        let positions = book.fold.positions().unwrap();
        for asset in ["USDT", "BNB"] {
            let of = |totals: &[ledger_core::AssetTotal]| {
                totals.iter().find(|total| total.asset.as_str() == asset).map(|total| total.total)
            };
            let trips = || book.closed.iter().chain(&open);
            let fees: Vec<_> = trips().filter_map(|trip| of(&trip.fees)).collect();
            let paid = sums_of(&events, "fee", asset) - sums_of(&events, "back", asset);
            prop_assert_eq!(thousandths(fees.iter()), paid);
            let funding: Vec<_> = trips().filter_map(|trip| of(&trip.funding)).chain(of(&unallocated)).collect();
            prop_assert_eq!(thousandths(funding.iter()), sums_of(&events, "funding", asset));
            let fees: Vec<_> = positions.iter().filter_map(|position| of(&position.fees)).collect();
            prop_assert_eq!(thousandths(fees.iter()), paid);
            // What the insurance fund added stands with the account, unless a round trip got it.
            let charged: Vec<String> = events.iter().filter(|event| event.contains(" -")).cloned().collect();
            let unallocated = book.fold.unallocated_clearance().unwrap();
            let cleared: Vec<_> = trips().filter_map(|trip| of(&trip.clearance)).chain(of(&unallocated)).collect();
            let charges = sums_of(&charged, "clearance", asset);
            let most = sums_of(&events, "clearance", asset) - charges;
            let cleared = thousandths(cleared.iter());
            prop_assert!((charges..=charges + most).contains(&cleared), "{} is not {} to {} more", cleared, charges, most);
            for total in ["realized", "funding", "clearance"] {
                let of_position = |position: &ledger_core::DerivedPosition| match total {
                    "funding" => of(&position.funding),
                    "clearance" => of(&position.clearance),
                    _ => Some(position.realized).filter(|_| asset == "USDT"),
                };
                let of_trip = |trip: &RoundTrip| match total {
                    "funding" => of(&trip.funding),
                    "clearance" => of(&trip.clearance),
                    _ => Some(trip.gross).filter(|_| asset == "USDT"),
                };
                let sum = |totals: Vec<CertainTotal>| -> BigRational { totals.iter().map(|it| big(it.amount().unwrap())).sum() };
                let of_positions = sum(positions.iter().filter_map(of_position).collect());
                prop_assert_eq!(of_positions, sum(trips().filter_map(of_trip).collect()), "{}", total);
            }
        }
        let is_fill = |event: &&String| event.contains('@') && !event.starts_with(['a', 'r']);
        let fills = events.iter().filter(is_fill).count() as u64;
        prop_assert_eq!(positions.iter().map(|position| position.fill_count).sum::<u64>(), fills);
        // The gross of positions is that of their round trips.
        for position in &positions {
            let mut total = CertainTotal::default();
            for trip in book.closed.iter().chain(&open).filter(|trip| trip.position_side == position.position_side) {
                total.merge(&trip.gross).unwrap();
            }
            prop_assert_eq!(total.known, position.realized.known);
            prop_assert_eq!(total.estimated, position.realized.estimated);
        }
    }

    /// The single amounts of a round trip add up to its totals, those of none to the contract's own line, and nobody
    /// who does not ask for them gets another state.
    #[test]
    fn movements_add_up_to_the_totals(events in events()) {
        let mut book = Book::default();
        for event in &events {
            book.run(event);
        }
        book.end();
        let open = book.fold.open_trips().unwrap();
        for trip in book.closed.iter().chain(&open) {
            let key = trip.key();
            let own = || book.movements.iter().filter(|movement| movement.trip.as_ref() == Some(&key));
            let mut sums = Sums::default();
            own().for_each(|movement| sums.add(movement));
            let mut stated = Sums::default();
            stated.set(MovementKind::Realized, trip.settle_asset.as_str(), &trip.gross, false);
            trip.fees.iter().for_each(|fee| stated.set(MovementKind::Fee, fee.asset.as_str(), &fee.total, true));
            trip.funding.iter().for_each(|it| stated.set(MovementKind::Funding, it.asset.as_str(), &it.total, false));
            trip.clearance.iter().for_each(|it| stated.set(MovementKind::Clearance, it.asset.as_str(), &it.total, false));
            if trip.gross.unknown_count > 0 {
                // What was known before stands among the amounts.
                prop_assert!(own().any(|it| it.kind == MovementKind::Realized && it.amount.is_none()), "{}", key);
                sums.forget();
                stated.forget();
            }
            prop_assert_eq!(sums, stated, "{}", key);
        }
        let mut unplaced = Sums::default();
        for movement in book.movements.iter().filter(|movement| movement.trip.is_none()) {
            unplaced.add(movement);
        }
        let mut stated = Sums::default();
        for (kind, totals) in [
            (MovementKind::Funding, book.fold.unallocated_funding().unwrap()),
            (MovementKind::Clearance, book.fold.unallocated_clearance().unwrap()),
            (MovementKind::Realized, book.fold.unallocated_realized().unwrap()),
        ] {
            for it in &totals {
                stated.set(kind, it.asset.as_str(), &it.total, false);
            }
        }
        prop_assert_eq!(unplaced, stated);
    }

    /// A round trip is named by what opened it: facts before it, and trades in the other position of a hedge, change no
    /// name. Fills are marked by their engine, so that a trip is found again by the fill that opened it.
    #[test]
    fn older_facts_and_another_leg_rename_nothing(
        older in fills_of(&["LONG", "SHORT"]), both in fills_of(&["LONG", "SHORT"]), keeps_shorts in any::<bool>(),
    ) {
        let flat = |book: &mut Book| { book.run("anchor LONG 0\nanchor SHORT 0"); };
        let keys = |book: &Book| -> Vec<TripKey> {
            let open = book.fold.open_trips().unwrap();
            let all = book.closed.iter().chain(&open);
            all.filter(|trip| trip.position_side == PositionSide::Long).map(RoundTrip::key).collect()
        };
        let (mut short, mut long) = (Book::default(), Book::default());
        short.skip(older.len());
        flat(&mut short);
        for text in &both {
            if keeps_shorts || text.starts_with("LONG") { short.run(text); } else { short.skip(1); }
        }
        for text in &older { long.run(text); }
        flat(&mut long);
        for text in &both { long.run(text); }
        let (before, after) = (keys(&short), keys(&long));
        prop_assert!(after.ends_with(&before), "{:?} became {:?}", before, after);
        let mut all: Vec<TripKey> = long.closed.iter().map(RoundTrip::key).collect();
        all.extend(long.fold.open_trips().unwrap().iter().map(RoundTrip::key));
        let count = all.len();
        all.sort();
        all.dedup();
        prop_assert_eq!(all.len(), count, "a name twice");
    }

    /// Stored and loaded between any two events, the fold ends the same.
    #[test]
    #[cfg(feature = "serde")]
    fn a_fold_can_stop_and_go_on(events in events()) {
        let (mut through, mut stopping) = (Book::default(), Book::default());
        for event in &events {
            through.run(event);
            let stored = serde_json::to_string(&stopping.fold).unwrap();
            let loaded: ledger_core::SymbolFold = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(&loaded, &stopping.fold);
            stopping.fold = loaded;
            stopping.run(event);
            prop_assert_eq!(&through.fold, &stopping.fold, "after {}", event);
        }
        through.end();
        stopping.end();
        prop_assert_eq!(&through.closed, &stopping.closed);
        prop_assert_eq!(shown(&through), shown(&stopping));
    }

    /// Whatever the constructors let through gives a result or a typed error.
    #[test]
    fn no_valid_input_panics(
        fills in prop::collection::vec((any::<bool>(), 0_usize..3, any::<i128>(), 0_u32..127, 0_u8..=18, any::<i128>(), 0_u32..127, 0_u8..=18,
            prop::option::of((any::<i128>(), 0_u32..127, 0_u8..=18)), prop::option::of((any::<i128>(), 0_u32..127, 0_u8..=18))), 1..24),
        inverse in any::<bool>(), tick in any::<bool>(),
    ) {
        let mut instrument = Instrument::linear(support::symbol(), ledger_core::Asset::new("USDT").unwrap()).unwrap();
        if inverse { instrument.kind = ledger_core::ContractKind::Inverse; }
        if tick { instrument.tick_size = Some(dec("0.000000000000000001")); }
        let mut book = Book::of(&instrument);
        let small = |(m, shift, scale): (i128, u32, u8)| Decimal::new(m >> shift, scale).ok();
        for (buy, side, q, qs, qd, p, ps, pd, fee, pnl) in fills {
            let mut fill = book.next_fill(if buy { "BUY 1 @ 1" } else { "SELL 1 @ 1" });
            let qty = small((q, qs, qd)).and_then(|qty| ledger_core::Quantity::new(qty.abs()).ok());
            let price = small((p, ps, pd)).and_then(|price| ledger_core::Price::new(price.abs()).ok());
            let (Some(qty), Some(price)) = (qty, price) else { continue };
            (fill.qty, fill.price) = (qty, price);
            fill.position_side = Some(PositionSide::ALL[side]);
            fill.fee = fee.and_then(small).map(|amount| ledger_core::Fee { amount, asset: ledger_core::Asset::new("BNB").unwrap() });
            fill.exchange_realized_pnl = pnl.and_then(small);
            let checkpoint = book.fold.clone();
            match book.fold.apply(FoldEvent::Fill { fill: &fill, order: None }) {
                Ok(_) => {
                    let _ = (book.fold.positions(), book.fold.open_trips(), book.fold.is_conserved());
                    let rows = [book::funding_row("-0.00000001", "USDT", 0), book::funding_row("1", "USDT", 1)];
                    let rate = ledger_core::FundingRate {
                        symbol: support::symbol(), at: fill.time.at, rate: dec("0.0001"), mark_price: Some(fill.price),
                    };
                    let mut funded = book.fold.clone();
                    if funded.apply(FoldEvent::Funding { rows: &rows, rate: Some(&rate) }).is_ok() {
                        let _ = (funded.unallocated_funding(), funded.positions(), funded.apply(FoldEvent::End).is_ok());
                    }
                }
                Err(FoldError::Math { .. }) => book.fold = checkpoint,
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }

    /// A whole account that begins with the book: everything is known, and is what the model says.
    #[test]
    fn a_complete_book_is_that_of_the_model(seed in any::<u64>(), hedge in any::<bool>()) {
        let mut random = Random(seed);
        let mut book = Book::default();
        let sides: &[PositionSide] = if hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Net] };
        let mut exchanges: Vec<Exchange> = sides.iter().map(|side| Exchange::new(*side, false)).collect();
        for side in sides {
            book.run(&format!("anchor {side} 0"));
        }
        let mut fill_count = 0;
        for _ in 0..60 {
            let at = usize::try_from(random.below(i64::try_from(exchanges.len()).unwrap())).unwrap();
            fill_count += 1;
            let text = exchanges[at].trade(&mut random, 10_000, 1, fill_count);
            let step = book.run(&text);
            prop_assert!(!step.pnl_mismatch, "{}", text);
        }
        for exchange in &exchanges {
            for (trip, truth) in book.closed.iter().filter(|trip| trip.position_side == exchange.position_side).zip(&exchange.trips) {
                prop_assert_eq!(trip.certainty, Certainty::Known);
                prop_assert!(truth.is_that_of(trip), "{:?} is not {:?}", trip, truth);
            }
            prop_assert_eq!(book.closed.iter().filter(|trip| trip.position_side == exchange.position_side).count(), exchange.trips.len());
            if let Some(position) = book.fold.positions().unwrap().iter().find(|p| p.position_side == exchange.position_side) {
                prop_assert_eq!(big(position.qty), exchange.qty.clone());
                prop_assert_eq!(position.certainty, Certainty::Known);
            }
        }
    }
}
