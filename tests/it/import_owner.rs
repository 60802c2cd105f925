//! Whose a file is, through the real command: what is refused, what is taken with a remark, and in which words.

use super::import_refused::{HEADER, fill_count, trade};
use crate::support::Sandbox;

/// A tar of one file, as programs write it.
fn tar(name: &str, text: &str) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
    block[156] = b'0';
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend_from_slice(text.as_bytes());
    block.resize(block.len().next_multiple_of(512) + 1_024, 0);
    block
}

/// Whatever hides whose rows a file has opens no book: another's file is refused with exit 4, plain, in a tar, or with a
/// header that is damaged where it says so.
#[test]
fn another_accounts_file_is_refused_however_its_header_looks() {
    let sandbox = Sandbox::with_book(&[]);
    let other = format!("{HEADER}\n{}\n", trade(9, 20, "160.5", "2", "321"));
    sandbox.write("mine.csv", format!("{HEADER}\n{}\n", trade(8, 10, "160.5", "2", "321")));
    sandbox.run(&["import", "mine.csv"]).exits(0);
    sandbox.write("plain.csv", &other);
    sandbox.write("packed.tar", tar("plain.csv", &other));
    sandbox.write("mojibake.csv", format!("\u{ef}\u{bb}\u{bf}{other}"));
    sandbox.write("nameless.csv", other.replacen("Uid", "", 1));
    let mut old = tar("plain.csv", &other);
    old.drain(257..263);
    sandbox.write("broken.tar", old);
    for file in ["plain.csv", "packed.tar", "mojibake.csv", "nameless.csv", "broken.tar"] {
        let run = sandbox.run(&["import", file]).exits(4);
        assert!(run.stderr.contains(file), "{file}: {}", run.transcript());
        assert_eq!(fill_count(&sandbox), 1, "{file}");
    }
    // One file of another account does not stop the files behind it.
    sandbox.write("more.csv", format!("{HEADER}\n{}\n", trade(8, 11, "160.5", "2", "321")));
    sandbox.run(&["import", "plain.csv", "more.csv"]).exits(4);
    assert_eq!(fill_count(&sandbox), 2);
    // A tar of one's own is read like any file.
    sandbox.write("mine.tar", tar("third.csv", &format!("{HEADER}\n{}\n", trade(8, 12, "160.5", "2", "321"))));
    sandbox.run(&["import", "mine.tar"]).exits(0);
    assert_eq!(fill_count(&sandbox), 3);
}

/// A file with two columns that name its owner is taken only where both name the book's, in each of its rows.
#[test]
fn a_file_that_names_two_owners_is_refused_as_a_whole() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("mine.csv", format!("{HEADER}\n{}\n", trade(8, 10, "160.5", "2", "321")));
    sandbox.run(&["import", "mine.csv"]).exits(0);
    let with = |owner: &str, rows: &[(u32, &str)]| {
        let rows: Vec<_> =
            rows.iter().map(|(id, value)| format!("{},{value}", trade(8, *id, "160.5", "2", "321"))).collect();
        format!("{HEADER},{owner}\n{}\n", rows.join("\n"))
    };
    for owner in ["User Id", "Account"] {
        sandbox.write("two.csv", with(owner, &[(20, "8"), (21, "9")]));
        let run = sandbox.run(&["import", "two.csv"]).exits(4);
        for told in ["they disagree", "line 3", &format!("{owner} is `9`"), "Uid says `8`"] {
            assert!(run.stderr.contains(told), "{told}: {}", run.transcript());
        }
        assert_eq!(fill_count(&sandbox), 1, "{owner}");
    }
    sandbox.write("agreed.csv", with("User Id", &[(20, "8"), (21, "8")]));
    sandbox.run(&["import", "agreed.csv"]).exits(0);
    assert_eq!(fill_count(&sandbox), 3);
}

#[test]
fn an_export_of_binance_is_refused_in_a_book_of_another_venue() {
    let sandbox = Sandbox::with_book(&["--venue", "other", "--position-mode", "one-way"]);
    sandbox.write("trades.csv", format!("{HEADER}\n{}\n", trade(8, 10, "160.5", "2", "321")));
    sandbox.write(
        "money.csv",
        "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n2026-02-03 04:05:06,TRANSFER,5,USDT,,7\n",
    );
    for file in ["trades.csv", "money.csv"] {
        let run = sandbox.run(&["import", file]).exits(1);
        assert!(
            run.stderr.contains("has Binance USD-M t") && run.stderr.contains("takes no trade of another"),
            "{}",
            run.transcript()
        );
    }
    assert_eq!((fill_count(&sandbox), sandbox.run(&["income", "--json"]).exits(0).json().len()), (0, 0));
}

/// A file that cannot say whose it is is taken at the user's word, and where nothing supports that word it is said.
#[test]
fn a_file_without_an_owner_is_taken_with_a_remark_unless_something_of_it_is_known() {
    let sandbox = Sandbox::with_book(&[]);
    let header = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time";
    let row = |id: u32| format!("SOLUSDT,{id},9{id},BUY,BOTH,160.5,2,321,0.01,USDT,USDT,0,false,17700915{id}000");
    sandbox.write("early.csv", format!("{header}\n{}\n", row(10)));
    let run = sandbox.run(&["import", "early.csv"]).exits(0);
    assert!(!run.stderr.contains("at your word"), "the book is bound to nobody: {}", run.transcript());
    sandbox.write("mine.csv", format!("{HEADER}\n{}\n", trade(8, 11, "160.5", "2", "321")));
    sandbox.run(&["import", "mine.csv"]).exits(0);
    sandbox.write("strange.csv", format!("{header}\n{}\n{}\n", row(20), row(20)));
    let run = sandbox.run(&["import", "strange.csv"]).exits(0);
    assert!(
        run.stderr.contains("strange.csv: taken at your word") && run.stderr.contains("`8`"),
        "{}",
        run.transcript()
    );
    sandbox.write("overlapping.csv", format!("{header}\n{}\n{}\n", row(21), row(10)));
    let run = sandbox.run(&["import", "overlapping.csv"]).exits(0);
    assert!(!run.stderr.contains("at your word"), "{}", run.transcript());
}

/// A number that names the owner proves nothing where the account was bound by the exchange's answers alone.
#[test]
fn an_owner_by_a_number_that_nothing_ties_to_the_account_is_remarked_upon() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.tamper("UPDATE accounts SET base_url = 'https://x.example', alias = 'sRsR'");
    sandbox.write("first.csv", format!("{HEADER}\n{}\n", trade(8, 11, "160.5", "2", "321")));
    let run = sandbox.run(&["import", "first.csv"]).exits(0);
    let told = "first.csv: taken at your word: it says that it is of user 8, which nothing ties to this account";
    assert!(run.stderr.contains(told) && run.stderr.contains("`sRsR`"), "{}", run.transcript());
    // From here on the number is the account's, and others are refused.
    sandbox.write("second.csv", format!("{HEADER}\n{}\n", trade(8, 12, "160.5", "2", "321")));
    let run = sandbox.run(&["import", "second.csv"]).exits(0);
    assert!(!run.stderr.contains("at your word"), "{}", run.transcript());
    sandbox.write("third.csv", format!("{HEADER}\n{}\n", trade(9, 13, "160.5", "2", "321")));
    sandbox.run(&["import", "third.csv"]).exits(4);
    // A trade that was known ties it.
    let sandbox = Sandbox::with_book(&[]);
    sandbox.run(&["init"]);
    let known = r#"{"schema":"fillbook.fill/1","source":"rest","symbol":"SOLUSDT","fill_id":"11","side":"BUY","ts":1770091511000,"price":"160.5","qty":"2"}"#;
    sandbox.write("known.ndjson", format!("{known}\n"));
    sandbox.run(&["import", "known.ndjson"]).exits(0);
    sandbox.tamper("UPDATE accounts SET base_url = 'https://x.example', alias = 'sRsR'");
    sandbox.write("first.csv", format!("{HEADER}\n{}\n", trade(8, 11, "160.5", "2", "321")));
    let run = sandbox.run(&["import", "first.csv"]).exits(0);
    assert!(!run.stderr.contains("at your word"), "{}", run.transcript());
}
