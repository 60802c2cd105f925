//! Exact decimal numbers: the only kind of number money, prices and quantities are made of.

mod decimal;
mod derived;
mod integer;
mod positive;
mod text;
mod value;

pub use self::decimal::{Decimal, SCALE_MAX};
pub use self::derived::{DerivedFigure, half_unit};
pub use self::integer::MathError;
pub(crate) use self::integer::{
    add_symmetric, mul, mul_div_round, mul_div_round_narrow, narrow, pow10, pow10_narrow, shift_left,
};
pub use self::positive::{AmountError, Price, Quantity};
pub use self::text::ParseDecimalError;
pub use self::value::Value;
