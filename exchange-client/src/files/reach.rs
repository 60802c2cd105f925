//! Which stretches of time an export is complete for.
//!
//! An export of trades is cut out of the account's history by time, and sometimes by contract. Between two of its rows of
//! one contract nothing of that contract is missing, unless somebody filtered it by something else: by side, which shows
//! when all rows are of one, or by hand, which shows when rows are out of order or unreadable. Then it is complete for
//! nothing. Nothing is said about what lies before its first row and after its last: the range that was asked for is
//! written nowhere in it. The seconds of those two rows are left out as well, because an export may cut through a second.
//!
//! Exports of transactions say nothing either: the web page exports single types of entries, and a file does not tell
//! whether the others are missing or never were.

use std::collections::BTreeMap;

use ledger_core::{AnyFact, Fill, Side, Statement, Symbol, TimestampMs};

/// A stretch of time in which a file has every fill of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillsCovered {
    /// The contract.
    pub symbol: Symbol,
    /// The first instant that is covered.
    pub since: TimestampMs,
    /// The first instant after it that is not.
    pub until: TimestampMs,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: TimestampMs,
    last: TimestampMs,
    latest_row: TimestampMs,
    rises: bool,
    falls: bool,
    buys: u64,
    sells: u64,
}

/// What the rows of a file have told so far.
#[derive(Debug, Default)]
pub(super) struct Reach {
    seen: BTreeMap<Symbol, Seen>,
    is_broken: bool,
}

impl Reach {
    /// A row of an export of trades.
    pub(super) fn note(&mut self, statements: &[Statement]) {
        for statement in statements {
            if let AnyFact::Fill(fill) = &statement.fact {
                self.fill(fill);
            }
        }
    }

    /// A row that says nothing, of whatever contract it is.
    pub(super) fn unreadable(&mut self) {
        self.is_broken = true;
    }

    fn fill(&mut self, fill: &Fill) {
        let at = fill.time.at;
        let fresh = Seen { first: at, last: at, latest_row: at, rises: false, falls: false, buys: 0, sells: 0 };
        let seen = self.seen.entry(fill.key.symbol.clone()).or_insert(fresh);
        (seen.rises, seen.falls) = (seen.rises || at > seen.latest_row, seen.falls || at < seen.latest_row);
        (seen.first, seen.last, seen.latest_row) = (seen.first.min(at), seen.last.max(at), at);
        match fill.key.side {
            Side::Buy => seen.buys += 1,
            Side::Sell => seen.sells += 1,
        }
    }

    /// What the file is complete for, read to its end.
    pub(super) fn covered(&self) -> Vec<FillsCovered> {
        if self.is_broken {
            return Vec::new();
        }
        let is_whole = |seen: &Seen| seen.buys > 0 && seen.sells > 0 && !(seen.rises && seen.falls);
        let span = |(symbol, seen): (&Symbol, &Seen)| FillsCovered {
            symbol: symbol.clone(),
            since: seen.first.saturating_add_ms(1_000),
            until: seen.last,
        };
        self.seen.iter().filter(|(_, seen)| is_whole(seen)).map(span).filter(|span| span.since < span.until).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Cursor;

    use crate::files::{ImportFile, Options};

    /// `second side` rows of one contract, and what they cover, in seconds after the first minute of a day.
    fn covered(rows: &[&str]) -> Vec<(i64, i64)> {
        let mut text = "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id\n".to_owned();
        for (id, row) in rows.iter().enumerate() {
            let (second, side) = row.split_once(' ').unwrap();
            let price = if side == "junk" { "junk" } else { "60000" };
            let side = side.replace("junk", "BUY");
            let buyer = side == "BUY";
            writeln!(
                text,
                "7,2026-03-01 00:00:{second},BTCUSDT,{side},BOTH,{price},0.010,600,0.24USDT,0,{buyer},false,{id},9001"
            )
            .unwrap();
        }
        let mut file = ImportFile::from_reader("trades.csv", Cursor::new(text), Options::default()).unwrap();
        assert!(file.fills_covered().is_empty(), "before it was read");
        assert_eq!(file.by_ref().count(), rows.len());
        let start_ms = 1_772_323_200_000;
        let seconds = |at: ledger_core::TimestampMs| (at.as_ms() - start_ms) / 1_000;
        file.fills_covered().iter().map(|span| (seconds(span.since), seconds(span.until))).collect()
    }

    #[test]
    fn an_export_is_complete_between_its_rows_unless_it_was_filtered() {
        assert_eq!(covered(&["10 BUY", "20 SELL", "20 BUY", "50 SELL"]), [(11, 50)]);
        // Newest first, as the web page has it.
        assert_eq!(covered(&["50 SELL", "20 BUY", "10 SELL"]), [(11, 50)]);
        // One side only, sorted by something else, unreadable rows, and a stretch of nothing but the rows themselves.
        assert_eq!(covered(&["10 BUY", "20 BUY", "50 BUY"]), []);
        assert_eq!(covered(&["10 BUY", "50 SELL", "20 BUY"]), []);
        assert_eq!(covered(&["10 BUY", "20 junk", "50 SELL"]), []);
        assert_eq!(covered(&["10 BUY", "11 SELL"]), []);
    }
}
