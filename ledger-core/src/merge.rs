//! How two statements about the same fact become one.
//!
//! Every field is a register that keeps the greatest statement under a fixed total order: for times the finer, then
//! the higher [`Source`] rank, then the greater content; what fillbook itself inferred gives way to all of them. The
//! greatest of a set does not depend on the order or the number of times its members are seen, which makes merging
//! commutative, associative and idempotent, so a book converges whatever the order in which files, streams and answers
//! arrive.
//!
//! Invariants, with their tests in `tests/laws.rs`:
//! 1. Merging is commutative, associative and idempotent: one test a kind of fact, named after it.
//! 2. `a_known_label_is_never_erased`: absent joins with a value to the value.
//! 3. `a_conflict_is_noticed_in_every_order`: two values that cannot both be true mark the field as conflicting,
//!    whichever comes first, and whichever wins.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::amount::Decimal;
use crate::source::Source;
use crate::time::EventTime;

/// The decimals in which exchanges state amounts of money.
pub(crate) const AMOUNT_SCALE: u8 = 8;

/// The name of a mergeable field, as its column is called.
pub type Field = &'static str;

/// Who stated each field of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The best source that has stated this fact.
    pub source: Source,
    /// Fields that the best source did not decide, with the source that did.
    pub exceptions: BTreeMap<Field, Source>,
}

impl Provenance {
    /// All fields come from `source`.
    pub fn uniform(source: Source) -> Self {
        Self { source, exceptions: BTreeMap::new() }
    }

    /// Who stated `field`.
    pub fn of(&self, field: Field) -> Source {
        self.exceptions.get(field).copied().unwrap_or(self.source)
    }
}

/// A fact with where it came from and what its sources disagree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<F> {
    /// The fact as merged.
    pub fact: F,
    /// Who stated what.
    pub provenance: Provenance,
    /// Fields for which different values have been stated.
    pub conflicts: BTreeSet<Field>,
}

impl<F> Sourced<F> {
    /// A fact as one source states it.
    pub fn new(fact: F, source: Source) -> Self {
        Self { fact, provenance: Provenance::uniform(source), conflicts: BTreeSet::new() }
    }
}

/// What became of a fact that was offered to the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was new.
    Recorded,
    /// The book already says all of this.
    AlreadyRecorded,
    /// It filled in or refined these fields.
    Merged {
        /// The fields that changed.
        fields: BTreeSet<Field>,
    },
    /// It states other values than the book for these fields. The higher-ranked source is believed; the disagreement
    /// stays on record.
    Conflicts {
        /// The fields that disagree.
        fields: BTreeSet<Field>,
    },
    /// The book's own record of it cannot be read, so nothing can be merged into it: merging never answers this, a book does.
    Unreadable {
        /// What is wrong with the record.
        reason: String,
    },
}

/// A fact that several sources may state.
pub trait Fact: Clone + Eq {
    /// What identifies the fact within an account.
    type Key: Clone + Ord + std::fmt::Debug;

    /// The key.
    fn key(&self) -> Self::Key;

    /// Joins two statements about the same key, field by field.
    #[must_use]
    fn join(&self, other: &Self, joiner: &mut Joiner<'_>) -> Self;
}

/// Joins two statements of the same fact and says what the second one changed in the first.
///
/// The caller pairs equal keys; with different keys the result keeps the key of `book`.
pub fn merge<F: Fact>(book: &Sourced<F>, offered: &Sourced<F>) -> (Sourced<F>, Outcome) {
    let mut joiner = Joiner {
        left: (&book.provenance, &book.conflicts),
        right: (&offered.provenance, &offered.conflicts),
        sources: BTreeMap::new(),
        changed: BTreeSet::new(),
        conflicts: BTreeSet::new(),
        settled: BTreeMap::new(),
    };
    let fact = book.fact.join(&offered.fact, &mut joiner);
    let Joiner { sources, changed, conflicts: found, settled, .. } = joiner;
    let source = book.provenance.source.max(offered.provenance.source);
    let provenance = Provenance {
        source,
        exceptions: sources.into_iter().filter(|(_, field_source)| *field_source != source).collect(),
    };
    let mut conflicts: BTreeSet<Field> = &book.conflicts | &offered.conflicts;
    conflicts.extend(&found);
    for (field, contested) in settled {
        if contested {
            conflicts.insert(field);
        } else {
            conflicts.remove(field);
        }
    }
    let outcome = if !found.is_empty() {
        Outcome::Conflicts { fields: found }
    } else if !changed.is_empty() {
        Outcome::Merged { fields: changed }
    } else {
        Outcome::AlreadyRecorded
    };
    (Sourced { fact, provenance, conflicts }, outcome)
}

/// Decides field by field which of two statements stands, and remembers why.
#[derive(Debug)]
pub struct Joiner<'a> {
    left: (&'a Provenance, &'a BTreeSet<Field>),
    right: (&'a Provenance, &'a BTreeSet<Field>),
    sources: BTreeMap<Field, Source>,
    changed: BTreeSet<Field>,
    conflicts: BTreeSet<Field>,
    /// Versioned fields, with whether the version that stands has been stated differently.
    settled: BTreeMap<Field, bool>,
}

impl Joiner<'_> {
    /// A field that every statement has: two different values conflict.
    pub fn required<T: Ord + Clone>(&mut self, field: Field, left: &T, right: &T) -> T {
        self.register(field, Some(left), Some(right), |_| 0, |a, b| a == b).unwrap_or_else(|| left.clone())
    }

    /// A field that a statement may lack: a value beats none.
    pub fn optional<T: Ord + Clone>(&mut self, field: Field, left: Option<&T>, right: Option<&T>) -> Option<T> {
        self.register(field, left, right, |_| 0, |a, b| a == b)
    }

    /// A field whose values say more or less: the greater `grade` stands, whoever states it. Two of the same grade conflict
    /// where that is above 0, for then both are certain; a lower one is no contradiction of a higher.
    pub fn graded<T: Ord + Clone>(
        &mut self,
        field: Field,
        left: Option<&T>,
        right: Option<&T>,
        grade: impl Fn(&T) -> i64,
    ) -> Option<T> {
        let agree = |a: &T, b: &T| a == b || grade(a) != grade(b) || grade(a) == 0;
        self.register(field, left, right, &grade, agree)
    }

    /// An amount or average that the exchange states with at most 8 decimals and a lesser source may have computed in
    /// more: two agree when they are equal at 8 decimals. How many decimals a value shows says nothing about how exact it is,
    /// so that only rank and content decide which one stands.
    pub fn amount(&mut self, field: Field, left: Option<&Decimal>, right: Option<&Decimal>) -> Option<Decimal> {
        self.register(field, left, right, |_| 0, |a, b| a.round(AMOUNT_SCALE) == b.round(AMOUNT_SCALE))
    }

    /// An instant: milliseconds beat seconds, and agree with them if they lie in that second.
    pub fn time(&mut self, field: Field, left: Option<&EventTime>, right: Option<&EventTime>) -> Option<EventTime> {
        let wrap = |time: &EventTime| (time.precision, time.at);
        let (left, right) = (left.map(wrap), right.map(wrap));
        let unwrap = |(precision, at)| EventTime { at, precision };
        self.register(
            field,
            left.as_ref(),
            right.as_ref(),
            |(precision, _)| i64::from(*precision == crate::time::TimePrecision::Millisecond),
            |a, b| unwrap(*a).agrees_with(unwrap(*b)),
        )
        .map(unwrap)
    }

    /// A field that moves forward: the greater value stands, and being behind is no conflict.
    pub fn latest<T: Ord + Clone>(&mut self, field: Field, left: &T, right: &T) -> T {
        self.latest_by(field, left, right, |_, _| 0)
    }

    /// A field that moves forward: the value of the greater `rank` stands, which may depend on who states it, and among
    /// equal ranks the greater value. Being behind is no conflict.
    pub fn latest_by<T, R>(&mut self, field: Field, left: &T, right: &T, rank: impl Fn(&T, Source) -> R) -> T
    where
        T: Ord + Clone,
        R: Ord,
    {
        let (left_source, right_source) = self.sources(field);
        let order = (rank(right, right_source), right).cmp(&(rank(left, left_source), left));
        let source = match order {
            Ordering::Greater => right_source,
            Ordering::Equal => left_source.max(right_source),
            Ordering::Less => left_source,
        };
        self.sources.insert(field, source);
        if order.is_gt() && left != right {
            self.changed.insert(field);
        }
        if order.is_gt() { right.clone() } else { left.clone() }
    }

    /// Who states `field` on the left and on the right.
    pub fn sources(&self, field: Field) -> (Source, Source) {
        (self.left.0.of(field), self.right.0.of(field))
    }

    /// Several values that only make sense together, taken from the statement whose `version` is greater. Equal
    /// versions with different contents are a conflict, which a greater version settles.
    pub fn group<T, V>(&mut self, field: Field, left: &T, right: &T, version: fn(&T) -> V) -> T
    where
        T: Ord + Clone,
        V: Ord,
    {
        self.group_by(field, left, right, version, |a, b| a == b)
    }

    /// As [`group`](Self::group), where `agree` says which different contents of one version are no conflict. It has to be an
    /// equivalence.
    pub fn group_by<T, V>(
        &mut self,
        field: Field,
        left: &T,
        right: &T,
        version: fn(&T) -> V,
        agree: impl Fn(&T, &T) -> bool,
    ) -> T
    where
        T: Ord + Clone,
        V: Ord,
    {
        let (left_source, right_source) = (self.left.0.of(field), self.right.0.of(field));
        let right_wins = match version(right).cmp(&version(left)) {
            Ordering::Equal if left == right => {
                self.sources.insert(field, left_source.max(right_source));
                return left.clone();
            }
            Ordering::Equal => {
                if !agree(left, right) {
                    self.conflicts.insert(field);
                }
                (right_source, right) > (left_source, left)
            }
            order => {
                self.supersede(field, order);
                order.is_gt()
            }
        };
        if right_wins {
            self.changed.insert(field);
        }
        self.sources.insert(field, if right_wins { right_source } else { left_source });
        if right_wins { right.clone() } else { left.clone() }
    }

    /// Says that the statement with the greater version (`Greater` = the right one) decides `field` whatever the
    /// other says, so that only conflicts about that version count.
    pub fn supersede(&mut self, field: Field, order: Ordering) {
        let ((winner, conflicts), right) = if order.is_gt() { (self.right, true) } else { (self.left, false) };
        self.settled.insert(field, conflicts.contains(field));
        self.sources.insert(field, winner.of(field));
        if right {
            self.changed.insert(field);
        }
    }

    /// Says that the left (`Less`) or the right (`Greater`) statement decides `field` although it does not supersede the
    /// other: what was in conflict stays so, and with `contradicted` they are in conflict now.
    pub fn decide(&mut self, field: Field, order: Ordering, contradicted: bool) {
        let (winner, right) = if order.is_gt() { (self.right.0, true) } else { (self.left.0, false) };
        self.sources.insert(field, winner.of(field));
        if contradicted {
            self.conflicts.insert(field);
        }
        if right {
            self.changed.insert(field);
        }
    }

    /// Says that `field` is no longer stated: what it belongs to was superseded by a statement without it.
    pub fn clear(&mut self, field: Field) {
        self.settled.insert(field, false);
    }

    /// Marks a field as stated differently although one value plainly stands.
    pub fn conflict(&mut self, field: Field) {
        self.conflicts.insert(field);
    }

    fn register<T: Ord + Clone>(
        &mut self,
        field: Field,
        left: Option<&T>,
        right: Option<&T>,
        fineness: impl Fn(&T) -> i64,
        agree: impl Fn(&T, &T) -> bool,
    ) -> Option<T> {
        let (left_source, right_source) = (self.left.0.of(field), self.right.0.of(field));
        let (value, source, from_right) = match (left, right) {
            (None, None) => return None,
            (Some(left), None) => (left, left_source, false),
            (None, Some(right)) => (right, right_source, true),
            (Some(left), Some(right)) if left == right => (left, left_source.max(right_source), false),
            (Some(left), Some(right)) => {
                // What fillbook inferred gives way to what anybody states, and is no other side of a dispute.
                let stated = [left_source, right_source].map(|source: Source| !source.is_inferred());
                if !agree(left, right) && stated == [true, true] {
                    self.conflicts.insert(field);
                }
                if (stated[1], fineness(right), right_source, right) > (stated[0], fineness(left), left_source, left) {
                    (right, right_source, true)
                } else {
                    (left, left_source, false)
                }
            }
        };
        if from_right {
            self.changed.insert(field);
        }
        self.sources.insert(field, source);
        Some(value.clone())
    }
}
