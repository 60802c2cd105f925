//! What is particular to the SQLite book; what every book must do is in the contract suite.

mod altered;
mod checkpoints;
mod contract_suite;
mod leases;
mod opening;
mod proofs;
mod schema_matches;
mod sharing;

use std::path::{Path, PathBuf};

use crate::*;

struct Folder {
    directory: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn book(&self) -> PathBuf {
        self.directory.path().join("book.db")
    }
}

fn refusal(path: &Path, options: &OpenOptions) -> StoreError {
    SqliteStore::open(path, options).expect_err("the file should be refused")
}

fn raw(path: &Path) -> diesel::sqlite::SqliteConnection {
    use diesel::connection::Connection;
    diesel::sqlite::SqliteConnection::establish(path.to_str().unwrap()).unwrap()
}

fn execute(path: &Path, statements: &str) {
    use diesel::connection::SimpleConnection;
    raw(path).batch_execute(statements).unwrap();
}
