//! The `fillbook` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    fillbook::main()
}
