//! JSON output: one object an item, with a `schema` field.

use serde_json::{Map, Value};

use super::Listing;

/// The object of an item.
pub(super) fn object<T>(listing: &Listing<T>, item: &T) -> Value {
    let mut object = Map::new();
    object.insert("schema".to_owned(), listing.schema.into());
    for column in listing.for_programs() {
        object.insert(column.key.to_owned(), (column.value)(item).json());
    }
    Value::Object(object)
}
