//! What is kept of a stretch that the exchange stated twice: how many rows the book then had in it, and what their identities
//! add up to. Rows that were deleted or altered since are noticed by it.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_tally_adds_up_whatever_the_order_and_the_split`.
//! 2. `a_row_that_took_the_place_of_another_is_noticed`.

use ledger_core::AnyFact;
use sha2::{Digest as _, Sha256};

use crate::batch::Stretch;
use crate::sqlite::fact_key;

/// How many rows there are, and the sum of the first 8 bytes of the SHA-256 of their identities, modulo 2^64.
///
/// A sum knows no order, so that it is the same in whatever order an index tells rows, and it adds up, so that the tally of two
/// stretches is that of both together, and a stretch that is confirmed in addition needs no other one to be read again. A row's
/// identity is its [key](crate::fact_key) and nothing else: what a later source says of the row in more detail changes no
/// tally. It is no seal against whoever can write to the book, who could write the tally as well: 8 bytes tell
/// accidents from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tally {
    /// How many rows.
    pub count: u64,
    /// What their identities add up to.
    pub digest: u64,
}

impl Tally {
    /// One row, by its identity.
    pub(crate) fn of(identity: &str) -> Self {
        let mut first = [0; 8];
        for (byte, of_hash) in first.iter_mut().zip(Sha256::digest(identity.as_bytes())) {
            *byte = of_hash;
        }
        Self { count: 1, digest: u64::from_be_bytes(first) }
    }

    /// One row.
    pub fn of_fact(fact: &AnyFact) -> Self {
        Self::of(&fact_key(fact))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), digest: self.digest.wrapping_add(other.digest) }
    }
}

/// A confirmed stretch with what the book had in it when it was confirmed. Those of one stream and contract do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Which rows.
    pub stretch: Stretch,
    /// What they came to.
    pub tally: Tally,
}

/// How closely proofs are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofDepth {
    /// How many rows there are; their identities only where that is not what it was.
    Counts,
    /// The identities of all rows.
    Identities,
}

/// A proof that the book's rows are not what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenProof {
    /// What was confirmed.
    pub proof: Proof,
    /// What the book has there now.
    pub found: Tally,
}

impl BrokenProof {
    /// How many rows are missing, at the least. 0 where there are more than there were: then nothing tells whether any of
    /// the old ones is missing.
    pub fn missing(&self) -> u64 {
        missing(self.proof.tally, self.found)
    }
}

/// How many rows are missing, at the least, where `stated` was confirmed and `found` is there.
pub(crate) fn missing(stated: Tally, found: Tally) -> u64 {
    match stated.count.checked_sub(found.count) {
        // As many as there were, and not the same: one at least took another's place.
        Some(0) => u64::from(stated.digest != found.digest),
        missing => missing.unwrap_or(0),
    }
}

/// What came of checking proofs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProofCheck {
    /// How many there are.
    pub checked: u64,
    /// How many rows they are of.
    pub rows: u64,
    /// Those that do not hold, in the order of stream, contract and time.
    pub broken: Vec<BrokenProof>,
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::at;
    use proptest::prelude::*;

    use super::*;

    fn tally(rows: &[u16]) -> Tally {
        rows.iter().fold(Tally::default(), |sum, row| sum.plus(Tally::of(&row.to_string())))
    }

    proptest! {
        #[test]
        fn a_tally_adds_up_whatever_the_order_and_the_split(
            mut rows in proptest::collection::btree_set(any::<u16>(), 0..40).prop_map(Vec::from_iter),
            at in any::<prop::sample::Index>(),
        ) {
            let all = tally(&rows);
            let (left, right) = rows.split_at(at.index(rows.len() + 1));
            prop_assert_eq!(tally(right).plus(tally(left)), all);
            prop_assert_eq!(all.count, u64::try_from(rows.len()).unwrap());
            // Whatever is taken away or put in its place is noticed.
            if let Some(taken) = rows.pop() {
                prop_assert_ne!(tally(&rows), all);
                let other = (0..=u16::MAX).find(|row| *row != taken && !rows.contains(row)).unwrap();
                rows.push(other);
                prop_assert_ne!(tally(&rows).digest, all.digest);
            }
        }
    }

    #[test]
    fn a_row_that_took_the_place_of_another_is_noticed() {
        let stretch = Stretch { stream: "income".into(), symbol: None, since: at(0), until: at(9) };
        let missing = |had: &[u16], has: &[u16]| {
            let proof = Proof { stretch: stretch.clone(), tally: tally(had) };
            BrokenProof { proof, found: tally(has) }.missing()
        };
        assert_eq!(missing(&[1, 2, 3], &[3, 1, 2]), 0);
        assert_eq!(missing(&[1, 2, 3], &[1, 2, 4]), 1);
        assert_eq!(missing(&[1, 2, 3], &[1]), 2);
        assert_eq!(missing(&[1, 2, 3], &[]), 3);
        // Nothing tells.
        assert_eq!(missing(&[1, 2, 3], &[1, 2, 4, 5]), 0);
    }
}
