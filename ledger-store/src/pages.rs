//! Reading a list to its end, page by page.

use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::store::StoreResult;

/// The pages of a list, one after the other, so that a list of any length needs the memory of one.
///
/// ```
/// # use ledger_core::AccountId;
/// # use ledger_store::{FactReader, FillFilter, PageRequest, Pages, Scope, StoreResult};
/// # async fn count(book: &dyn FactReader, account: AccountId) -> StoreResult<usize> {
/// let filter = FillFilter::from(Scope::account(account));
/// let mut pages = Pages::of(PageRequest::first(1_000), |page| book.fills(&filter, page));
/// let mut count = 0;
/// while let Some(page) = pages.next().await? {
///     count += page.items.len();
/// }
/// # Ok(count)
/// # }
/// ```
#[derive(Debug)]
pub struct Pages<F> {
    next: Option<PageRequest>,
    read: F,
}

impl<F, R, T> Pages<F>
where
    F: FnMut(PageRequest) -> R,
    R: Future<Output = StoreResult<Page<T>>>,
{
    /// A list that begins with the page `first`. `read` answers one page.
    pub fn of(first: PageRequest, read: F) -> Self {
        Self { next: Some(first), read }
    }

    /// The next page; `None` behind the last one, and behind an error.
    ///
    /// # Errors
    /// As `read`; and when a page leads back to where the list was: an index of the book is damaged, and the list would
    /// never end.
    pub async fn next(&mut self) -> StoreResult<Option<Page<T>>> {
        let Some(request) = self.next.take() else { return Ok(None) };
        let page = (self.read)(request.clone()).await?;
        if let Some(next) = &page.next {
            self.next = Some(request.followed_by(next.clone())?);
        }
        Ok(Some(page))
    }

    /// Every item, where all of them fit into memory.
    ///
    /// # Errors
    /// As [`next`](Self::next); and a row that cannot be read is one, whether or not the pages go past it.
    pub async fn all(mut self) -> StoreResult<Vec<T>> {
        let mut items = Vec::new();
        while let Some(page) = self.next().await? {
            if let Some(row) = page.unreadable.into_iter().next() {
                return Err(StoreError::CorruptRow { row });
            }
            items.extend(page.items);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::error::UnreadableRow;
    use crate::page::{Cursor, Direction};

    fn at(parts: &[&str]) -> Cursor {
        Cursor::new(parts.iter().map(ToString::to_string).collect())
    }

    /// Whether a list goes on whose page after `after` says that the next one begins at `next`.
    async fn goes_on(after: &[&str], next: &[&str], direction: Direction) -> bool {
        let first = PageRequest { after: Some(at(after)), direction, ..PageRequest::first(1) };
        let mut asked = Vec::new();
        let mut pages = Pages::of(first, |request| {
            asked.push(request.after);
            let next = (asked.len() == 1).then(|| at(next));
            ready(Ok(Page { items: vec![()], unreadable: Vec::new(), next }))
        });
        let is_sound = pages.next().await.is_ok();
        // Behind an error there is nothing, and behind the last page neither.
        assert_eq!(pages.next().await.unwrap().is_some(), is_sound);
        assert!(pages.next().await.unwrap().is_none());
        assert_eq!(asked.last(), Some(&Some(at(if is_sound { next } else { after }))));
        is_sound
    }

    #[tokio::test]
    async fn a_list_that_leads_back_is_damaged_and_no_list_without_an_end() {
        let (up, down) = (Direction::OldestFirst, Direction::NewestFirst);
        for (after, next, direction, expected) in [
            (&["5", "a"][..], &["6", "a"][..], up, true),
            (&["5", "b"], &["10", "a"], up, true),
            (&["5", "a"], &["5", "b"], up, true),
            (&["-5"], &["3"], up, true),
            (&["5", "a"], &["5", "a"], up, false),
            (&["5", "a"], &["4", "b"], up, false),
            (&["10"], &["9"], up, false),
            (&["5", "a"], &["4", "b"], down, true),
            (&["5", "b"], &["5", "a"], down, true),
            (&["5", "a"], &["6", "a"], down, false),
            // Names run as text, which numbers in them do not follow.
            (&["symbol", "10", "1"], &["symbol", "9", "1"], up, true),
            (&["symbol", "B", "1"], &["symbol", "B", "1"], up, false),
        ] {
            assert_eq!(goes_on(after, next, direction).await, expected, "{after:?} {next:?} {direction:?}");
        }
    }

    #[tokio::test]
    async fn all_items_are_those_of_every_page_and_none_is_passed_over() {
        let row = || UnreadableRow { table: "fills", key: "k".into(), column: "qty", reason: "empty".into() };
        for damaged in [false, true] {
            let mut number = 0;
            let pages = Pages::of(PageRequest::first(2).past_unreadable(), |_| {
                number += 1;
                let unreadable = if damaged && number == 2 { vec![row()] } else { Vec::new() };
                let next = (number < 3).then(|| at(&[&number.to_string()]));
                ready(Ok(Page { items: vec![number; 2], unreadable, next }))
            });
            match pages.all().await {
                Ok(items) => assert!(!damaged && items == [1, 1, 2, 2, 3, 3], "{items:?}"),
                Err(error) => assert!(damaged && error.to_string().contains("column qty"), "{error}"),
            }
        }
    }
}
