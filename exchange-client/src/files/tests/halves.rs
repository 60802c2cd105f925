//! Unified objects whose two halves, the exchange's answer and what the library made of it, say different things; and
//! objects of other venues, whose amounts are contracts.

use ledger_core::{AnyFact, Fill, Order, Source};

use super::formats::{at, fills};
use super::*;
use crate::files::BookVenue;

const AT_MS: i64 = 1_770_091_506_123;

/// A trade of 40 ADA at 0.75, exactly.
const TRADE: &str = r#"{"info":{"symbol":"ADAUSDT","id":"71","orderId":"701","side":"SELL","price":"0.75","qty":"40","quoteQty":"30","realizedPnl":"0","commission":"0.015","commissionAsset":"USDT","time":"1770091506123","positionSide":"BOTH","buyer":false,"maker":false},"id":"71","order":"701","timestamp":1770091506123,"datetime":"2026-02-03T04:05:06.123Z","symbol":"ADA/USDT:USDT","side":"sell","takerOrMaker":"taker","price":0.75,"amount":40.0,"cost":30.0,"fee":{"currency":"USDT","cost":0.015},"fees":[{"currency":"USDT","cost":0.015}]}"#;
const ORDER: &str = r#"{"info":{"symbol":"ADAUSDT","orderId":701,"clientOrderId":"mine","side":"SELL","status":"FILLED","price":"0.7","avgPrice":"0.75","origQty":"40","executedQty":"40","cumQuote":"30","type":"LIMIT","time":1770091506000,"updateTime":1770091506123},"id":"701","clientOrderId":"mine","timestamp":1770091506000,"lastUpdateTimestamp":1770091506123,"symbol":"ADA/USDT:USDT","side":"sell","status":"closed","amount":40.0,"filled":40.0,"remaining":0.0,"average":0.75,"cost":30.0}"#;

fn with(text: &str, from: &str, to: &str) -> Found {
    assert!(text.contains(from), "{from}");
    read_text("x.json", format!("[{}]", text.replace(from, to)))
}

fn unified(found: &Found) -> Vec<&Statement> {
    found.statements.iter().filter(|statement| statement.source == Source::CcxtUnified).collect()
}

#[test]
fn halves_of_different_things_are_rejected() {
    assert!(unified(&with(TRADE, "ADA", "ADA").clean()).is_empty());
    assert!(unified(&with(ORDER, "ADA", "ADA").clean()).is_empty());
    for (text, from, to, told) in [
        (TRADE, "ADA/USDT:USDT", "XRP/USDT:USDT", "symbol is `XRP/USDT:USDT`: `info.symbol` says ADAUSDT"),
        (TRADE, "ADA/USDT:USDT", "ADA/USDC:USDC", "`info.symbol` says ADAUSDT"),
        (TRADE, "ADA/USDT:USDT", "ADA/USDT:USDT-260327", "`info.symbol` says ADAUSDT"),
        (TRADE, "ADA/USDT:USDT", "ADA/USD:ADA", "`info.symbol` says ADAUSDT"),
        (TRADE, "ADA/USDT:USDT", "XRPUSDT", "symbol is `XRPUSDT`: `info.symbol` says ADAUSDT"),
        (TRADE, "ADA/USDT:USDT", "XRP/USDT", "symbol is `XRP/USDT`: `info.symbol` says ADAUSDT"),
        (TRADE, "\"ADAUSDT\"", "\"ADAUSDT_260327\"", "`info.symbol` says ADAUSDT_260327"),
        (TRADE, r#""side":"sell""#, r#""side":"buy""#, "side is `buy`: `info.side` says SELL"),
        (TRADE, r#""amount":40.0"#, r#""amount":41.0"#, "amount is `41.0`: `info.qty` says 40"),
        (TRADE, r#""price":0.75"#, r#""price":0.76"#, "price is `0.76`: `info.price` says 0.75"),
        (TRADE, r#""id":"71","order""#, r#""id":"72","order""#, "id is `72`: `info.id` says 71"),
        (TRADE, r#""order":"701""#, r#""order":"702""#, "order is `702`: `info.orderId` says 701"),
        (ORDER, "ADA/USDT:USDT", "XRP/USDT:USDT", "`info.symbol` says ADAUSDT"),
        (ORDER, "\"ADAUSDT\"", "\"ADAUSDT_260327\"", "`info.symbol` says ADAUSDT_260327"),
        (ORDER, r#""side":"sell""#, r#""side":"buy""#, "`info.side` says SELL"),
        (ORDER, r#""id":"701""#, r#""id":"702""#, "`info.orderId` says 701"),
        (ORDER, r#""filled":40.0"#, r#""filled":30.0"#, "`info.executedQty` says 40"),
        (ORDER, r#""average":0.75"#, r#""average":0.5"#, "`info.avgPrice` says 0.75"),
        (ORDER, r#""average":0.75"#, r#""average":0.75,"price":0.71"#, "price is `0.71`: `info.price` says 0.7"),
        (
            ORDER,
            r#""id":"701","clientOrderId":"mine""#,
            r#""id":"701","clientOrderId":"his""#,
            "`info.clientOrderId` says mine",
        ),
    ] {
        let found = with(text, from, to);
        assert!(found.statements.is_empty(), "{to}");
        assert!(found.rejected[0].1.contains(told), "{to}: {}", found.rejected[0].1);
    }
    let nothing = read_text("x.json", format!("[{}]", TRADE.replace("\"40\"", "\"0\"").replace("40.0", "0.0")));
    assert!(nothing.rejected[0].1.contains("info.qty is `0`: a quantity must be above zero"), "{:?}", nothing.rejected);
}

/// The exchange's fee and time count; the library's are stated beside them, by a source of its own, so that the book has
/// the difference on record.
#[test]
fn where_fee_or_time_differ_the_exchanges_half_counts_and_the_other_is_on_record() {
    for (from, to, fee, at_ms, field) in [
        (
            r#""fee":{"currency":"USDT","cost":0.015}"#,
            r#""fee":{"currency":"USDT","cost":1.5}"#,
            "1.5 USDT",
            AT_MS,
            "fee",
        ),
        (
            r#""fee":{"currency":"USDT","cost":0.015}"#,
            r#""fee":{"currency":"BNB","cost":0.015}"#,
            "0.015 BNB",
            AT_MS,
            "fee",
        ),
        (
            r#""fees":[{"currency":"USDT","cost":0.015}]"#,
            r#""fees":[{"currency":"USDT","cost":0.03}]"#,
            "0.03 USDT",
            AT_MS,
            "fee",
        ),
        (r#""timestamp":1770091506123"#, r#""timestamp":1770005106123"#, "0.015 USDT", 1_770_005_106_123, "ts"),
        // The library's only time, and one that contradicts its own other one.
        (
            r#""timestamp":1770091506123,"datetime":"2026-02-03T04:05:06.123Z""#,
            r#""timestamp":null,"datetime":"2026-02-02T04:05:06.123Z""#,
            "0.015 USDT",
            1_770_005_106_123,
            "ts",
        ),
        (
            r#""datetime":"2026-02-03T04:05:06.123Z""#,
            r#""datetime":"2026-02-02T04:05:06.123Z""#,
            "0.015 USDT",
            1_770_005_106_123,
            "ts",
        ),
    ] {
        let found = with(TRADE, from, to).clean();
        let [counts] = fills(&Found {
            statements: found.statements.iter().filter(|s| s.source == Source::Ccxt).cloned().collect(),
            ..Found::default()
        })
        .try_into()
        .unwrap_or_else(|all| panic!("{all:?}"));
        let told = |fill: &Fill| fill.fee.as_ref().map(|fee| format!("{} {}", fee.amount, fee.asset)).unwrap();
        assert_eq!((told(&counts).as_str(), counts.time.at), ("0.015 USDT", at(AT_MS)), "{to}");
        let [Statement { fact: AnyFact::Fill(other), .. }] = unified(&found)[..] else { panic!("{to}") };
        assert_eq!((told(other).as_str(), other.time.at), (fee, at(at_ms)), "{to}");
        for backwards in [false, true] {
            let mut book = Book::default();
            let mut statements = found.statements.clone();
            if backwards {
                statements.reverse();
            }
            book.record_all(&statements);
            assert_eq!(book.fills.values().next().unwrap().fact, counts, "{to}");
            assert!(book.conflicts.len() == 1 && book.conflicts[0].contains(field), "{to}: {:?}", book.conflicts);
        }
    }
    // A double beside the exact fee, a fee that is left out, and a date that nobody reads are no difference.
    for (from, to) in [
        (r#""cost":0.015}"#, r#""cost":0.015000000000000001}"#),
        (r#""fee":{"currency":"USDT","cost":0.015}"#, r#""fee":null"#),
        (r#""datetime":"2026-02-03T04:05:06.123Z""#, r#""datetime":"some day""#),
        (r#""timestamp":1770091506123,"#, ""),
    ] {
        assert!(unified(&with(TRADE, from, to).clean()).is_empty(), "{to}");
    }
}

#[test]
fn the_time_of_an_order_is_the_exchanges() {
    let found = with(ORDER, r#""timestamp":1770091506000"#, r#""timestamp":1770091500000"#).clean();
    let [Statement { fact: AnyFact::Order(Order { created: Some(other), .. }), .. }] = unified(&found)[..] else {
        panic!()
    };
    assert_eq!(other.at, at(1_770_091_500_000));
    let mut book = Book::default();
    book.record_all(&found.statements);
    assert_eq!(book.orders.values().next().unwrap().fact.created.unwrap().at, at(1_770_091_506_000));
    assert!(book.conflicts.len() == 1 && book.conflicts[0].contains("ts"), "{:?}", book.conflicts);
}

/// A market order has the average as the library's price, and the price that triggers is one of an order's terms.
#[test]
fn an_orders_prices_are_the_same_in_both_halves() {
    with(ORDER, r#""price":"0.7""#, r#""price":"0""#).clean();
    with(&ORDER.replace(r#""price":"0.7""#, r#""price":"0""#), r#""cost":30.0"#, r#""cost":30.0,"price":0.75"#).clean();
    let stop = ORDER.replace(r#""price":"0.7""#, r#""price":"0.7","stopPrice":"0.65""#);
    for name in ["stopPrice", "triggerPrice"] {
        with(&stop, r#""cost":30.0"#, &format!(r#""cost":30.0,"{name}":0.65"#)).clean();
        let found = with(&stop, r#""cost":30.0"#, &format!(r#""cost":30.0,"{name}":0.56"#));
        assert!(found.statements.is_empty());
        assert_eq!(
            found.rejected[0].1,
            format!(
                "{name} is `0.56`: `info.stopPrice` says 0.65: the library's object and the exchange's answer within it are \
                 not of one thing"
            )
        );
    }
}

/// What is no identity of an order: the exchange's half counts, whatever moves forward, and the difference is on record.
#[test]
fn where_an_orders_halves_differ_in_status_type_or_flags_the_exchanges_counts_and_the_other_is_on_record() {
    let order = |own: &str, library: &str| {
        let of = |text: &str, from: &str, to: &str| text.replacen(from, to, 1);
        let text = of(ORDER, r#""status":"FILLED""#, &format!(r#""status":"{own}""#));
        let text = of(&text, r#""status":"closed""#, &format!(r#""status":"{library}""#));
        if own == "NEW" {
            of(&text, r#""executedQty":"40","cumQuote":"30""#, r#""executedQty":"0","cumQuote":"0""#)
                .replace(r#""filled":40.0,"remaining":0.0,"average":0.75,"cost":30.0"#, r#""filled":0"#)
                .replace(r#""avgPrice":"0.75""#, r#""avgPrice":"0""#)
        } else {
            text
        }
    };
    let more = |own: &str, library: &str| {
        let text = ORDER.replacen(r#""type":"LIMIT""#, &format!(r#""type":"LIMIT",{own}"#), 1);
        text.replace(r#""cost":30.0"#, &format!(r#""cost":30.0,{library}"#))
    };
    for (text, field, counts) in [
        (order("FILLED", "canceled"), "status", "FILLED"),
        (order("CANCELED", "closed"), "status", "CANCELED"),
        (order("FILLED", "open"), "status", "FILLED"),
        (order("NEW", "canceled"), "status", "NEW"),
        (order("NEW", "closed"), "status", "NEW"),
        (order("EXPIRED", "closed"), "status", "EXPIRED"),
        (more(r#""timeInForce":"GTC""#, r#""timeInForce":"IOC""#), "time_in_force", "FILLED"),
        (more(r#""reduceOnly":true"#, r#""reduceOnly":false"#), "reduce_only", "FILLED"),
        (more(r#""x":1"#, r#""type":"market""#), "order_type", "FILLED"),
        (more(r#""x":1"#, r#""datetime":"2026-02-02T04:05:06Z""#), "ts", "FILLED"),
    ] {
        let found = read_text("x.json", format!("[{text}]")).clean();
        assert_eq!(unified(&found).len(), 1, "{text}");
        for turn in [0, 1] {
            let mut statements = found.statements.clone();
            statements.rotate_left(turn);
            let mut book = Book::default();
            book.record_all(&statements);
            let kept = book.orders.values().next().unwrap();
            assert_eq!(kept.fact.status.as_str(), counts, "{text}");
            assert_eq!(kept.conflicts.iter().copied().collect::<Vec<_>>(), [field], "{text}");
            assert_eq!(kept.fact.order_type.as_ref().unwrap().as_str(), "LIMIT");
            assert_eq!(book.cancels.len(), usize::from(counts == "CANCELED"), "{text}");
        }
    }
    for text in [
        order("EXPIRED", "canceled"),
        order("EXPIRED", "expired"),
        order("EXPIRED_IN_MATCH", "expired"),
        order("NEW", "open"),
        order("CANCELED", "canceled"),
        more(r#""timeInForce":"GTX""#, r#""timeInForce":"PO""#),
        more(r#""closePosition":true,"reduceOnly":false"#, r#""reduceOnly":true"#),
        more(r#""origType":"STOP_MARKET""#, r#""type":"market""#),
        more(r#""x":1"#, r#""type":"limit","datetime":"2026-02-03T04:05:06.000Z""#),
    ] {
        assert!(unified(&read_text("x.json", format!("[{text}]")).clean()).is_empty(), "{text}");
    }
}

/// Where the exchange's answer dates nothing, the library's time is the order's.
#[test]
fn the_librarys_time_is_an_orders_where_it_is_the_only_one() {
    let untimed = ORDER.replace(r#","time":1770091506000,"updateTime":1770091506123"#, "");
    for (from, to, at_ms) in [
        ("ADA", "ADA", 1_770_091_506_000),
        (r#""timestamp":1770091506000"#, r#""datetime":"2026-02-03T04:05:05Z""#, 1_770_091_505_000),
    ] {
        let read = super::formats::orders(&with(&untimed, from, to).clean()).remove(0);
        assert_eq!(read.created.unwrap().at, at(at_ms), "{to}");
    }
}

/// The trades within an order are halves as well.
#[test]
fn trades_within_an_order_are_held_to_the_same() {
    let within = |trade: String| {
        let text = ORDER.replace(r#""average":0.75"#, &format!(r#""average":0.75,"trades":[{trade}]"#));
        read_text("x.json", format!("[{text}]"))
    };
    let fee =
        within(TRADE.replace(r#""fee":{"currency":"USDT","cost":0.015}"#, r#""fee":{"currency":"USDT","cost":7}"#))
            .clean();
    assert_eq!((fills(&fee).len(), unified(&fee).len()), (2, 1));
    let amount = within(TRADE.replace(r#""quoteQty":"30""#, r#""quoteQty":"31""#));
    assert!(
        amount.rejected[0].1.starts_with("trades[0].info.quoteQty is `31`: price x quantity is 30"),
        "{:?}",
        amount.rejected
    );
    assert!(fills(&amount).is_empty());
}

fn of_venue(venue: BookVenue, text: &str) -> Found {
    drain(from_text("x.json", text, Options { venue, ..Options::default() }).unwrap())
}

/// Trades of OKX, 7 and 3 contracts of 100 DOGE, at 0.2.
const CONTRACTS: &str = r#"[{"info":{"instId":"DOGE-USDT-SWAP","fillSz":"7","fillPx":"0.2"},"id":"5","order":"50","timestamp":1770091506123,"symbol":"DOGE/USDT:USDT","side":"buy","price":0.2,"amount":7,"cost":140.0,"fee":{"currency":"USDT","cost":0.07}},
{"info":{"instId":"DOGE-USDT-SWAP","fillSz":"3","fillPx":"0.2"},"id":"6","order":"51","timestamp":1770091507123,"symbol":"DOGE/USDT:USDT","side":"sell","price":0.2,"amount":3,"cost":60.0}]"#;

fn quantities(found: &Found) -> Vec<String> {
    fills(found).iter().map(|fill| fill.qty.get().to_string()).collect()
}

#[test]
fn a_book_of_one_venue_takes_no_trade_of_another() {
    for (info, venue) in [
        (r#"{"instId":"DOGE-USDT-SWAP"}"#, "OKX"),
        (r#"{"symbol":"DOGEUSDT","execId":"1","execQty":"7","orderId":"1","side":"Buy"}"#, "Bybit"),
        (r#"{"symbol":"DOGEUSDTM","size":7,"tradeType":"trade","orderId":"1"}"#, "KuCoin"),
        (r#"{"symbol":"DOGEUSDT","id":1,"orderId":1,"price":"1","qty":"7","time":1,"isBuyer":true}"#, "Binance spot"),
        (r#"{"contract":"DOGE_USDT","size":7,"id":1}"#, "Gate"),
        (r#"{"symbol":"DOGEUSDT","volume":"7"}"#, "no answer of Binance USD-M"),
    ] {
        let text = CONTRACTS
            .lines()
            .next()
            .unwrap()
            .replace(r#"{"instId":"DOGE-USDT-SWAP","fillSz":"7","fillPx":"0.2"}"#, info);
        let found = of_venue(BookVenue::BinanceUsdm, &format!("{}]", text.trim_end_matches(',')));
        assert!(found.statements.is_empty(), "{info}");
        let told = &found.rejected[0].1;
        assert!(
            told.contains(venue) && told.contains("takes no trade of another") && told.contains("--venue other"),
            "{told}"
        );
    }
    let stream = r#"[{"info":{"s":"ADAUSDT","S":"BUY","o":"MARKET","x":"TRADE","X":"FILLED","q":"1"},"symbol":"ADA/USDT:USDT","side":"buy","price":1,"amount":1,"id":"1"}]"#;
    let told = &of_venue(BookVenue::BinanceUsdm, stream).rejected[0].1;
    assert!(told.contains("event stream") && told.contains("fetchMyTrades"), "{told}");
}

#[test]
fn contracts_of_another_venue_are_counted_in_coins_where_their_cost_proves_it() {
    let found = of_venue(BookVenue::Other, CONTRACTS).clean();
    assert_eq!(quantities(&found), ["700", "300"]);
    // A row that says no cost is of the same contracts, a row that says another is not believed.
    let found = of_venue(BookVenue::Other, &CONTRACTS.replace(r#","cost":60.0"#, ""));
    assert_eq!(quantities(&found.clean()), ["700", "300"]);
    let found = of_venue(BookVenue::Other, &CONTRACTS.replace(r#""cost":60.0"#, r#""cost":6.0"#));
    assert_eq!(quantities(&found), ["700"]);
    assert!(
        found.rejected[0].1.contains("by its cost a contract is 10, but before it was 100"),
        "{:?}",
        found.rejected
    );
    let found = of_venue(BookVenue::Other, &CONTRACTS.replace(r#""cost":60.0"#, r#""cost":73.1"#));
    assert!(found.rejected[0].1.contains("price x quantity is 0.6"), "{:?}", found.rejected);
    // The object's own word, and the library's word of the market.
    for with_size in [
        CONTRACTS.replace(r#","cost":140.0"#, r#","contractSize":100"#).replace(r#","cost":60.0"#, ""),
        CONTRACTS.replace(r#","cost":140.0"#, "").replace(r#","cost":60.0"#, "").replacen(
            '[',
            "[{\"symbol\":\"DOGE/USDT:USDT\",\"contractSize\":100},\n",
            1,
        ),
    ] {
        assert_eq!(quantities(&of_venue(BookVenue::Other, &with_size).clean()), ["700", "300"], "{with_size}");
    }
}

/// A cost of few digits fits many sizes, and proves one only where it fits exactly.
#[test]
fn a_quantity_of_unknown_unit_is_refused_with_the_line_that_would_tell_it() {
    let bare = |cost: &str| {
        format!(
            r#"[{{"id":"5","timestamp":1770091506123,"symbol":"DOGE/USDT:USDT","side":"buy","price":0.2137,"amount":7{cost}}}]"#
        )
    };
    for venue in [BookVenue::BinanceUsdm, BookVenue::Other] {
        for cost in ["", r#","cost":0"#, r#","cost":null"#, r#","cost":2"#] {
            let found = of_venue(venue, &bare(cost));
            let told = &found.rejected[0].1;
            assert!(told.contains(r#"{"symbol":"DOGE/USDT:USDT","contractSize":SIZE}"#), "{cost}: {told}");
        }
        assert_eq!(quantities(&of_venue(venue, &bare(r#","cost":1.4959"#)).clean()), ["7"]);
        // Whoever does what the message says can read it.
        let line = r#"[{"symbol":"DOGE/USDT:USDT","contractSize":1},"#;
        assert_eq!(quantities(&of_venue(venue, &bare("").replacen('[', line, 1)).clean()), ["7"]);
    }
    let found = of_venue(BookVenue::BinanceUsdm, &bare(r#","cost":149.59"#));
    assert!(found.rejected[0].1.contains("its contracts are of 100"), "{:?}", found.rejected);
}

#[test]
fn orders_of_another_venue_are_counted_in_coins_as_well() {
    let order = |filled: &str, remaining: &str, more: &str| {
        format!(
            r#"[{{"info":{{"instId":"DOGE-USDT-SWAP"}},"id":"50","timestamp":1770091506123,"symbol":"DOGE/USDT:USDT","side":"buy","status":"open","amount":9,"filled":{filled},"remaining":{remaining},"price":0.21{more}}}]"#
        )
    };
    let found = of_venue(BookVenue::Other, &order("7", "2", r#","average":0.2,"cost":140"#)).clean();
    let read = super::formats::orders(&found).remove(0);
    assert_eq!(read.terms.qty.unwrap().get().to_string(), "900");
    assert_eq!(read.executed.unwrap().qty.to_string(), "700");
    let resting = of_venue(BookVenue::Other, &order("0", "9", ""));
    let told = &resting.rejected[0].1;
    assert!(told.starts_with("amount is `9`: ") && told.contains("contractSize"), "{told}");
}

/// Names of the same contract in other venues' spelling are one, others are not.
#[test]
fn another_venues_name_for_a_contract_has_to_fit_as_well() {
    let trade = |info: &str| {
        let text = CONTRACTS.lines().next().unwrap().trim_end_matches(',');
        let text = text.replace(r#""instId":"DOGE-USDT-SWAP""#, &format!(r#""symbol":"{info}""#));
        of_venue(BookVenue::Other, &format!("{text}]"))
    };
    for info in ["DOGEUSDT", "DOGEUSDTM", "DOGE-USDT-SWAP", "DOGE_USDT", "PF_DOGEUSD", ".whatever"] {
        assert_eq!(quantities(&trade(info).clean()), ["700"], "{info}");
    }
    for info in ["XRPUSDT", "XRPUSDTM", "XRP-USDT-SWAP", "DOGEUSDC"] {
        assert!(trade(info).rejected[0].1.contains("`info.symbol` says"), "{info}");
    }
}

/// The first exchange that shows binds a book of another venue; what does not show any is taken.
#[test]
fn a_book_of_another_venue_is_of_one_exchange() {
    let trade = |id: u32, info: &str, more: &str| {
        format!(
            r#"{{"info":{info},"id":"{id}","timestamp":1770091506123,"symbol":"DOGE/USDT:USDT","side":"buy","price":0.2,"amount":7,"cost":1.4{more}}}"#
        )
    };
    let (okx, bybit) = (r#"{"instId":"DOGE-USDT-SWAP"}"#, r#"{"execId":"1","execQty":"7"}"#);
    let ids = |found: &Found| fills(found).iter().map(|fill| fill.key.fill_id.to_string()).collect::<Vec<_>>();
    let read = |rows: &[String]| of_venue(BookVenue::Other, &format!("[{}]", rows.join(",\n")));
    let found =
        read(&[trade(1, "{}", ""), trade(2, okx, ""), trade(3, bybit, ""), trade(4, "{}", ""), trade(5, okx, "")]);
    assert_eq!(ids(&found), ["1", "2", "4", "5"]);
    let told = &found.rejected[0].1;
    assert!(
        told.contains("it is of Bybit") && told.contains("so far is of OKX") && told.contains("--account NAME"),
        "{told}"
    );
    // Some programs write the exchange's name beside the library's fields.
    let (by_name, other_name) = (r#","exchange":"bybit""#, r#","exchange":"okx""#);
    let found = read(&[trade(1, bybit, ""), trade(2, "{}", by_name), trade(3, "{}", other_name)]);
    assert_eq!((ids(&found), found.rejected.len()), (vec!["1".to_owned(), "2".to_owned()], 1));
    // What is refused binds nobody.
    let found = read(&[trade(1, okx, "").replace("DOGE/USDT:USDT", "DOGE/USDT"), trade(2, bybit, "")]);
    assert_eq!(ids(&found), ["2"]);
    // Nor is Binance's own answer another exchange's.
    let own =
        r#"{"symbol":"DOGEUSDT","id":"3","orderId":"30","side":"BUY","price":"0.2","qty":"7","time":"1770091506123"}"#;
    let found = read(&[trade(2, okx, ""), trade(3, own, "")]);
    assert!(found.rejected[0].1.contains("it is of Binance USD-M"), "{:?}", found.rejected);
    // What a file before said holds.
    let options = Options { venue: BookVenue::Other, exchange: Some("OKX".to_owned()), ..Options::default() };
    let mut file = from_text("x.json", format!("[{}]", trade(3, bybit, "")), options).unwrap();
    assert!(file.next().unwrap().unwrap().result.is_err());
    assert_eq!(file.exchange(), Some("OKX"));
}
