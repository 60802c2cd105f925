//! Checks as data: what is checked, how bad its failure is, and how it ended.

use std::fmt;

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $title:literal, $severity:ident, $extent:ident);+ $(;)?) => {
        /// What is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CheckName {
            $($(#[doc = $doc])+ $variant),+
        }

        impl CheckName {
            /// All checks, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name for programs.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The name for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// How bad it is when it fails.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            /// Whether a look at the exchange makes it, or only a check of the whole book: proofs that read all of history
            /// would make every look cost more than the one before.
            pub fn is_part_of_a_look(self) -> bool {
                match self { $(Self::$variant => Extent::$extent == Extent::Look),+ }
            }
        }
    };
}

#[derive(PartialEq, Eq)]
enum Extent {
    Look,
    Book,
}

checks! {
    /// The file is sound, its schema is this version's, and every payload is as it was received.
    Schema = "schema", "schema", Imbalance, Book;
    /// Everything derived is up to date, and every fill is in a position.
    DerivedRows = "derived_rows", "derived rows", Discrepancy, Book;
    /// Everything derived is what the facts give when it is derived again, in a copy.
    Recomputation = "recomputation", "recomputation", Imbalance, Book;
    /// Realized - open cost is the sum of the cash flows.
    Conservation = "conservation", "conservation", Imbalance, Book;
    /// No fact is stated differently by different sources.
    SourcesAgree = "sources_agree", "sources agree", Discrepancy, Book;
    /// Nothing contradicts the user's word about the position mode.
    PositionMode = "position_mode", "position mode", Discrepancy, Book;
    /// Every row that the exchange stated twice is still there.
    ConfirmedRows = "confirmed_rows", "confirmed rows", Discrepancy, Book;
    /// Which trades are the bot's: those of others are counted, and are no fault.
    ForeignFacts = "foreign_facts", "foreign facts", Discrepancy, Book;
    /// Every position has the exchange's quantity.
    Quantity = "quantity", "quantity against exchange", Discrepancy, Look;
    /// Every position has the exchange's average entry, up to its rounding.
    AverageEntry = "average_entry", "entry against exchange", Discrepancy, Look;
    /// Every order's fills add up to what was executed of it.
    ExecutedQuantity = "executed_quantity", "executed against fills", Discrepancy, Look;
    /// Every fill realized what the exchange reported.
    RealizedPnl = "realized_pnl", "realized PnL against exchange", Discrepancy, Look;
    /// Every ledger row about a trade has its fill, with equal amounts.
    IncomeHasFills = "income_has_fills", "income against fills", Discrepancy, Look;
    /// Every fee and every profit of a fill has its ledger row.
    FillsHaveIncome = "fills_have_income", "fills against income", Discrepancy, Look;
    /// Every position that was held at a funding instant was paid, by the venue's rate and mark price.
    Funding = "funding", "funding against rates", Discrepancy, Look;
    /// Every wallet changed by what its ledger rows add up to.
    Footing = "footing", "footing", Imbalance, Look;
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad a failed check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The book and what it is compared with differ.
    Discrepancy,
    /// The book is damaged, or does not balance in itself.
    Imbalance,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Something was compared, and all of that agrees. What could not be compared is in [`Check::left_out`].
    Pass {
        /// On how many counts.
        compared: usize,
    },
    /// It does not.
    Fail {
        /// On how many counts they were compared.
        compared: usize,
        /// What differs, one line each; the first few.
        differences: Vec<String>,
        /// How many differ.
        count: usize,
    },
    /// Nothing could be compared.
    NotCheckable {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// The name for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "pass",
            Self::Fail { .. } => "fail",
            Self::NotCheckable { .. } => "not_checkable",
        }
    }
}

/// Something that a check could not compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// How many of what the check compares.
    pub count: usize,
    /// Why.
    pub reason: String,
    /// Which one, for the first of them.
    pub example: Option<String>,
}

impl LeftOut {
    /// The reason with its example, in one line.
    pub(crate) fn why(&self) -> String {
        match &self.example {
            Some(example) => format!("{} ({example})", self.reason),
            None => self.reason.clone(),
        }
    }
}

/// A named check with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub name: CheckName,
    /// How it ended.
    pub verdict: Verdict,
    /// What was compared, what differs, or why nothing could be compared, in words.
    pub detail: String,
    /// What could not be compared, whatever came of the rest.
    pub left_out: Vec<LeftOut>,
}

impl Check {
    pub(crate) fn pass(name: CheckName, compared: usize, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Pass { compared }, detail: detail.into(), left_out: Vec::new() }
    }

    pub(crate) fn not_checkable(name: CheckName, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { name, detail: reason.clone(), verdict: Verdict::NotCheckable { reason }, left_out: Vec::new() }
    }

    /// A failed check that compares one thing only.
    pub(crate) fn fail(name: CheckName, difference: impl Into<String>) -> Self {
        let detail: String = difference.into();
        let verdict = Verdict::Fail { compared: 1, differences: vec![detail.clone()], count: 1 };
        Self { name, verdict, detail, left_out: Vec::new() }
    }

    /// Whether it passed, and could not compare all that there is.
    pub fn is_in_part(&self) -> bool {
        matches!(self.verdict, Verdict::Pass { .. }) && !self.left_out.is_empty()
    }

    /// How many of what it compares could not be compared.
    pub fn left_out_count(&self) -> usize {
        self.left_out.iter().map(|left| left.count).sum()
    }

    /// Whether it failed.
    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Fail { .. })
    }
}

/// What a list of checks comes to: a check that could not be made is neither passed nor failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckCounts {
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not be made.
    pub not_checkable: usize,
}

impl CheckCounts {
    /// Counts verdicts.
    pub fn of<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Self {
        let mut counts = Self::default();
        for check in checks {
            *match check.verdict {
                Verdict::Pass { .. } => &mut counts.passed,
                Verdict::Fail { .. } => &mut counts.failed,
                Verdict::NotCheckable { .. } => &mut counts.not_checkable,
            } += 1;
        }
        counts
    }

    /// `failed` if one did, else `clean` if one passed, else `not_checkable`.
    pub fn state(self) -> &'static str {
        match self {
            Self { failed: 1.., .. } => "failed",
            Self { passed: 1.., .. } => "clean",
            _ => "not_checkable",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_could_not_be_checked_is_not_clean() {
        let counts = |passed, failed, not_checkable| CheckCounts { passed, failed, not_checkable };
        for (counts, state) in [
            (counts(5, 0, 0), "clean"),
            (counts(1, 0, 4), "clean"),
            (counts(4, 1, 0), "failed"),
            (counts(0, 1, 4), "failed"),
            (counts(0, 0, 5), "not_checkable"),
            (counts(0, 0, 0), "not_checkable"),
        ] {
            assert_eq!(counts.state(), state, "{counts:?}");
        }
    }

    #[test]
    fn every_check_has_names_of_its_own() {
        let names: BTreeSet<_> = CheckName::ALL.iter().map(|name| name.as_str()).collect();
        let titles: BTreeSet<_> = CheckName::ALL.iter().map(|name| name.title()).collect();
        assert_eq!((names.len(), titles.len()), (CheckName::ALL.len(), CheckName::ALL.len()));
    }
}
