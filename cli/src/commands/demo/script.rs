//! What happens in the demo: a day and a half of two accounts, and what is lost of it.
//!
//! Every case in which a bot's books and its exchange part is played once. The seed decides prices, quantities, directions,
//! times, and which contract plays which part.

use std::time::Duration;

use exchange_client::simulator::AppOrder;
use ledger_core::{IntentRole, PositionSide, Quantity};

use super::bot::{Bot, Holding, Loss, broken};
use crate::error::CommandError;

/// Contracts with the quantity that is traded of them.
const CONTRACTS: [(&str, &str); 5] =
    [("BTCUSDT", "0.02"), ("ETHUSDT", "0.5"), ("SOLUSDT", "12"), ("DOGEUSDT", "9000"), ("ETHUSDC", "0.4")];

/// Something that was lost: which case it is, and what happened.
pub(super) struct Lost {
    pub(super) case: &'static str,
    pub(super) what: String,
}

impl Lost {
    fn new(case: &'static str, what: impl Into<String>) -> Self {
        Self { case, what: what.into() }
    }
}

fn direction(is_long: bool) -> PositionSide {
    if is_long { PositionSide::Long } else { PositionSide::Short }
}

/// The contracts in an order that the seed decides.
pub(super) fn shuffled(bot: &mut Bot<'_>) -> [(&'static str, &'static str); 5] {
    let mut contracts = CONTRACTS;
    for last in (1..contracts.len()).rev() {
        let other = usize::try_from(bot.random.below(last as u64 + 1)).unwrap_or(0);
        contracts.swap(last, other);
    }
    contracts
}

pub(super) fn wanted(bot: &mut Bot<'_>, engine: &str, (symbol, qty): (&str, &str)) -> Result<Holding, CommandError> {
    let is_long = bot.random.coin();
    Bot::wants(engine, symbol, direction(is_long), qty)
}

/// The account in one-way mode.
pub(super) async fn one_way(bot: &mut Bot<'_>) -> Result<Vec<Lost>, CommandError> {
    let [first, second, third, fourth, fifth] = shuffled(bot);
    let mut lost = Vec::new();

    // A trade as it should be: entry, an addition, and the take-profit order that waits at the exchange.
    let wish = wanted(bot, "breakout", first)?;
    bot.skip(&wish, "risk_limit").await?;
    let mut holding = bot.open(wish, Loss::None).await?;
    bot.pause(20);
    bot.add(&mut holding, Loss::None).await?;
    let percent_e2 = bot.random.between(40, 160);
    let guard = bot.guard(&holding, IntentRole::TakeProfit, percent_e2, Loss::None).await?;
    bot.pause(25);
    drive(bot, &holding, percent_e2 + 20)?;
    bot.hear_of(&guard).await?;

    // The stream drops fills: the order is on record, what was executed of it is not.
    let wish = wanted(bot, "reversion", second)?;
    let holding = bot.open(wish, Loss::Fills).await?;
    lost.push(Lost::new("B no fills", format!("the stream dropped the fills of an entry in {}", holding.symbol)));
    let percent_e2 = bot.random.between(40, 160);
    let guard = bot.guard(&holding, IntentRole::StopLoss, percent_e2, Loss::Fills).await?;
    bot.pause(30);
    drive(bot, &holding, -percent_e2 - 20)?;
    bot.hear_of(&guard).await?;
    lost.push(Lost::new(
        "B no fills",
        format!("the stream dropped the fills of the stop-loss order that closed it ({})", holding.symbol),
    ));

    // A limit order that is executed in part, cancelled, and held over the funding.
    let mut wish = wanted(bot, "reversion", third)?;
    let depth = Quantity::new(wish.qty.get().div_round(ledger_core::Decimal::from(4), 3)?).map_err(broken)?;
    let bid = bot.bid(&mut wish, 30).await?;
    bot.world.simulator.set_depth(&wish.symbol, Some(depth)).map_err(broken)?;
    // The price comes to the order, and a part of it executes before the bot gives up.
    bot.move_price(&wish.symbol, if wish.direction == PositionSide::Long { -40 } else { 40 })?;
    bot.hear_of(&bid).await?;
    let executed = bot.cancel(&bid, "entry_timeout").await?;
    bot.hear_of(&bid).await?;
    bot.world.simulator.set_depth(&wish.symbol, None).map_err(broken)?;
    if let Ok(qty) = Quantity::new(executed) {
        wish.qty = qty;
        bot.world.simulator.step(Duration::from_hours(8));
        bot.exit(wish, Loss::None).await?;
    }

    // The bot crashes between sending and recording; when it is back it goes on as if nothing had been.
    let wish = wanted(bot, "breakout", fourth)?;
    let holding = bot.open(wish, Loss::Answer).await?;
    lost.push(Lost::new(
        "A no order",
        format!("a crash right after an order for {} was sent: only the intent is on record", holding.symbol),
    ));
    bot.pause(40);
    let symbol = holding.symbol.clone();
    bot.exit(holding, Loss::Order).await?;
    lost.push(Lost::new("A no order", format!("of the order that closed it only the signal is on record ({symbol})")));

    // Somebody closes by hand what the bot holds.
    let wish = wanted(bot, "reversion", fifth)?;
    let holding = bot.open(wish, Loss::None).await?;
    bot.pause(35);
    bot.world.simulator.close_from_app(&bot.account.alias, &holding.symbol, PositionSide::Net).map_err(broken)?;
    lost.push(Lost::new(
        "D unseen close",
        format!("somebody closed {} by hand in the app: the book still holds it", holding.symbol),
    ));
    bot.pause(15);

    // Order and fills are on record, but not which strategy it was.
    let wish = wanted(bot, "breakout", first)?;
    let holding = bot.open(wish, Loss::Label).await?;
    lost.push(Lost::new("E no label", format!("nothing on record says which strategy opened {}", holding.symbol)));
    bot.pause(30);
    bot.exit(holding, Loss::Label).await?;

    // The database could not be written: nothing at all is on record, and the position stays open.
    let wish = wanted(bot, "breakout", second)?;
    let holding = bot.open(wish, Loss::Everything).await?;
    lost.push(Lost::new(
        "C no record",
        format!("a position in {} was opened while the database was locked", holding.symbol),
    ));
    bot.pause(20);

    // Somebody else trades on the account, too.
    let wish = wanted(bot, "breakout", third)?;
    let side = if wish.direction == PositionSide::Long { ledger_core::Side::Buy } else { ledger_core::Side::Sell };
    let app = AppOrder {
        prefix: "ios_",
        symbol: wish.symbol.clone(),
        side,
        position_side: PositionSide::Net,
        qty: wish.qty,
        price: None,
        reduce_only: false,
    };
    bot.world.simulator.trade_from_app(&bot.account.alias, &app).map_err(broken)?;
    lost.push(Lost::new("C no record", format!("somebody bought or sold {} on the phone", wish.symbol)));
    Ok(lost)
}

/// The account in hedge mode.
pub(super) async fn hedge(bot: &mut Bot<'_>) -> Result<Vec<Lost>, CommandError> {
    let [first, second, third, ..] = shuffled(bot);
    let mut lost = Vec::new();

    // A long and a short of one contract side by side; the short is taken at a profit, its fills are lost.
    let long = Bot::wants("grid", first.0, PositionSide::Long, first.1)?;
    let short = Bot::wants("grid", first.0, PositionSide::Short, first.1)?;
    let long = bot.open(long, Loss::None).await?;
    let short = bot.open(short, Loss::None).await?;
    let percent_e2 = bot.random.between(40, 160);
    let guard = bot.guard(&short, IntentRole::TakeProfit, percent_e2, Loss::Fills).await?;
    bot.pause(30);
    drive(bot, &short, percent_e2 + 20)?;
    bot.hear_of(&guard).await?;
    lost.push(Lost::new(
        "B no fills",
        format!("the fills of a take-profit order in {} (short side) were dropped", short.symbol),
    ));

    // Held over the funding, then closed by the stop-loss order while the bot was down.
    let wish = wanted(bot, "grid", second)?;
    let holding = bot.open(wish, Loss::None).await?;
    let percent_e2 = bot.random.between(40, 160);
    let guard = bot.guard(&holding, IntentRole::StopLoss, percent_e2, Loss::Everything).await?;
    bot.world.simulator.step(Duration::from_hours(8));
    drive(bot, &holding, -percent_e2 - 20)?;
    bot.hear_of(&guard).await?;
    lost.push(Lost::new(
        "D unseen close",
        format!("a stop-loss order closed {} while the bot was down", holding.symbol),
    ));

    // Liquidated.
    let wish = wanted(bot, "grid", third)?;
    let holding = bot.open(wish, Loss::None).await?;
    bot.pause(45);
    let simulator = &bot.world.simulator;
    simulator.force_liquidation(&bot.account.alias, &holding.symbol, holding.direction).map_err(broken)?;
    lost.push(Lost::new("D unseen close", format!("the exchange liquidated {}", holding.symbol)));
    bot.pause(10);

    // The long of the beginning goes on, with an addition of which nothing is on record.
    let mut long = long;
    bot.add(&mut long, Loss::Everything).await?;
    lost.push(Lost::new("B no fills", format!("an addition to {} (long side) was never recorded", long.symbol)));
    Ok(lost)
}

/// Moves the price by this many hundredths of a percent in favour of a position, or against it below 0, and lets the
/// exchange act upon it.
fn drive(bot: &mut Bot<'_>, holding: &Holding, percent_e2: i64) -> Result<(), CommandError> {
    let is_long = holding.direction == PositionSide::Long;
    bot.move_price(&holding.symbol, if is_long { percent_e2 } else { -percent_e2 })?;
    bot.world.simulator.step(Duration::from_secs(10));
    Ok(())
}
