use super::*;
use serde_json::json;

/// The answers of new-api, with the members that its source writes.
fn status(changes: Value) -> Vec<u8> {
    let mut data = json!({"version": "v0.9", "system_name": "New API", "quota_per_unit": 500_000.0,
        "display_in_currency": true, "quota_display_type": "USD", "usd_exchange_rate": 7.3, "price": 7.3});
    for (name, value) in changes.as_object().expect("members") {
        data[name] = value.clone();
    }
    json!({"success": true, "message": "", "data": data}).to_string().into_bytes()
}

fn usage_of_token(available: i64, used: i64, is_unlimited: bool) -> Vec<u8> {
    json!({"code": true, "message": "ok", "data": {"object": "token_usage", "name": "claude",
        "total_granted": available + used, "total_used": used, "total_available": available,
        "unlimited_quota": is_unlimited, "model_limits": {}, "model_limits_enabled": false, "expires_at": 0}})
    .to_string()
    .into_bytes()
}

fn subscription(limit: f64, has_payment_method: bool) -> Vec<u8> {
    json!({"object": "billing_subscription", "has_payment_method": has_payment_method, "soft_limit_usd": limit,
        "hard_limit_usd": limit, "system_hard_limit_usd": limit, "access_until": 0})
    .to_string()
    .into_bytes()
}

fn usage(cents: f64) -> Vec<u8> {
    json!({"object": "list", "total_usage": cents}).to_string().into_bytes()
}

fn units(changes: Value) -> Units {
    Units::read(&status(changes)).expect("units")
}

fn dollars(remaining: Option<f64>, used: f64) -> Balance {
    Balance { remaining, used: Some(used), unit: "USD".to_owned(), reset_at: None }
}

#[test]
fn quota_of_new_api_becomes_dollars() {
    let read = |body: &[u8]| TokenUsage::read(body, units(json!({})));
    let limited = read(&usage_of_token(1_250_000, 250_000, false));
    assert_eq!(limited, Ok(TokenUsage::Limited(dollars(Some(2.5), 0.5))));
    assert_eq!(read(&usage_of_token(-20, 9, false)), Ok(TokenUsage::Limited(dollars(Some(-0.00004), 0.000018))));
    // A token without a limit tells a quota all the same.
    assert_eq!(read(&usage_of_token(-5, 500_000, true)), Ok(TokenUsage::Unlimited(dollars(None, 1.0))));
    let coarse = TokenUsage::read(&usage_of_token(10, 0, false), units(json!({"quota_per_unit": 10})));
    assert_eq!(coarse, Ok(TokenUsage::Limited(dollars(Some(1.0), 0.0))));
}

#[test]
fn what_is_no_answer_of_new_api_is_told_and_guessed_at_by_nobody() {
    let failed: &[u8] = br#"{"success":false,"message":"failed to get the token"}"#;
    let units = units(json!({}));
    assert_eq!(TokenUsage::read(failed, units), Err(Unread::missing("/data/total_available")));
    assert_eq!(TokenUsage::read(b"<!doctype html><html></html>", units), Err(Unread::NotJson));
    assert_eq!(TokenUsage::read(b"", units), Err(Unread::NotJson));
    for wrong in [json!({"quota_per_unit": 0}), json!({"quota_per_unit": "many"}), json!({"quota_per_unit": null})] {
        assert_eq!(Units::read(&status(wrong)), Err(Unread::missing("/data/quota_per_unit")));
    }
}

#[test]
fn billing_endpoints_tell_a_limit_and_what_was_used_of_it_in_cents() {
    let read = |limit, cents| Subscription::read(&subscription(limit, true)).and_then(|it| it.balance(&usage(cents)));
    assert_eq!(read(20.0, 1_234.0), Ok(dollars(Some(7.66), 12.34)));
    assert_eq!(read(100_000_000.0, 500.0), Ok(dollars(None, 5.0)), "the limit of keys without one");
    let error = br#"{"error":{"message":"no such token","type":"upstream_error"}}"#;
    assert_eq!(Subscription::read(error), Err(Unread::missing("/hard_limit_usd")));
    assert_eq!(read(0.0, 0.0), Err(Unread::missing("/hard_limit_usd")), "that of a relay that does not count");
    let known = Subscription::read(&subscription(1.0, true)).expect("a subscription");
    assert_eq!(known.balance(error), Err(Unread::missing("/total_usage")));
}

#[test]
fn a_new_api_that_shows_another_currency_bills_in_it() {
    let read = |changes: Value| {
        let known = Subscription::read(&subscription(730.0, true)).expect("a subscription");
        known.balance_in(&usage(7_300.0), units(changes)).expect("a balance")
    };
    assert_eq!(read(json!({"quota_display_type": "CNY"})), dollars(Some(657.0 / 7.3), 10.0));
    let in_quota = json!({"quota_display_type": "TOKENS", "quota_per_unit": 100});
    assert_eq!(read(in_quota), dollars(Some(6.57), 0.73));
    // As versions before that setting say it.
    let former = json!({"quota_display_type": null, "display_in_currency": false, "quota_per_unit": 100});
    assert_eq!(read(former), dollars(Some(6.57), 0.73));
    assert_eq!(read(json!({})), dollars(Some(657.0), 73.0));
}

#[test]
fn usage_is_asked_for_since_the_first_of_the_month_or_for_a_hundred_days() {
    let now = humantime::parse_rfc3339("2026-11-30T23:59:59Z").expect("a time");
    let query = |is_monthly| Subscription::read(&subscription(1.0, is_monthly)).expect("read").usage_query(now);
    assert_eq!(query(true), "start_date=2026-11-01&end_date=2026-12-01");
    assert_eq!(query(false), "start_date=2026-08-23&end_date=2026-12-01");
}

#[test]
fn any_json_is_read_by_pointers() {
    let pointer = |text: &str| Some(text.to_owned());
    let pointers = Pointers {
        remaining: "/plans/0/left".to_owned(),
        used: pointer("/plans/0/used"),
        unit: Unit::At("/currency".to_owned()),
        reset: pointer("/plans/0/resets"),
    };
    let read = |body: Value| pointers.read(body.to_string().as_bytes());
    let body =
        json!({"currency": " CNY\u{7}", "plans": [{"left": "12.5", "used": 7, "resets": "2026-11-28T12:00:00Z"}]});
    let noon = UNIX_EPOCH + Duration::from_secs(1_795_867_200);
    let whole = Balance { remaining: Some(12.5), used: Some(7.0), unit: "CNY".to_owned(), reset_at: Some(noon) };
    assert_eq!(read(body), Ok(whole.clone()));
    for reset in [json!(1_795_867_200), json!(1_795_867_200_000_i64), json!("1795867200")] {
        let body = json!({"currency": "CNY", "plans": [{"left": 12.5, "used": 7, "resets": reset}]});
        assert_eq!(read(body), Ok(whole.clone()), "{reset}");
    }
    let only = Balance { remaining: Some(3.0), used: None, unit: String::new(), reset_at: None };
    assert_eq!(read(json!({"plans": [{"left": 3, "used": "much", "resets": -1}]})), Ok(only.clone()));
    assert_eq!(read(json!({"plans": [{"left": 3, "resets": 1e300}]})), Ok(only));
    for left in [json!(null), json!("inf"), json!("NaN"), json!([1]), json!("")] {
        assert_eq!(read(json!({"plans": [{"left": left}]})), Err(Unread::missing("/plans/0/left")), "{left}");
    }
    let quota = Pointers { unit: Unit::Is("quota".to_owned()), used: None, reset: None, ..pointers.clone() };
    assert_eq!(quota.read(br#"{"plans":[{"left":1}]}"#).expect("read").unit, "quota");
    assert_eq!(pointers.read("[".repeat(100_000).as_bytes()), Err(Unread::NotJson));
}

#[test]
fn a_balance_is_low_below_the_bound_and_used_up_at_nothing() {
    let level = |remaining, bound| dollars(remaining, 0.0).level(bound);
    assert_eq!(level(Some(1.0), Some(1.0)), Level::Enough);
    assert_eq!(level(Some(0.999), Some(1.0)), Level::Low);
    assert_eq!(level(Some(0.001), None), Level::Enough);
    for nothing in [0.0, -3.0, 0.3 - 0.1 - 0.2 + 1e-15] {
        assert_eq!(level(Some(nothing), None), Level::UsedUp, "{nothing}");
        assert_eq!(level(Some(nothing), Some(5.0)), Level::UsedUp);
    }
    assert_eq!(level(None, Some(5.0)), Level::Enough);
}
