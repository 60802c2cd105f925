//! `schema.rs` against the migrated database.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::{OpenOptions, SqliteStore};

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    sql_type: String,
    #[diesel(sql_type = BigInt)]
    required: i64,
}

/// `table column type`, as the migrations have it.
async fn migrated() -> Vec<String> {
    let store = SqliteStore::in_memory(&OpenOptions::inline()).unwrap();
    let columns: Vec<Column> = store
        .read(|conn| {
            Ok(diesel::sql_query(
                "SELECT m.name AS table_name, c.name AS name, c.type AS sql_type,
                    (c.\"notnull\" = 1 OR c.pk > 0) AS required
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'
                 ORDER BY m.name, c.cid",
            )
            .load(conn)
            .unwrap())
        })
        .await
        .unwrap();
    columns
        .into_iter()
        .map(|column| {
            let inner = match column.sql_type.as_str() {
                "TEXT" => "Text",
                "BLOB" => "Binary",
                _ => "Integer",
            };
            let sql_type = if column.required == 1 { inner.to_owned() } else { format!("Nullable<{inner}>") };
            format!("{} {} {sql_type}", column.table_name, column.name)
        })
        .collect()
}

/// The same, as `schema.rs` has it; its booleans are integers in the file.
fn declared() -> Vec<String> {
    let mut table = "";
    let mut columns = Vec::new();
    for line in include_str!("../schema.rs").lines() {
        let line = line.trim();
        if let Some((column, sql_type)) = line.trim_end_matches(',').split_once(" -> ") {
            columns
                .push(format!("{table} {column} {}", sql_type.replace("BigInt", "Integer").replace("Bool", "Integer")));
        } else if let Some((name, _)) = line.split_once(" (") {
            table = name;
        }
    }
    columns
}

#[tokio::test]
async fn the_declared_schema_is_the_migrated_one() {
    let (migrated, declared) = (migrated().await, declared());
    assert!(migrated.len() > 200, "{}", migrated.len());
    assert_eq!(migrated, declared);
}
