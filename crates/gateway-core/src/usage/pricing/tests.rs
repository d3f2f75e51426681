use super::*;
use std::time::{Duration, UNIX_EPOCH};

const MILLION: u64 = 1_000_000;
const PRICE: Price = Price {
    input: 3 * MILLION,
    output: 15 * MILLION,
    cache_write: 3_750_000,
    cache_write_1h: 6 * MILLION,
    cache_read: 300_000,
};

fn offer(models: &str, price: Price) -> Offer {
    Offer::new(Glob::new(models), price, "a test".into())
}

fn factor(text: &str) -> Factor {
    Factor::parse(text, 100).expect("a factor")
}

/// Days after the epoch.
fn day(days: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(days * 86_400)
}

/// What tokens cost of model `a`, at the price.
fn cost_of(offer: Offer, tokens: &Tokens, details: &Details) -> Option<NanoUsd> {
    Prices::default().then(vec![offer]).cost("a", tokens, details, day(0), Factor::ONE)
}

fn of_speed(speed: &str) -> Details {
    Details { speed: Some(speed.to_owned()), ..Details::default() }
}

fn of_geo(place: &str) -> Details {
    Details { inference_geo: Some(place.to_owned()), ..Details::default() }
}

#[test]
fn each_kind_of_token_has_its_price() {
    let cost = |tokens: Tokens| cost_of(offer("a", PRICE), &tokens, &Details::default());
    let tokens = Tokens { input: 1, output: 10, cache_write: 100, cache_write_1h: 40, cache_read: 1000 };
    assert_eq!(cost(tokens), Some(3_000 + 150_000 + 60 * 3_750 + 40 * 6_000 + 300_000));
    // An upstream that counts more into the hour than into the whole is not believed.
    assert_eq!(cost(Tokens { cache_write: 1, cache_write_1h: 5, ..Tokens::default() }), Some(6_000));
    assert_eq!(cost(Tokens { output: u64::MAX, ..Tokens::default() }), Some(u64::MAX));
}

#[test]
fn a_request_is_rounded_once() {
    // A fortieth of a cent per million tokens: a quarter of a nano-dollar each.
    let price = Price { input: 250, output: 250, cache_write: 250, cache_write_1h: 250, cache_read: 250 };
    let of_each = |count| Tokens {
        input: count,
        output: count,
        cache_write: 2 * count,
        cache_write_1h: count,
        cache_read: count,
    };
    let cost = |count, times| {
        let prices = Prices::default().then(vec![offer("a", price)]);
        prices.cost("a", &of_each(count), &Details::default(), day(0), factor(times))
    };
    // Each kind by itself would be nothing.
    assert_eq!(cost(1, "1"), Some(1), "1.25");
    assert_eq!(cost(2, "1"), Some(3), "2.5");
    assert_eq!((cost(1, "0.136986"), cost(1_000_000, "0.136986")), (Some(0), Some(171_233)), "171232.5");
}

#[test]
fn the_first_pattern_counts_and_a_model_without_one_has_no_price() {
    let cheap = Price { input: 1, ..PRICE };
    let prices = Prices::default().then(vec![offer("a-1", cheap), offer("a-*", PRICE)]).then(vec![offer("*", cheap)]);
    let input = |model| prices.of(model, 0, day(0)).map(|offer| offer.price.input);
    assert_eq!((input("a-1"), input("a-2"), input("b")), (Some(1), Some(PRICE.input), Some(1)));
    assert_eq!(Prices::default().then(vec![offer("a", PRICE)]).of("b", 0, day(0)), None);
}

#[test]
fn patterns_are_compared_as_the_operator_writes_names() {
    for (pattern, model) in [
        ("gpt-5.5", "openai/gpt-5.5"),
        ("Claude-Opus-4.5", "us.anthropic.claude-opus-4-5-20251101-v1:0"),
        ("claude-opus-4-5", "claude-opus-4.5[1m]"),
        ("relay/Model-X", "relay/Model-X"),
    ] {
        let prices = Prices::default().then(vec![offer(pattern, PRICE)]);
        assert!(prices.of(model, 0, day(0)).is_some(), "{pattern} {model}");
    }
}

#[test]
fn variants_of_other_models_have_prices_of_their_own() {
    let costs = |input| Price { input, ..PRICE };
    let offers = [("kimi-k2", 1), ("kimi-k2-thinking", 100), ("r1", 5), ("r1:free", 0)];
    let prices = Prices::default().then(offers.map(|(model, input)| offer(model, costs(input))).into());
    for (model, input) in offers {
        assert_eq!(prices.of(model, 0, day(0)).map(|offer| offer.price.input), Some(input), "{model}");
    }
}

#[test]
fn a_long_prompt_can_have_a_price_of_its_own_in_whatever_order_they_are_written() {
    let (cheap, dear) = (Price { output: 1_000, ..PRICE }, Price { output: 7_000, ..PRICE });
    let offers = [offer("a", dear), Offer { prompt_up_to: Some(100), ..offer("a", cheap) }];
    let tokens = |input| Tokens { input, output: 1, cache_write: 30, cache_read: 20, ..Tokens::default() };
    let of_input = |input: u64| input * 3_000 + 30 * 3_750 + 20 * 300;
    let reversed = offers.iter().rev().cloned().collect();
    for offers in [offers.to_vec(), reversed] {
        let prices = Prices::default().then(offers);
        let cost = |input| prices.cost("a", &tokens(input), &Details::default(), day(0), Factor::ONE);
        assert_eq!((cost(50), cost(51)), (Some(of_input(50) + 1), Some(of_input(51) + 7)));
    }
}

#[test]
fn a_price_holds_from_its_date_on_in_whatever_order_they_are_written() {
    let at = |input, from| Offer { from, ..offer("a", Price { input, ..PRICE }) };
    let offers = [at(1, None), at(3, Some(day(20))), at(2, Some(day(10)))];
    let input = |offers: &[Offer], at| {
        let prices = Prices::default().then(offers.to_vec());
        prices.of("a", 0, at).map(|offer| offer.price.input)
    };
    let a_moment = Duration::from_nanos(1);
    for (time, wanted) in [(day(0), 1), (day(10) - a_moment, 1), (day(10), 2), (day(20) - a_moment, 2), (day(20), 3)] {
        assert_eq!(input(&offers, time), Some(wanted), "{time:?}");
    }
    assert_eq!(input(&offers[1..], day(9)), None, "nobody has said what it cost then");
}

#[test]
fn fast_mode_costs_what_was_said_of_it_or_nothing_that_is_known() {
    let tokens = Tokens { input: 1, output: 1, cache_write: 1, cache_write_1h: 0, cache_read: 1 };
    let plain = 3_000 + 15_000 + 3_750 + 300;
    let with = Offer { fast: Some(factor("2.5")), ..offer("a", PRICE) };
    for (details, wanted, wanted_without) in [
        (Details::default(), Some(plain), Some(plain)),
        (of_speed("standard"), Some(plain), Some(plain)),
        (of_speed("fast"), Some(plain * 5 / 2), None),
        (of_speed("a speed of tomorrow"), None, None),
    ] {
        assert_eq!(cost_of(with.clone(), &tokens, &details), wanted, "{details:?}");
        assert_eq!(cost_of(offer("a", PRICE), &tokens, &details), wanted_without, "{details:?}");
    }
}

#[test]
fn a_place_costs_what_was_said_of_it_if_the_place_matters() {
    let tokens = Tokens { input: 10, ..Tokens::default() };
    let with = Offer { geo: [("us".into(), factor("1.1"))].into(), ..offer("a", PRICE) };
    for (place, wanted) in
        [("us", Some(33_000)), ("global", Some(30_000)), ("not_available", Some(30_000)), ("mars", None)]
    {
        assert_eq!(cost_of(with.clone(), &tokens, &of_geo(place)), wanted, "{place}");
        assert_eq!(cost_of(offer("a", PRICE), &tokens, &of_geo(place)), Some(30_000), "{place}");
    }
}

#[test]
fn batches_cost_half_and_searches_the_same_everywhere() {
    let tokens = Tokens { input: 1_000, ..Tokens::default() };
    let with = Offer { fast: Some(factor("2")), geo: [("us".into(), factor("1.1"))].into(), ..offer("a", PRICE) };
    let details = |tier: &str| Details {
        service_tier: Some(tier.to_owned()),
        web_searches: Some(3),
        web_fetches: Some(5),
        inference_geo: Some("us".to_owned()),
        speed: Some("fast".to_owned()),
        ..Details::default()
    };
    let (fast_in_us, searches) = (1_000 * 3_000 * 22 / 10, 30_000_000);
    for (tier, wanted) in [("standard", fast_in_us), ("priority", fast_in_us), ("batch", fast_in_us / 2)] {
        assert_eq!(cost_of(with.clone(), &tokens, &details(tier)), Some(wanted + searches), "{tier}");
    }
    let prices = Prices::default().then(vec![with]);
    let at_a_relay = prices.cost("a", &tokens, &details("batch"), day(0), factor("0.3"));
    assert_eq!(at_a_relay, Some((fast_in_us / 2 + searches) * 3 / 10));
    let for_nothing = prices.cost("a", &tokens, &details("batch"), day(0), factor("0"));
    assert_eq!(for_nothing, Some(0));
}
