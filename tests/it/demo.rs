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
