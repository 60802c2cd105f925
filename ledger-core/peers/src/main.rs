//! Folds one million generated fills through ledger-core and through barter's position manager, in one process, checks
//! that both realize the same profit, and prints the time a fill. See README.md.

mod input;
mod rows;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use ledger_core::{Decimal, Side};
use rust_decimal::Decimal as PeerDecimal;

use crate::input::{Raw, fills, generate, peer_trades, trades};
use crate::rows::{Bare, Held, Peer, Whole};

const FILLS: usize = 1_000_000;

/// Fills are made a page at a time, as a store hands them out: what is measured is the fold, not main memory.
const PAGE: usize = 500;

const NAMES: [&str; 7] = [
    "position and fees",
    "holding, with barter's record of each closed position",
    "symbol fold",
    "  barter's record of each closed position read off it",
    "  fills without the exchange's profit",
    "  the whole record of each round trip",
    "barter PositionManager",
];

/// What one round of all rows ends with.
struct Round {
    bare: Bare,
    held: Held,
    whole: Whole,
    read: Whole,
    silent: Whole,
    recorded: Whole,
    peer: Peer,
}

impl Round {
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            bare: Bare::new()?,
            held: Held::new()?,
            whole: Whole::new()?,
            read: Whole::new()?,
            silent: Whole::new()?,
            recorded: Whole::new()?,
            peer: Peer::default(),
        })
    }

    /// Nanoseconds that each row takes for a page.
    fn page(&mut self, raw: &[Raw], first: usize) -> Result<[u64; 7], Box<dyn Error>> {
        let (ours, silent) = (fills(raw, first, true)?, fills(raw, first, false)?);
        let (plain, theirs) = (trades(raw)?, peer_trades(raw, first));
        // Each starts with its page read once, so that none pays for the memory of another.
        let bare = timed(|| self.bare.take(black_box(&ours)))?;
        black_box(plain.iter().filter(|trade| trade.side == Side::Buy).count());
        let held = timed(|| self.held.take(black_box(&plain)))?;
        let whole = timed(|| self.whole.take(black_box(&ours)))?;
        let read = timed(|| self.read.take_and_read(black_box(&ours)))?;
        let recorded = timed(|| self.recorded.take_and_record(black_box(&ours)))?;
        black_box(silent.iter().filter(|fill| fill.fee.is_none()).count());
        let silent = timed(|| self.silent.take(black_box(&silent)))?;
        black_box(theirs.iter().map(|trade| trade.quantity).sum::<PeerDecimal>());
        let peer = timed(|| {
            self.peer.take(black_box(&theirs));
            Ok(())
        })?;
        Ok([bare, held, whole, read, silent, recorded, peer])
    }

    /// What all rows agree on: round trips, what was realized less the fees in the settle asset, and by how much barter's differs.
    fn agreed(&self) -> Result<(u64, Decimal, Decimal), Box<dyn Error>> {
        let position = self.bare.realized.checked_sub(self.bare.fees)?.to_decimal()?;
        let closed = self.whole.closed;
        let (held, ended) = (self.held.realized_less_fees()?, self.held.closed);
        if held != position || ended != closed {
            return Err(format!("holding: {held} and {ended} instead of {position} and {closed} round trips").into());
        }
        for (name, row) in
            [("fold", &self.whole), ("read", &self.read), ("silent", &self.silent), ("recorded", &self.recorded)]
        {
            let (told, folded) = (row.realized.checked_sub(self.bare.fees)?.to_decimal()?, row.realized_less_fees()?);
            if told != position || folded != position || row.closed != closed || row.mismatches != 0 {
                return Err(format!(
                    "{name}: {told} and {folded} instead of {position}, {} and {closed} round trips, {} mismatches",
                    row.closed, row.mismatches
                )
                .into());
            }
        }
        if self.peer.closed != closed {
            return Err(format!("{closed} round trips here, {} there", self.peer.closed).into());
        }
        if self.read.sum != self.recorded.sum || self.held.sum != self.recorded.sum {
            return Err("what is read off a closed round trip is not its record".into());
        }
        // Barter rounds its average entry at 28 significant digits: some 10^-22 a fill on profits up to 10^6.
        let barter = self.peer.total();
        let difference = barter.round_dp(12).to_string().parse::<Decimal>()?.checked_sub(position)?.abs();
        if difference > "0.000001".parse()? {
            return Err(format!("realized less fees: {position} here, {barter} there").into());
        }
        Ok((closed, position, difference))
    }
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<u64, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(u64::try_from(start.elapsed().as_nanos())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds: usize = arguments.first().map_or(Ok(15), |text| text.parse())?;
    let count: usize = arguments.get(1).map_or(Ok(FILLS), |text| text.parse())?;
    let raw = generate(count)?;
    // By row and page, what each round took.
    let mut spent = vec![vec![Vec::with_capacity(rounds); raw.len().div_ceil(PAGE)]; NAMES.len()];
    let mut last = None;
    for _ in 0..rounds {
        let mut round = Round::new()?;
        for (page, raw) in raw.chunks(PAGE).enumerate() {
            for (row, time) in spent.iter_mut().zip(round.page(raw, page * PAGE)?) {
                row[page].push(time);
            }
        }
        last = Some(round.agreed()?);
    }
    let (closed, realized, difference) = last.ok_or("no rounds")?;
    println!("{count} fills, {closed} round trips, realized less fees {realized} (barter differs by {difference})");
    println!("nanoseconds a fill; of each page of {PAGE} fills the least and the median of {rounds} rounds, added up");
    let sums: Vec<[f64; 2]> = spent
        .into_iter()
        .map(|row| {
            row.into_iter().fold([0.0; 2], |[least, median], mut page| {
                page.sort_unstable();
                let at = |at: usize| page.get(at).map_or(0.0, |time| *time as f64 / count as f64);
                [least + at(0), median + at(page.len() / 2)]
            })
        })
        .collect();
    let barter = sums.last().ok_or("no rows")?;
    println!("{:56} {:>7} {:>7}   barter / ours", "", "least", "median");
    for (name, [least, median]) in NAMES.iter().zip(&sums) {
        let (ratio, ratio_median) = (barter[0] / least, barter[1] / median);
        println!("{name:56} {least:7.1} {median:7.1}   {ratio:7.1} {ratio_median:7.1}");
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load averages and processes: {}", load.trim());
    }
    Ok(())
}
