//! A book of which somebody damaged a row: what it hides is that row and nothing else.

use serde_json::Value;

use crate::support::Sandbox;

fn fill(id: &str, price: &str) -> String {
    let id_ms = id.parse::<i64>().unwrap() * 1_000 + 1_772_344_800_000;
    format!(
        r#"{{"schema":"fillbook.fill/1","source":"exchange_csv","symbol":"ETHUSDT","fill_id":"{id}","side":"BUY","ts":{id_ms},"price":"{price}","qty":"2","position_side":"NET"}}"#
    )
}

/// A book of three fills, and the second is damaged.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_book(&[]);
    sandbox.write("facts.ndjson", ["1", "2", "3"].map(|id| fill(id, "100")).join("\n"));
    sandbox.run(&["import", "facts.ndjson", "--quiet"]).exits(0);
    sandbox.tamper("UPDATE fills SET price = '12x' WHERE fill_id = '2'");
    sandbox
}

/// A list shows the rest and names it; the exit code tells. So it does for programs, on standard error.
#[test]
fn a_damaged_row_hides_no_other_from_a_list() {
    let sandbox = sandbox();
    let table = sandbox.run(&["fills"]).exits(6);
    assert_eq!(table.stdout.lines().count(), 2 + 2, "{}", table.transcript());
    for expected in ["1 row cannot be read and is not shown", "row main/ETHUSDT/2/BUY: column price", "backup"] {
        assert!(table.stderr.contains(expected), "{}", table.transcript());
    }
    let lines = sandbox.run(&["fills", "--json", "-n", "2"]).exits(6);
    let ids: Vec<_> = lines.json().iter().map(|line| line["fill_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["1", "3"]);
    let error: Value = serde_json::from_str(lines.stderr.trim()).unwrap();
    assert_eq!((&error["schema"], &error["kind"]), (&"fillbook.error/1".into(), &"corrupt".into()));
}

/// Whatever can be checked is checked all the same, and nothing that rests on the row passes.
#[test]
fn a_damaged_row_stops_no_other_check() {
    let sandbox = sandbox();
    let checks = sandbox.run(&["verify", "--json"]).exits(6).json();
    let of = |verdict: &str| {
        let checks = checks.iter().filter(|check| check["verdict"] == verdict);
        checks.map(|check| check["check"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(checks.len(), 16);
    assert_eq!(of("fail"), ["schema", "recomputation"]);
    assert_eq!(of("pass"), ["derived_rows"]);
    assert!(checks[0]["detail"].as_str().unwrap().contains("row main/ETHUSDT/2/BUY: column price"), "{:?}", checks[0]);
}

/// An import says which row of its file is about it, and records the others.
#[test]
fn a_damaged_row_stops_no_other_row_of_an_import() {
    let sandbox = sandbox();
    sandbox.write("more.ndjson", ["1", "2", "3", "4"].map(|id| fill(id, "100")).join("\n"));
    let import = sandbox.run(&["import", "more.ndjson", "--json"]).exits(6);
    let rejected: Vec<_> =
        import.json().into_iter().filter(|line| line["schema"] == "fillbook.import.rejected/1").collect();
    assert_eq!(rejected.len(), 1, "{}", import.transcript());
    assert_eq!(rejected[0]["line"], 2);
    let reason = rejected[0]["reason"].as_str().unwrap();
    assert!(reason.contains("fill 2 (ETHUSDT BUY)") && reason.contains("column price"), "{reason}");
    let listed = sandbox.run(&["fills", "--json"]).exits(6).json();
    assert_eq!(listed.len(), 3, "1, 3 and the new one");
    // Its symbol has no positions now, and says why.
    let positions = sandbox.run(&["positions"]);
    assert!(positions.stderr.contains("ETHUSDT cannot be computed"), "{}", positions.transcript());
}

/// A closed round trip at +2, one at -1, and an open one, with two entries of the exchange's ledger.
fn traded() -> Sandbox {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let trade = |id: &str, side: &str, price: &str| {
        fill(id, price)
            .replace("BUY", side)
            .replace(r#""qty":"2""#, r#""qty":"2","fee":"0","fee_asset":"USDT""#)
            .replace(r#","position_side":"NET""#, "")
    };
    let income = |tran: &str, amount: &str| {
        format!(
            r#"{{"schema":"fillbook.income/1","source":"rest","income_type":"TRANSFER","tran_id":"{tran}","asset":"USDT","amount":"{amount}","ts":1772344800000}}"#
        )
    };
    let facts = [
        trade("1", "BUY", "100"),
        trade("2", "SELL", "101"),
        trade("3", "BUY", "100"),
        trade("4", "SELL", "99.5"),
        trade("5", "BUY", "100"),
        income("11", "50"),
        income("12", "7"),
    ];
    sandbox.write("facts.ndjson", facts.join("\n"));
    sandbox.run(&["import", "facts.ndjson", "--quiet"]).exits(0);
    sandbox
}

/// A report shows what can be read, names what cannot, and marks every sum that lacks it: as the exit code does, so does
/// what a program or a person reads.
#[test]
fn a_damaged_row_leaves_no_sum_of_a_report_certain() {
    let find = |lines: &[Value], schema: &str| {
        let schema = format!("fillbook.report.{schema}/1");
        lines.iter().find(|line| line["schema"] == schema.as_str()).unwrap_or(&Value::Null).clone()
    };
    let sound = traded().run(&["report", "--by", "symbol", "--json"]).exits(0).json();
    assert_eq!(find(&sound, "total")["gross"]["USDT"]["amount"], "1");
    assert_eq!(find(&sound, "total")["certainty"], "estimated", "nothing says that the book holds its beginning");
    assert_eq!(find(&sound, "rest")["left_out"], serde_json::json!({ "trips": 0, "cash": 0, "contracts": [] }));

    let closed = traded();
    closed.tamper("UPDATE round_trips SET qty_max = 'x' WHERE trip_no = 2");
    let told = closed.run(&["report", "--by", "symbol", "--json"]).exits(6);
    assert!(told.stderr.contains("main/ETHUSDT/2: column qty_max"), "{}", told.transcript());
    assert!(told.stderr.contains("rebuild"), "{}", told.transcript());
    let lines = told.json();
    for line in ["group", "total"].map(|schema| find(&lines, schema)) {
        assert_eq!((&line["trips"], &line["certainty"]), (&1.into(), &"unknown".into()), "{line}");
        let gross = &line["gross"]["USDT"];
        assert_eq!((&gross["estimated"], &gross["certainty"]), (&"2".into(), &"unknown".into()), "{line}");
    }
    assert_eq!(find(&lines, "rest")["left_out"]["trips"], 1);
    assert_eq!(find(&lines, "cash")["amount"], "57");
    let table = closed.run(&["report"]).exits(6);
    assert!(
        table.stdout.contains("Every figure may lack some of 1 round trip that cannot be read."),
        "{}",
        table.stdout
    );
    let csv = closed.run(&["report", "--csv"]).exits(6);
    assert!(
        csv.stdout.lines().any(|line| line.starts_with("left_out,round_trips,") && line.ends_with(",1")),
        "{}",
        csv.stdout
    );

    let wallet = traded();
    wallet.tamper("UPDATE income SET amount = 'x' WHERE tran_id = '11'");
    let lines = wallet.run(&["report", "--json"]).exits(6).json();
    assert_eq!(
        (&find(&lines, "total")["certainty"], &find(&lines, "cash")["amount"]),
        (&"estimated".into(), &"7".into())
    );
    assert_eq!(find(&lines, "rest")["left_out"]["cash"], 1);
    let table = wallet.run(&["report"]).exits(6);
    assert!(
        table.stdout.contains("Not in it: 1 row of the exchange's ledger that cannot be read."),
        "{}",
        table.stdout
    );

    let books = traded();
    books.tamper("UPDATE symbol_books SET unallocated_funding_json = 'x'");
    let lines = books.run(&["report", "--json"]).exits(6).json();
    let rest = find(&lines, "rest");
    assert_eq!((&rest["unallocated_funding"], &rest["open_trips"]), (&Value::Null, &1.into()), "{rest}");
    assert_eq!(find(&lines, "total")["gross"]["USDT"]["amount"], "1");
}

/// A damaged row of an open round trip takes away what is told of the open ones.
#[test]
fn a_damaged_open_trip_is_not_taken_for_none() {
    let sandbox = traded();
    sandbox.tamper("UPDATE round_trips SET qty_max = 'x' WHERE closed_ts IS NULL");
    let report = sandbox.run(&["report", "--json"]).exits(6);
    let lines = report.json();
    let rest = lines.iter().find(|line| line["schema"] == "fillbook.report.rest/1").unwrap();
    assert_eq!((&rest["open_trips"], &rest["open_gross"]), (&Value::Null, &Value::Null), "{rest}");
    let table = sandbox.run(&["report"]).exits(6);
    assert!(table.stdout.contains("Not in it: open round trips, of which a row cannot be read."), "{}", table.stdout);
}
