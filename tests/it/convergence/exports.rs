//! What the exchange's web page would export of an account, from the simulator's own books: seconds only, no position
//! side, and the exchange's own words for everything.

use std::fmt::Write as _;

use exchange_client::simulator::AccountSnapshot;

/// `2026-05-28 20:26:40`, from milliseconds.
fn utc(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March here, so that a leap day is the last of one.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

fn side(buy: bool) -> &'static str {
    if buy { "BUY" } else { "SELL" }
}

/// The trade history of today's header.
pub(crate) fn trades(account: &AccountSnapshot) -> String {
    let mut text =
        "Time(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade ID,Order ID\n".to_owned();
    for trade in account.trades.iter().rev() {
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{}{},{},{},{},{},{}",
            utc(trade.time_ms),
            trade.symbol,
            side(trade.buy),
            trade.price,
            trade.qty,
            trade.price.checked_mul(trade.qty).unwrap(),
            trade.fee,
            trade.fee_asset,
            trade.realized,
            trade.buy,
            trade.maker,
            trade.id,
            trade.order_id,
        );
    }
    text
}

/// The order history.
pub(crate) fn orders(account: &AccountSnapshot) -> String {
    let mut text =
        "Time(UTC),Symbol,Type,Side,Price,Average Price,Amount,Executed Amount,Executed Quote Amount,Stop Price,\
                    Status,Client Order Id,Time In Force,Update Time,Order No\n"
            .to_owned();
    for order in &account.orders {
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},0,{},{},{},{},{}",
            utc(order.created_ms),
            order.symbol,
            order.order_type,
            side(order.buy),
            order.price.unwrap_or_default(),
            order.average_price,
            order.qty,
            order.executed,
            order.quote,
            order.status,
            order.client_order_id,
            order.time_in_force,
            utc(order.updated_ms),
            order.id,
        );
    }
    text
}

/// The transaction history, which says of no row which trade it belongs to.
pub(crate) fn transactions(account: &AccountSnapshot) -> String {
    let mut text = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n".to_owned();
    for row in account.income.iter().rev() {
        let _ = writeln!(
            text,
            "{},{},{},{},{},{}",
            utc(row.time_ms),
            row.income_type,
            row.amount,
            row.asset,
            row.symbol,
            row.tran_id,
        );
    }
    text
}
