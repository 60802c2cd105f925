//! Ledger rows without an id in a second that is cut between two files which do not say that they belong together.

use crate::support::Sandbox;

const HEADER: &str = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID";
const ROW: &str = "2026-03-02 03:00:00,REFERRAL_KICKBACK,0.0125,USDT,,";

fn file(rows: &[&str]) -> String {
    [&[HEADER], rows, &[""]].concat().join("\n")
}

/// A book with nothing in it, and the files: one that ends and one that begins within the second, both with one row there,
/// and one that has two between its first and last row.
fn sandbox() -> Sandbox {
    let (before, after) = ("2026-03-02 02:00:00,FEE,-1,USDT,,7", "2026-03-02 04:00:00,FEE,-1,USDT,,8");
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("february.csv", file(&[before, ROW]));
    sandbox.write("copy.csv", file(&[before, ROW]));
    sandbox.write("march.csv", file(&[after, ROW]));
    sandbox.write("whole.csv", file(&[before, ROW, ROW, after]));
    sandbox.write("once.csv", file(&[before, ROW, after]));
    sandbox
}

fn kickbacks(sandbox: &Sandbox) -> usize {
    sandbox.run(&["income", "--type", "REFERRAL_KICKBACK", "--json"]).exits(0).json().len()
}

fn open_cuts(sandbox: &Sandbox) -> Vec<String> {
    let found = sandbox.run(&["discrepancies", "--kind", "ledger_cut", "--json"]).exits(0).json();
    found.iter().map(|it| it["evidence"].as_str().unwrap().to_owned()).collect()
}

/// What two files prove together is one row; that it may be two is told, whichever comes first, until a file has the whole
/// second.
#[test]
fn a_second_cut_between_files_is_told_until_one_has_it_whole() {
    for (imports, left) in [
        (&[&["february.csv", "march.csv"][..]][..], 1),
        (&[&["march.csv", "february.csv"]], 1),
        (&[&["february.csv"], &["march.csv"]], 1),
        (&[&["march.csv"], &["february.csv"], &["copy.csv"]], 1),
        (&[&["february.csv"], &["march.csv"], &["whole.csv"]], 2),
        (&[&["whole.csv"], &["march.csv"], &["february.csv"]], 2),
        (&[&["march.csv"], &["whole.csv", "february.csv"]], 2),
        (&[&["march.csv", "once.csv"], &["february.csv"]], 1),
    ] {
        let sandbox = sandbox();
        let is_whole = |files: &&[&str]| files.iter().any(|file| ["whole.csv", "once.csv"].contains(file));
        let told = !imports.iter().any(is_whole);
        for (number, files) in imports.iter().enumerate() {
            let so_far = imports.get(..=number).unwrap();
            let both = ["february.csv", "march.csv"].iter().all(|name| so_far.iter().any(|files| files.contains(name)));
            let expected = if both && !so_far.iter().any(is_whole) { 3 } else { 0 };
            sandbox.run(&[&["import"], *files].concat()).exits(expected);
        }
        assert_eq!(kickbacks(&sandbox), left, "{imports:?}");
        let open = open_cuts(&sandbox);
        assert_eq!(open.len(), usize::from(told), "{imports:?}: {open:?}");
        let check = sandbox.run(&["verify", "--json"]).exits(if told { 3 } else { 0 }).json();
        let agree = check.iter().find(|check| check["check"] == "sources_agree").unwrap();
        assert_eq!(agree["verdict"] == "fail", told, "{agree}");
        for evidence in open {
            assert!(evidence.contains(".csv ends within") && evidence.contains("march.csv begins"), "{evidence}");
            assert!(evidence.contains("2026-03-02 03:00:00") && evidence.contains("the book has 1"), "{evidence}");
        }
    }
}

/// The same file under two names is one file, and a file that was cut on one side only leaves nothing open.
#[test]
fn a_copy_of_a_file_is_no_cut() {
    let sandbox = sandbox();
    sandbox.write("second.csv", file(&[ROW]));
    sandbox.write("again.csv", file(&[ROW]));
    for files in [["february.csv", "copy.csv"], ["copy.csv", "february.csv"]] {
        sandbox.run(&[&["import"], &files[..]].concat()).exits(0);
    }
    let sandbox = self::sandbox();
    sandbox.write("second.csv", file(&[ROW]));
    sandbox.write("again.csv", file(&[ROW]));
    sandbox.run(&["import", "second.csv", "again.csv"]).exits(0);
    assert_eq!((kickbacks(&sandbox), open_cuts(&sandbox).len()), (1, 0));
}

/// Two exports that agree in their first and last second and in how many rows they have, and not in what these say.
#[test]
fn files_of_the_same_edges_are_not_one_file() {
    let sandbox = sandbox();
    let of = |amount: &str| format!("2026-03-02 03:00:00,TRANSFER,{amount},USDT,,7{amount}");
    sandbox.write("first.csv", file(&[&of("1"), ROW]));
    sandbox.write("second.csv", file(&[ROW, &of("2")]));
    sandbox.run(&["import", "first.csv"]).exits(0);
    sandbox.run(&["import", "second.csv"]).exits(3);
    assert_eq!((kickbacks(&sandbox), open_cuts(&sandbox).len()), (1, 1));
}

/// A file of which rows cannot be read, or that somebody sorted otherwise, has no second whole.
#[test]
fn a_file_with_gaps_settles_nothing() {
    let (before, after) = ("2026-03-02 02:00:00,FEE,-1,USDT,,7", "2026-03-02 04:00:00,FEE,-1,USDT,,8");
    for gaps in [&[before, ROW, "2026-03-02 03:00:00,REFERRAL_KICKBACK,?,USDT,,", after][..], &[ROW, before, after]] {
        let sandbox = sandbox();
        sandbox.run(&["import", "february.csv", "march.csv"]).exits(3);
        sandbox.write("gaps.csv", file(gaps));
        sandbox.run(&["import", "gaps.csv"]).exits(3);
        assert_eq!((kickbacks(&sandbox), open_cuts(&sandbox).len()), (1, 1), "{gaps:?}");
    }
}

/// An import that fails behind a file has recorded its rows, and knows its edges.
#[test]
fn a_failed_import_leaves_the_edges_of_what_it_read() {
    let sandbox = sandbox();
    // The disk is full at the second file.
    sandbox.tamper(
        "CREATE TRIGGER full BEFORE INSERT ON income WHEN NEW.tran_id = '99' BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    sandbox.write("failing.csv", file(&["2026-03-05 02:00:00,FEE,-1,USDT,,99"]));
    sandbox.run(&["import", "february.csv", "failing.csv"]).exits(1);
    assert_eq!((kickbacks(&sandbox), open_cuts(&sandbox).len()), (1, 0));
    sandbox.run(&["import", "march.csv"]).exits(3);
    assert_eq!((kickbacks(&sandbox), open_cuts(&sandbox).len()), (1, 1));
    let runs = sandbox.run(&["runs"]).exits(0);
    assert!(!runs.stdout.contains("digest:"), "{}", runs.transcript());
}
