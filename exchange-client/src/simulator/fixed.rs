//! The simulator's own numbers: plain integers at a fixed scale, apart from everything that the book computes with, so
//! that the two can be compared.
//!
//! Prices, quantities and wallets are in units of 10^-8 (`_e8`), products of two of them in 10^-16 (`_e16`).

/// One, in units of 10^-8.
pub(super) const ONE_E8: i128 = 100_000_000;

/// Reads a decimal with at most 8 digits after the point.
pub(super) fn parse_e8(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let only_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    // 12 digits before the point: with larger numbers a product of three could overflow.
    if digits.is_empty() || digits == "." || !only_digits || whole.len() > 12 || fraction.len() > 8 {
        return None;
    }
    let value: i128 = format!("{whole}{fraction:0<8}").parse().ok()?;
    Some(if negative { -value } else { value })
}

/// The text of a number, with at least `decimals` digits after the point.
pub(super) fn show_e8(value_e8: i128, decimals: usize) -> String {
    let sign = if value_e8 < 0 { "-" } else { "" };
    let (whole, fraction) = (value_e8.abs() / ONE_E8, value_e8.abs() % ONE_E8);
    let mut fraction = format!("{fraction:08}");
    while fraction.len() > decimals && fraction.ends_with('0') {
        fraction.pop();
    }
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `value x numerator / denominator`, rounded, ties to the even neighbour. The denominator must be above 0.
pub(super) fn mul_div(value: i128, numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (value.div_euclid(denominator), value.rem_euclid(denominator));
    let scaled = rest * numerator;
    let (part, remainder) = (scaled.div_euclid(denominator), scaled.rem_euclid(denominator));
    let floor = whole * numerator + part;
    match (2 * remainder).cmp(&denominator) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + (floor & 1),
    }
}

/// From 10^-16 to 10^-8, ties to even.
pub(super) fn to_e8(value_e16: i128) -> i128 {
    mul_div(value_e16, 1, ONE_E8)
}

/// `value / denominator` for a denominator of either sign, rounded like [`mul_div`]; `None` when it is 0.
pub(super) fn div_signed(value: i128, denominator: i128) -> Option<i128> {
    match denominator.signum() {
        1 => Some(mul_div(value, 1, denominator)),
        -1 => Some(mul_div(-value, 1, -denominator)),
        _ => None,
    }
}

/// How many digits after the point a number has: 0.001 has three.
pub(super) fn decimals_e8(value_e8: i128) -> usize {
    show_e8(value_e8, 0).split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// The next of a row of evenly spread numbers: a generator of its own, so that a seed means the same in every version
/// of every library.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A generator for one purpose: the same seed and purpose give the same numbers.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a over the purpose, then mixed by the first steps of the generator.
        let hash = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut random = Self(seed ^ hash);
        random.next();
        random
    }

    /// 64 bits (`SplitMix64`).
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.next() % span).unwrap_or(0))
    }

    /// Whether something happens that happens `per_mille` times in a thousand.
    pub(super) fn happens(&mut self, per_mille: u16) -> bool {
        self.between(0, 999) < i64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for (text, value) in
            [("0", 0), ("0.00000001", 1), ("-1.5", -150_000_000), ("007", 700_000_000), (".5", 50_000_000)]
        {
            assert_eq!(parse_e8(text), Some(value), "{text}");
        }
        for text in ["", ".", "-", "1e5", "NaN", "0.000000001", "1234567890123", "+1", "1.2.3", "--1"] {
            assert_eq!(parse_e8(text), None, "{text}");
        }
        assert_eq!(show_e8(-150_000_000, 0), "-1.5");
        assert_eq!(show_e8(300_000_000, 2), "3.00");
        assert_eq!(show_e8(0, 0), "0");
    }

    #[test]
    fn division_rounds_ties_to_even() {
        for (value, numerator, denominator, expected) in
            [(5, 1, 2, 2), (7, 1, 2, 4), (-5, 1, 2, -2), (-7, 1, 2, -4), (10, 3, 4, 8), (2, 2, 3, 1), (-2, 2, 3, -1)]
        {
            assert_eq!(mul_div(value, numerator, denominator), expected, "{value} x {numerator} / {denominator}");
        }
    }
}
