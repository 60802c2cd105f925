//! The `fillbook` command.

fn main() {}
