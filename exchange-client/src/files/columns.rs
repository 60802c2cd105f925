//! The columns of a table that nothing reads: whose name may have been damaged, and what that would hide.
//!
//! An export names its account, and says some things twice (price x quantity is the amount). A name that lost a letter must
//! neither open another account's book nor switch such a check off.

use super::table::Header;

/// The columns that a table may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// All of them, as they are compared.
    pub(super) known: &'static [&'static str],
    /// Those that such a table never begins with: names of rows, which a damaged `Uid` could be taken for.
    pub(super) never_first: &'static [&'static str],
    /// Those that every export has, and that can be done without: name, and as what it is found.
    pub(super) usual: &'static [(&'static str, &'static [&'static str])],
    /// Those that some exports have, likewise.
    pub(super) possible: &'static [(&'static str, &'static [&'static str])],
}

/// What the column with the exchange account is called.
const OWNER: [&str; 2] = ["uid", "userid"];

/// What is wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It may be the one that names the account.
    Owner {
        /// The name that it has.
        column: String,
    },
    /// It may be one that is missing, and by which others are checked.
    Unknown {
        /// The name that it has.
        column: String,
        /// The name of the one that is missing.
        meant: &'static str,
    },
}

impl Columns {
    /// The first doubt about a header.
    pub(super) fn doubt(&self, header: &Header) -> Option<Doubt> {
        let unknown: Vec<_> = header.columns().filter(|(key, _)| !self.is_known(key)).collect();
        if header.column(&OWNER).is_none() {
            let first = header.columns().next();
            let damaged = first.filter(|(key, _)| !self.is_known(key) || self.never_first.contains(key));
            let damaged = damaged.or_else(|| unknown.iter().copied().find(|(key, _)| may_name_owner(key)));
            if let Some((_, name)) = damaged {
                return Some(Doubt::Owner { column: name.to_owned() });
            }
        }
        let is_missing = |(_, keys): &&(&str, &[&str])| header.column(keys).is_none();
        let missing = self.usual.iter().chain(self.possible).filter(is_missing);
        for (meant, keys) in missing {
            let damaged = |(key, _): &&(&str, &str)| keys.iter().any(|wanted| is_damaged_form(key, wanted));
            if let Some((_, name)) = unknown.iter().find(damaged) {
                return Some(Doubt::Unknown { column: (*name).to_owned(), meant });
            }
        }
        let (meant, _) = self.usual.iter().find(is_missing)?;
        let (_, name) = unknown.iter().find(|(key, _)| !key.is_empty() && !names_owner(key))?;
        Some(Doubt::Unknown { column: (*name).to_owned(), meant })
    }

    fn is_known(&self, key: &str) -> bool {
        self.known.contains(&key) || OWNER.contains(&key)
    }
}

/// Whether a column is the one with the exchange account, or seems to name an owner as well.
pub(super) fn names_owner(key: &str) -> bool {
    const WORDS: [&str; 4] = ["uid", "user", "owner", "account"];
    WORDS.iter().any(|word| key.contains(word))
}

fn may_name_owner(key: &str) -> bool {
    names_owner(key) || OWNER.iter().any(|owner| distance(key, owner) <= 1)
}

/// Whether a name may have been another one before it was damaged: at most two letters apart, in names that are long enough
/// for that to mean something.
fn is_damaged_form(key: &str, wanted: &str) -> bool {
    const LENGTH_MIN: usize = 5;
    wanted.len() >= LENGTH_MIN && distance(key, wanted) <= 2
}

/// How many letters have to be changed, left out or added to make one name the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (nth, letter) in one.chars().enumerate() {
        let mut diagonal = nth;
        let mut left = nth + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, same) in row.iter_mut().skip(1).zip(other.iter().map(|known| *known == letter)) {
            let cost = (diagonal + usize::from(!same)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = cost;
            left = cost;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_names() {
        for (one, other, expected) in [
            ("amount", "amount", 0),
            ("amuont", "amount", 2),
            ("amoun", "amount", 1),
            ("", "uid", 3),
            ("id", "uid", 1),
            ("vid", "uid", 1),
            ("total", "amount", 5),
            ("positonside", "positionside", 1),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
