//! Fixed names for enumerations.

use thiserror::Error;

use crate::printable::shorten;

/// A text that is no value of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no {what}; expected one of: {expected}")]
pub struct UnknownName {
    /// Which enumeration.
    pub what: &'static str,
    /// The text, shortened.
    pub text: String,
    /// The accepted names.
    pub expected: String,
}

impl UnknownName {
    /// `text` is no `what`, of which there are `expected`.
    pub fn new(what: &'static str, text: &str, expected: &[&str]) -> Self {
        Self { what, text: shorten(text), expected: expected.join(", ") }
    }
}

/// Gives a fieldless enumeration fixed names: `ALL`, `as_str`, [`FromStr`](std::str::FromStr) with [`UnknownName`] as its
/// error, and [`Display`](std::fmt::Display). One list of names serves writing and reading, so that they cannot differ.
///
/// ```
/// #[derive(Debug, Clone, Copy, PartialEq)]
/// pub enum Light {
///     Red,
///     Green,
/// }
/// ledger_core::names!(Light, "light", { Red = "red", Green = "green" });
///
/// assert_eq!("green".parse(), Ok(Light::Green));
/// assert_eq!((Light::ALL[0], Light::Green.as_str()), (Light::Red, "green"));
/// assert_eq!("blue".parse::<Light>().unwrap_err().to_string(), "`blue` is no light; expected one of: red, green");
/// ```
#[macro_export]
macro_rules! names {
    ($type:ident, $what:literal, { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in files, tables and output.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                match text {
                    $($name => ::std::result::Result::Ok(Self::$variant),)+
                    _ => ::std::result::Result::Err($crate::UnknownName::new($what, text, &[$($name),+])),
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

/// [`names!`], and serde as that text.
macro_rules! stored_names {
    ($type:ident, $what:literal, $names:tt) => {
        $crate::names!($type, $what, $names);

        #[cfg(feature = "serde")]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use stored_names;
