//! The `fillbook` command, for the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    fillbook::main()
}
