//! Pages: reads go on after the last key seen, so that rows written meanwhile neither repeat nor hide others.

use std::fmt;
use std::str::FromStr;

use crate::error::StoreError;

/// Where a page ended. Opaque; only good for the same query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<String>);

impl Cursor {
    pub(crate) fn new(parts: Vec<String>) -> Self {
        Self(parts)
    }

    /// The parts, if there are `N`.
    pub(crate) fn parts<const N: usize>(&self) -> Result<&[String; N], StoreError> {
        self.0.as_slice().try_into().map_err(|_| StoreError::BadCursor { cursor: self.to_string() })
    }

    /// The cursor of a list that runs by row number.
    pub(crate) fn id(&self) -> Result<i64, StoreError> {
        let [id] = self.parts()?;
        self.number(id)
    }

    pub(crate) fn number(&self, part: &str) -> Result<i64, StoreError> {
        part.parse().map_err(|_| StoreError::BadCursor { cursor: self.to_string() })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|_| StoreError::BadCursor { cursor: text.chars().take(80).collect() })
    }
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// From the oldest on.
    #[default]
    OldestFirst,
    /// From the newest back.
    NewestFirst,
}

/// Which part of a list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Where the previous page ended; `None` for the first.
    pub after: Option<Cursor>,
    /// How many items at most; at least 1 is read.
    pub limit: u32,
    /// Which way.
    pub direction: Direction,
}

impl PageRequest {
    /// The first `limit` items, oldest first.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit, direction: Direction::OldestFirst }
    }

    /// The last `limit` items, newest first.
    pub fn newest(limit: u32) -> Self {
        Self { after: None, limit, direction: Direction::NewestFirst }
    }

    /// One row more than asked for tells whether there is a next page.
    pub(crate) fn limit_rows(&self) -> i64 {
        i64::from(self.limit.max(1)) + 1
    }

    /// Makes a page of at most `limit_rows` rows.
    pub(crate) fn finish<R, T>(
        &self,
        mut rows: Vec<R>,
        cursor: impl Fn(&R) -> Cursor,
        decode: impl FnMut(R) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let limit = usize::try_from(self.limit.max(1)).unwrap_or(usize::MAX);
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(cursor)
        } else {
            None
        };
        Ok(Page { items: rows.into_iter().map(decode).collect::<Result<_, _>>()?, next })
    }

    /// The page after `cursor` of the same list.
    #[must_use]
    pub fn after(&self, cursor: Cursor) -> Self {
        Self { after: Some(cursor), ..self.clone() }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page goes on; `None` when this was the last.
    pub next: Option<Cursor>,
}
