//! Which venue a row comes from, and whether its quantities are coins.
//!
//! A bot keeps an exchange's own answer in `raw_json`. One of another venue's, or of the same exchange's spot market, is about
//! another contract, and may count in contracts of a size that the venue chooses: taken for coins, every check would pass.
//!
//! Invariants, each with a test of the same name:
//! 1. `another_venues_answer_makes_no_fill`.
//! 2. `where_the_venue_is_not_known_the_cost_proves_coins`.

use ledger_core::VenueRules;

use super::cells::Cells;
use super::row::Read;

/// What the rows of a bot's database are read by.
#[derive(Debug, Clone, Copy)]
pub struct BotVenue {
    /// What client order ids and order types mean at the venue that the bot trades at.
    pub rules: VenueRules,
    /// The name of the venue that alone answers with an object of these fields, where that is none that `rules` are of.
    pub other_venue: fn(&mut dyn Iterator<Item = &str>) -> Option<&'static str>,
    /// The name of the venue that the book is of, whose quantities are coins; `None` for a book of a venue that is not known:
    /// there every row has to prove it.
    pub counts_coins: Option<&'static str>,
}

/// Checks that a row with quantities is of the book's venue, and that they are coins.
/// A trade always says its price.
pub(super) fn check(cells: &Cells, venue: &BotVenue, is_trade: bool) -> Read<()> {
    check_venue(cells, venue)?;
    if venue.counts_coins.is_some() {
        return Ok(());
    }
    let is_priced = is_trade || cells.exchange("avgPrice").is_some() || cells.unified("average").is_some();
    // Price x quantity is held against the cost where both are read.
    let has_cost = cells.unified("cost").and_then(|text| text.parse::<ledger_core::Decimal>().ok());
    if is_priced && has_cost.is_some_and(|cost| !cost.is_zero()) {
        return Ok(());
    }
    Err("nothing proves that its quantity is in coins, as a `cost` in raw_json would: export the trades as ccxt objects, with a \
         line {\"symbol\":SYMBOL,\"contractSize\":SIZE} for each contract, and import these"
        .to_owned())
}

/// Checks that what a row has of the exchange is the book's venue's.
pub(super) fn check_venue(cells: &Cells, venue: &BotVenue) -> Read<()> {
    let Some(own) = venue.counts_coins else { return Ok(()) };
    match (venue.other_venue)(&mut cells.exchange_fields()) {
        Some(found) => Err(format!(
            "raw_json: it is an answer of {found}, and this book is of {own}: rows of another venue belong into a book of \
             their own (`init --venue other`)"
        )),
        None if is_spot(cells) => Err(format!(
            "raw_json: its symbol is that of a spot market and nothing in it names a position, and this book is of {own}: \
             spot trades move no futures position"
        )),
        None => Ok(()),
    }
}

/// The library names a futures contract `BTC/USDT:USDT`. Early versions named it like a spot pair; then the exchange's answer
/// names a position.
fn is_spot(cells: &Cells) -> bool {
    let is_pair = cells.unified("symbol").is_some_and(|name| name.contains('/') && !name.contains(':'));
    is_pair && cells.has_info() && cells.exchange("positionSide").is_none()
}
