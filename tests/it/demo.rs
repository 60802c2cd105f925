//! The demo: it must end well for every seed, and its losses must be real.

use crate::support::Sandbox;

/// Every case is lost, found and restored; many more seeds are tried in the command line's own tests.
#[test]
fn the_demo_ends_in_balance() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.path().to_str().unwrap().to_owned();
    let mut stories = std::collections::BTreeSet::new();
    for seed in [7, 4_711] {
        let run = sandbox.command(&["demo", "--json", "--seed", &seed.to_string()], &[("TMPDIR", &folder)]).exits(0);
        let summary = run.json().pop().unwrap();
        assert_eq!((&summary["balances"], &summary["left"]), (&true.into(), &serde_json::json!([])), "{summary}");
        assert_eq!(summary["differences"], serde_json::json!([]), "{summary}");
        let (had, has) = (summary["book_fills_before"].as_u64().unwrap(), summary["exchange_fills"].as_u64().unwrap());
        assert!(had < has, "nothing was lost: {summary}");
        assert!(run.stderr.is_empty(), "{}", run.stderr);
        let db = summary["db"].as_str().unwrap();
        let list = |args: &[&str]| sandbox.run(&[&["--db", db, "--json"], args].concat()).exits(0).json();
        let fills = list(&["fills"]).len() + list(&["fills", "--account", "hedge"]).len();
        let watched = |key: &str| summary["watched"][key].as_u64().unwrap();
        assert_eq!(fills as u64, has + watched("fills"));
        assert!(watched("brought") > 0 && watched("dropped") > 0, "{summary}");
        assert_eq!(watched("fills"), watched("brought") + watched("dropped"), "{summary}");
        assert_eq!(watched("restored"), watched("dropped"), "{summary}");
        // Both modes were traded, and every kind of close is there.
        let mut sides: Vec<String> = Vec::new();
        for account in ["main", "hedge"] {
            let positions = list(&["positions", "--all", "--account", account]);
            sides.extend(positions.iter().map(|position| position["position_side"].as_str().unwrap().to_owned()));
            sandbox.run(&["--db", db, "--account", account, "verify"]).exits(0);
        }
        for side in ["NET", "LONG", "SHORT"] {
            assert!(sides.iter().any(|found| found == side), "{side}: {sides:?}");
        }
        let cases = summary["lost"].as_array().unwrap();
        for case in ["A", "B", "C", "D", "E"] {
            assert!(cases.iter().any(|lost| lost["case"].as_str().unwrap().starts_with(case)), "{case}: {summary}");
        }
        stories.insert(summary["lost"].to_string());
    }
    assert_eq!(stories.len(), 2, "the seed must vary the story");
}

#[test]
fn the_demo_is_readable() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.path().to_str().unwrap().to_owned();
    for width in [80_usize, 120] {
        let run = sandbox.command(&["demo"], &[("TMPDIR", &folder), ("COLUMNS", &width.to_string())]).exits(0);
        for heading in [
            "1. A bot trades",
            "2. What went wrong",
            "3. The audit",
            "4. The sync",
            "5. Watching",
            "6. The report",
            "7. The proof",
        ] {
            assert!(run.stdout.contains(heading), "{}", run.stdout);
        }
        assert!(run.stdout.contains("The book balances"), "{}", run.stdout);
        let told = run.stdout.lines().filter(|line| !line.contains(&folder));
        let widest = told.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{}", run.stdout);
        assert!(run.stdout.lines().count() < 170, "nobody reads that much:\n{}", run.stdout);
    }
}

/// `--db` names the demo's book. A file that is there already is somebody's: it is refused, and stays as it is. What the
/// environment names is the user's own book, not the demo's.
#[test]
fn the_demo_takes_no_existing_file() {
    let sandbox = Sandbox::with_book(&[]);
    let folder = sandbox.path().to_str().unwrap().to_owned();
    let before = std::fs::read(sandbox.path().join("fillbook.db")).unwrap();
    let run = sandbox.run(&["demo", "--db", "fillbook.db"]).exits(1);
    assert!(run.stderr.contains("exists already") && run.stderr.contains("try:"), "{}", run.transcript());
    assert!(run.stdout.is_empty(), "{}", run.transcript());
    let run = sandbox.run(&["--db", "nowhere/demo.db", "demo"]).exits(1);
    assert!(run.stderr.contains("nowhere/demo.db"), "{}", run.transcript());
    let environment = [("FILLBOOK_DB", "fillbook.db"), ("TMPDIR", folder.as_str())];
    let run = sandbox.command(&["--db", "demo.db", "demo", "--json"], &environment).exits(0);
    assert_eq!(run.json().pop().unwrap()["db"], "demo.db");
    assert!(!sandbox.run(&["trips", "--db", "demo.db", "--json"]).exits(0).stdout.is_empty());
    sandbox.command(&["demo", "--json"], &environment).exits(0);
    assert_eq!(std::fs::read(sandbox.path().join("fillbook.db")).unwrap(), before);
}
