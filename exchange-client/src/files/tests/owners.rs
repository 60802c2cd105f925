//! Whose rows a file has: headers that are damaged where they say it, and tars around them.

use std::io::Write as _;

use super::*;
use crate::files::{BookVenue, RowProblem, Zone};

const HEADER: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";
const ROW: &str = "31,26-02-03 04:05:06,SOLUSDT,BUY,BOTH,2,3,6,0.01 USDT,0,TRUE,FALSE,71,701";

fn file(header: &str) -> Result<ImportFile, FileError> {
    from_text("x.csv", format!("{header}\n{ROW}\n"), Options { zone: Some(Zone::utc()), ..Options::default() })
}

#[test]
fn a_header_that_is_damaged_where_it_names_the_account_is_refused() {
    for damaged in [
        // A byte order mark that was read as Latin-1, once and twice.
        "\u{ef}\u{bb}\u{bf}Uid",
        "\u{c3}\u{af}\u{c2}\u{bb}\u{c2}\u{bf}Uid",
        // A tar of old, without its mark.
        "trades.csv\0\0\x00644\x001750\0Uid",
        "",
        "?",
        "Ui",
        "Account",
        "#1",
        "X",
    ] {
        let error = file(&HEADER.replacen("Uid", damaged, 1)).unwrap_err();
        assert!(matches!(error, FileError::Owner { .. }) && error.is_about_the_account(), "{damaged:?}: {error}");
        assert!(!error.to_string().contains('\0'), "{error}");
    }
    // In another place than the first, where only the name tells.
    let moved = "Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Maker,Trade Id,Order Id";
    for (owner, is_refused) in [("Sub-Account", true), ("User name", true), ("Remark", false)] {
        let text = format!("{moved},{owner}\n");
        assert_eq!(from_text("x.csv", text, Options::default()).is_err(), is_refused, "{owner}");
    }
    // Whatever stands beside a column that can be read.
    for sound in ["Uid", "UID", "\u{feff}Uid", "User_ID", "\u{feff}\u{feff} uid "] {
        let read = drain(file(&HEADER.replacen("Uid", sound, 1)).unwrap()).clean();
        assert_eq!(read.rows, 1, "{sound}");
    }
}

/// A damaged name may be another name that is known: what a row is called by is not where exports begin, and no other column is
/// a letter away from the one that names the owner.
#[test]
fn a_damaged_owner_is_found_whatever_it_looks_like() {
    let orders = "Time(UTC),Symbol,Type,Side,Price,Average Price,Amount,Executed Amount,Status,Order No";
    let transactions = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID";
    let trades = HEADER.split_once(',').unwrap().1;
    let refused = |header: String| {
        matches!(from_text("x.csv", format!("{header}\n"), Options::default()), Err(FileError::Owner { .. }))
    };
    for owner in ["id", "ID", "Uld", "U1d", "Vid", "UlD", "Userld", "User Ib"] {
        for table in [trades, orders, transactions] {
            assert!(refused(format!("{owner},{table}")), "{owner} before {table}");
            assert!(refused(format!("{table},{owner}")), "{owner} behind {table}");
        }
    }
    assert!(refused(format!("Order ID,{orders}")));
    assert!(refused(format!("Trade ID,{transactions}")));
    for table in [trades, orders, transactions] {
        assert!(!refused(table.to_owned()), "{table}");
        assert!(!refused(format!("{table},Remark")), "{table}");
    }
}

/// What is held against other columns must not go away with a letter of its name.
#[test]
fn a_column_that_lost_its_name_switches_no_check_off() {
    for (name, damaged) in [
        ("Amount", "Amuont"),
        ("Amount", "Amoumt"),
        ("Amount", "Total"),
        ("Amount", "Turnover"),
        ("Position Side", "Positon Side"),
        ("Realized Profit", "Realized Prfit"),
        ("Realized Profit", "Earned"),
        ("Maker", "Makr"),
    ] {
        let error = file(&HEADER.replace(name, damaged)).unwrap_err();
        let FileError::UnknownColumn { column, meant, .. } = &error else { panic!("{damaged}: {error}") };
        assert_eq!((column.as_str(), *meant), (damaged, name));
    }
    // Nothing that rows are held against is missing, or no column is of an unknown name.
    for header in [
        HEADER.replace("Realized Profit", "Realised Profit"),
        HEADER.replace("Buyer", "Comment"),
        HEADER.replace(",Position Side", "").replace(",BOTH", ""),
    ] {
        assert!(file(&header).is_ok(), "{header}");
    }
}

/// Whichever of two columns is the true one, a row that names two owners is nobody's.
#[test]
fn two_columns_that_name_an_owner_have_to_agree_in_each_row() {
    for (first, second) in
        [("Uid", "User Id"), ("User_ID", "Uid"), ("Uid", "Account"), ("Account", "UID"), ("Uid", "Owner")]
    {
        let with = |value: &str| {
            let text = format!("{},{second}\n{ROW},{value}\n", HEADER.replacen("Uid", first, 1));
            let file = from_text("x.csv", text, Options { uid: Some("31".to_owned()), ..Options::default() }).unwrap();
            file.map(|row| row.unwrap().result).collect::<Vec<_>>()
        };
        assert!(matches!(with("31")[..], [Ok(_)]), "{first} {second}");
        for (other, names_two) in [("77", true), ("", false), ("main", false), ("3.1E+7", false)] {
            let [Err(error)] = &with(other)[..] else { panic!("{first} {second} {other}") };
            assert_eq!(error.names_two_owners(), names_two, "{}", chain(error));
            assert!(!error.is_of_another_account(), "{}", chain(error));
        }
        let told = chain(with("77")[0].as_ref().unwrap_err());
        assert_eq!(told, format!("{second} is `77`: {first} says `31`: the row names two owners"));
    }
}

#[test]
fn an_export_of_one_venue_goes_into_no_book_of_another() {
    let orders = "Time(UTC),Symbol,Type,Side,Price,Average Price,Amount,Executed Amount,Status,Order No\n";
    let archive = "symbol,id,orderId,side,price,qty,commission,commissionAsset,time\n";
    let transactions = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n";
    for (text, kind) in [
        (HEADER, "trades (legacy header)"),
        (&HEADER.replace("Position Side,", ""), "Binance USD-M trades"),
        (archive, "trades (archive)"),
        (orders, "orders"),
        (transactions, "transactions"),
    ] {
        let options = |venue| Options { venue, ..Options::default() };
        let text = format!("{text}\n");
        let error = from_text("x.csv", text.clone(), options(BookVenue::Other)).unwrap_err();
        assert!(matches!(error, FileError::OtherVenue { .. }), "{error}");
        assert!(error.to_string().contains(kind) && error.to_string().contains("of another venue"), "{error}");
        assert!(from_text("x.csv", text, options(BookVenue::BinanceUsdm)).is_ok(), "{kind}");
    }
}

#[test]
fn a_row_that_leaves_its_account_open_is_refused() {
    for (uid, is_missing) in [("", true), ("-", true), ("3.1E+7", false), ("me", false)] {
        let text = format!("{HEADER}\n{}\n", ROW.replacen("31", uid, 1));
        let problem = rejection(&text).problem;
        assert_eq!(matches!(problem, RowProblem::Missing), is_missing, "{uid}: {problem}");
        assert!(is_missing || matches!(problem, RowProblem::MangledId), "{uid}: {problem}");
        // The row has no readable owner, so it is rejected alone.
        let options = Options { uid: Some("31".to_owned()), ..Options::default() };
        let rows: Vec<_> = from_text("x.csv", format!("{text}{ROW}\n"), options).unwrap().flatten().collect();
        let [broken, sound] = rows.as_slice() else { panic!("{rows:?}") };
        assert!(sound.result.is_ok());
        let error = broken.result.as_ref().unwrap_err();
        assert!(!error.is_of_another_account() && !error.names_two_owners(), "{uid}: {error}");
    }
}

/// A tar as programs write it: `(name, kind, data)`.
fn tar(members: &[(&str, u8, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, data) in members {
        let mut block = [0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        block[156] = *kind;
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(data.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1_024, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_files_in_a_tar_are_read_one_by_one_and_say_whose_they_are() {
    let text = format!("{HEADER}\n{ROW}\n");
    let other = text.replace(",71,", ",72,");
    let long = format!("{}exports/trades(UTC+3).csv", "deep/".repeat(30));
    let pax = format!("{} path={long}\n", long.len() + 10);
    let members = [
        ("exports/", b'5', ""),
        ("exports/._a.csv", b'0', "junk"),
        ("exports/a.csv", b'0', text.as_str()),
        ("x", b'x', pax.as_str()),
        ("exports/b.csv", 0, &other.replace("Time(UTC)", "Time")),
        ("exports/readme.txt", b'0', "hello"),
    ];
    for bytes in [tar(&members), gzip(&tar(&members))] {
        let mut file = from_text("exports.tar.gz", bytes.clone(), Options::default()).unwrap();
        let rows: Vec<_> = file.by_ref().collect();
        let named: Vec<_> =
            rows.iter().flatten().map(|row| (row.member.clone().unwrap().to_string(), row.line)).collect();
        assert_eq!(named, [("exports/a.csv".to_owned(), 2), (long.clone(), 2)]);
        assert!(
            matches!(&rows[2], Err(FileError::Unrecognised { place, .. }) if place.to_string().contains("readme.txt"))
        );
        assert_eq!(file.uid(), Some("31"));
        // Cut off on the way, what precedes the cut is read, and the cut is told.
        let cut = from_text("exports.tar", tar(&members)[..2_700].to_vec(), Options::default()).unwrap();
        assert!(drain(cut).errors.iter().any(|error| matches!(error, FileError::Damaged { .. })));
    }
    let mut damaged = tar(&members);
    damaged[520] ^= 1;
    let found = from_text("x.tar", damaged, Options::default()).map(drain);
    assert!(matches!(found, Err(FileError::Damaged { .. })), "{found:?}");
    let within = gzip(&tar(&[("inner.tar.gz", b'0', "\u{1f}")]));
    assert!(from_text("x.tar.gz", within, Options::default()).is_err());
}

#[test]
fn zones_that_contradict_each_other_are_refused_with_both() {
    let text = |time: &str| format!("{}\n{ROW}\n", HEADER.replace("Time(UTC)", time));
    for (name, time, told) in [
        ("trades(UTC+8).csv", "Time(UTC+3)", ["UTC+8", "UTC+3"]),
        ("trades(UTC).csv", "Time(UTC-5)", ["UTC", "UTC-5"]),
        ("trades(UTC--6).csv", "Time (UTC+6)", ["UTC-6", "UTC+6"]),
        ("trades(UTC+3).csv", "Time(UTC+0)", ["UTC+3", "UTC"]),
        ("trades(UTC+3)(UTC+4).csv", "Time(UTC)", ["UTC+3", "UTC+4"]),
        ("trades(UTC+4) copy (UTC+3).csv", "Time", ["UTC+4", "UTC+3"]),
        ("trades.csv", "Time(UTC+3)(UTC+4)", ["UTC+3", "UTC+4"]),
    ] {
        let error = from_text(name, text(time), Options::default()).unwrap_err();
        assert!(matches!(error, FileError::ZonesDiffer { .. }), "{error}");
        assert!(told.iter().all(|zone| error.to_string().contains(zone)), "{error}");
    }
    // The exchange prints a bare UTC above local times, too.
    for (name, time) in
        [("trades(UTC+3).csv", "Time(UTC)"), ("t(UTC+3)(UTC+3).csv", "Time(UTC+3)"), ("t.csv", "Time(UTC+3)")]
    {
        assert_eq!(read_text(name, text(time)).clean().rows, 1, "{name} {time}");
    }
}
