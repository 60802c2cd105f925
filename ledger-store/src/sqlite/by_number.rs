//! Lists that run by row number: the journal's.

/// The part of a list that a page asks for, from the number of its cursor on.
macro_rules! by_number {
    ($query:expr, $page:expr, $id:expr) => {{
        use crate::page::{Cursor, Direction};
        let after = $page.after.as_ref().map(Cursor::id).transpose()?;
        let query = match (after, $page.direction) {
            (None, _) => $query,
            (Some(id), Direction::OldestFirst) => $query.filter($id.gt(id)),
            (Some(id), Direction::NewestFirst) => $query.filter($id.lt(id)),
        };
        match $page.direction {
            Direction::OldestFirst => query.order($id.asc()),
            Direction::NewestFirst => query.order($id.desc()),
        }
        .limit($page.limit_rows())
    }};
}
pub(super) use by_number;
