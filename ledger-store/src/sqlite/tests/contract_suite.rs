//! The contract suite, on files with both kinds of writer and in memory. Checkpoints are kept every few fills, so that
//! they matter in histories that are quick to run.

use crate::contract::{Book, RULES};
use crate::{OpenOptions, SqliteStore};

fn on_file(options: &OpenOptions) -> Book {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions { checkpoint_every: 7, ..options.clone() }.with_rules("binance_usdm", RULES);
    Book::new(SqliteStore::open(directory.path().join("book.db"), &options).unwrap(), directory)
}

mod threaded {
    crate::contract_tests!(|| super::on_file(&crate::OpenOptions::creating()));
}

mod inline {
    crate::contract_tests!(|| super::on_file(&crate::OpenOptions::inline()));
}

mod in_memory {
    crate::contract_tests!(|| crate::contract::Book::new(
        crate::SqliteStore::in_memory(
            &crate::OpenOptions { checkpoint_every: 3, ..crate::OpenOptions::inline() }
                .with_rules("binance_usdm", crate::contract::RULES)
        )
        .unwrap(),
        ()
    ));
}
