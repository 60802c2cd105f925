//! Imports that are stopped in the middle, by Ctrl-C or for good.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::support::{Sandbox, Signal, send};

/// More fills than one transaction takes.
const FILLS: usize = 40_000;

fn fills() -> String {
    let line = |nth: usize| {
        let (side, ts) = (if nth.is_multiple_of(2) { "BUY" } else { "SELL" }, 1_772_344_800_000 + nth);
        format!(
            r#"{{"schema":"fillbook.fill/1","source":"rest","symbol":"ETHUSDT","fill_id":"{}","side":"{side}","ts":{ts},"price":"100","qty":"2","position_side":"NET","fee":"0.1","fee_asset":"USDT","exchange_realized_pnl":"0","sequence":"{}"}}"#,
            nth + 1,
            nth + 1
        )
    };
    (0..FILLS).map(line).collect::<Vec<_>>().join("\n")
}

/// The first two thirds of the lines, or the rest.
fn part(rest: bool) -> String {
    let all = fills();
    let cut = all.match_indices('\n').nth(FILLS * 2 / 3).unwrap().0;
    if rest { all[cut..].to_owned() } else { all[..cut].to_owned() }
}

/// Begins an import of a file and of a pipe that stalls behind it, and comes back when something is recorded: however fast
/// the machine is, the import has not read all of it. Nothing of the pipe is recorded before all of it was looked at.
fn begun(sandbox: &Sandbox) -> (Child, File) {
    let pipe = sandbox.path().join("pipe.ndjson");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    sandbox.write("first.ndjson", part(false));
    let mut import = sandbox.prepared(&["import", "first.ndjson", "pipe.ndjson"], &[]);
    let child = import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let writer = File::options().write(true).open(&pipe).unwrap();
    while sandbox.run(&["fills", "-n", "1", "--json", "--quiet"]).stdout.is_empty() {}
    (child, writer)
}

/// The run is on record as interrupted, the facts that were recorded are whole, and the same import again brings the rest
/// and doubles nothing.
fn goes_on(sandbox: &Sandbox, how: &str) {
    let again = sandbox.run(&["import", "fills.ndjson", "--json"]).exits(0).json();
    let (new, old) = (again[0]["new"].as_u64().unwrap(), again[0]["already_there"].as_u64().unwrap());
    assert_eq!(new + old, FILLS as u64, "{how}: {again:?}");
    assert!(new > 0 && old > 0, "{how}: nothing was interrupted: {again:?}");
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    let statuses: Vec<_> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["interrupted", "done"], "{how}");
    let verify = sandbox.run(&["verify", "--json"]);
    assert!(verify.json().iter().all(|check| check["verdict"] != "fail"), "{how}: {}", verify.transcript());
}

#[test]
fn an_import_that_is_interrupted_leaves_a_sound_book_and_says_how_to_go_on() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    sandbox.write("fills.ndjson", fills());
    let (child, mut writer) = begun(&sandbox);
    send(Signal::INT, &child);
    // It reads on, and notices between two transactions; then nobody reads the pipe any more.
    let _not_all_is_read = writer.write_all(part(true).as_bytes());
    drop(writer);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("Interrupted") && said.contains("the same import again reads the rest"), "{said}");
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(runs[0]["status"], "interrupted");
    // Nothing derived is shown as if it were all.
    let positions = sandbox.run(&["positions"]);
    assert!(positions.stderr.contains("out of date"), "{}", positions.transcript());
    goes_on(&sandbox, "Ctrl-C");
}

#[test]
fn an_import_that_is_killed_is_made_good_by_the_next() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    sandbox.write("fills.ndjson", fills());
    let (mut child, _writer) = begun(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    goes_on(&sandbox, "kill");
}
