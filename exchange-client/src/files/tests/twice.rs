//! Rows that state something twice, and once wrongly: amounts, orders' totals, buyers; in each format that has them.

use super::formats::{fills, orders};
use super::*;

const LEGACY: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id\n";
const CURRENT: &str =
    "Uid,Time(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade ID,Order ID\n";
const ARCHIVE: &str = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time\n";
const ORDERS: &str = "Uid,Time(UTC),Symbol,Type,Side,Position Side,Price,Average Price,Amount,Executed Amount,Executed Quote Amount,Stop Price,Status,Client Order Id,Time In Force,Activate Price,Price Rate,Update Time,Order No\n";

/// A trade of 12.5 SOL at 160.48, which is 2006, in a format, with its amount, or other figures, as given.
fn trade(format: &str, price: &str, qty: &str, amount: &str) -> String {
    match format {
        "legacy" => format!(
            "{LEGACY}5,26-02-03 04:05:06,SOLUSDT,BUY,BOTH,{price},{qty},{amount},1.003 USDT,0,TRUE,FALSE,71,701\n"
        ),
        "current" => {
            format!("{CURRENT}5,2026-02-03 04:05:06,SOLUSDT,BUY,{price},{qty},{amount},1.003USDT,0,true,false,71,701\n")
        }
        "archive" => {
            format!("{ARCHIVE}SOLUSDT,71,701,BUY,BOTH,{price},{qty},{amount},1.003,USDT,USDT,0,false,1770091506123\n")
        }
        "ccxt" => format!(
            r#"[{{"info":{{"symbol":"SOLUSDT","id":"71","orderId":"701","side":"BUY","price":"{price}","qty":"{qty}","quoteQty":"{amount}","commission":"1.003","commissionAsset":"USDT","time":"1770091506123","maker":false}},"id":"71","order":"701","timestamp":1770091506123,"symbol":"SOL/USDT:USDT","side":"buy","price":{price},"amount":{qty}}}]"#
        ),
        other => panic!("{other}"),
    }
}

const TRADES: [&str; 4] = ["legacy", "current", "archive", "ccxt"];

/// The only row of a text that is read or rejected.
fn outcome(text: &str) -> Result<(), RowError> {
    let name = if text.starts_with('[') { "x.json" } else { "x.csv" };
    let rows: Vec<_> = from_text(name, text, Options::default()).unwrap().collect();
    let [Ok(row)] = <[_; 1]>::try_from(rows).unwrap() else { panic!("{text}") };
    row.result.map(drop)
}

#[test]
fn price_times_quantity_is_the_amount_in_each_format_of_trades() {
    for format in TRADES {
        for amount in ["2006", "2006.0", "2006.00000000"] {
            outcome(&trade(format, "160.48", "12.5", amount)).unwrap();
        }
        // Rounded to what it shows: 160.48 x 0.333 is 53.43984.
        outcome(&trade(format, "160.48", "0.333", "53.44")).unwrap();
        for (amount, by_thousands) in
            [("2006.1", false), ("2005.99", false), ("200.6", false), ("2006000", true), ("2.006", true), ("0", false)]
        {
            let error = outcome(&trade(format, "160.48", "12.5", amount)).unwrap_err();
            let told = chain(&error);
            assert!(told.contains(&format!("is `{amount}`: price x quantity is 2006")), "{format}: {told}");
            assert_eq!(error.doubts_number_format(), by_thousands, "{format} {amount}: {told}");
        }
        let dotted = outcome(&trade(format, "20.060", "1", "20060")).unwrap_err();
        assert!(dotted.doubts_number_format(), "{format}: {}", chain(&dotted));
    }
}

/// Coin-margined contracts state amounts in coins; those say nothing against price x quantity.
#[test]
fn amounts_of_inverse_contracts_are_no_product() {
    let row = "BTCUSD_PERP,1,11,BUY,BOTH,50000,1,0.002,0.0000008,BTC,BTC,0,false,1770091506123\n";
    outcome(&format!("{ARCHIVE}{row}")).unwrap();
}

#[test]
fn a_buyer_does_not_sell() {
    for (side, buyer, fits) in
        [("BUY", "TRUE", true), ("SELL", "FALSE", true), ("SELL", "TRUE", false), ("BUY", "N", false)]
    {
        let row = format!("5,26-02-03 04:05:06,SOLUSDT,{side},BOTH,2,3,6,0.1USDT,0,{buyer},FALSE,71,701\n");
        assert_eq!(outcome(&format!("{LEGACY}{row}")).is_ok(), fits, "{side} {buyer}");
        let info_buyer = buyer == "TRUE";
        let lower = side.to_lowercase();
        let object = format!(
            r#"[{{"info":{{"symbol":"SOLUSDT","id":"71","orderId":"701","side":"{side}","price":"2","qty":"3","time":"1770091506123","buyer":{info_buyer}}},"id":"71","symbol":"SOL/USDT:USDT","side":"{lower}","price":2.0,"amount":3.0}}]"#
        );
        assert_eq!(outcome(&object).is_ok(), fits, "{side} {buyer}");
    }
}

/// An order that executed 0.9 at 31.33333 on average: 28.2 to half a digit of the average, times 0.9.
fn order(avg: &str, ordered: &str, executed: &str, quote: &str) -> [String; 2] {
    [
        format!(
            "{ORDERS}5,2026-02-03 04:05:06,LINKUSDT,LIMIT,BUY,BOTH,32,{avg},{ordered},{executed},{quote},0,CANCELED,c7,GTC,0,0,2026-02-03 04:06:06,88\n"
        ),
        format!(
            r#"[{{"info":{{"symbol":"LINKUSDT","orderId":88,"side":"BUY","status":"CANCELED","price":"32","avgPrice":"{avg}","origQty":"{ordered}","executedQty":"{executed}","cumQuote":"{quote}","type":"LIMIT","time":1770091506123,"updateTime":1770091566123}},"id":"88","symbol":"LINK/USDT:USDT","side":"buy","status":"canceled","amount":{ordered},"filled":{executed}}}]"#
        ),
    ]
}

#[test]
fn executed_times_average_is_the_amount_of_an_order() {
    for (avg, executed, quote) in [
        ("31.33333", "0.9", "28.2"),
        ("31.33333", "0.9", "28.200001"),
        ("31.33333", "0.9", "28.199997"),
        ("31.33", "0.9", "28.2"),
        ("0", "0", "0"),
    ] {
        for text in order(avg, "1.5", executed, quote) {
            outcome(&text).unwrap_or_else(|error| panic!("{text}: {}", chain(&error)));
        }
    }
    for (avg, executed, quote, by_thousands) in [
        ("31.33333", "0.9", "28.20001", false),
        ("31.33333", "0.9", "28.1999", false),
        ("31.33333", "0.9", "282", false),
        ("31.33333", "0.9", "28200", true),
        ("31.33333", "0", "28.2", false),
        ("0", "0", "28.2", false),
    ] {
        for text in order(avg, "1.5", executed, quote) {
            let error = outcome(&text).unwrap_err();
            assert!(chain(&error).contains(&format!("is `{quote}`: price x quantity is")), "{}", chain(&error));
            assert_eq!(error.doubts_number_format(), by_thousands, "{text}");
        }
    }
}

#[test]
fn where_the_average_is_0_the_amount_tells_it() {
    for (executed, quote, expected) in [("0.9", "28.2", "31.33333333"), ("0.5", "15.665", "31.33"), ("0", "0", "-")] {
        for text in order("0.00000", "1.5", executed, quote) {
            let name = if text.starts_with('[') { "x.json" } else { "x.csv" };
            let read = orders(&read_text(name, text).clean()).remove(0).executed.unwrap();
            let average = read.avg_price.map_or("-".to_owned(), |price| price.get().to_string());
            assert_eq!((read.qty.to_string().as_str(), average.as_str()), (executed, expected));
        }
    }
}

#[test]
fn an_order_executes_no_more_than_it_orders() {
    for text in order("31", "0.5", "0.9", "27.9") {
        assert!(chain(&outcome(&text).unwrap_err()).contains("only 0.5 were ordered"), "{text}");
    }
    let rest = |remaining: &str| {
        let [_, text] = order("31", "1.5", "0.9", "27.9");
        outcome(&text.replace(r#""filled":0.9"#, &format!(r#""filled":0.9,"remaining":{remaining}"#)))
    };
    rest("0.6").unwrap();
    rest("0.6000000000000001").unwrap();
    assert!(chain(&rest("0.9").unwrap_err()).contains("what was ordered less what executed is 0.6"));
}

/// The library's cost has been a double, and repeats the same product.
#[test]
fn the_cost_of_a_unified_object_is_its_price_times_its_amount() {
    let with_cost = |cost: &str| {
        let text = trade("ccxt", "160.48", "12.5", "2006");
        outcome(&text.replace(r#""amount":12.5"#, &format!(r#""amount":12.5,"cost":{cost}"#)))
    };
    for cost in ["2006", "2006.0", "2006.0000000000002", "2005.99999"] {
        with_cost(cost).unwrap_or_else(|error| panic!("{cost}: {}", chain(&error)));
    }
    for cost in ["2006.1", "20.06", "2005.9"] {
        assert!(chain(&with_cost(cost).unwrap_err()).contains("price x quantity is 2006"), "{cost}");
    }
}

/// A decimal comma proves that the other numbers of the file may have dots between thousands.
#[test]
fn a_decimal_comma_puts_the_format_of_a_file_in_doubt() {
    let row = |price: &str, qty: &str, amount: &str| {
        let header = LEGACY.replace(',', ";");
        outcome(&format!(
            "{header}5;26-02-03 04:05:06;SOLUSDT;BUY;BOTH;{price};{qty};{amount};1 USDT;0;TRUE;FALSE;71;701\n"
        ))
    };
    row("160.48", "1", "160.48").unwrap();
    for (price, qty, amount) in [("160,48", "1", "160,48"), ("2.006,5", "1", "1"), ("160", "0,5", "80")] {
        let error = row(price, qty, amount).unwrap_err();
        assert!(error.doubts_number_format(), "{}", chain(&error));
    }
    // A comma between thousands, or in front of three decimals.
    let thousands = row("1,234", "1", "1234").unwrap_err();
    assert!(thousands.doubts_number_format(), "{}", chain(&thousands));
}

/// Where a column names the asset, an amount is a number and nothing else.
#[test]
fn an_amount_beside_its_asset_is_a_number_and_nothing_else() {
    for bad in ["24O", "0x10", "7O0", "1.5 USDT", "1.5USDT", "1 2", "\u{ff17}", "\u{2212}1"] {
        let income =
            format!("Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n2026-02-03 04:05:06,TRANSFER,{bad},USDT,,9\n");
        assert!(outcome(&income).is_err(), "{bad}");
        let archive = trade("archive", "2", "3", "6");
        assert!(outcome(&archive.replace(",1.003,", &format!(",{bad},"))).is_err(), "{bad}");
        assert!(outcome(&archive.replace(",USDT,0,", &format!(",USDT,{bad},"))).is_err(), "{bad}");
        let ccxt = trade("ccxt", "2", "3", "6");
        assert!(outcome(&ccxt.replace("\"1.003\"", &format!("\"{bad}\""))).is_err(), "{bad}");
    }
    for bad in ["24O", "0x10", "7O0", "1 2", "1.003OUSDT"] {
        for format in ["legacy", "current"] {
            let text = trade(format, "2", "3", "6");
            let text = text.replace("1.003 USDT", bad).replace("1.003USDT", bad);
            let error = outcome(&text).unwrap_err();
            assert!(chain(&error).contains(&format!("Fee is `{bad}`")), "{}", chain(&error));
        }
    }
    let carried = trade("legacy", "2", "3", "6").replace("1.003 USDT", "0.28 BNB");
    assert_eq!(fills(&read_text("x.csv", carried).clean())[0].fee.as_ref().unwrap().asset.as_str(), "BNB");
}
