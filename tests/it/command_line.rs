//! The command line itself: options, formats, exit codes, and what happens when something is not as it should be.

use std::process::{Command, Stdio};

use crate::support::{Sandbox, fixture};

fn book_with_trades() -> Sandbox {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let names =
        ["trades-archive.csv", "orders.csv", "transactions.csv"].map(|name| fixture(&format!("import/one-way/{name}")));
    sandbox.run(&["import", &names[0], &names[1], &names[2]]).exits(0);
    sandbox
}

#[test]
fn usage_errors_exit_2_and_help_0() {
    let sandbox = Sandbox::empty();
    for args in [
        &["frobnicate"][..],
        &["fills", "--json", "--csv"],
        &["fills", "--since", "yesterday"],
        &["report", "--by", "moon"],
        &[],
    ] {
        let run = sandbox.run(args).exits(2);
        assert!(run.stdout.is_empty(), "{args:?}: {}", run.stdout);
    }
    let help = sandbox.run(&["--help"]).exits(0).stdout;
    for command in ["demo", "init", "import", "status", "report", "verify", "rebuild"] {
        assert!(help.contains(command), "{help}");
    }
    assert!(sandbox.run(&["--version"]).exits(0).stdout.starts_with("fillbook "));
}

#[test]
fn a_missing_book_says_how_to_make_one() {
    let sandbox = Sandbox::empty();
    for command in ["fills", "status", "verify", "rebuild", "report"] {
        let run = sandbox.run(&[command]).exits(1);
        assert!(run.stderr.contains("fillbook init"), "{command}: {}", run.stderr);
        assert!(run.stdout.is_empty());
    }
    assert!(std::fs::read_dir(sandbox.path()).unwrap().next().is_none(), "asking must not create files");
}

#[test]
fn what_is_no_book_is_told_apart_and_left_alone() {
    let sandbox = Sandbox::empty();
    std::fs::create_dir(sandbox.path().join("folder")).unwrap();
    let text = sandbox.write("notes.txt", "not a database, but long enough to have a header of sixteen bytes or more");
    for (db, reason) in [("folder", "directory"), ("notes.txt", "not a SQLite database")] {
        for command in ["status", "init"] {
            let run = sandbox.run(&[command, "--db", db]).exits(1);
            assert!(run.stderr.contains(reason), "{command} {db}: {}", run.stderr);
        }
    }
    assert!(std::fs::read_to_string(text).unwrap().starts_with("not a database"));
}

#[test]
fn an_unknown_account_is_told_with_those_there_are() {
    let sandbox = Sandbox::with_book(&[]);
    let run = sandbox.run(&["status", "--account", "other"]).exits(1);
    assert!(run.stderr.contains("no account `other`") && run.stderr.contains("main"), "{}", run.stderr);
    sandbox.run(&["report", "--account", "other"]).exits(1);
    sandbox.run(&["verify", "--account", "other"]).exits(1);
}

/// Flags beat the environment, the environment beats the file, and a misspelt setting is an error.
#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let sandbox = Sandbox::empty();
    sandbox.write("fillbook.toml", "db = \"from-file.db\"\naccount = \"filed\"\n");
    sandbox.run(&["init"]).exits(0);
    assert!(sandbox.path().join("from-file.db").exists());
    sandbox.command(&["init"], &[("FILLBOOK_DB", "from-environment.db")]).exits(0);
    assert!(sandbox.path().join("from-environment.db").exists());
    sandbox.command(&["init", "--db", "from-flag.db"], &[("FILLBOOK_DB", "unused.db")]).exits(0);
    assert!(sandbox.path().join("from-flag.db").exists() && !sandbox.path().join("unused.db").exists());
    let status = sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["account"], "filed");
    sandbox.write("fillbook.toml", "databse = \"typo.db\"\n");
    let run = sandbox.run(&["status"]).exits(1);
    assert!(run.stderr.contains("databse"), "{}", run.stderr);
}

#[test]
fn json_and_csv_have_every_fact_and_exact_numbers() {
    let sandbox = book_with_trades();
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    assert!(fills.iter().all(|fill| fill["schema"] == "fillbook.list.fill/1"));
    let first = &fills[0];
    assert_eq!(first["order_id"], "8389765568816714211", "ids are exact beyond 2^53");
    assert_eq!((&first["price"], &first["qty"]), (&"60000".into(), &"0.01".into()));
    assert!(first["ts"].is_i64());
    let csv = sandbox.run(&["fills", "--csv"]).exits(0).stdout;
    assert_eq!(csv.lines().count(), fills.len() + 1);
    assert!(csv.lines().next().unwrap().starts_with("ts,symbol,side,position_side,qty,price"));
    let narrowed = sandbox.run(&["fills", "--json", "--symbol", "ETHUSDT", "-n", "1"]).exits(0).json();
    assert_eq!((narrowed.len(), &narrowed[0]["symbol"]), (1, &"ETHUSDT".into()));
}

#[test]
fn since_and_until_are_read_in_the_given_zone() {
    let sandbox = book_with_trades();
    let count = |args: &[&str]| sandbox.run(&[&["fills", "--json"], args].concat()).exits(0).json().len();
    let all = count(&[]);
    let split = ["2026-03-02T00:00", "--tz", "Asia/Seoul"];
    let before = count(&["--until", split[0], split[1], split[2]]);
    let after = count(&["--since", split[0], split[1], split[2]]);
    assert_eq!(before + after, all);
    assert!(before > 0 && after > 0);
    // Midnight in Seoul is 15:00 UTC of the day before.
    assert_eq!(after, count(&["--since", "2026-03-01T15:00"]));
}

/// No line of a table is wider than the terminal, and what was left out is named.
#[test]
fn tables_fit_the_terminal() {
    let sandbox = book_with_trades();
    for width in [80, 120] {
        for command in [
            &["fills"][..],
            &["orders"],
            &["positions", "--all"],
            &["trips"],
            &["income"],
            &["report"],
            &["report", "--by", "day"],
        ] {
            let columns = width.to_string();
            let run = sandbox.command(command, &[("COLUMNS", &columns)]).exits(0);
            for line in run.stdout.lines() {
                assert!(line.chars().count() <= width, "{command:?} at {width}:\n{}", run.stdout);
            }
        }
    }
    let narrow = sandbox.command(&["orders"], &[("COLUMNS", "80")]).stdout;
    assert!(narrow.contains("Left out for want of room"), "{narrow}");
}

/// `fillbook fills | head -1` is no error.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = book_with_trades();
    let mut child = Command::new(env!("CARGO_BIN_EXE_fillbook-under-test"))
        .current_dir(sandbox.path())
        .args(["income", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}

#[test]
fn rebuilding_gives_the_same_derived_rows() {
    let sandbox = book_with_trades();
    let derived = || {
        [
            &["positions", "--all", "--json"][..],
            &["trips", "--json"],
            &["trips", "--open", "--json"],
            &["report", "--json"],
        ]
        .map(|command| sandbox.run(command).exits(0).stdout)
    };
    let before = derived();
    sandbox.run(&["rebuild"]).exits(0);
    assert_eq!(before, derived());
    assert!(!before[1].is_empty());
}

#[test]
fn quiet_says_nothing_on_standard_error() {
    let sandbox = book_with_trades();
    for command in
        [&["fills", "-n", "1"][..], &["positions"], &["signals"], &["import", &fixture("import/one-way/orders.csv")]]
    {
        let run = sandbox.run(&[command, &["--quiet"]].concat()).exits(0);
        assert!(run.stderr.is_empty(), "{command:?}: {}", run.stderr);
    }
}
