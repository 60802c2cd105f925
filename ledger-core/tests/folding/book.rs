//! Books written as text: one event a line, and what the fold makes of them.
//!
//! `[NET|LONG|SHORT] BUY|SELL qty @ price [fee amount asset] [pnl amount] [engine name] [waiting-for condition]`,
//! `[sent-by origin] [back amount asset]` behind it, `residual [side] BUY|SELL qty [@ price] [fee amount asset [amount
//! asset]...]`, `anchor [side] qty [@ entry]`,
//! `funding [in seconds] [rate r] [mark m] amount asset [amount asset]...`, `clearance [in seconds] [others] amount asset`,
//! `settlement [in seconds] amount asset [amount asset]...`, `unplaced`
//!
//! Events are five minutes apart; `wait seconds` shortens the way to the next one. An entry of the ledger may lie some
//! seconds `in` the future: like every caller of the fold, a book states it a minute before it counts.

use crate::support::{at, dec, fill, symbol};
use ledger_core::{
    Anchor, Asset, AssetTotal, CertainTotal, Condition, Decimal, EngineLabel, EventTime, Fee, Fill, FillId, FoldEvent,
    FundingRate, Income, IncomeKey, Instrument, Label, Movement, OrderContext, OrderId, Origin, PositionSide, Price,
    Residual, RoundTrip, SymbolFold, TimestampMs, TranId, Value,
};

pub struct Book {
    pub fold: SymbolFold,
    pub closed: Vec<RoundTrip>,
    /// The single amounts behind it all.
    pub movements: Vec<Movement>,
    fill_count: usize,
    event_count: i64,
    clock_ms: i64,
    wait_ms: Option<i64>,
}

impl Default for Book {
    fn default() -> Self {
        Self::of(&Instrument::linear(symbol(), Asset::new("USDT").unwrap()).unwrap())
    }
}

/// What an event did.
#[derive(Debug, PartialEq, Default)]
pub struct Seen {
    pub realized: Option<Value>,
    pub pnl_mismatch: bool,
}

/// The words of a line, taken off from the left.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(&mut self) -> T {
        self.next().unwrap().parse().unwrap()
    }

    /// What follows `word`, when that comes next.
    fn after<T: std::str::FromStr<Err: std::fmt::Debug>>(&mut self, word: &str) -> Option<T> {
        if self.0.first() != Some(&word) {
            return None;
        }
        self.next();
        Some(self.parse())
    }

    /// Those at the end of a line, in any number of assets.
    fn fees(&mut self) -> Vec<Fee> {
        let Some(place) = self.0.iter().position(|word| *word == "fee") else { return Vec::new() };
        let pairs = self.0.split_off(place);
        let fee = |pair: &[&str]| Fee { amount: dec(pair[0]), asset: Asset::new(pair[1]).unwrap() };
        pairs[1..].chunks(2).map(fee).collect()
    }

    fn position_side(&mut self) -> PositionSide {
        match self.0.first().and_then(|word| word.parse().ok()) {
            Some(side) => {
                self.next();
                side
            }
            None => PositionSide::Net,
        }
    }
}

pub fn funding_row(amount: &str, asset: &str, number: usize) -> Income {
    Income {
        key: IncomeKey {
            income_type: "FUNDING_FEE".parse().unwrap(),
            tran_id: TranId::new(number.to_string()).unwrap(),
            symbol: Some(symbol()),
            asset: Asset::new(asset).unwrap(),
        },
        amount: dec(amount),
        time: EventTime::ms(at(0)),
        fill_id: None,
        info: None,
    }
}

impl Book {
    pub fn of(instrument: &Instrument) -> Self {
        Self {
            fold: SymbolFold::new(instrument),
            closed: Vec::new(),
            movements: Vec::new(),
            fill_count: 0,
            event_count: 0,
            clock_ms: 0,
            wait_ms: None,
        }
    }

    /// Counts fills that were not recorded, so that ids are those of the true history.
    pub fn skip(&mut self, fills: usize) {
        self.fill_count += fills;
    }

    fn now(&mut self) -> TimestampMs {
        self.event_count += 1;
        self.clock_ms += self.wait_ms.take().unwrap_or(300_000);
        at(self.clock_ms)
    }

    pub fn next_fill(&mut self, text: &str) -> Fill {
        self.fill_and_order(text).0
    }

    /// The fill, its order, and what of its fee comes back two days later.
    fn fill_and_order(&mut self, text: &str) -> (Fill, Option<OrderContext>, Option<Income>) {
        let mut words = Words(text.split_whitespace().collect());
        self.fill_count += 1;
        let mut fill = fill(&self.fill_count.to_string(), "1", "1");
        fill.key.fill_id = FillId::new(self.fill_count.to_string()).unwrap();
        fill.sequence = i64::try_from(self.fill_count).ok();
        fill.time = EventTime::ms(self.now());
        fill.position_side = Some(words.position_side());
        fill.key.side = words.parse();
        fill.qty = words.parse();
        fill.price = words.after("@").unwrap();
        fill.fee = words.after("fee").map(|amount| Fee { amount, asset: words.parse() });
        fill.exchange_realized_pnl = words.after("pnl");
        let engine: Option<EngineLabel> = words.after("engine");
        let condition: Option<Condition> = words.after("waiting-for");
        let origin: Option<Origin> = words.after("sent-by");
        let back: Option<String> = words.after("back");
        let back = back.map(|amount| {
            let at = fill.time.at.saturating_add_ms(2 * 86_400_000);
            self.ledger_row("referral_kickback", &amount, &words.parse::<String>(), 0, at)
        });
        assert!(words.0.is_empty(), "`{text}` has more than is understood");
        let is_told = engine.is_some() || condition.is_some() || origin.is_some();
        let order = is_told.then(|| OrderContext { engine, condition, origin, ..OrderContext::default() });
        (fill, order, back)
    }

    pub fn apply(&mut self, event: &FoldEvent<'_>) -> Seen {
        let step = self.fold.apply_with_movements(*event, &mut self.movements).unwrap();
        self.closed.extend(step.closed().map(|closed| closed.record().unwrap()));
        Seen { realized: step.realized(), pnl_mismatch: step.pnl_mismatch() }
    }

    fn ledger_row(&self, kind: &str, amount: &str, asset: &str, number: usize, at: TimestampMs) -> Income {
        let mut row = funding_row(amount, asset, number);
        row.key.income_type = kind.to_uppercase().parse().unwrap();
        row.key.tran_id = TranId::new(format!("{}-{number}", self.event_count)).unwrap();
        row.time = EventTime::ms(at);
        row
    }

    /// Nothing more follows.
    pub fn end(&mut self) {
        self.apply(&FoldEvent::End);
    }

    /// Applies every line; the answer is the last step.
    pub fn run(&mut self, events: &str) -> Seen {
        let mut last = Seen::default();
        for line in events.lines().map(str::trim).filter(|line| !line.is_empty()) {
            last = self.line(line);
        }
        last
    }

    fn line(&mut self, line: &str) -> Seen {
        let mut words = Words(line.split_whitespace().collect());
        match words.0[0] {
            "anchor" => {
                words.next();
                let anchor = Anchor {
                    symbol: symbol(),
                    position_side: words.position_side(),
                    at: self.now(),
                    qty: words.parse(),
                    entry_price: words.after::<Price>("@"),
                    derivation: Label::new("stated").unwrap(),
                    known_before: None,
                    withdrawn: None,
                };
                self.apply(&FoldEvent::Anchor(&anchor))
            }
            "residual" => {
                words.next();
                let residual = Residual {
                    order_id: OrderId::new((self.event_count + 1).to_string()).unwrap(),
                    position_side: Some(words.position_side()),
                    side: words.parse(),
                    qty: words.parse(),
                    price: words.after("@"),
                    fees: words.fees(),
                    at: self.now(),
                };
                self.apply(&FoldEvent::Residual { residual: &residual, order: None })
            }
            kind @ ("funding" | "clearance" | "settlement") => {
                words.next();
                let start = self.now();
                let now = start.saturating_add_ms(words.after::<i64>("in").unwrap_or(0) * 1_000);
                let rate: Option<Decimal> = words.after("rate");
                let mark_price: Option<Price> = words.after("mark");
                let is_alone = words.0.first() != Some(&"others");
                words.0.retain(|word| *word != "others");
                let rows: Vec<Income> = words
                    .0
                    .chunks(2)
                    .enumerate()
                    .map(|(number, pair)| self.ledger_row(kind, pair[0], pair[1], number, now))
                    .collect();
                let rate = rate.map(|rate| FundingRate { symbol: symbol(), at: now, rate, mark_price });
                match kind {
                    "funding" => self.apply(&FoldEvent::Funding { rows: &rows, rate: rate.as_ref() }),
                    "clearance" => self.apply(&FoldEvent::Clearance { row: &rows[0], is_alone }),
                    _ => self.apply(&FoldEvent::Settlement(&rows)),
                }
            }
            "wait" => {
                words.next();
                self.wait_ms = Some(words.parse::<i64>() * 1_000);
                Seen::default()
            }
            "unplaced" => {
                self.skip(1);
                self.fold.doubt();
                Seen::default()
            }
            _ => {
                let (fill, order, back) = self.fill_and_order(line);
                let event = FoldEvent::Fill { fill: &fill, order: order.as_ref() };
                let Some(row) = back else { return self.apply(&event) };
                self.fold.apply_with_movements(event, &mut self.movements).unwrap();
                self.apply(&FoldEvent::Kickback { fill: &fill, rows: &[row] })
            }
        }
    }
}

fn total(total: &CertainTotal) -> String {
    format!("{} {}", total.amount().unwrap(), total.certainty())
}

fn totals(all: &[AssetTotal]) -> String {
    let shown: Vec<String> = all.iter().map(|entry| format!("{} {}", entry.asset, total(&entry.total))).collect();
    if shown.is_empty() { "-".into() } else { shown.join(", ") }
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// Everything that the fold derives, one line a round trip (closed, then open), one a position, one for unallocated
/// funding.
pub fn shown(book: &Book) -> Vec<String> {
    let open = book.fold.open_trips().unwrap();
    let trip = |trip: &RoundTrip| {
        let exchange = trip.exchange_realized_pnl.map(|pnl| format!(" (exchange {pnl})")).unwrap_or_default();
        let engines: Vec<String> = [or_dash(trip.engine.as_ref())]
            .into_iter()
            .chain(trip.other_engines.iter().map(ToString::to_string))
            .collect();
        format!(
            "{} #{} {} in {} @ {} out {} @ {} max {} gross {}{exchange} | fees {} | funding {} | {} | {} | {} | {}..{}",
            trip.position_side,
            trip.number,
            trip.direction,
            trip.entry_qty,
            or_dash(trip.entry_price_avg),
            trip.exit_qty,
            or_dash(trip.exit_price_avg),
            trip.qty_max,
            total(&trip.gross),
            totals(&trip.fees),
            [totals(&trip.funding), totals(&trip.clearance)].join(" | clearance ").replace(" | clearance -", ""),
            engines.join("+"),
            trip.exit_reason,
            trip.certainty,
            or_dash(trip.opened_by()),
            // The last exit so far, and the end only when it ended.
            if trip.closed_at.is_some() { or_dash(trip.closed_by.as_ref()) } else { "-".into() },
        )
    };
    let mut lines: Vec<String> = book.closed.iter().chain(&open).map(trip).collect();
    for position in book.fold.positions().unwrap() {
        lines.push(format!(
            "{} {} @ {} {} realized {}",
            position.position_side,
            position.qty,
            or_dash(position.entry_price_avg),
            position.certainty,
            total(&position.realized)
        ));
    }
    let unallocated = book.fold.unallocated_funding().unwrap();
    if !unallocated.is_empty() {
        lines.push(format!("unallocated funding {}", totals(&unallocated)));
    }
    for (what, of) in [
        ("clearance", book.fold.unallocated_clearance().unwrap()),
        ("realized", book.fold.unallocated_realized().unwrap()),
    ] {
        if !of.is_empty() {
            lines.push(format!("unallocated {what} {}", totals(&of)));
        }
    }
    lines
}

/// Events as text, and the round trips and positions that they make.
pub fn check(events: &str, expected: &str) {
    let mut book = Book::default();
    book.run(events);
    book.end();
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(shown(&book).join("\n"), lines(expected).join("\n"), "after\n{events}");
    assert!(book.fold.is_conserved().unwrap());
}
