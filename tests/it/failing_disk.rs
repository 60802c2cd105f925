//! A disk that fails once: every write, flush, cut and read of the book's files, one after the other, in a command that
//! writes and in one that reads.
//!
//! Whatever fails, and whenever: the command says what happened, with the class of `ledger-store`'s table of causes, the exit
//! code and advice that fit; nothing that was recorded is lost; and the same command again makes good what is missing. No
//! failure of the disk is called damage.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, Sandbox};

/// A kind of system call, what it fails with, how the command calls that, and a part of the advice.
struct Cause {
    calls: &'static str,
    errno: i32,
    kind: &'static str,
    advice: &'static str,
}

const EIO: i32 = 5;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

const CAUSES: [Cause; 9] = [
    Cause { calls: "write", errno: EIO, kind: "device", advice: "dmesg" },
    Cause { calls: "write", errno: ENOSPC, kind: "disk_full", advice: "free some space" },
    Cause { calls: "write", errno: EDQUOT, kind: "disk_full", advice: "quota" },
    Cause { calls: "write", errno: EFBIG, kind: "file_too_large", advice: "ulimit -f" },
    Cause { calls: "write", errno: EROFS, kind: "read_only", advice: "writable" },
    Cause { calls: "sync", errno: EIO, kind: "device", advice: "dmesg" },
    Cause { calls: "sync", errno: ENOSPC, kind: "disk_full", advice: "free some space" },
    Cause { calls: "truncate", errno: EIO, kind: "device", advice: "dmesg" },
    Cause { calls: "read", errno: EIO, kind: "device", advice: "dmesg" },
];

/// Compiles what lets a call fail.
fn shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/support/fail_once.c");
    let library = folder.join("fail_once.so");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

/// A book with a committed fill, and a file with another one.
fn book() -> Sandbox {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    for (name, id, side) in [("first", 1, "BUY"), ("second", 2, "SELL")] {
        let header = "symbol,id,orderId,side,positionSide,price,qty,quoteQty,commission,commissionAsset,marginAsset,realizedPnl,maker,time";
        let row = format!(
            "BTCUSDT,{id},{id},{side},BOTH,60000,0.01,600,0.24,USDT,USDT,0,false,{}",
            1_772_344_800_000_u64 + id * 1_000
        );
        sandbox.write(&format!("{name}.csv"), format!("{header}\n{row}\n"));
    }
    sandbox.run(&["import", "first.csv"]).exits(0);
    sandbox
}

/// Every how manyeth call is tried: all of them in `.ci/long`.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn step() -> usize {
    std::env::var("FILLBOOK_EVERY_CALL").map_or(11, |_| 1)
}

struct Tried {
    calls: usize,
    told: usize,
}

/// Lets each call of a cause fail in `args`, until the command no longer gets to the next one.
fn each(library: &Path, cause: &Cause, args: &[&str], made: &Sandbox, check: &dyn Fn(&Sandbox, &Run, &str)) -> Tried {
    let mut tried = Tried { calls: 0, told: 0 };
    for nth in (1..).step_by(step()) {
        let sandbox = Sandbox::empty();
        for (name, bytes) in made.files() {
            sandbox.write(&name, bytes);
        }
        let (path, mark) = (sandbox.path().join("fillbook.db"), sandbox.path().join("failed"));
        let run = sandbox.command(
            &[args, &["--json"]].concat(),
            &[
                ("LD_PRELOAD", library.to_str().unwrap()),
                ("FAIL_CALLS", cause.calls),
                ("FAIL_NTH", &nth.to_string()),
                ("FAIL_ERRNO", &cause.errno.to_string()),
                ("FAIL_PATH", path.to_str().unwrap()),
                ("FAIL_COUNT", mark.to_str().unwrap()),
            ],
        );
        if !mark.exists() {
            run.exits(0);
            return tried;
        }
        tried.calls += 1;
        let when = format!("{args:?}: {} {nth} fails with {}: {}", cause.calls, cause.errno, run.transcript());
        // SQLite may do without a call: it tries again, or leaves tidying up to the next command.
        if run.code != 0 {
            tried.told += 1;
            assert_eq!(run.code, 1, "{when}");
            let error: serde_json::Value = serde_json::from_str(run.stderr.lines().last().unwrap_or_default())
                .unwrap_or_else(|_| panic!("{when}"));
            assert_eq!(error["kind"], cause.kind, "{when}");
            assert!(error["hints"].to_string().contains(cause.advice), "{when}");
            assert!(!run.stderr.contains("damaged") && !run.stderr.contains("backup"), "{when}");
        }
        check(&sandbox, &run, &when);
    }
    tried
}

fn ids(sandbox: &Sandbox) -> Vec<String> {
    let fills = sandbox.run(&["fills", "--json"]).exits(0).json();
    fills.iter().map(|fill| fill["fill_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_disk_that_fails_once_is_told_as_what_it_is_and_loses_nothing() {
    let made = book();
    let library = shim(made.path());
    let (mut calls, mut told) = (0, 0);
    for cause in &CAUSES {
        let tried = each(&library, cause, &["import", "second.csv"], &made, &|sandbox, run, when| {
            let kept = ids(sandbox);
            assert!(kept.contains(&"1".to_owned()), "{when}: the committed fill is lost");
            assert!(run.code != 0 || kept.len() == 2, "{when}: answered, and not recorded");
            sandbox.run(&["import", "second.csv"]).exits(0);
            assert_eq!(ids(sandbox), ["1", "2"], "{when}");
            let verify = sandbox.run(&["verify"]);
            assert!(verify.code == 0 && !verify.stdout.contains("FAIL"), "{when}: {}", verify.transcript());
        });
        println!("import, {} fails with {}: {} calls, {} told", cause.calls, cause.errno, tried.calls, tried.told);
        assert!(tried.told > 0 || step() > 1, "no {} failed", cause.calls);
        calls += tried.calls;
        told += tried.told;
    }
    let reading = Cause { calls: "read", errno: EIO, kind: "device", advice: "dmesg" };
    for args in [&["fills"][..], &["verify"]] {
        let tried = each(&library, &reading, args, &made, &|sandbox, _, when| {
            assert_eq!(ids(sandbox), ["1"], "{when}");
        });
        println!("{args:?}, read fails: {} calls, {} told", tried.calls, tried.told);
        calls += tried.calls;
        told += tried.told;
    }
    println!("{calls} calls failed, {told} of them were told");
    assert!(told > 20, "{told}");
}
