//! What relays say of the balance of a key: new-api of a token's quota, OpenAI's old billing endpoints, which many relays
//! still have, and any other JSON by pointers. Whoever asks for that, this only reads it.

mod unread;

pub use unread::Unread;

use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The unit of what is told in dollars.
pub const DOLLARS: &str = "USD";
/// What is told as the limit of a key without one (`hard_limit_usd` of new-api and one-api).
const NO_LIMIT: f64 = 100_000_000.0;
/// Less than this is what computing with binary fractions leaves of nothing.
const NOTHING: f64 = 1e-9;
/// Most characters of a unit.
pub const UNIT_CHARACTERS: usize = 16;
/// Numbers from here on are no seconds since 1970, but milliseconds.
const MILLISECONDS_FROM: f64 = 1e11;
/// The end of the year 9999, in seconds since 1970: no quota is reset later.
const LATEST: f64 = 253_402_300_799.0;

/// The balance of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// What is left; `None` for a key without a limit.
    pub remaining: Option<f64>,
    /// What was used, if that is known.
    pub used: Option<f64>,
    /// What both are counted in, such as `USD`; empty if nobody says.
    pub unit: String,
    /// When it is filled up again, if that is known.
    pub reset_at: Option<SystemTime>,
}

/// How much a balance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Enough.
    Enough,
    /// Less than what the operator wants to be left.
    Low,
    /// Nothing.
    UsedUp,
}

impl Balance {
    /// How much it is; `rest_below` is what the operator wants to be left.
    pub fn level(&self, rest_below: Option<f64>) -> Level {
        match self.remaining {
            Some(remaining) if remaining < NOTHING => Level::UsedUp,
            Some(remaining) if rest_below.is_some_and(|bound| remaining < bound) => Level::Low,
            _ => Level::Enough,
        }
    }
}

/// What new-api counts in (`/api/status`): quota units for a dollar, and what its billing endpoints tell amounts in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Units {
    per_dollar: f64,
    /// How many of what billing endpoints tell make a dollar.
    billed_per_dollar: f64,
}

impl Units {
    /// Reads the answer to `GET /api/status`.
    ///
    /// # Errors
    /// When it does not say that.
    pub fn read(body: &[u8]) -> Result<Self, Unread> {
        let body = json(body)?;
        let positive = |pointer: &str| body.pointer(pointer).and_then(number).filter(|number| *number > 0.0);
        let per_dollar = positive("/data/quota_per_unit").ok_or_else(|| Unread::missing("/data/quota_per_unit"))?;
        let is_money = body.pointer("/data/display_in_currency").and_then(Value::as_bool).unwrap_or(true);
        let billed_per_dollar = match body.pointer("/data/quota_display_type").and_then(Value::as_str) {
            Some("TOKENS") => per_dollar,
            None if !is_money => per_dollar,
            Some("CNY") => positive("/data/usd_exchange_rate").unwrap_or(1.0),
            _ => 1.0,
        };
        Ok(Self { per_dollar, billed_per_dollar })
    }
}

/// What new-api says of a token.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenUsage {
    /// It has a quota of its own.
    Limited(Balance),
    /// It has none: what it uses is its account's. Billing endpoints may tell of that.
    Unlimited(Balance),
}

impl TokenUsage {
    /// Reads the answer to `GET /api/usage/token/`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read(body: &[u8], units: Units) -> Result<Self, Unread> {
        let body = json(body)?;
        let quota = |pointer: &str| body.pointer(pointer).and_then(number).map(|quota| quota / units.per_dollar);
        let used = quota("/data/total_used");
        let of = |remaining| Balance { remaining, used, unit: DOLLARS.to_owned(), reset_at: None };
        if body.pointer("/data/unlimited_quota").and_then(Value::as_bool) == Some(true) {
            return Ok(Self::Unlimited(of(None)));
        }
        let remaining = quota("/data/total_available").ok_or_else(|| Unread::missing("/data/total_available"))?;
        Ok(Self::Limited(of(Some(remaining))))
    }
}

/// What a billing endpoint says a key may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subscription {
    /// In dollars; `None` for a key without a limit.
    limit: Option<f64>,
    /// Whether it is paid for each month, so that what was used before does not count.
    is_monthly: bool,
}

impl Subscription {
    /// Reads the answer to `GET /v1/dashboard/billing/subscription`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read(body: &[u8]) -> Result<Self, Unread> {
        let body = json(body)?;
        let limit = body.pointer("/hard_limit_usd").and_then(number);
        // Who does not count says 0: the limit of a key that is used up is what was used.
        let limit = limit.filter(|limit| *limit > 0.0).ok_or_else(|| Unread::missing("/hard_limit_usd"))?;
        let is_monthly = body.pointer("/has_payment_method").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { limit: Some(limit).filter(|limit| *limit < NO_LIMIT), is_monthly })
    }

    /// The query of `GET /v1/dashboard/billing/usage`: the days that count. At most 100 of them are told.
    pub fn usage_query(&self, now: SystemTime) -> String {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let date = |time: SystemTime| {
            let mut text = humantime::format_rfc3339_seconds(time.max(UNIX_EPOCH)).to_string();
            text.truncate("2026-11-28".len());
            text
        };
        let (today, tomorrow) = (date(now), date(now + DAY));
        match (self.is_monthly, today.rsplit_once('-')) {
            (true, Some((month, _))) => format!("start_date={month}-01&end_date={tomorrow}"),
            _ => format!("start_date={}&end_date={tomorrow}", date(now - 99 * DAY)),
        }
    }

    /// The balance, by the answer to `GET /v1/dashboard/billing/usage`, which is in cents.
    ///
    /// # Errors
    /// When it is not one.
    pub fn balance(&self, usage: &[u8]) -> Result<Balance, Unread> {
        let used = json(usage)?.pointer("/total_usage").and_then(number).map(|cents| cents / 100.0);
        let used = used.ok_or_else(|| Unread::missing("/total_usage"))?;
        let remaining = self.limit.map(|limit| limit - used);
        Ok(Balance { remaining, used: Some(used), unit: DOLLARS.to_owned(), reset_at: None })
    }

    /// The same at a new-api, whose billing endpoints may count in something else.
    ///
    /// # Errors
    /// When it is not one.
    pub fn balance_in(&self, usage: &[u8], units: Units) -> Result<Balance, Unread> {
        let balance = self.balance(usage)?;
        let dollars = |amount: f64| amount / units.billed_per_dollar;
        Ok(Balance { remaining: balance.remaining.map(dollars), used: balance.used.map(dollars), ..balance })
    }
}

/// Where an answer says what (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointers {
    /// To what is left: a number, or a text that is one.
    pub remaining: String,
    /// To what was used.
    pub used: Option<String>,
    /// What both are counted in.
    pub unit: Unit,
    /// To when it is filled up again: seconds or milliseconds since 1970, or a time such as `2026-11-28T12:00:00Z`.
    pub reset: Option<String>,
}

/// What amounts are counted in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// This.
    Is(String),
    /// What stands here.
    At(String),
}

impl Pointers {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it does not say what is left.
    pub fn read(&self, body: &[u8]) -> Result<Balance, Unread> {
        let body = json(body)?;
        let at = |pointer: &Option<String>| pointer.as_ref().and_then(|pointer| body.pointer(pointer));
        let remaining = body.pointer(&self.remaining).and_then(number);
        let unit = match &self.unit {
            Unit::Is(unit) => Some(unit.as_str()),
            Unit::At(pointer) => body.pointer(pointer).and_then(Value::as_str),
        };
        Ok(Balance {
            remaining: Some(remaining.ok_or_else(|| Unread::missing(&self.remaining))?),
            used: at(&self.used).and_then(number),
            unit: unit.map(cleaned).unwrap_or_default(),
            reset_at: at(&self.reset).and_then(time),
        })
    }
}

fn json(body: &[u8]) -> Result<Value, Unread> {
    serde_json::from_slice(body).map_err(|_| Unread::NotJson)
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

fn time(value: &Value) -> Option<SystemTime> {
    if let Some(time) = value.as_str().and_then(|text| humantime::parse_rfc3339_weak(text.trim()).ok()) {
        return Some(time);
    }
    let seconds = match number(value)? {
        milliseconds if milliseconds >= MILLISECONDS_FROM => milliseconds / 1_000.0,
        seconds => seconds,
    };
    (seconds > 0.0 && seconds <= LATEST).then(|| UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

/// What another side calls its unit, fit for a label and a table.
fn cleaned(unit: &str) -> String {
    unit.trim().chars().filter(|character| !character.is_control()).take(UNIT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests;
