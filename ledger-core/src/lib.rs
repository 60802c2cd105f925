#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod amount;
mod builders;
mod certainty;
mod commission;
mod contract;
pub mod demands;
mod fact;
mod fill;
mod freshness;
mod funding;
mod funding_rate;
mod id;
mod income;
mod instrument;
mod ledger_rules;
mod merge;
mod movement;
mod names;
mod order;
mod order_check;
mod order_intent;
mod order_status;
mod order_story;
mod position;
mod position_mode;
mod printable;
mod report;
mod round_trip;
mod signal;
mod snapshot;
mod source;
mod stated_fees;
mod symbol_fold;
#[cfg(feature = "testing")]
#[expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a value that is none is a mistake in a test")]
pub mod testing;
mod time;
mod trip_key;

pub use amount::{
    AmountError, Decimal, DerivedFigure, MathError, ParseDecimalError, Price, Quantity, SCALE_MAX, Value, half_unit,
};
pub use certainty::{CertainTotal, Certainty};
pub use commission::ledger_fee;
pub use contract::Contract;
pub use fact::{AnyFact, FactKind, Statement};
pub use fill::{Fee, Fill, FillKey, FoldKey};
pub use freshness::{Exposure, Freshness, FreshnessLimits, LookStream, Sighting, Staleness, next_full_hour};
pub use funding::funding_instant;
pub use funding_rate::FundingRate;
pub use id::{AccountId, Asset, ClientOrderId, EngineLabel, FillId, IdError, Label, OrderId, SignalId, Symbol, TranId};
pub use income::{Income, IncomeKey};
pub use instrument::{ContractKind, Instrument};
pub use ledger_rules::{LedgerPlace, LedgerRules};
pub use merge::{Fact, Field, Joiner, Outcome, Provenance, Sourced, merge};
pub use movement::{Movement, MovementKind, MovementOrigin};
pub use names::UnknownName;
pub use order::{Cancel, Execution, ExitReason, Order, OrderClass, OrderKey, OrderTerms, can_only_close};
pub use order_check::OrderContradiction;
pub use order_intent::{IntentOutcome, IntentRole, OrderIntent};
pub use order_status::OrderStatus;
pub use order_story::{
    BotOrder, Condition, ExitEvidence, IntentWords, OrderContext, OrderWords, Origin, SignalWords, VenueRules,
    conditionals_of,
};
pub use position::{Applied, Change, Cycle, Holding, Position, Trade, Turnover};
pub use position_mode::{Span, first_difference, one_way_spans};
pub use printable::{disturbs_display, has_key_form, printable, printable_lines};
pub use report::{
    AssetPrices, CashLine, GroupBy, NO_ENGINE, OtherAssets, Report, ReportBuilder, ReportRow, SpanOf, TimeSpan,
    TripStats, footing,
};
pub use round_trip::{AssetTotal, Direction, RoundTrip, Tally};
pub use signal::{Signal, SignalKind};
pub use snapshot::{
    Anchor, BalanceSnapshot, KnownBefore, PositionModeSnapshot, PositionSnapshot, PriceKind, PriceSnapshot,
};
pub use source::{IncomeType, PositionMode, PositionSide, Side, Source};
pub use stated_fees::StatedFees;
pub use symbol_fold::{
    ClosedTrip, ClosedTrips, DerivedPosition, FOLD_VERSION, FoldError, FoldEvent, Half, HeldNow, HeldProof,
    PositionMoney, Residual, Step, SymbolFold, window_from,
};
pub use time::{EventTime, TimeError, TimePrecision, TimestampMs};
pub use trip_key::{Opening, TripKey, TripKeyError};
