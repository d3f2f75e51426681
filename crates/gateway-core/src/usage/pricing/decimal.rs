//! Numbers as they were written: digits and a power of ten, so that money is computed without a rounding on the way.

/// Most digits that count: those of a `u64` that is sure to hold them.
const DIGITS: usize = 18;
/// Powers of ten beyond this are no prices.
const FARTHEST: u32 = 40;

/// A number from zero on: so many times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: u64,
    power: i32,
}

impl Decimal {
    /// The number that a text stands for: `3`, `0.25`, `1e-06`, `1.5E+2`. `None` if it is none, or below zero.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, power) = match text.split_once(['e', 'E']) {
            Some((number, power)) => {
                (number, power.parse().ok().filter(|power: &i32| power.unsigned_abs() <= FARTHEST)?)
            }
            None => (text, 0),
        };
        let number = number.strip_prefix('+').unwrap_or(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || whole.len() + fraction.len() > 100 {
            return None;
        }
        let (mut digits, mut power, mut counted) = (0_u64, power, 0_usize);
        for (place, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
            let is_fraction = place >= whole.len();
            let digit = char::from(digit).to_digit(10)?;
            // What computers write behind the digits that are meant, as in 1.5000020000000002e-05, is less than counts.
            match counted < DIGITS {
                true => {
                    digits = digits * 10 + u64::from(digit);
                    counted += usize::from(digits > 0);
                    power -= i32::from(is_fraction);
                }
                false => power += i32::from(!is_fraction),
            }
        }
        Some(Self::new(digits, power))
    }

    /// Without zeros at its end.
    fn new(mut digits: u64, mut power: i32) -> Self {
        while digits > 0 && digits.is_multiple_of(10) {
            (digits, power) = (digits / 10, power + 1);
        }
        Self { digits, power: if digits == 0 { 0 } else { power } }
    }

    /// Whether it is a whole number of ten to the power of `unit`.
    pub fn is_whole_in(self, unit: i32) -> bool {
        self.digits == 0 || self.power >= unit
    }

    /// So many whole units of ten to the power of `unit`, rounded half up; `None` if those are too many for a `u64`.
    pub fn in_units(self, unit: i32) -> Option<u64> {
        let power = self.power - unit;
        let times = 10_u64.checked_pow(power.unsigned_abs());
        match power >= 0 {
            _ if self.digits == 0 => Some(0),
            true => self.digits.checked_mul(times?),
            false => {
                Some(times.map_or(0, |times| self.digits / times + u64::from(self.digits % times >= times.div_ceil(2))))
            }
        }
    }
}

/// How many times as much something costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    digits: u32,
    /// Digits of the fraction.
    places: u32,
}

impl Factor {
    /// Most digits of a fraction.
    pub const PLACES: u32 = 6;
    /// As much.
    pub const ONE: Self = Self { digits: 1, places: 0 };
    /// Half as much.
    pub const HALF: Self = Self { digits: 5, places: 1 };

    /// The factor that a text stands for: from zero to `most`, with at most [`Factor::PLACES`] digits of a fraction.
    pub fn parse(text: &str, most: u32) -> Option<Self> {
        Self::of(Decimal::parse(text)?, most)
    }

    /// How many times `one` an amount is, up to a hundred times; `None` if that takes more digits.
    pub fn ratio(amount: u64, one: u64) -> Option<Self> {
        let digits = amount.checked_mul(10_u64.pow(Self::PLACES))?;
        let is_whole = one > 0 && digits.is_multiple_of(one);
        Self::of(is_whole.then(|| Decimal::new(digits / one, -6))?, 100)
    }

    fn of(Decimal { digits, power }: Decimal, most: u32) -> Option<Self> {
        let places = u32::try_from(-power).unwrap_or_default();
        let whole = 10_u64.checked_pow(power.max(0).unsigned_abs())?;
        let digits = u32::try_from(digits.checked_mul(whole)?).ok()?;
        let is_in_range = places <= Self::PLACES && u64::from(digits) <= u64::from(most) * 10_u64.pow(places);
        is_in_range.then_some(Self { digits, places })
    }

    /// So many times an amount, in units of which the second number says how many make one of the amount's: nothing is
    /// rounded.
    pub fn times(self, (amount, parts): (u128, u128)) -> (u128, u128) {
        // With six factors of six places each, the parts are far below the bound; an amount at it is no money.
        (amount.saturating_mul(self.digits.into()), parts * 10_u128.pow(self.places))
    }
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = 10_u32.pow(self.places);
        write!(f, "{}", self.digits / one)?;
        match self.places {
            0 => Ok(()),
            places => write!(f, ".{:0width$}", self.digits % one, width = places as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        const PICO: i32 = -12;
        for (text, pico) in [
            ("0", 0),
            ("3", 3_000_000_000_000),
            ("0.25", 250_000_000_000),
            (".5", 500_000_000_000),
            ("1e-06", 1_000_000),
            ("1E-6", 1_000_000),
            ("2.5e-08", 25_000),
            ("0.00000125", 1_250_000),
            ("1.875e-05", 18_750_000),
            ("1.5000020000000002e-05", 15_000_020),
            ("0.0000000000005", 1),
            ("0.0000000000004999999999999999999999", 0),
            ("00012.50", 12_500_000_000_000),
            ("+1", 1_000_000_000_000),
            ("0e30", 0),
            ("1e-40", 0),
        ] {
            assert_eq!(Decimal::parse(text).and_then(|number| number.in_units(PICO)), Some(pico), "{text}");
        }
        for text in [
            "",
            ".",
            "-1",
            "-0",
            "1e",
            "1e99",
            "1e-2147483648",
            "1e2147483647",
            "1e-2147483649",
            "e5",
            "1.2.3",
            "NaN",
            "inf",
            "0x10",
            "1,5",
            "1_000",
            " 1",
            "１",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("1e20").expect("a number").in_units(PICO), None, "too many for the type");
    }

    #[test]
    fn factors_are_exact_and_bounded() {
        for (text, shown) in
            [("1", "1"), ("1.0", "1"), ("0.136986", "0.136986"), ("100", "100"), ("0", "0"), ("1.10", "1.1")]
        {
            assert_eq!(Factor::parse(text, 100).map(|factor| factor.to_string()).as_deref(), Some(shown), "{text}");
        }
        for text in ["100.000001", "101", "-1", "0.0000001", "x", "", "1e9", "1e-2147483648"] {
            assert_eq!(Factor::parse(text, 100), None, "{text}");
        }
        let ratio = |amount, one| Factor::ratio(amount, one).map(|factor| factor.to_string());
        assert_eq!((ratio(10, 5).as_deref(), ratio(3, 8).as_deref()), (Some("2"), Some("0.375")));
        assert_eq!((ratio(1, 3), ratio(1, 0), ratio(101, 1), ratio(u64::MAX, 1)), (None, None, None, None));
        let eleven_tenths = Factor::parse("1.1", 100).expect("a factor");
        assert_eq!(eleven_tenths.times(Factor::HALF.times((7, 1))), (7 * 5 * 11, 100));
    }
}
