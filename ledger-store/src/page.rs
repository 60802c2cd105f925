//! Pages: reads go on after the last key seen, so that rows written meanwhile neither repeat nor hide others.

use std::fmt;
use std::str::FromStr;

use crate::error::{BackendError, StoreError, UnreadableRow};

/// Where a page ended. Opaque; only good for the same query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<String>);

impl Cursor {
    pub(crate) fn new(parts: Vec<String>) -> Self {
        Self(parts)
    }

    /// Whether a list that runs in `direction` cannot lead from this place to `next`. Of places that begin with a number (a
    /// time, the number of a row) the number tells; of others, whether they are one.
    fn leads_back_to(&self, next: &Self, direction: Direction) -> bool {
        let number = |cursor: &Self| cursor.0.first().and_then(|part| part.parse::<i64>().ok());
        let goes_back = match (number(self), number(next), direction) {
            (Some(from), Some(to), Direction::OldestFirst) => to < from,
            (Some(from), Some(to), Direction::NewestFirst) => to > from,
            _ => false,
        };
        goes_back || self == next
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
    /// Whether rows that cannot be read are named in [`Page::unreadable`]; else the first is an error. To whoever concludes
    /// from what is on a list, a list without one of its items is a false one.
    pub goes_past_unreadable: bool,
}

impl PageRequest {
    /// The first `limit` items, oldest first.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit, direction: Direction::OldestFirst, goes_past_unreadable: false }
    }

    /// The last `limit` items, newest first.
    pub fn newest(limit: u32) -> Self {
        Self { after: None, limit, direction: Direction::NewestFirst, goes_past_unreadable: false }
    }

    /// The same, naming what cannot be read beside the rest.
    #[must_use]
    pub fn past_unreadable(self) -> Self {
        Self { goes_past_unreadable: true, ..self }
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
        mut decode: impl FnMut(R) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let limit = usize::try_from(self.limit.max(1)).unwrap_or(usize::MAX);
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(cursor)
        } else {
            None
        };
        let mut page = Page { items: Vec::with_capacity(rows.len()), unreadable: Vec::new(), next };
        for row in rows {
            match decode(row) {
                Ok(item) => page.items.push(item),
                Err(StoreError::CorruptRow { row }) if self.goes_past_unreadable => page.unreadable.push(row),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    /// The page after `cursor` of the same list.
    #[must_use]
    pub fn after(self, cursor: Cursor) -> Self {
        Self { after: Some(cursor), ..self }
    }

    /// The request for the page that begins after `next`, which the answer to this one names.
    ///
    /// # Errors
    /// When that leads back to where the list was.
    pub(crate) fn followed_by(self, next: Cursor) -> Result<Self, StoreError> {
        match &self.after {
            Some(after) if after.leads_back_to(&next, self.direction) => {
                // The error carries SQLite's words: every damage of the book is reported the same way.
                let source = BackendError::new(format!(
                    "database disk image is malformed: a list leads from {after} back to {next}"
                ));
                Err(StoreError::Backend { operation: "read a page", source })
            }
            _ => Ok(self.after(next)),
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Those that cannot be read, where the request goes past them.
    pub unreadable: Vec<UnreadableRow>,
    /// Where the next page goes on; `None` when this was the last.
    pub next: Option<Cursor>,
}
