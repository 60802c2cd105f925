//! The demo: it must end well for every seed, and its losses must be real.

use crate::support::Sandbox;

#[test]
fn the_demo_ends_in_balance_for_every_seed() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.path().to_str().unwrap().to_owned();
    let mut stories = std::collections::BTreeSet::new();
    for seed in 0..12 {
        let run = sandbox.command(&["demo", "--json", "--seed", &seed.to_string()], &[("TMPDIR", &folder)]).exits(0);
        let summary = run.json().pop().unwrap();
        assert_eq!((&summary["balances"], &summary["unresolved"]), (&true.into(), &0.into()), "{summary}");
        assert!(summary["differences"].as_array().unwrap().is_empty(), "{summary}");
        let (had, has) = (summary["book_fills_before"].as_u64().unwrap(), summary["exchange_fills"].as_u64().unwrap());
        assert!(had < has, "nothing was lost: {summary}");
        assert!(summary["findings"].as_u64().unwrap() >= 4, "{summary}");
        assert!(run.stderr.is_empty(), "{}", run.stderr);
        let db = summary["db"].as_str().unwrap();
        let fills = sandbox.run(&["fills", "--db", db, "--json"]).exits(0).json();
        assert_eq!(fills.len() as u64, has);
        stories.insert((had, has));
    }
    assert!(stories.len() > 3, "the seed must vary the story: {stories:?}");
}

#[test]
fn the_demo_is_readable() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.path().to_str().unwrap().to_owned();
    let run = sandbox.command(&["demo"], &[("TMPDIR", &folder), ("COLUMNS", "80")]).exits(0);
    for heading in
        ["1. A bot trades", "2. What went wrong", "3. The audit", "4. The sync", "5. The report", "6. The proof"]
    {
        assert!(run.stdout.contains(heading), "{}", run.stdout);
    }
    assert!(run.stdout.contains("The book balances."), "{}", run.stdout);
    let widest = run.stdout.lines().filter(|line| !line.contains(&folder)).map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", run.stdout);
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
