//! What is particular to the SQLite book; what every book must do is in the contract suite.

mod contract_suite;
mod files;
mod schema_matches;
