//! What the holder of a client token is told with a response: how much is used of the limit that is nearest to its end.

use super::limit::{Limit, Subject};
use super::measure::Measure;
use std::fmt;

/// The largest number of a structured field.
const LARGEST: i64 = 999_999_999_999_999;
/// A thousandth of a dollar: the decimals of structured fields have three places.
const THOUSANDTH: i64 = 1_000_000;

/// A limit, and what is used of it. It is displayed as an item of structured fields (RFC 9651).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Whose it is.
    pub subject: Subject,
    /// The limit.
    pub limit: Limit,
    /// What is used.
    pub used: i64,
    /// When it begins again, in milliseconds since 1970; `None` if never.
    pub resets_at: Option<i64>,
}

impl Budget {
    /// The one of which the greatest part is used; of equal ones the first.
    pub fn nearest(budgets: impl IntoIterator<Item = Self>) -> Option<Self> {
        budgets.into_iter().reduce(|one, other| if other.is_nearer(&one) { other } else { one })
    }

    fn is_nearer(&self, other: &Self) -> bool {
        let times = |used: i64, amount: u64| i128::from(used).saturating_mul(i128::from(amount));
        times(self.used, other.limit.amount) > times(other.used, self.limit.amount)
    }
}

/// `usd;w="day";of="user";used=1.23;limit=5.0;resets=@1795881600`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, limit, used, resets_at } = self;
        let amount = |amount: i64| Number { measure: limit.measure, amount };
        let (used, most) = (amount(*used), amount(i64::try_from(limit.amount).unwrap_or(i64::MAX)));
        let (measure, window, subject) = (limit.measure.code(), limit.window.code(), subject.code());
        write!(f, "{measure};w=\"{window}\";of=\"{subject}\";used={used};limit={most}")?;
        match resets_at {
            Some(at) => write!(f, ";resets=@{}", at.div_euclid(1_000)),
            None => Ok(()),
        }
    }
}

/// An amount as a structured field has it, rounded up: dollars as a decimal, all else as an integer.
struct Number {
    measure: Measure,
    amount: i64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = self.amount.max(0);
        if self.measure != Measure::Usd {
            return amount.min(LARGEST).fmt(f);
        }
        let thousandths = amount / THOUSANDTH + i64::from(amount % THOUSANDTH > 0);
        let (whole, fraction) = (thousandths / 1_000, thousandths % 1_000);
        match (fraction % 100, fraction % 10) {
            (0, _) => write!(f, "{whole}.{}", fraction / 100),
            (_, 0) => write!(f, "{whole}.{:02}", fraction / 10),
            _ => write!(f, "{whole}.{fraction:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: &str, used: i64) -> Budget {
        Budget { subject: Subject::User, limit: limit.parse().expect(limit), used, resets_at: None }
    }

    #[test]
    fn it_is_an_item_of_structured_fields() {
        let shown = |limit: &str, used| budget(limit, used).to_string();
        let day = Budget { resets_at: Some(1_795_881_600_999), ..budget("usd:day:5", 1_230_000_000) };
        assert_eq!(day.to_string(), "usd;w=\"day\";of=\"user\";used=1.23;limit=5.0;resets=@1795881600");
        assert_eq!(shown("usd:total:0.0005", 1), "usd;w=\"total\";of=\"user\";used=0.001;limit=0.001");
        assert_eq!(shown("usd:5h:100.5", 99_999_999_999), "usd;w=\"5h\";of=\"user\";used=100.0;limit=100.5");
        assert_eq!(shown("usd:day:5", 12_345_000_000), "usd;w=\"day\";of=\"user\";used=12.345;limit=5.0");
        assert_eq!(shown("tokens:week:2000000", 7), "tokens;w=\"week\";of=\"user\";used=7;limit=2000000");
        assert_eq!(
            shown("requests:month:100000000000000000", -3),
            "requests;w=\"month\";of=\"user\";used=0;limit=999999999999999"
        );
    }

    #[test]
    fn the_nearest_is_the_one_of_which_the_greatest_part_is_used() {
        let nearest =
            |budgets: &[Budget]| Budget::nearest(budgets.iter().copied()).map(|budget| budget.limit.to_string());
        let (dollars, requests) = (budget("usd:day:100", 79_000_000_000), budget("requests:month:10", 8));
        assert_eq!(nearest(&[dollars, requests]).as_deref(), Some("requests:month:10"));
        assert_eq!(nearest(&[requests, dollars]).as_deref(), Some("requests:month:10"));
        let (one, other) = (budget("requests:day:10", 0), budget("tokens:day:10", 0));
        assert_eq!(nearest(&[one, other]).as_deref(), Some("requests:day:10"));
        assert_eq!(nearest(&[]), None);
        let most = Budget { used: i64::MAX, ..budget("usd:day:100000000", 0) };
        assert_eq!(nearest(&[most, requests]).as_deref(), Some("usd:day:100000000"));
    }
}
