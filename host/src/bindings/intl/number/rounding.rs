//! Rounding of decimal numbers.

use fixed_decimal::{RoundingIncrement, Sign, SignedRoundingMode, UnsignedDecimal, UnsignedRoundingMode};
use icu::decimal::input::Decimal;

use super::options::{Precision, Priority, RoundingMode, TrailingZeros};

/// Powers of ten beyond which a number is infinite or zero. `Decimal` calculates with 16 bits.
const MAGNITUDES: i16 = 3_000;

/// A number to format.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Value {
    /// Not a number.
    NotANumber,
    /// Infinity, negative or not.
    Infinite(Sign),
    /// Any other.
    Finite(Decimal),
}

impl Value {
    /// Of what `String(x)` gives for a number or a BigInt, or of a decimal text. None when it is no number.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Self::NotANumber),
            "Infinity" | "+Infinity" => return Some(Self::Infinite(Sign::None)),
            "-Infinity" => return Some(Self::Infinite(Sign::Negative)),
            _ => {}
        }
        let mut decimal = Decimal::try_from_str(&text.replace("e+", "e")).ok()?;
        if decimal.sign == Sign::Positive {
            decimal.sign = Sign::None;
        }
        decimal.absolute.trim_start();
        decimal.absolute.trim_end();
        let magnitude = decimal.absolute.nonzero_magnitude_start();
        if magnitude > MAGNITUDES {
            return Some(Self::Infinite(decimal.sign));
        }
        if magnitude < -MAGNITUDES {
            decimal.absolute = UnsignedDecimal::from(0_u8);
        }
        Some(Self::Finite(decimal))
    }

    /// Whether it is less than zero, or negative zero.
    pub(super) fn is_negative(&self) -> bool {
        match self {
            Self::NotANumber => false,
            Self::Infinite(sign) => *sign == Sign::Negative,
            Self::Finite(decimal) => decimal.sign == Sign::Negative,
        }
    }
}

/// The number as its digits are shown.
pub(in super::super) fn round(decimal: &Decimal, precision: &Precision) -> Decimal {
    let by_fraction = precision.fraction.map(|(least, most)| {
        let mut rounded = decimal.clone();
        rounded.round_with_mode(-i16::from(most), mode(precision.mode));
        (with_increment(decimal, rounded, precision, most), -i16::from(most), -i16::from(least))
    });
    let by_significant = precision.significant.map(|(least, most)| {
        let start = decimal.absolute.nonzero_magnitude_start();
        let position = start - i16::from(most) + 1;
        let mut rounded = decimal.clone();
        rounded.round_with_mode(position, mode(precision.mode));
        let start = if rounded.absolute.is_zero() { 0 } else { rounded.absolute.nonzero_magnitude_start() };
        (rounded, position, start - i16::from(least) + 1)
    });
    let chosen = match (by_fraction, by_significant) {
        (Some(fraction), Some(significant)) => {
            let fraction_is_finer = fraction.1 <= significant.1;
            let wants_finer = precision.priority != Priority::LessPrecision;
            if fraction_is_finer == wants_finer { Some(fraction) } else { Some(significant) }
        }
        (one, other) => one.or(other),
    };
    let Some((mut rounded, _, shown_to)) = chosen else { return decimal.clone() };
    rounded.absolute.trim_end();
    rounded.absolute.pad_end(shown_to.min(0));
    if precision.zeros == TrailingZeros::StripIfInteger {
        rounded.absolute.trim_end_if_integer();
    }
    rounded.absolute.trim_start();
    rounded.absolute.pad_start(i16::from(precision.minimum_integer));
    rounded
}

/// Increments of 2, 5 and 25 (and their tens) shift the position by the power of ten in them.
fn with_increment(decimal: &Decimal, plain: Decimal, precision: &Precision, most: u8) -> Decimal {
    if precision.increment == 1 {
        return plain;
    }
    let mut zeros = 0;
    let step = increment(&mut zeros, precision.increment);
    let mut rounded = decimal.clone();
    rounded.round_with_mode_and_increment(zeros - i16::from(most), mode(precision.mode), step);
    rounded
}

fn increment(zeros: &mut i16, mut increment: u16) -> RoundingIncrement {
    while increment.is_multiple_of(10) {
        increment /= 10;
        *zeros += 1;
    }
    match increment {
        2 => RoundingIncrement::MultiplesOf2,
        5 => RoundingIncrement::MultiplesOf5,
        25 => RoundingIncrement::MultiplesOf25,
        _ => RoundingIncrement::MultiplesOf1,
    }
}

fn mode(mode: RoundingMode) -> SignedRoundingMode {
    use SignedRoundingMode as Signed;
    use UnsignedRoundingMode as Unsigned;
    match mode {
        RoundingMode::Ceil => Signed::Ceil,
        RoundingMode::Floor => Signed::Floor,
        RoundingMode::HalfCeil => Signed::HalfCeil,
        RoundingMode::HalfFloor => Signed::HalfFloor,
        RoundingMode::Expand => Signed::Unsigned(Unsigned::Expand),
        RoundingMode::Trunc => Signed::Unsigned(Unsigned::Trunc),
        RoundingMode::HalfExpand => Signed::Unsigned(Unsigned::HalfExpand),
        RoundingMode::HalfTrunc => Signed::Unsigned(Unsigned::HalfTrunc),
        RoundingMode::HalfEven => Signed::Unsigned(Unsigned::HalfEven),
    }
}
