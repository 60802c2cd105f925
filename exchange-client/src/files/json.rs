//! JSON objects as named texts: numbers keep the digits they were written with and never pass through a float.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::cell::Cell;
use super::error::{RowError, RowProblem};

/// The fields of a JSON object. Strings are unescaped, numbers and booleans are their literal text, `null` is absence.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    scalars: BTreeMap<String, Scalar>,
    nested: BTreeMap<String, &'a RawValue>,
    nulls: Vec<String>,
}

#[derive(Debug)]
struct Scalar {
    /// The field's name in messages, with the path to it.
    path: String,
    text: String,
}

impl<'a> Object<'a> {
    /// Reads an object whose fields are shown with `prefix` before their names.
    pub(super) fn parse(text: &'a str, prefix: &str) -> Result<Self, RowError> {
        if !text.trim_start().starts_with('{') {
            return Err(RowError::row(RowProblem::NotAnObject));
        }
        let fields: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).map_err(row_error)?;
        let mut object = Self::default();
        for (name, raw) in fields {
            let literal = raw.get();
            let text = match literal.as_bytes().first() {
                Some(b'{' | b'[') => {
                    object.nested.insert(name, raw);
                    continue;
                }
                Some(b'n') => {
                    object.nulls.push(name);
                    continue;
                }
                Some(b'"') => serde_json::from_str(literal).map_err(row_error)?,
                _ => literal.to_owned(),
            };
            let path = format!("{prefix}{name}");
            object.scalars.insert(name, Scalar { path, text });
        }
        Ok(object)
    }

    /// The value of a field, unless it is absent or blank.
    pub(super) fn get(&self, name: &str) -> Option<Cell<'_>> {
        self.scalars.get(name).and_then(|scalar| Cell::new(&scalar.path, &scalar.text).present())
    }

    /// The value of the first of these fields that has one.
    pub(super) fn first(&self, names: &[&str]) -> Option<Cell<'_>> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The text of a field that is an object or array.
    pub(super) fn nested(&self, name: &str) -> Option<&'a str> {
        self.nested.get(name).map(|raw| raw.get())
    }

    /// Whether it has the field, even as `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.scalars.contains_key(name) || self.nested.contains_key(name) || self.nulls.iter().any(|null| null == name)
    }

    /// The names of its fields that hold a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.scalars.keys().map(String::as_str)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.nested.is_empty() && self.nulls.is_empty()
    }
}

pub(super) fn row_error(error: serde_json::Error) -> RowError {
    RowError::row(RowProblem::Json(error))
}
