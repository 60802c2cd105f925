#![doc = include_str!("../README.md")]

mod amount;
mod certainty;
mod commission;
mod fact;
mod fill;
mod funding;
mod id;
mod income;
mod instrument;
mod merge;
mod order;
mod position;
mod position_mode;
mod report;
mod round_trip;
mod signal;
mod snapshot;
mod source;
mod symbol_fold;
mod time;

pub use amount::{AmountError, Decimal, MathError, ParseDecimalError, Price, Quantity, SCALE_MAX};
pub use certainty::{CertainTotal, Certainty};
pub use commission::ledger_fee;
pub use fact::{AnyFact, FactKind, Statement};
pub use fill::{Fee, Fill, FillKey, FoldKey};
pub use funding::funding_instant;
pub use id::{AccountId, Asset, ClientOrderId, EngineLabel, FillId, IdError, Label, OrderId, SignalId, Symbol, TranId};
pub use income::{Income, IncomeKey};
pub use instrument::{ContractKind, Instrument};
pub use merge::{Fact, Field, Joiner, Outcome, Provenance, Sourced, merge};
pub use order::{
    Cancel, Execution, ExitReason, IntentOutcome, IntentRole, Order, OrderClass, OrderIntent, OrderKey, OrderStatus,
    OrderTerms,
};
pub use position::{Applied, Change, Contract, Position, Value};
pub use position_mode::{Span, first_difference, one_way_spans};
pub use report::{CashLine, GroupBy, NO_ENGINE, Report, ReportBuilder, ReportRow, TripStats};
pub use round_trip::{AssetTotal, Direction, OrderContext, RoundTrip};
pub use signal::{Signal, SignalKind};
pub use snapshot::{Anchor, BalanceSnapshot, PositionModeSnapshot, PositionSnapshot, PriceSnapshot};
pub use source::{IncomeType, PositionMode, PositionSide, Side, Source, UnknownName};
pub use symbol_fold::{DerivedPosition, FOLD_VERSION, FoldError, FoldEvent, Residual, Step, SymbolFold};
pub use time::{EventTime, TimeError, TimePrecision, TimestampMs};
