//! What each case comes to.

use reconciler::DiscrepancyKind as Kind;

use super::scenarios::Case;

/// Which of the exchange's own books a case leaves comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// Facts, positions, average entries, realized profits, fees, funding, round trips.
    Everything,
    /// Quantities and average entries: of the time before, nobody remembers the fills.
    Positions,
    /// The case is that the book has what the exchange never had.
    Nothing,
}

/// What a case comes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// How many seconds pass before each look, until there is nothing left to do.
    pub(super) looks: &'static [u64],
    /// What is found on the way.
    pub(super) finds: &'static [Kind],
    /// What the journal says was repaired.
    pub(super) repairs: &'static [&'static str],
    /// What stays on record, confirmed.
    pub(super) leaves: &'static [&'static str],
    pub(super) compare: Compare,
}

impl Case {
    pub(super) fn outcome(self) -> Outcome {
        let plain = Outcome { looks: &[20], finds: &[], repairs: &[], leaves: &[], compare: Compare::Everything };
        match self {
            Self::SignalWithoutOrder => Outcome {
                looks: &[20, 80],
                finds: &[Kind::SignalWithoutOrder, Kind::MissingFills],
                repairs: &["link_signal"],
                ..plain
            },
            Self::NeverSent => Outcome {
                looks: &[20, 100],
                finds: &[Kind::SignalWithoutOrder],
                repairs: &["signal_never_sent"],
                ..plain
            },
            Self::AmbiguousSignal => {
                Outcome { looks: &[20, 80], finds: &[Kind::AmbiguousSignal], leaves: &["ambiguous_signal"], ..plain }
            }
            Self::MissingFills | Self::MissingPart => {
                Outcome { finds: &[Kind::MissingFills], repairs: &["restore_fills"], ..plain }
            }
            Self::UnrecordedPosition => Outcome {
                finds: &[Kind::UnrecordedPosition, Kind::UnknownOrder, Kind::MissingFills],
                repairs: &["restore_order", "restore_fills", "restore_signal"],
                ..plain
            },
            Self::Unlabelled => Outcome {
                looks: &[20, 80],
                finds: &[Kind::UnrecordedPosition, Kind::MissingLabel],
                repairs: &["restore_order", "restore_fills", "restore_signal", "label_order"],
                ..plain
            },
            Self::ForgottenPosition => Outcome {
                looks: &[20, 20, 20],
                finds: &[Kind::UnrecordedPosition, Kind::PositionMismatch],
                repairs: &["state_position"],
                compare: Compare::Positions,
                ..plain
            },
            Self::UnrecordedClose | Self::Stopped | Self::HedgeLeg => {
                Outcome { finds: &[Kind::UnrecordedClose], repairs: &["restore_fills", "restore_signal"], ..plain }
            }
            Self::Nameless => Outcome {
                looks: &[20, 20],
                finds: &[Kind::UnrecordedClose, Kind::UnexplainedClose],
                repairs: &["restore_signal"],
                ..plain
            },
            Self::LabelFromLog | Self::LabelFromState => {
                Outcome { looks: &[75, 75], finds: &[Kind::MissingLabel], repairs: &["label_order"], ..plain }
            }
            Self::UnresolvedIntent => Outcome { finds: &[Kind::UnresolvedIntent], ..plain },
            Self::NeverArrived => Outcome { looks: &[40, 40, 40], finds: &[Kind::UnresolvedIntent], ..plain },
            Self::UnknownOrder => Outcome { finds: &[Kind::UnknownOrder], repairs: &["restore_order"], ..plain },
            Self::OrderBehind => Outcome { finds: &[Kind::OrderBehind, Kind::MissingFills], ..plain },
            Self::OrderVanished => Outcome { looks: &[20, 20], finds: &[Kind::OrderVanished], ..plain },
            Self::ConflictingFill => {
                Outcome { finds: &[Kind::ConflictingFill], leaves: &["conflicting_fact"], ..plain }
            }
            Self::UnconfirmedFill => Outcome {
                looks: &[20, 20, 20],
                finds: &[Kind::UnconfirmedFill, Kind::UnrecordedClose],
                leaves: &["unconfirmed_fill", "unrecorded_close"],
                compare: Compare::Nothing,
                ..plain
            },
            Self::Liquidation => Outcome { finds: &[Kind::Liquidation, Kind::UnrecordedClose], ..plain },
            Self::Adl => Outcome { finds: &[Kind::Adl], ..plain },
            Self::Settlement => Outcome { finds: &[Kind::Settlement], ..plain },
            Self::ForeignFills => Outcome { finds: &[Kind::ForeignFills], ..plain },
            Self::HedgeMode => Outcome { finds: &[Kind::PositionModeChanged, Kind::ForeignFills], ..plain },
            // The ledger of that time was never read, and says so as soon as wallets can be compared.
            Self::WrongEntry => Outcome {
                looks: &[20, 20],
                finds: &[Kind::MissingFills],
                repairs: &["restore_fills"],
                // What was taken for read is read again, and so the ledger is whole as well.
                ..plain
            },
            Self::UnexplainedEntry => Outcome {
                looks: &[20, 20, 20],
                finds: &[Kind::AverageEntryMismatch],
                leaves: &["average_entry_mismatch", "unconfirmed_fill"],
                compare: Compare::Nothing,
                ..plain
            },
            // The balance is doubted, then recorded, and then the ledger has had its time.
            Self::LostDeposit => Outcome {
                looks: &[20, 20, 20],
                finds: &[Kind::UnexplainedBalance, Kind::FootingMismatch],
                leaves: &["footing_mismatch"],
                compare: Compare::Positions,
                ..plain
            },
            Self::HistoryExpiring => Outcome {
                looks: &[20, 20, 20],
                finds: &[Kind::HistoryExpiring, Kind::QueryFailed],
                leaves: &["history_expiring", "query_failed"],
                compare: Compare::Positions,
                ..plain
            },
            Self::Delisted => Outcome {
                looks: &[20, 20],
                finds: &[Kind::QueryFailed, Kind::MissingFills],
                leaves: &["income_mismatch", "query_failed"],
                compare: Compare::Nothing,
                ..plain
            },
            Self::OrphanOrder => {
                Outcome { looks: &[20, 20, 20], finds: &[Kind::OrphanOrder], leaves: &["orphan_order"], ..plain }
            }
            Self::ClockSkew => {
                Outcome { looks: &[20, 20], finds: &[Kind::ClockSkew], leaves: &["clock_skew"], ..plain }
            }
            Self::HistoryExpired => Outcome {
                looks: &[20, 20],
                finds: &[Kind::HistoryExpired],
                leaves: &["history_expired"],
                compare: Compare::Positions,
                ..plain
            },
            Self::QueryFailed => {
                Outcome { looks: &[20, 20, 60], finds: &[Kind::QueryFailed, Kind::MissingFills], ..plain }
            }
            Self::Together => Outcome {
                looks: &[20, 80, 20],
                finds: &[
                    Kind::SignalWithoutOrder,
                    Kind::MissingFills,
                    Kind::UnrecordedPosition,
                    Kind::ForeignFills,
                    Kind::UnresolvedIntent,
                    Kind::Settlement,
                ],
                repairs: &["restore_fills", "restore_signal"],
                ..plain
            },
        }
    }
}
