//! A position as text that can be stored.

use super::Position;
use crate::amount::{Decimal, SCALE_MAX, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

#[derive(Serialize, Deserialize)]
struct Parts {
    /// Part of the state: it decides when numbers overflow.
    scale: u8,
    qty: Decimal,
    cost: Value,
    qty_base: Decimal,
    cost_base: Value,
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decimal = |mantissa| Decimal::new(mantissa, self.scale).map_err(S::Error::custom);
        Parts {
            scale: self.scale,
            qty: decimal(self.qty)?,
            cost: Value(self.cost),
            qty_base: decimal(self.qty_base)?,
            cost_base: Value(self.cost_base),
        }
        .serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(deserializer)?;
        let scale = parts.scale;
        if scale > SCALE_MAX {
            return Err(D::Error::custom("a position has a scale of at most 18"));
        }
        let mantissa = |value: Decimal| value.mantissa_at(scale).map_err(D::Error::custom);
        Ok(Position {
            qty: mantissa(parts.qty)?,
            cost: parts.cost.0,
            qty_base: mantissa(parts.qty_base)?,
            cost_base: parts.cost_base.0,
            scale,
        })
    }
}
