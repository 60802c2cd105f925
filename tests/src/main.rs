//! The `fillbook` command, for the tests.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    fillbook::main()
}
