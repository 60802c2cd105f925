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
    assert_eq!(checks.len(), 13);
    assert_eq!(of("fail"), ["schema", "recomputation"]);
    assert_eq!(of("pass"), ["derived_rows", "sources_agree", "position_mode"]);
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
