//! The Python package: its own tests, run with the Python and the ccxt of the stranger's environment.
//!
//! They are in `cli/python/tests`, and mostly run against a test double of `fillbook record`, which can be told to hang, to die
//! and to fail at any line.

use std::process::Stdio;
use std::time::Duration;

use crate::stranger::{Environment, out_of_reach};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/python");

/// They take less than half a minute where nothing else runs.
const PATIENCE: Duration = Duration::from_mins(10);

#[test]
fn the_python_package_passes_its_own_tests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let python = match runtime.block_on(Environment::prepare()) {
        Ok(environment) => environment,
        Err(reason) => return out_of_reach("the Python package", &reason),
    };
    let mut command = python.command();
    command.args(["-m", "unittest", "discover", "--start-directory", "tests"]);
    command.current_dir(PACKAGE).env("PYTHONPATH", "src").env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("FILLBOOK_BINARY", env!("CARGO_BIN_EXE_fillbook-under-test"));
    command.stdin(Stdio::null());
    let output = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, command.output()).await })
        .unwrap_or_else(|_| panic!("the tests were not over after {PATIENCE:?}"))
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{told}", output.status);
    // A discovery that finds nothing succeeds.
    let ran = told.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<u32>().ok());
    assert!(ran.is_some_and(|ran| ran >= 50), "{told}");
}
