//! Every format that is read, with values checked by hand and against each other.

use ledger_core::{AnyFact, EventTime, Fill, Income, Order, OrderStatus, PositionSide, Side, Source, TimestampMs};

use super::*;
use crate::files::ZoneOrigin;

const CURRENT: &str = "one-way/Export Trade History(UTC+3)-part1-of1.csv";
const TRADE_FILES: [&str; 7] = [
    CURRENT,
    "one-way/trades-legacy.csv",
    "one-way/trades-legacy.csv.gz",
    "one-way/trades-archive.csv",
    "one-way/trades-in-parts.zip",
    "one-way/ccxt-trades.json",
    "one-way/ccxt-trades-without-info.ndjson",
];
const OTHER_FILES: [&str; 4] =
    ["one-way/orders.csv", "one-way/transactions.csv", "one-way/ccxt-orders.ndjson", "one-way/fillbook.ndjson"];

pub(super) fn fills(found: &Found) -> Vec<Fill> {
    let only_fills = |fact| {
        if let AnyFact::Fill(fill) = fact { Some(fill) } else { None }
    };
    found.facts().into_iter().filter_map(only_fills).collect()
}

pub(super) fn orders(found: &Found) -> Vec<Order> {
    let only_orders = |fact| {
        if let AnyFact::Order(order) = fact { Some(order) } else { None }
    };
    found.facts().into_iter().filter_map(only_orders).collect()
}

fn incomes(found: &Found) -> Vec<Income> {
    let only_incomes = |fact| {
        if let AnyFact::Income(income) = fact { Some(income) } else { None }
    };
    found.facts().into_iter().filter_map(only_incomes).collect()
}

pub(super) fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(ms).unwrap()
}

/// 2026-03-01 09:12:44.871 UTC.
pub(super) const TAKE_PROFIT_MS: i64 = 1_772_356_364_871;

pub(super) fn fill_530(found: &Found) -> Fill {
    fills(found).into_iter().find(|fill| fill.key.fill_id.as_str() == "530").unwrap()
}

#[test]
fn the_current_export_is_read_in_the_zone_of_its_file_name() {
    let file = open(&fixture(CURRENT), Options::default()).unwrap();
    assert_eq!(
        file.zone().map(|(zone, origin)| (zone.name().to_owned(), origin)),
        Some(("UTC+3".to_owned(), ZoneOrigin::FileName))
    );
    let found = drain(file).clean();
    assert_eq!((found.kind, found.rows), (Some(Kind::BinanceTrades), 15));
    let fill = fill_530(&found);
    assert_eq!(fill.time, EventTime::seconds(at(TAKE_PROFIT_MS)));
    assert_eq!(fill.key.symbol.as_str(), "BTCUSDT");
    assert_eq!(fill.key.side, Side::Sell);
    assert_eq!(fill.price.get().to_string(), "60500");
    assert_eq!(fill.qty.get().to_string(), "0.012");
    let fee = fill.fee.unwrap();
    assert_eq!((fee.amount.to_string().as_str(), fee.asset.as_str()), ("0.1452", "USDT"));
    assert_eq!(fill.exchange_realized_pnl.unwrap().to_string(), "5.976");
    assert_eq!((fill.maker, fill.sequence, fill.position_side), (Some(true), Some(530), None));
    assert_eq!(fill.order_id.unwrap().as_str(), "8389765568816714230");
    let payload = found.statements.last().unwrap().payload.as_deref().unwrap();
    assert!(payload.starts_with("70031177,2026-03-01 09:00:01,BTCUSDT,BUY,60000.0,0.010,"), "{payload}");
}

#[test]
fn the_legacy_export_has_position_sides_and_short_years() {
    let found = read("one-way/trades-legacy.csv").clean();
    assert_eq!((found.kind, found.rows), (Some(Kind::BinanceTradesLegacy), 15));
    let fill = fill_530(&found);
    assert_eq!(fill.time, EventTime::seconds(at(TAKE_PROFIT_MS)));
    assert_eq!(fill.position_side, Some(PositionSide::Net));
    let rebate = fills(&found).into_iter().find(|fill| fill.key.fill_id.as_str() == "88001").unwrap();
    let fee = rebate.fee.unwrap();
    assert_eq!((fee.amount.to_string().as_str(), fee.asset.as_str()), ("-0.075", "USDC"));
    let bnb = fills(&found).into_iter().find(|fill| fill.key.fill_id.as_str() == "507").unwrap().fee.unwrap();
    assert_eq!((bnb.amount.to_string().as_str(), bnb.asset.as_str()), ("0.00162656", "BNB"));
}

#[test]
fn the_archive_knows_milliseconds_and_the_margin_asset() {
    let found = read("one-way/trades-archive.csv").clean();
    assert_eq!((found.kind, found.rows), (Some(Kind::BinanceTradesArchive), 15));
    assert_eq!(fill_530(&found).time, EventTime::ms(at(TAKE_PROFIT_MS)));
    assert!(found.statements.iter().all(|statement| statement.source == Source::ExchangeArchive));
    let settled: Vec<String> = found
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            AnyFact::Instrument(instrument) => Some(format!("{} {}", instrument.symbol, instrument.settle_asset)),
            _ => None,
        })
        .collect();
    assert_eq!(settled, ["BTCUSDT USDT", "ETHUSDT USDT", "SOLUSDC USDC"]);
}

#[test]
fn hedge_mode_keeps_both_sides_of_a_self_trade() {
    for name in ["hedge/trades-legacy.csv", "hedge/trades-archive.csv"] {
        let found = read(name).clean();
        let twins: Vec<_> = fills(&found)
            .into_iter()
            .filter(|fill| fill.key.fill_id.as_str() == "9020")
            .map(|fill| (fill.key.side, fill.position_side))
            .collect();
        let expected = [(Side::Buy, Some(PositionSide::Short)), (Side::Sell, Some(PositionSide::Long))];
        assert_eq!(twins, expected, "{name}");
    }
}

#[test]
fn one_order_is_stated_once_however_many_fills_it_has() {
    let found = read("one-way/trades-legacy.csv").clean();
    let orders = orders(&found);
    assert_eq!(orders.len(), 14);
    assert!(orders.iter().all(|order| order.status == OrderStatus::Unknown && order.executed.is_none()));
}

#[test]
fn the_order_export_gives_states_terms_and_cancels() {
    let found = read("one-way/orders.csv").clean();
    assert_eq!((found.kind, found.rows), (Some(Kind::BinanceOrders), 16));
    let orders = orders(&found);
    let cancelled = orders.iter().find(|order| order.key.order_id.as_str() == "8389765568816714230").unwrap();
    assert_eq!(cancelled.status, OrderStatus::Canceled);
    assert_eq!(cancelled.client_order_id.as_ref().unwrap().as_str(), "atlas_TP_1");
    assert_eq!(cancelled.terms.qty.unwrap().get().to_string(), "0.02");
    assert_eq!(cancelled.terms.price.unwrap().get().to_string(), "60500");
    let executed = cancelled.executed.as_ref().unwrap();
    assert_eq!(executed.qty.to_string(), "0.012");
    assert_eq!(executed.avg_price.unwrap().get().to_string(), "60500");
    assert_eq!(cancelled.position_side, Some(PositionSide::Net));
    assert_eq!(cancelled.time_in_force.as_ref().unwrap().as_str(), "GTC");
    // 2026-03-01 09:30:12 UTC, as the only cancel of that symbol and id.
    let cancels: Vec<_> = orders.iter().filter_map(|order| order.cancel(Source::ExchangeCsv)).collect();
    let cancels: Vec<_> = cancels.iter().map(|(cancel, _)| (cancel.key.order_id.to_string(), cancel.time)).collect();
    assert_eq!(cancels.len(), 2);
    assert_eq!(cancels[0], ("8389765568816714230".to_owned(), EventTime::seconds(at(1_772_357_412_000))));
    let stop = orders.iter().find(|order| order.key.order_id.as_str() == "8389765568816714400").unwrap();
    assert_eq!(stop.order_type.as_ref().unwrap().as_str(), "STOP_MARKET");
    assert_eq!((stop.terms.price, stop.terms.trigger_price.unwrap().get().to_string().as_str()), (None, "59050"));
    let unfilled = orders.iter().find(|order| order.status == OrderStatus::Expired).unwrap();
    let executed = unfilled.executed.as_ref().unwrap();
    assert!(executed.qty.is_zero() && executed.avg_price.is_none());
}

#[test]
fn the_transaction_export_gives_income() {
    let found = read("one-way/transactions.csv").clean();
    assert_eq!((found.kind, found.rows), (Some(Kind::BinanceTransactions), 31));
    let incomes = incomes(&found);
    let text = |income: &Income| {
        let symbol = income.key.symbol.as_ref().map_or("-", |symbol| symbol.as_str());
        format!("{} {} {} {symbol} {}", income.key.income_type, income.amount, income.key.asset, income.key.tran_id)
    };
    assert_eq!(text(&incomes[0]), "TRANSFER 10000 USDT - 300000000001");
    assert_eq!(text(&incomes[5]), "FUNDING_FEE -0.180144 USDT BTCUSDT 500000000001");
    assert_eq!(incomes[5].time, EventTime::seconds(at(1_772_352_000_000)));
    let ids: std::collections::BTreeSet<_> = incomes.iter().map(|income| income.key.clone()).collect();
    assert_eq!(ids.len(), 31, "two identical rows without an id are two facts");
}

#[test]
fn rows_without_a_transaction_id_keep_theirs_across_files_and_spellings() {
    let long = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n2026-03-02 03:00:00,REFERRAL_KICKBACK,0.01250000,USDT,,\n2026-03-02 03:00:00,REFERRAL_KICKBACK,0.01250000,USDT,,\n";
    let short =
        "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n26-03-02 03:00:00,Referral Kickback,0.0125,USDT,-,\n";
    let (long, short) = (read_text("a.csv", long).clean(), read_text("b.csv", short).clean());
    assert_eq!(incomes(&long)[0], incomes(&short)[0]);
    assert_ne!(incomes(&long)[1].key, incomes(&short)[0].key);
}

#[test]
fn every_generation_states_the_same_facts() {
    let found: Vec<Found> = TRADE_FILES.iter().chain(&OTHER_FILES).map(|name| read(name).clean()).collect();
    // What was written down independently of any export, in fillbook's own lines.
    let mut expected = Book::default();
    expected.record_all(&found.last().unwrap().statements);
    assert_eq!((expected.fills.len(), expected.orders.len(), expected.cancels.len()), (15, 16, 2));

    for (name, found) in TRADE_FILES.iter().zip(&found) {
        let mut book = Book::default();
        book.record_all(&found.statements);
        assert_eq!(book.fills.keys().collect::<Vec<_>>(), expected.fills.keys().collect::<Vec<_>>(), "{name}");
        book.record_all(&read("one-way/fillbook.ndjson").statements);
        assert_eq!(book.conflicts, Vec::<String>::new(), "{name}");
    }

    let everything_but_ours = &found[..found.len() - 1];
    let mut forwards = Book::default();
    for found in everything_but_ours {
        forwards.record_all(&found.statements);
    }
    let mut backwards = Book::default();
    everything_but_ours.iter().rev().for_each(|found| {
        found.statements.iter().rev().for_each(|statement| backwards.record(statement));
    });
    assert_eq!(forwards.conflicts, Vec::<String>::new());
    assert_eq!(forwards, backwards);
    for (key, fill) in &forwards.fills {
        assert_eq!(fill.fact, expected.fills[key].fact);
    }
    for (key, order) in &expected.orders {
        assert_eq!(forwards.orders[key].fact, order.fact);
    }
    for (key, cancel) in &expected.cancels {
        assert_eq!(forwards.cancels[key].fact, cancel.fact);
    }
    for (key, income) in &expected.incomes {
        let read = &forwards.incomes[key].fact;
        assert_eq!(read.amount, income.fact.amount);
        assert!(read.time.agrees_with(income.fact.time));
    }
}

#[test]
fn columns_are_found_by_name() {
    let text = "Maker;realized profit;FEE;Extra;Amount;trade id;ORDER_ID;quantity;Price;side;symbol;Time (UTC)\nY;-1,5;;x;12;1;2;3;4;buy;BTCUSDT;2026-03-01 00:00:00\nY;\"-1.5\";1USDT;\"a;b\";12;1;2;3;4;buy;BTCUSDT;2026-03-01 00:00:00;;\n";
    let found = read_text("x.csv", text);
    assert_eq!(found.rejected.len(), 1);
    let fill = fills(&found).remove(0);
    assert_eq!((fill.price.get().to_string().as_str(), fill.qty.get().to_string().as_str()), ("4", "3"));
    assert_eq!((fill.key.side, fill.maker), (Side::Buy, Some(true)));
    assert_eq!(fill.exchange_realized_pnl.unwrap().to_string(), "-1.5");
}

#[test]
fn a_file_of_another_kind_is_left_to_others() {
    let mut database = b"SQLite format 3\0".to_vec();
    database.extend([0; 4_080]);
    let found = read_text("bot.db", database);
    assert_eq!((found.kind, found.rows), (Some(Kind::BotDatabase), 0));
}

#[test]
fn a_bare_fee_takes_the_settle_asset() {
    let text = "Time(UTC),Symbol,Side,Price,Quantity,Fee,Realized Profit,Trade ID,Order ID\n2026-07-01 00:00:00,ETHUSDC,BUY,1,1,0.5,0,3,1\n2026-07-01 00:00:00,ODDLING,BUY,1,1,0.5,0,3,1\n";
    let found = read_text("x.csv", text);
    assert_eq!(fills(&found)[0].fee.as_ref().unwrap().asset.as_str(), "USDC");
    assert!(found.rejected[0].1.contains("--settle-asset ASSET"), "{:?}", found.rejected);
    let options = Options { settle_asset_default: Some("USD1".parse().unwrap()), ..Options::default() };
    let found = drain(from_text("x.csv", text, options).unwrap()).clean();
    assert_eq!(fills(&found)[1].fee.as_ref().unwrap().asset.as_str(), "USD1");
}

#[test]
fn fees_are_positive_when_paid_whoever_writes_them() {
    let line = |commission: &str, maker: bool| {
        format!(
            r#"{{"symbol":"BTC/USDT:USDT","side":"sell","info":{{"symbol":"BTCUSDT","id":"1","orderId":"2","side":"SELL","price":"1","qty":"1","commission":"{commission}","commissionAsset":"USDT","time":"1772356364871","maker":{maker}}},"price":1,"amount":1}}"#
        )
    };
    let amount = |commission: &str, maker| {
        let found = read_text("x.json", line(commission, maker)).clean();
        fills(&found)[0].fee.as_ref().unwrap().amount.to_string()
    };
    // What was charged is stated as a positive number, or as the wallet sees it; only makers have rebates.
    assert_eq!(amount("0.07819010", false), "0.0781901");
    assert_eq!(amount("-0.07819010", false), "0.0781901");
    assert_eq!(amount("-0.07819010", true), "-0.0781901");
}

#[test]
fn symbols_in_any_script_are_read() {
    let text = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time\n币安人生USDT,1,,BUY,LONG,0.25,100,25,0.01,BNFCR,USDT,0,N,1772356364871\n";
    let found = read_text("x.csv", text).clean();
    let fill = fills(&found).remove(0);
    assert_eq!(fill.key.symbol.as_str(), "币安人生USDT");
    assert_eq!((fill.order_id, fill.maker), (None, Some(false)));
    assert_eq!(fill.fee.unwrap().asset.as_str(), "BNFCR");
    assert_eq!(found.statements.len(), 2, "the fill and its contract; there is no order to tell of");
}

#[test]
fn a_file_that_begins_in_a_position_says_so_by_its_first_profit() {
    let found = read("odd/begins-in-a-position.csv").clean();
    let first = fills(&found).remove(0);
    assert_eq!(first.key.side, Side::Sell);
    assert_eq!(first.exchange_realized_pnl.unwrap().to_string(), "5.976");
}

#[test]
fn columns_may_be_named_as_the_api_does() {
    let orders_text = "orderId,symbol,status,clientOrderId,price,avgPrice,origQty,executedQty,cumQuote,timeInForce,type,reduceOnly,closePosition,side,positionSide,stopPrice,origType,time,updateTime\n5,BTCUSDT,CANCELED,c1,0,0.00000,0.5,0,0,GTC,MARKET,true,false,SELL,SHORT,59000,STOP_MARKET,1772356364871,1772356364999\n";
    let found = read_text("x.csv", orders_text).clean();
    let order = orders(&found).remove(0);
    assert_eq!(order.order_type.unwrap().as_str(), "STOP_MARKET");
    assert_eq!((order.reduce_only, order.close_position), (Some(true), Some(false)));
    assert_eq!(order.updated, Some(EventTime::ms(at(1_772_356_364_999))));
    let income_text = "symbol,incomeType,income,asset,info,time,tranId,tradeId\nBTCUSDT,COMMISSION,-0.25,USDT,530,1772356364871,9689322392,530\n,TRANSFER,7,USDT,TRANSFER,1772356364871,9689322393,\n";
    let found = read_text("x.csv", income_text).clean();
    assert_eq!(incomes(&found)[0].fill_id.as_ref().unwrap().as_str(), "530");
    assert_eq!(incomes(&found)[1].fill_id, None);
    assert!(found.statements.iter().all(|statement| statement.source == Source::ExchangeArchive));
}
