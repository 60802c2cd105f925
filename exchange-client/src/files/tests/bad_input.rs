//! What users' files can be instead of good. Each case is named, and costs nothing but itself.

use std::io::{self, Read, Write};

use ledger_core::AnyFact;

use super::*;
use crate::files::{ROW_BYTES_MAX, RowProblem};

const HEADER: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id\n";

fn good(trade_id: usize) -> String {
    format!("7,2026-03-01 06:00:01,BTCUSDT,BUY,BOTH,60000.0,0.010,600,0.24USDT,0,TRUE,FALSE,{trade_id},9001\n")
}

fn fill_ids(found: &Found) -> Vec<String> {
    found
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            AnyFact::Fill(fill) => Some(fill.key.fill_id.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn every_bad_row_is_named_and_every_good_one_arrives() {
    let found = read("bad/rows.csv");
    assert!(found.errors.is_empty());
    let expected = [
        (3, "Price is `NaN`: not a decimal number"),
        (5, "Price is `1e400`: the number is too large"),
        (7, "Price is `60000.00000000000000000000000000000000000001`: too many digits"),
        (9, "Quantity is `-0.010`: a quantity must be above zero"),
        (11, "Side is `HOLD`: `HOLD` is no side; expected one of: BUY, SELL"),
        (13, "Time(UTC) is `26-13-01 06:00:01`: there is no such date"),
        (15, "Time(UTC) is `yesterday`: it is not a time"),
        (17, "the row cannot be read: it has 9 cells where the header has 14"),
        (19, "Symbol is `=cmd|'/c calc'!A1`: symbol"),
        (21, "Symbol is `BTC\\u{1b}[31mUSDT`: symbol"),
        (23, "Order Id is `8.38977E+18`: an id is a whole number; was the file saved by a spreadsheet program"),
        (25, "Maker is `perhaps`: it is neither true nor false"),
        (27, "the row cannot be read: a quoted cell is not closed on its line"),
        (30, "the row cannot be read: byte 31 of the row is not valid UTF-8"),
        (31, "the row cannot be read: byte 10 of the row is not valid UTF-8"),
    ];
    assert_eq!(found.rejected.len(), expected.len(), "{:#?}", found.rejected);
    for ((line, reason), (expected_line, expected_reason)) in found.rejected.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{reason}");
        assert!(reason.starts_with(expected_reason), "{reason}");
        assert!(!reason.chars().any(char::is_control), "{reason:?}");
    }
    assert_eq!(fill_ids(&found), fill_ids(&read("one-way/trades-legacy.csv")));
}

#[test]
fn files_without_rows_are_told_apart() {
    let empty = open(&fixture("bad/empty.csv"), Options::default()).unwrap_err();
    assert!(matches!(empty, FileError::Empty { .. }));
    for text in ["\u{feff}", "\r\n \n\n", "\u{feff}\n"] {
        let error = from_text("x.csv", text, Options::default()).unwrap_err();
        assert!(matches!(error, FileError::Empty { .. }), "{error}");
    }
    assert_eq!(read("bad/header-only.csv").clean().rows, 0);
    assert_eq!(read("bad/no-data.csv").clean().rows, 0);
    assert_eq!(read_text("x.json", "[]").clean().rows, 0);
}

#[test]
fn an_unknown_header_lists_what_is_recognised() {
    let error = open(&fixture("bad/unknown-header.csv"), Options::default()).unwrap_err().to_string();
    assert!(error.contains("unknown-header.csv` is not recognised; it begins with `Date(UTC),Pair,Side,"), "{error}");
    for kind in ["trade history", "order history", "transaction history", "ccxt", "NDJSON", "SQLite"] {
        assert!(error.contains(kind), "{error}");
    }
    for text in
        ["{\"hello\":1}", "[1,2,3]", "{\n \"key\": \"value\"\n}\n", "\u{1b}[31m,x\ny\n", "\0\u{1}\u{2}", "[[1]]"]
    {
        let error = from_text("x", text, Options::default()).unwrap_err();
        assert!(matches!(error, FileError::Unrecognised { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let directory = open(&fixture("bad"), Options::default()).unwrap_err();
    assert!(matches!(directory, FileError::Directory { .. }));
    let missing = open(&fixture("no-such-file"), Options::default()).unwrap_err();
    assert!(matches!(missing, FileError::Open { .. }), "{missing}");
    let utf16 = open(&fixture("bad/utf16.csv"), Options::default()).unwrap_err();
    assert!(matches!(utf16, FileError::Encoding { .. }), "{utf16}");
    let no_zone = open(&fixture("bad/no-zone.csv"), Options::default()).unwrap_err();
    assert!(matches!(no_zone, FileError::ZoneUnknown { .. }), "{no_zone}");
    let doubled = from_text("x", HEADER.replace("Amount", "price"), Options::default()).unwrap_err();
    assert!(matches!(doubled, FileError::DuplicateColumn { .. }), "{doubled}");
}

#[test]
fn a_cut_off_archive_yields_what_precedes_the_cut() {
    let whole = fill_ids(&read("one-way/trades-legacy.csv"));
    for name in ["bad/cut-off.csv.gz", "bad/cut-off.zip"] {
        let found = read(name);
        assert!(matches!(found.errors[..], [FileError::Damaged { .. }]), "{name}: {:?}", found.errors);
        let ids = fill_ids(&found);
        assert!(!ids.is_empty() && ids.len() < whole.len(), "{name}: {}", ids.len());
        assert_eq!(ids, whole[..ids.len()], "{name}");
        assert!(found.rejected.is_empty(), "{name}: half a line is no row: {:?}", found.rejected);
    }
}

#[test]
fn a_cut_off_json_array_yields_what_precedes_the_cut() {
    let text = std::fs::read(fixture("one-way/ccxt-trades.json")).unwrap();
    let found = read_text("x.json", &text[..text.len() / 2]);
    assert!(matches!(found.errors[..], [FileError::Unclosed { .. }]), "{:?}", found.errors);
    assert_eq!(fill_ids(&found).len(), 7);
}

#[test]
fn memory_is_bounded_by_the_row_limit() {
    // 100 MB without a line end, which are never there at once: they come from a repeating reader.
    let endless = || io::repeat(b'7').take(100_000_000);
    let text = |text: String| io::Cursor::new(text.into_bytes());
    let input = text(HEADER.to_owned() + &good(1)).chain(endless()).chain(text("\n".to_owned() + &good(2)));
    let found = drain(ImportFile::from_reader("x.csv", input, Options::default()).unwrap());
    assert_eq!(fill_ids(&found), ["1", "2"]);
    assert_eq!(found.rejected.len(), 1);
    assert!(found.rejected[0].1.contains("longer than 1048576 bytes"), "{:?}", found.rejected);
    let mut lines = crate::files::feed::Lines::of(b"");
    let mut input = io::BufReader::new(endless());
    assert_eq!(lines.next(&mut input).unwrap(), Some(crate::files::feed::Line::TooLong));
    assert!(lines.capacity() <= 2 * ROW_BYTES_MAX);
}

#[test]
fn a_zip_bomb_is_passed_over_in_a_stream() {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("bomb.csv", options).unwrap();
    zip.write_all(HEADER.as_bytes()).unwrap();
    io::copy(&mut io::repeat(b' ').take(50_000_000), &mut zip).unwrap();
    zip.write_all(b"\n").unwrap();
    zip.write_all(good(5).as_bytes()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 100_000);
    let found = read_text("bomb.zip", bytes);
    assert_eq!((fill_ids(&found), found.rejected.len()), (vec!["5".to_owned()], 1));
}

/// An archive as another program writes it, with its sizes behind the data where `streamed`.
fn zip_of(members: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, data) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(*name, options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn one_bad_member_never_stops_the_others() {
    let first = HEADER.to_owned() + &good(1);
    let last = HEADER.to_owned() + &good(2) + "x\n";
    let nested = zip_of(&[("a.csv", first.as_bytes())], zip::CompressionMethod::Deflated);
    let members: [(&str, &[u8]); 6] = [
        ("readme.txt", b"thank you for choosing us\n"),
        ("a.csv", first.as_bytes()),
        ("empty.csv", b""),
        ("inner.zip", &nested),
        ("dir/b.csv", last.as_bytes()),
        ("bot.db", b"SQLite format 3\0\0\0\0"),
    ];
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let found = read_text("x.zip", zip_of(&members, method));
        assert_eq!(fill_ids(&found), ["1", "2"]);
        assert_eq!(found.rejected.len(), 1);
        let errors: Vec<String> = found.errors.iter().map(|error| error.place().to_string()).collect();
        let expected = ["readme.txt", "empty.csv", "inner.zip", "bot.db"].map(|name| format!("`{name}` (in `x.zip`)"));
        assert_eq!(errors, expected);
    }
    let none = from_text("x.zip", zip_of(&members[..1], zip::CompressionMethod::Stored), Options::default());
    assert!(matches!(none.unwrap_err(), FileError::Unrecognised { .. }));
    let nothing = from_text("x.zip", zip_of(&[], zip::CompressionMethod::Stored), Options::default());
    assert!(matches!(nothing.unwrap_err(), FileError::NoMembers { .. }));
}

#[test]
fn a_changed_byte_in_an_archive_is_noticed() {
    let text = HEADER.to_owned() + &good(1) + &good(2);
    let mut bytes = zip_of(&[("a.csv", text.as_bytes())], zip::CompressionMethod::Stored);
    let at = bytes.windows(5).position(|window| window == b"60000").unwrap();
    bytes[at] = b'9';
    let found = read_text("x.zip", bytes);
    assert!(matches!(found.errors[..], [FileError::Damaged { .. }]), "{:?}", found.errors);
}

#[test]
fn rows_of_another_exchange_account_are_refused() {
    let text = HEADER.to_owned() + &good(1) + &good(2).replacen('7', "8", 1) + &good(3);
    let found = read_text("x.csv", text.clone());
    assert_eq!(fill_ids(&found), ["1", "3"]);
    assert!(found.rejected[0].1.starts_with("Uid is `8`: the rows before it belong"), "{:?}", found.rejected);
    let options = Options { uid: Some("8".to_owned()), ..Options::default() };
    assert_eq!(fill_ids(&drain(from_text("x.csv", text, options).unwrap())), ["2"]);
}

#[test]
fn files_appended_to_each_other_are_read_through() {
    let one = HEADER.to_owned() + &good(1);
    let found = read_text("x.csv", format!("\u{feff}{one}\u{feff}{one}")).clean();
    assert_eq!(fill_ids(&found), ["1", "1"]);
}

#[test]
fn json_values_of_other_types_are_refused() {
    let trade = |from: &str, to: &str| {
        let text = r#"{"symbol":"BTC/USDT:USDT","side":"buy","price":1,"amount":2,"cost":2,"id":"3","timestamp":1772356364871,"fee":{"cost":1,"currency":"USDT"}}"#;
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    assert!(read_text("x.json", trade("", "")).clean().rows == 1);
    for (from, to, reason) in [
        ("\"price\":1", "\"price\":NaN", "not valid JSON"),
        ("\"price\":1", "\"price\":1e400", "too large"),
        ("\"price\":1", "\"price\":\"NaN\"", "not a decimal number"),
        ("\"price\":1", "\"price\":null", "missing"),
        ("\"price\":1", "\"price\":[1]", "missing"),
        ("\"price\":1", "\"price\":true", "not a decimal number"),
        ("\"amount\":2", "\"amount\":-2", "above zero"),
        ("\"id\":\"3\"", "\"id\":8.389765568816714e18", "an id is a whole number"),
        ("\"id\":\"3\"", "\"id\":\"a\\u001bb\"", "character"),
        ("\"side\":\"buy\"", "\"side\":\"\\ud800\"", "not valid JSON"),
        ("BTC/USDT:USDT", "BTC/USDT", "not a linear or inverse futures contract"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT-260626-50000-C", "not a linear or inverse futures contract"),
        ("BTC/USDT:USDT", "=cmd/USDT:USDT", "character"),
        ("1772356364871", "1772356364", "no plausible time"),
        ("1772356364871", "1772356364871.5", "not a time"),
        (
            "\"fee\":",
            "\"fee\":null,\"fees\":[{\"cost\":1,\"currency\":\"BNB\"},{\"cost\":1,\"currency\":\"USDT\"}],\"x\":",
            "more than one asset",
        ),
        ("\"price\":1", "\"info\":{\"instId\":\"BTC-USDT-SWAP\"},\"price\":1", "`info` is an answer of OKX"),
    ] {
        let reason_found = {
            let error = rejection(&trade(from, to));
            chain(&error)
        };
        assert!(reason_found.contains(reason), "{to}: {reason_found}");
        assert!(!reason_found.chars().any(char::is_control), "{reason_found:?}");
    }
    let position = rejection(r#"{"symbol":"BTC/USDT:USDT","contracts":1,"entryPrice":2}"#);
    assert!(matches!(position.problem, RowProblem::Unrecognised { .. }));
}

#[test]
fn a_json_file_may_begin_with_a_bad_line() {
    let good =
        r#"{"symbol":"BTC/USDT:USDT","side":"buy","price":1,"amount":2,"cost":2,"id":"3","timestamp":1772356364871}"#;
    for bad in ["{\"a\":", "{}", "{\"price\":\"\u{1b}\"}"] {
        let found = read_text("x.json", format!("{bad}\n{good}\n{bad}\n{good}\n"));
        assert_eq!((fill_ids(&found).len(), found.rejected.len()), (2, 2), "{bad}");
    }
}

#[test]
fn archives_of_other_programs_are_read() {
    let text = HEADER.to_owned() + &good(1);
    // Written to a pipe: sizes and checksums stand behind the data.
    let mut piped = zip::ZipWriter::new_stream(Vec::new());
    for name in ["a.csv", "b.csv"] {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        piped.start_file(name, options).unwrap();
        piped.write_all(text.as_bytes()).unwrap();
    }
    let piped = piped.finish().unwrap().into_inner();
    assert_eq!(fill_ids(&read_text("x.zip", piped).clean()), ["1", "1"]);
    // With sizes of 64 bits.
    let mut large = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let options = zip::write::SimpleFileOptions::default().compression_method(method).large_file(true);
        large.start_file(format!("{method}.csv"), options).unwrap();
        large.write_all(text.as_bytes()).unwrap();
    }
    let large = large.finish().unwrap().into_inner();
    assert_eq!(fill_ids(&read_text("x.zip", large).clean()), ["1", "1"]);
    // Several gzip files one behind the other are one.
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let both = [gzip(&text), gzip(&good(2))].concat();
    assert_eq!(fill_ids(&read_text("x.csv.gz", both).clean()), ["1", "2"]);
}

#[test]
fn deep_and_wide_texts_are_refused_without_harm() {
    let deep = format!("{{\"symbol\":{}", "[".repeat(ROW_BYTES_MAX / 2));
    let found = read_text("x.json", format!("{deep}\n{deep}\n"));
    assert_eq!(found.rejected.len(), 2);
    let closed = format!("[{{\"symbol\":{}{}}}]", "[".repeat(400_000), "]".repeat(400_000));
    let error = from_text("x.json", closed, Options::default()).unwrap_err();
    assert!(matches!(error, FileError::Unrecognised { .. }), "{error}");
    let wide = (0..100_000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    let found = read_text("x.csv", HEADER.trim_end().to_owned() + "," + &wide + "\n" + &good(1));
    assert_eq!(found.rejected.len(), 1);
}

/// Where several elements stand on one line, the line alone tells none of them.
#[test]
fn the_elements_of_an_array_are_counted() {
    let trade = |id: u32, qty: &str| {
        format!(
            r#"{{"info":{{"symbol":"SOLUSDT","id":"{id}","orderId":"9","side":"BUY","price":"160","qty":"{qty}","time":"1770091506123"}},"symbol":"SOL/USDT:USDT","id":"{id}","side":"buy","price":160,"amount":{qty}}}"#
        )
    };
    let all = [trade(1, "2"), trade(2, "0"), trade(3, "2"), trade(4, "0")];
    let places = |name: &str, text: String| -> Vec<_> {
        let rows = from_text(name, text, Options::default()).unwrap().map(Result::unwrap);
        rows.filter(|row| row.result.is_err()).map(|row| (row.line, row.element)).collect()
    };
    assert_eq!(places("x.json", format!("[{}]", all.join(","))), [(1, Some(2)), (1, Some(4))]);
    assert_eq!(places("x.json", format!("[\n{}]", all.join(",\n"))), [(3, Some(2)), (5, Some(4))]);
    assert_eq!(places("x.ndjson", all.join("\n")), [(2, None), (4, None)]);
}

#[test]
fn a_column_that_a_known_table_lacks_is_named() {
    let trades = "Date(UTC),Symbol,Side,Price,Quantity,Fee,Realized Profit,Trade Id,Order Id";
    let orders = "Time(UTC),Symbol,Type,Side,Price,Average Price,Amount,Executed Amount,Status,Order No";
    let transactions = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID";
    for (header, column, told) in [
        (trades, ",Order Id", "trade history, but lacks `Order ID`"),
        (trades, ",Trade Id,Order Id", "trade history, but lacks `Trade ID` and `Order ID`"),
        (trades, ",Fee", "trade history, but lacks `Fee`"),
        (orders, ",Status", "order history, but lacks `Status`"),
        (transactions, ",Transaction ID", "transaction history, but lacks `Transaction ID`"),
        (transactions, ",Asset", "transaction history, but lacks `Asset`"),
    ] {
        assert!(from_text("x.csv", format!("{header}\n"), Options::default()).is_ok(), "{header}");
        let error = from_text("x.csv", format!("{}\n", header.replace(column, "")), Options::default()).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    let other = from_text("x.csv", "Name,Price,Stock\nBolt,1,2\n", Options::default()).unwrap_err();
    assert!(matches!(other, FileError::Unrecognised { .. }), "{other}");
}

/// Numbers that a spreadsheet program wrote anew: with 60 000 for 60000, rows below a thousand would be taken alone.
#[test]
fn a_number_that_is_written_as_no_exchange_writes_it_doubts_the_file() {
    for price in ["\"60,000.00\"", "60 000", "60\u{a0}000.0", "60\u{202f}000", "60'000", "\u{2212}60000"] {
        let error = &rejection(&(HEADER.to_owned() + &good(1).replace("60000.0", price)));
        assert!(error.doubts_number_format(), "{price}: {error}");
    }
    for fee in ["\"1,000.24USDT\"", "1 000.24 USDT"] {
        assert!(rejection(&(HEADER.to_owned() + &good(1).replace("0.24USDT", fee))).doubts_number_format(), "{fee}");
    }
    for sound in ["0.24 USDT", "0.5 1INCH", "0.5 1000SATS", "-0.24USDT", "1000.24USDT"] {
        let found = read_text("x.csv", HEADER.to_owned() + &good(1).replace("0.24USDT", sound));
        assert_eq!(fill_ids(&found), ["1"], "{sound}: {:?}", found.rejected);
    }
}

#[test]
fn a_contract_and_its_profit_are_as_exports_have_them() {
    let with = |contract: &str, profit: &str| {
        HEADER.to_owned() + &good(1).replace("BTCUSDT", contract).replace("USDT,0,", &format!("USDT,{profit},"))
    };
    let found = read_text("x.csv", with("btcusdt", "0"));
    assert!(
        found.facts().iter().any(|fact| matches!(fact, AnyFact::Fill(fill) if fill.key.symbol.as_str() == "BTCUSDT"))
    );
    assert!(matches!(rejection(&with("BTC/USDT", "0")).problem, RowProblem::NotAContract));
    let error = rejection(&with("BTCUSDT", "10 BNB"));
    assert!(matches!(&error.problem, RowProblem::ProfitAsset { found, settle } if found == "BNB" && settle == "USDT"));
    for sound in ["10 USDT", "10", "-10USDT", "10 BNFCR"] {
        assert_eq!(fill_ids(&read_text("x.csv", with("BTCUSDT", sound))), ["1"], "{sound}");
    }
}
