//! Items of one cause told as one: forty fills that are missing for one reason are one line with a count and a range.
//!
//! Only tables do this, and not with `--verbose`. Programs get every item.
//!
//! Invariants, each with a test of the same name:
//! 1. `few_are_told_one_by_one_and_many_as_one`.

/// From this many on, items of one cause are one line.
const TOGETHER_MIN: usize = 4;

/// Items of one cause, or one item.
#[derive(Debug)]
pub(crate) struct Group<T> {
    /// The first of them.
    pub(crate) first: T,
    /// The others, in their order.
    pub(crate) rest: Vec<T>,
}

impl<T> Group<T> {
    fn single(item: T) -> Self {
        Self { first: item, rest: Vec::new() }
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.rest.len() + 1
    }

    /// All of them, in their order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// `17, as in: ` before what the first one says; nothing where there is one only. `range` is from where to where they
    /// are.
    pub(crate) fn told(&self, evidence: &str, range: Option<String>) -> String {
        if self.rest.is_empty() {
            return evidence.to_owned();
        }
        let range = range.map_or_else(String::new, |range| format!(" ({range})"));
        format!("{}{range}, as in: {evidence}", self.count())
    }
}

/// Groups items by cause, in the order in which the causes first appear. Groups of a few stay items of their own.
pub(crate) fn grouped<T, K: PartialEq>(items: impl IntoIterator<Item = T>, cause: impl Fn(&T) -> K) -> Vec<Group<T>> {
    let mut causes: Vec<(K, Vec<T>)> = Vec::new();
    for item in items {
        let key = cause(&item);
        match causes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, of)) => of.push(item),
            None => causes.push((key, vec![item])),
        }
    }
    let mut groups = Vec::new();
    for (_, items) in causes {
        if items.len() < TOGETHER_MIN {
            groups.extend(items.into_iter().map(Group::single));
            continue;
        }
        let mut items = items.into_iter();
        groups.extend(items.next().map(|first| Group { first, rest: items.collect() }));
    }
    groups
}

/// `what 12 to 40` for ids, by number where they are numbers; `None` for fewer than two.
pub(crate) fn id_range<'a>(what: &str, ids: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable_by_key(|id| (id.len(), *id));
    ids.dedup();
    match ids.as_slice() {
        [first, .., last] => Some(format!("{what} {first} to {last}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_one_by_one_and_many_as_one() {
        let items = ["a1", "b1", "a2", "a3", "b2", "a4"];
        let groups = grouped(items, |item| item.chars().next());
        let counts: Vec<_> = groups.iter().map(|group| (group.first, group.count())).collect();
        assert_eq!(counts, [("a1", 4), ("b1", 1), ("b2", 1)]);
        assert_eq!(groups[0].told("x", id_range("ids", groups[0].items().copied())), "4 (ids a1 to a4), as in: x");
        assert_eq!(groups[1].told("x", None), "x");
        // By number, not by text.
        assert_eq!(id_range("trades", ["9", "10", "8", "10"].into_iter()).unwrap(), "trades 8 to 10");
        assert_eq!(id_range("trades", ["9", "9"].into_iter()), None);
    }
}
