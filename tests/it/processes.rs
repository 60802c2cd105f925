//! Several processes on one book, and a process that dies in the middle.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::support::{Sandbox, fixture};

fn spawn(sandbox: &Sandbox, args: &[&str]) -> Child {
    sandbox.prepared(args, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn many_processes_can_create_the_same_book_at_once() {
    let sandbox = Sandbox::empty();
    let children: Vec<_> = (0..6).map(|_| spawn(&sandbox, &["init", "--position-mode", "one-way"])).collect();
    for child in children {
        let (code, stderr) = wait(child);
        assert_eq!(code, Some(0), "{stderr}");
    }
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn two_imports_at_once_lose_nothing() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let files = ["trades-archive.csv", "orders.csv", "transactions.csv", "ccxt-trades.json", "trades-legacy.csv"];
    let files = files.map(|name| fixture(&format!("import/one-way/{name}")));
    let children: Vec<_> = files.iter().map(|file| spawn(&sandbox, &["import", file])).collect();
    for child in children {
        let (code, stderr) = wait(child);
        assert_eq!(code, Some(0), "{stderr}");
    }
    let alone = Sandbox::with_book(&["--position-mode", "one-way"]);
    alone.run(&["import", &files[0], &files[1], &files[2], &files[3], &files[4]]).exits(0);
    for list in
        [&["fills", "--json"][..], &["income", "--json"], &["positions", "--all", "--json"], &["trips", "--json"]]
    {
        assert_eq!(sandbox.run(list).exits(0).stdout, alone.run(list).exits(0).stdout, "{list:?}");
    }
    sandbox.run(&["verify"]).exits(0);
}

/// The import waits for a second file that comes through a pipe and stalls, so that it can be killed for sure between
/// recording the first and computing anything of it.
#[test]
fn an_import_that_is_killed_loses_nothing_that_was_recorded() {
    let sandbox = Sandbox::with_book(&[]);
    let header = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time\n";
    let row = |id: u32| {
        let (side, ms) = (if id.is_multiple_of(2) { "SELL" } else { "BUY" }, 1_772_344_800_000 + u64::from(id));
        format!("BTCUSDT,{id},{},{side},BOTH,60000.0,0.010,600,0.24,USDT,USDT,0,false,{ms}\n", id / 2)
    };
    let all: String = std::iter::once(header.to_owned()).chain((1..=30_000).map(row)).collect();
    sandbox.write("trades.csv", &all);
    let pipe = sandbox.path().join("pipe.csv");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let half = all.match_indices('\n').nth(20_000).unwrap().0;
    sandbox.write("first.csv", &all[..=half]);
    let mut child = spawn(&sandbox, &["import", "first.csv", "pipe.csv"]);
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(header.as_bytes()).unwrap();
    let recorded = || sandbox.run(&["fills", "--json"]).exits(0).stdout.lines().count();
    let mut asked = 0;
    while recorded() == 0 {
        asked += 1;
        assert!(asked < 1_000, "the import records nothing");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(writer);
    let survived = recorded();
    assert!(survived > 0 && survived < 30_000, "{survived}");
    let warned = sandbox.run(&["positions"]).exits(0);
    assert!(warned.stderr.contains("out of date"), "{}", warned.transcript());
    sandbox.run(&["verify"]).exits(3);

    sandbox.run(&["import", "trades.csv"]).exits(0);
    assert_eq!(recorded(), 30_000);
    let verify = sandbox.run(&["verify"]);
    assert!(verify.stdout.contains("30000 fills in 1 symbol, to the last digit"), "{}", verify.transcript());
    let whole = Sandbox::with_book(&[]);
    whole.write("trades.csv", &all);
    whole.run(&["import", "trades.csv"]).exits(0);
    for list in [&["positions", "--all", "--json"][..], &["trips", "--json"]] {
        assert_eq!(sandbox.run(list).exits(0).stdout, whole.run(list).exits(0).stdout, "{list:?}");
    }
}
