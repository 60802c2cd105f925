//! The command line itself: options, formats, exit codes, and what happens when something is not as it should be.

use std::process::Stdio;

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

/// A stretch of time that ends before it begins is a mistake, not an empty list.
#[test]
fn a_stretch_that_ends_before_it_begins_is_refused() {
    let sandbox = book_with_trades();
    for command in [&["fills"][..], &["trips"], &["report", "--by", "day"]] {
        let backwards = [command, &["--since", "2026-03-02", "--until", "2026-03-01"]].concat();
        let run = sandbox.run(&backwards).exits(2);
        assert!(run.stderr.contains("--until is not behind --since"), "{command:?}: {}", run.transcript());
        sandbox.run(&[command, &["--since", "2026-03-01", "--until", "2026-03-01T00:00:01"]].concat()).exits(0);
    }
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
    let mut child =
        sandbox.prepared(&["income", "--json"], &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
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

/// With `--json` a program gets failures as an object, too: one line on standard error, nothing on standard output.
#[test]
fn failures_come_as_json_on_standard_error() {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("typo.toml", "databse = \"typo.db\"\n");
    sandbox.write("notes.txt", "not a database, but long enough to have a header of sixteen bytes or more");
    for (args, kind, code, told) in [
        (&["fills", "--db", "nowhere.db"][..], "no_book", 1, "nowhere.db"),
        (&["fills", "--account", "other"], "request", 1, "other"),
        (&["status", "--config", "typo.toml"], "error", 1, "typo.toml"),
        (&["import", "--db", "notes.txt", "x.csv"], "not_a_book", 1, "not a SQLite database"),
    ] {
        let run = sandbox.run(&[args, &["--json"]].concat()).exits(code);
        assert!(run.stdout.is_empty(), "{args:?}: {}", run.stdout);
        let lines: Vec<_> = run.stderr.lines().collect();
        let [line] = lines.as_slice() else { panic!("{args:?}: {}", run.stderr) };
        let error: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&error["schema"], &error["kind"]), (&"fillbook.error/1".into(), &kind.into()), "{args:?}");
        assert_eq!(error["exit_code"], code);
        assert!(error["message"].as_str().unwrap().contains(told), "{args:?}: {line}");
        assert!(error["hints"].is_array() && error["because"].is_array(), "{line}");
    }
    let unknown = sandbox.run(&["fills", "--account", "other", "--json"]).stderr;
    assert!(unknown.contains("--account with one of: main"), "{unknown}");
}

/// Columns that a terminal needs for a line: characters of Chinese take two.
fn columns_of(line: &str) -> usize {
    line.chars().map(|c| if c >= '\u{2e80}' { 2 } else { 1 }).sum()
}

/// Ids of 40 characters, wide symbols, long names of strategies: lines stay within the terminal and ids whole. In 40
/// columns, too, except for what is never broken.
#[test]
fn long_ids_and_wide_names_fit_the_terminal() {
    const ID: &str = "12345678901234567890123456789012345678";
    const ENGINE: &str = "a-very-long-strategy-name-that-nobody-shortens";
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let mut lines = Vec::new();
    for (n, side, price) in [(1, "BUY", "0.12345678"), (2, "SELL", "0.22345678"), (3, "BUY", "0.12345678")] {
        let ts = 1_772_344_800_000_i64 + n * 60_000;
        lines.push(format!(
            r#"{{"schema":"fillbook.fill/1","source":"rest","symbol":"币安人生USDT","fill_id":"{ID}0{n}","order_id":"{ID}5{n}","side":"{side}","ts":{ts},"price":"{price}","qty":"1234567.123456","position_side":"NET","fee":"0.00012345","fee_asset":"BNB"}}"#
        ));
        lines.push(format!(
            r#"{{"schema":"fillbook.order/1","source":"rest","symbol":"币安人生USDT","order_class":"REGULAR","order_id":"{ID}5{n}","side":"{side}","status":"FILLED","qty":"1234567.123456","ts":{ts},"engine":"{ENGINE}"}}"#
        ));
    }
    lines.push(format!(
        r#"{{"schema":"fillbook.cancel/1","source":"rest","symbol":"币安人生USDT","order_class":"REGULAR","order_id":"{ID}90","ts":1772344900000,"side":"BUY","reason":"somebody cancelled it, with a rather long explanation of why 原因"}}"#
    ));
    lines.push(format!(
        r#"{{"schema":"fillbook.signal/1","source":"bot","signal_id":"{ID}00","ts":1772344800000,"symbol":"币安人生USDT","side":"BUY","kind":"entry","engine":"{ENGINE}","reason":"突破了上轨, for a reason that goes on and on"}}"#
    ));
    lines.push(format!(
        r#"{{"schema":"fillbook.income/1","source":"rest","income_type":"FUNDING_FEE","tran_id":"{ID}00","asset":"USDT","amount":"-0.01234567","ts":1772348400000,"symbol":"币安人生USDT"}}"#
    ));
    sandbox.write("facts.ndjson", lines.join("\n"));
    sandbox.run(&["import", "facts.ndjson"]).exits(0);
    for width in [40, 80, 120] {
        for command in [
            &["fills"][..],
            &["orders"],
            &["signals"],
            &["cancels"],
            &["positions", "--all"],
            &["trips"],
            &["trips", "--open"],
            &["income"],
            &["report"],
            &["report", "--by", "symbol"],
            &["report", "--by", "day"],
            &["report", "--by", "side"],
            &["verify"],
            &["status"],
            &["runs"],
        ] {
            let run = sandbox.command(command, &[("COLUMNS", &width.to_string())]);
            assert!(!run.stdout.is_empty(), "{command:?}: {}", run.transcript());
            for line in run.stdout.lines() {
                let unbreakable = line.split_whitespace().map(columns_of).max().unwrap_or(0) > 25;
                let fits = columns_of(line) <= width || (width == 40 && unbreakable);
                assert!(fits, "{command:?} at {width}: {line}\n{}", run.stdout);
            }
        }
        let fills = sandbox.command(&["fills"], &[("COLUMNS", &width.to_string())]).stdout;
        assert!(fills.contains("币安人生USDT"), "{fills}");
        assert_eq!(fills.contains(&format!("{ID}01")), width != 80, "the column is left out, or whole: {fills}");
    }
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

/// Killed at any moment, `init` leaves a whole book or none, and the next one makes it.
#[test]
fn an_init_that_is_killed_leaves_no_book_without_an_account() {
    let (mut none, mut whole) = (0, 0);
    for turns in (0..60).map(|nth| nth * nth * 40) {
        let sandbox = Sandbox::empty();
        let mut init = sandbox.prepared(&["init", "--position-mode", "one-way"], &[]);
        let mut init = init.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        (0..turns).for_each(|_| std::thread::yield_now());
        init.kill().unwrap();
        init.wait().unwrap();
        let status = sandbox.run(&["status", "--json"]);
        if status.code == 0 {
            assert_eq!(status.json()[0]["position_mode"], "one_way", "{}", status.transcript());
            whole += 1;
        } else {
            assert!(status.stderr.contains("fillbook init"), "{}", status.transcript());
            none += 1;
        }
        sandbox.run(&["init", "--position-mode", "one-way"]).exits(0);
        sandbox.run(&["status"]).exits(0);
    }
    assert!(none > 0, "{none} without a book, {whole} with one");
}
