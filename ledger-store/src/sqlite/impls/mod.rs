//! The traits of a book, on the SQLite book, a file each.

mod derived_reader;
mod fact_reader;
mod journal;
mod leases;
mod maintenance;
mod outbox;
mod writer;
