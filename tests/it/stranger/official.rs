//! What the exchange's own SDK was told, and what is known.

use exchange_client::simulator::{AccountSnapshot, BooksSnapshot};
use ledger_core::Decimal;
use serde_json::Value;

use super::rows::{decimal, position_side, row, same, text};

const BTC: &str = "BTCUSDT";

/// Compares with what was known when the listening ended; the price had been set to this.
pub(super) fn compare(heard: &Value, alias: &str, books: &BooksSnapshot) {
    let account = books.account(alias).unwrap();
    compare_user(&heard["user"], account);
    let price = books.prices[BTC];
    let rows = |name: &str| heard[name].as_array().unwrap();

    for mark in rows("marks") {
        assert_eq!((text(mark, "e"), text(mark, "s")), ("markPriceUpdate".into(), BTC.into()));
        // Funding goes with it: the rate of the first funding, and when it is.
        assert_eq!(decimal(mark, "r"), "0.0001");
        assert!(mark["T"].as_i64() > mark["E"].as_i64(), "{mark}");
    }
    assert_eq!(decimal(rows("marks").last().unwrap(), "p"), price.to_string());

    let seen: Vec<String> = rows("trades").iter().map(|trade| trade["a"].to_string()).collect();
    for trade in account.trades.iter().map(|trade| trade.id.to_string()) {
        assert!(seen.contains(&trade), "{trade} is not among the trades that everybody was told: {seen:?}");
    }
    let last = rows("prices").last().unwrap();
    assert_eq!((decimal(last, "a"), text(last, "s")), (price.to_string(), BTC.to_owned()));
    assert!(decimal(last, "b").parse::<Decimal>().unwrap() < price, "{last}");
    let candle = &rows("candles").last().unwrap()["k"];
    assert_eq!((text(candle, "i"), decimal(candle, "c")), ("1m".into(), price.to_string()));
}

fn compare_user(told: &Value, account: &AccountSnapshot) {
    let events = told.as_array().unwrap();
    let updates = || events.iter().filter(|event| event["model"] == "OrderTradeUpdate").map(|event| &event["o"]);
    let fills = updates().filter(|order| order["x"] == "TRADE").map(|order| {
        row([
            ("id", order["t"].to_string()),
            ("order", order["i"].to_string()),
            ("side", text(order, "S")),
            ("position side", text(order, "ps")),
            ("price", decimal(order, "L")),
            ("quantity", decimal(order, "l")),
            ("fee", decimal(order, "n")),
            ("fee asset", text(order, "N")),
            ("realized", decimal(order, "rp")),
        ])
    });
    same(
        "fills that were told",
        fills.collect(),
        account.trades.iter().map(|trade| {
            row([
                ("id", trade.id.to_string()),
                ("order", trade.order_id.to_string()),
                ("side", if trade.buy { "BUY" } else { "SELL" }.to_owned()),
                ("position side", position_side(trade.position_side)),
                ("price", trade.price.to_string()),
                ("quantity", trade.qty.to_string()),
                ("fee", trade.fee.to_string()),
                ("fee asset", trade.fee_asset.clone()),
                ("realized", trade.realized.to_string()),
            ])
        }),
    );
    for order in &account.orders {
        let last = updates().rfind(|told| told["i"] == order.id).unwrap();
        let known = (order.client_order_id.clone(), order.status.to_owned(), order.executed.to_string());
        assert_eq!((text(last, "c"), text(last, "X"), decimal(last, "z")), known);
    }
    let statuses: Vec<&str> = account.orders.iter().map(|order| order.status).collect();
    assert_eq!(statuses, ["FILLED", "EXPIRED", "FILLED"], "in, the target, and out");
    let wallet = events.iter().rfind(|event| event["model"] == "AccountUpdate").map(|event| &event["a"]["B"][0]["wb"]);
    let wallet: Decimal = wallet.and_then(Value::as_str).unwrap().parse().unwrap();
    assert_eq!(wallet, account.wallets["USDT"]);
}
