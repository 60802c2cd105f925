//! Lists and reports: nothing is silently empty, every section is reachable, and no table breaks an amount.

use std::collections::BTreeMap;

use ledger_core::Decimal;

use crate::support::{Sandbox, fixture};

fn book_with_trades() -> Sandbox {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let names =
        ["trades-archive.csv", "orders.csv", "transactions.csv"].map(|name| fixture(&format!("import/one-way/{name}")));
    sandbox.run(&["import", &names[0], &names[1], &names[2]]).exits(0);
    sandbox
}

/// A misspelt name gives an empty list, which is no error, but the list must say why it is empty, also with `--quiet`.
#[test]
fn names_that_the_book_never_saw_are_told() {
    let sandbox = book_with_trades();
    for (command, told) in [
        (&["fills", "--symbol", "BTCUSD"][..], "never seen symbol `BTCUSD`; did you mean BTCUSDT?"),
        (&["orders", "--symbol", "btcusdt"], "did you mean BTCUSDT?"),
        (&["cancels", "--symbol", "XRPUSD_PERP"], "it has BTCUSDT, ETHUSDT, SOLUSDC"),
        (&["positions", "--symbol", "SOLUSDT"], "did you mean SOLUSDC?"),
        (&["trips", "--symbol", "DOGE", "--open"], "never seen symbol `DOGE`"),
        (&["report", "--symbol", "ETHUSD"], "did you mean ETHUSDT?"),
        (&["income", "--type", "FUNDING_FEES"], "never seen income type `FUNDING_FEES`; did you mean FUNDING_FEE?"),
        (&["trips", "--engine", "atlas"], "it has seen no engine at all"),
        (&["discrepancies", "--kind", "mising_fills"], "did you mean missing_fills?"),
        (&["repairs", "--kind", "restore_order"], "it has seen no kind of repair at all"),
        (&["signals", "--engine", "atlas", "--quiet"], "never seen engine `atlas`"),
    ] {
        for format in [&[][..], &["--json"], &["--csv"]] {
            let run = sandbox.run(&[command, format].concat()).exits(0);
            assert!(run.stderr.contains(told), "{command:?} {format:?}: {}", run.transcript());
        }
    }
    // A known name that just has nothing in the list is not warned of.
    let known = sandbox.run(&["cancels", "--symbol", "SOLUSDC"]).exits(0);
    assert!(!known.stderr.contains("warning"), "{}", known.transcript());
    let known = sandbox.run(&["fills", "--symbol", "BTCUSDT", "--until", "2020-01-01"]).exits(0);
    assert!(known.stderr.contains("No fills.") && !known.stderr.contains("warning"), "{}", known.transcript());
}

/// What the table shows below the groups (totals, fees per asset, what is open, the wallet) is in the CSV, too, and adds
/// up to the same: net = gross - fees + funding in every row, `cash` to `cash_total`, and that to the ledger.
#[test]
fn the_csv_report_has_every_section() {
    let sandbox = book_with_trades();
    let text = sandbox.run(&["report", "--by", "symbol", "--csv"]).exits(0).stdout;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<BTreeMap<&str, &str>> =
        lines.map(|line| header.iter().copied().zip(line.split(',')).collect()).collect();
    assert!(rows.iter().all(|row| row.len() == header.len()), "{text}");
    let number =
        |text: &str| if text.is_empty() { Decimal::ZERO } else { text.trim_start_matches('~').parse().unwrap() };
    let of = |section: &str| rows.iter().filter(|row| row["section"] == section).collect::<Vec<_>>();
    for row in rows.iter().filter(|row| ["group", "total", "open"].contains(&row["section"])) {
        let [gross, fees, funding, net] = ["gross", "fees", "funding", "net"].map(|key| number(row[key]));
        assert_eq!(gross.checked_sub(fees).unwrap().checked_add(funding).unwrap(), net, "{row:?}");
    }
    assert_eq!(
        of("group").iter().map(|row| (row["group"], row["asset"])).collect::<Vec<_>>(),
        [("BTCUSDT", "USDT"), ("SOLUSDC", "USDC"),]
    );
    let mut totals = of("total").into_iter().map(|row| (row["asset"], row["fees"], row["trips"])).collect::<Vec<_>>();
    totals.sort_unstable();
    assert_eq!(totals, [("USDC", "0.5256", "4"), ("USDT", "2.186884", "4")]);
    // The open trip of ETHUSDT paid its fees in BNB.
    assert!(of("open").iter().any(|row| row["asset"] == "BNB" && row["fees"].ends_with("0.00663648")), "{text}");
    let mut ledger: BTreeMap<String, Decimal> = BTreeMap::new();
    for row in sandbox.run(&["income", "--json"]).exits(0).json() {
        let sum = ledger.entry(row["asset"].as_str().unwrap().to_owned()).or_default();
        *sum = sum.checked_add(row["amount"].as_str().unwrap().parse().unwrap()).unwrap();
    }
    for (section, key) in [("cash", "amount"), ("cash_total", "amount")] {
        let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
        for row in of(section) {
            let sum = sums.entry(row["asset"].to_owned()).or_default();
            *sum = sum.checked_add(number(row[key])).unwrap();
        }
        assert_eq!(sums, ledger, "{section}");
    }
    assert!(of("cash").iter().any(|row| row["group"] == "REFERRAL_KICKBACK" && row["rows"] == "2"), "{text}");
}

/// However narrow: no line is wider than the terminal, and every amount, id and time stands whole on one line.
#[test]
fn narrow_terminals_never_break_an_amount() {
    let sandbox = book_with_trades();
    let commands: [&[&str]; 8] = [
        &["fills"],
        &["orders"],
        &["positions", "--all"],
        &["trips"],
        &["income"],
        &["report"],
        &["report", "--by", "day"],
        &["verify"],
    ];
    for command in commands {
        let whole = sandbox.run(command).exits(0).stdout;
        // Numbers, times and ids as the widest table has them.
        let words: Vec<&str> =
            whole.split_whitespace().filter(|word| word.chars().any(|c| c.is_ascii_digit())).collect();
        for width in [36, 40, 50, 60, 70, 80, 120] {
            let columns = width.to_string();
            let run = sandbox.command(command, &[("COLUMNS", &columns)]).exits(0);
            for line in run.stdout.lines() {
                // Only a single word that is too long by itself may stick out.
                let is_one_word = line.split_whitespace().count() <= 2 && line.contains("digest:");
                assert!(line.chars().count() <= width || is_one_word, "{command:?} at {width}: {line}\n{}", run.stdout);
            }
            for word in run.stdout.split_whitespace().filter(|word| word.chars().any(|c| c.is_ascii_digit())) {
                assert!(words.contains(&word), "{command:?} at {width}: `{word}` is a broken piece\n{}", run.stdout);
            }
        }
        // What says most is there at any width.
        if command == ["trips"] {
            let narrow = sandbox.command(command, &[("COLUMNS", "40")]).exits(0).stdout;
            assert!(narrow.contains("3.6414 USDT") && narrow.contains("2026-03-02 02:44:09.910"), "{narrow}");
        }
    }
}

/// A source that states a paid fee with the wrong sign and no position is set right by the ledger and the account's mode;
/// the list shows what the report counts, and says which fields the fill did not say itself.
#[test]
fn fills_are_listed_as_they_are_counted() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let fill = |id: &str, symbol: &str, fee: &str| {
        format!(
            r#"{{"schema":"fillbook.fill/1","source":"rest","symbol":"{symbol}","fill_id":"{id}","side":"BUY","ts":1772344800000,"price":"100","qty":"2","order_id":"9{id}","fee":"{fee}","fee_asset":"USDT","sequence":"{id}"}}"#
        )
    };
    let commission = r#"{"schema":"fillbook.income/1","source":"rest","income_type":"COMMISSION","tran_id":"11","symbol":"ETHUSDT","asset":"USDT","amount":"-0.1","ts":1772344800000,"fill_id":"1"}"#;
    let lines = [&fill("1", "ETHUSDT", "-0.1"), &fill("1", "BTCUSDT", "-0.2"), commission];
    sandbox.write("facts.ndjson", lines.join("\n"));
    sandbox.run(&["import", "facts.ndjson"]).exits(0);
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    let shown: Vec<String> = fills
        .iter()
        .map(|fill| format!("{} {} {} {}", fill["symbol"], fill["fee"], fill["position_side"], fill["decided"]))
        .collect();
    assert_eq!(
        shown,
        [
            r#""BTCUSDT" "-0.2" "NET" "position_side""#, // a rebate: no entry of the ledger says otherwise
            r#""ETHUSDT" "0.1" "NET" "fee position_side""#,
        ]
    );
    let report = sandbox.run(&["report", "--json"]).exits(0).json();
    let open = report.iter().find(|line| line["schema"] == "fillbook.report.rest/1").unwrap();
    assert!(open.to_string().contains(r#""-0.1""#), "-0.2 + 0.1 in fees of what is open: {open}");
}

/// A flat position stands among the open ones only where nothing proves that it is flat, and the list says so.
#[test]
fn a_flat_position_is_listed_where_nothing_proves_it() {
    let sandbox = book_with_trades();
    let symbols = |args: &[&str]| {
        let rows = sandbox.run(&[&["positions", "--json"], args].concat()).exits(0).json();
        rows.iter().map(|row| row["symbol"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(symbols(&["--all"]), ["BTCUSDT", "ETHUSDT", "SOLUSDC"]);
    assert_eq!(symbols(&[]), ["ETHUSDT", "SOLUSDC"]);
    let told = sandbox.run(&["positions"]).exits(0).stdout;
    assert!(told.contains("Flat by what is on record, which nothing proves so far: SOLUSDC."), "{told}");
    // The exchange has said the same.
    let flat = r#"{"schema":"fillbook.position/1","source":"rest","symbol":"SOLUSDC","position_side":"NET","ts":1772500000000,"qty":"0"}"#;
    sandbox.write("flat.ndjson", flat);
    sandbox.run(&["import", "flat.ndjson"]).exits(0);
    assert_eq!(symbols(&[]), ["ETHUSDT"]);
    assert!(!sandbox.run(&["positions"]).exits(0).stdout.contains("nothing proves"));
}

/// Without a name that the book has, its accounts are all told; a name that was given must be one of them.
#[test]
fn status_tells_all_accounts_where_none_was_meant() {
    let sandbox = Sandbox::empty();
    for account in ["one", "two"] {
        sandbox.run(&["init", "--account", account]).exits(0);
    }
    let all = sandbox.run(&["status"]).exits(0).stdout;
    assert!(all.contains("Account    one (") && all.contains("Account    two ("), "{all}");
    let json = sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!(json.iter().map(|status| status["account"].as_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
    let one = sandbox.run(&["status", "--account", "two"]).exits(0).stdout;
    assert!(!one.contains("Account    one ("), "{one}");
    assert!(sandbox.run(&["status", "--csv"]).exits(2).stderr.contains("--json"));
    let typo = sandbox.run(&["status", "--account", "tow"]).exits(1);
    assert!(typo.stderr.contains("one, two"), "{}", typo.stderr);
}
