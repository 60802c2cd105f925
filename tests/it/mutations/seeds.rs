//! Sound files of every readable kind.

use crate::support::fixture;

/// A sound file.
pub(super) struct Seed {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// How it is put together.
    pub(super) form: Form,
}

/// How a file is put together, which tells what can be wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A text in lines.
    Text,
    /// An archive as a program wrote it.
    Packed,
    /// A SQLite file, in pages.
    Database,
}

/// One line of each schema that is in no fixture.
const SCHEMAS: &str = r#"{"schema":"fillbook.instrument/1","source":"rest","symbol":"ETHUSDT","kind":"linear","multiplier":"1","settle_asset":"USDT","tick_size":"0.01"}
{"schema":"fillbook.signal/1","source":"bot","signal_id":"s1","ts":1772344800000,"symbol":"ETHUSDT","side":"BUY","kind":"entry","engine":"atlas"}
{"schema":"fillbook.intent/1","source":"bot","client_order_id":"c1","symbol":"ETHUSDT","order_class":"REGULAR","side":"BUY","role":"entry","dca_step":0,"attempt":1,"order_type":"MARKET","reduce_only":false,"created_local_ms":1772344800000,"outcome":"pending","qty":"1"}
{"schema":"fillbook.position_mode/1","source":"rest","ts":1772344799000,"mode":"one-way"}
{"schema":"fillbook.anchor/1","source":"rest","symbol":"ETHUSDT","position_side":"NET","ts":1772344799000,"qty":"0","derivation":"the exchange said flat"}
{"schema":"fillbook.balance/1","source":"rest","asset":"USDT","ts":1772344799000,"wallet":"1000"}
{"schema":"fillbook.fill/1","source":"rest","symbol":"ETHUSDT","fill_id":"1","side":"BUY","ts":1772344800000,"price":"100","qty":"2","order_id":"91","position_side":"NET","fee":"0.1","fee_asset":"USDT","exchange_realized_pnl":"0","sequence":"1"}
{"schema":"fillbook.order/1","source":"rest","symbol":"ETHUSDT","order_class":"REGULAR","order_id":"91","side":"BUY","status":"FILLED","position_side":"NET","order_type":"MARKET","qty":"2","terms_ts":1772344800000,"executed_qty":"2","avg_price":"100","ts":1772344800000,"updated_ts":1772344800000}
{"schema":"fillbook.income/1","source":"rest","income_type":"COMMISSION","tran_id":"11","symbol":"ETHUSDT","asset":"USDT","amount":"-0.1","ts":1772344800000,"fill_id":"1"}
{"schema":"fillbook.cancel/1","source":"rest","symbol":"ETHUSDT","order_class":"REGULAR","order_id":"92","ts":1772344800000,"side":"BUY"}
{"schema":"fillbook.position/1","source":"rest","symbol":"ETHUSDT","position_side":"NET","ts":1772344920000,"qty":"2","entry_price":"100"}
{"schema":"fillbook.price/1","source":"rest","symbol":"ETHUSDT","kind":"mark","ts":1772344860000,"price":"101"}
{"schema":"fillbook.funding_rate/1","source":"rest","symbol":"ETHUSDT","ts":1772352000000,"rate":"0.0001","mark_price":"101"}
"#;

/// All of them; `book` is a book's file.
pub(super) fn all(book: &[u8]) -> Vec<Seed> {
    let read = |name: &str| std::fs::read(fixture(&format!("import/{name}"))).unwrap();
    let named = |path: &str, form| {
        let name = path.rsplit('/').next().unwrap().to_owned();
        Seed { name, bytes: read(path), form }
    };
    let text = |path: &str| named(path, Form::Text);
    let made = |name: &str, bytes: Vec<u8>, form| Seed { name: name.to_owned(), bytes, form };
    let trades = read("one-way/trades-legacy.csv");
    let transactions = read("one-way/transactions.csv");
    vec![
        text("one-way/trades-legacy.csv"),
        text("one-way/Export Trade History(UTC+3)-part1-of1.csv"),
        text("one-way/trades-archive.csv"),
        text("hedge/trades-legacy.csv"),
        text("one-way/orders.csv"),
        text("one-way/transactions.csv"),
        text("one-way/ccxt-trades.json"),
        text("one-way/ccxt-orders.ndjson"),
        text("one-way/ccxt-trades-without-info.ndjson"),
        text("one-way/fillbook.ndjson"),
        made("schemas.ndjson", SCHEMAS.as_bytes().to_vec(), Form::Text),
        named("one-way/trades-in-parts.zip", Form::Packed),
        named("one-way/trades-legacy.csv.gz", Form::Packed),
        made("stored.zip", super::mutator::zip("trades.csv", &trades), Form::Packed),
        made("exports.tar", super::mutator::tar("trades.csv", &trades), Form::Packed),
        made(
            "exports.tar.gz",
            super::mutator::gzip(&super::mutator::tar("transactions.csv", &transactions)),
            Form::Packed,
        ),
        named("bot/bot.sqlite3", Form::Database),
        // As often as the rest of the databases are tables: most of what can lie is in pages.
        named("bot/bot.sqlite3", Form::Database),
        made("book.db", book.to_vec(), Form::Database),
    ]
}
