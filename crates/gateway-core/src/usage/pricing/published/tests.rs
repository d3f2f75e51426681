use super::super::Prices;
use super::*;
use crate::usage::summary::{Details, Tokens};
use std::time::{Duration, UNIX_EPOCH};

/// In the form of LiteLLM's list, with what is odd in it.
const LITELLM: &str = r#"{
    "sample_spec": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "mode": "one of: chat, embedding"},
    "claude-sonnet-4-5": {"litellm_provider": "anthropic", "mode": "chat",
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06, "cache_read_input_token_cost": 3e-07,
        "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
        "cache_read_input_token_cost_above_200k_tokens": 6e-07,
        "search_context_cost_per_query": {"search_context_size_medium": 0.02}},
    "claude-opus-4-6-20260205": {"litellm_provider": "anthropic", "input_cost_per_token": 0.000005,
        "output_cost_per_token": 0.000025, "provider_specific_entry": {"us": 1.1, "fast": 6.0}},
    "eu.anthropic.claude-opus-4-6-v1": {"litellm_provider": "bedrock_converse",
        "input_cost_per_token": 5.5e-06, "output_cost_per_token": 2.75e-05},
    "gpt-5.5": {"litellm_provider": "openai", "input_cost_per_token": 5e-06, "output_cost_per_token": 3e-05,
        "cache_read_input_token_cost": 5e-07, "input_cost_per_token_above_272k_tokens": 1e-05,
        "output_cost_per_token_above_272k_tokens": 4.5e-05, "cache_read_input_token_cost_above_272k_tokens": 1e-06,
        "input_cost_per_token_priority": 1.25e-05, "input_cost_per_token_above_272k_tokens_priority": 2e-05},
    "qwen-ranges": {"litellm_provider": "dashscope", "tiered_pricing": [
        {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06},
        {"range": [0, 256000.0], "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07}]},
    "qwen-broken": {"tiered_pricing": [{"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}]},
    "odd-digits": {"input_cost_per_token": 1.5000020000000002e-05, "output_cost_per_token": "2E-5"},
    "below-zero": {"input_cost_per_token": -1, "output_cost_per_token": 1e-06},
    "too-dear": {"input_cost_per_token": 1, "output_cost_per_token": 1e-06},
    "half": {"input_cost_per_token": 1e-06},
    "image": {"mode": "image_generation", "output_cost_per_image": 0.04},
    "null": {"input_cost_per_token": null, "output_cost_per_token": null},
    "a/shared": {"litellm_provider": "a", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "b/shared": {"litellm_provider": "b", "input_cost_per_token": 2e-06, "output_cost_per_token": 1e-06},
    "a/same": {"litellm_provider": "a", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "b/same": {"litellm_provider": "b", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "c/same": {"litellm_provider": "c", "input_cost_per_token": 0, "output_cost_per_token": 0}
}"#;

const MODELS_DEV: &str = r#"{
    "anthropic": {"id": "anthropic", "name": "Anthropic", "models": {
        "claude-opus-5-5": {"id": "claude-opus-5-5", "cost": {"input": 4, "output": 20, "cache_read": 0.2, "cache_write": 5},
            "experimental": {"modes": {"fast": {"cost": {"input": 8, "output": 40, "cache_read": 0.4},
                "provider": {"body": {"speed": "fast"}}}}}},
        "claude-old": {"cost": {"input": 3, "output": 15, "context_over_200k": {"input": 6, "output": 22.5}}}}},
    "openai": {"models": {
        "gpt-5.5": {"cost": {"input": 5, "output": 30, "cache_read": 0.5,
            "tiers": [{"input": 10, "output": 45, "cache_read": 1, "tier": {"type": "context", "size": 272000}}],
            "context_over_200k": {"input": 10, "output": 45, "cache_read": 1}},
            "experimental": {"modes": {"fast": {"cost": {"input": 10, "output": 60},
                "provider": {"body": {"service_tier": "priority"}}}}}},
        "free-of-cost": {"limit": {"context": 1}}}},
    "github-copilot": {"models": {
        "claude-opus-5.5": {"cost": {"input": 0, "output": 0}},
        "only-here": {"cost": {"input": 0, "output": 0}}}},
    "reseller": {"models": {
        "Claude-Opus-5.5": {"cost": {"input": 4.4, "output": 22}},
        "router/auto": {"cost": {"input": -1, "output": -1}}}}
}"#;

fn list(text: &str) -> Published {
    read(text, &"prices.json".into(), UNIX_EPOCH).expect("a list")
}

fn prices(text: &str) -> Prices {
    Prices::default().then_published(list(text))
}

/// What a million tokens of input, of output, of a write for five minutes and for an hour, and of a read cost, in
/// thousandths of a dollar: of a request whose prompt is that long.
fn table(prices: &Prices, model: &str, prompt: u64) -> Option<[f64; 5]> {
    let Price { input, output, cache_write, cache_write_1h, cache_read } = prices.of(model, prompt, UNIX_EPOCH)?.price;
    Some([input, output, cache_write, cache_write_1h, cache_read].map(|pico| pico as f64 / 1e6))
}

#[test]
fn a_list_of_litellm_has_its_amounts_to_the_last_digit() {
    let prices = prices(LITELLM);
    for (model, prompt, wanted) in [
        ("claude-sonnet-4-5", 200_000, [3.0, 15.0, 3.75, 6.0, 0.3]),
        ("claude-sonnet-4-5", 200_001, [6.0, 22.5, 7.5, 12.0, 0.6]),
        ("gpt-5.5", 272_000, [5.0, 30.0, 5.0, 5.0, 0.5]),
        ("gpt-5.5", 272_001, [10.0, 45.0, 10.0, 10.0, 1.0]),
        ("claude-opus-4-6-20260205", 999_999, [5.0, 25.0, 6.25, 10.0, 0.5]),
        ("qwen-ranges", 256_000, [0.05, 0.4, 0.05, 0.05, 0.05]),
        ("qwen-ranges", 256_001, [0.25, 2.0, 0.25, 0.25, 0.25]),
        ("odd-digits", 1, [15.00002, 20.0, 15.00002, 15.00002, 15.00002]),
    ] {
        assert_eq!(table(&prices, model, prompt), Some(wanted), "{model} {prompt}");
    }
    let list = list(LITELLM);
    assert_eq!((list.publisher, list.models), (Publisher::LiteLlm, 11));
    assert_eq!(list.unreadable, ["below-zero", "qwen-broken", "too-dear"]);
    for none in ["below-zero", "too-dear", "half", "image", "null", "sample_spec", "gpt-5"] {
        assert_eq!(table(&prices, none, 1), None, "{none}");
    }
}

#[test]
fn a_list_of_litellm_tells_of_speed_place_and_searches() {
    let prices = prices(LITELLM);
    let tokens = Tokens { input: 1_000_000, ..Tokens::default() };
    let cost = |model, details| prices.cost(model, &tokens, &details, UNIX_EPOCH, Factor::ONE);
    let fast = Details { speed: Some("fast".to_owned()), inference_geo: Some("us".to_owned()), ..Details::default() };
    assert_eq!(cost("claude-opus-4-6", fast.clone()), Some(33_000_000_000));
    assert_eq!(cost("gpt-5.5", fast), None, "nobody said so");
    let searches = Details { web_searches: Some(2), ..Details::default() };
    assert_eq!(cost("claude-sonnet-4-5", searches.clone()), Some(6_000_000_000 + 40_000_000));
    assert_eq!(cost("claude-opus-4-6", searches), Some(5_000_000_000 + 20_000_000));
}

#[test]
fn a_list_of_models_dev_has_its_amounts_to_the_last_digit() {
    let prices = prices(MODELS_DEV);
    for (model, prompt, wanted) in [
        ("claude-opus-5-5", 1, [4.0, 20.0, 5.0, 8.0, 0.2]),
        ("claude-old", 200_000, [3.0, 15.0, 3.75, 6.0, 0.3]),
        ("claude-old", 200_001, [6.0, 22.5, 7.5, 12.0, 0.6]),
        ("gpt-5.5", 272_000, [5.0, 30.0, 5.0, 5.0, 0.5]),
        ("openai/gpt-5.5", 272_001, [10.0, 45.0, 10.0, 10.0, 1.0]),
        ("reseller/claude-opus-5.5", 1, [4.4, 22.0, 5.5, 8.8, 0.44]),
    ] {
        assert_eq!(table(&prices, model, prompt), Some(wanted), "{model} {prompt}");
    }
    let list = list(MODELS_DEV);
    assert_eq!((list.publisher, list.models), (Publisher::ModelsDev, 6));
    assert_eq!(list.unreadable, ["reseller/router/auto"]);
    let fast = |model| prices.of(model, 1, UNIX_EPOCH).and_then(|offer| offer.fast).map(|times| times.to_string());
    assert_eq!((fast("claude-opus-5-5").as_deref(), fast("gpt-5.5")), (Some("2"), None));
}

#[test]
fn names_find_the_makers_price_and_what_costs_nothing_elsewhere_is_not_taken_for_it() {
    let of_litellm = prices(LITELLM);
    let input = |prices: &Prices, model| table(prices, model, 1).map(|[input, ..]| input);
    for (model, wanted) in [
        ("claude-opus-4-6", Some(5.0)),
        ("anthropic/claude-opus-4.6[1m]", Some(5.0)),
        ("eu.anthropic.claude-opus-4-6-v1", Some(5.5)),
        ("us.anthropic.claude-opus-4-6-20260205-v1:0", Some(5.0)),
        ("openai/gpt-5.5-2026-04-23", Some(5.0)),
        ("a/shared", Some(1.0)),
        ("B/Shared", Some(2.0)),
        ("shared", None),
        ("same", Some(1.0)),
        ("c/same", Some(0.0)),
    ] {
        assert_eq!(input(&of_litellm, model), wanted, "{model}");
    }
    let of_models_dev = prices(MODELS_DEV);
    for (model, wanted) in [
        ("claude-opus-5.5", Some(4.0)),
        ("reseller/claude-opus-5.5", Some(4.4)),
        ("claude-opus-5-5-20260901", Some(4.0)),
        ("github-copilot/claude-opus-5.5", Some(0.0)),
        ("only-here", None),
    ] {
        assert_eq!(input(&of_models_dev, model), wanted, "{model}");
    }
}

#[test]
fn a_bare_name_has_its_makers_price_or_one_that_all_sellers_agree_on() {
    // Per million tokens: sellers of a name, and what the bare name costs.
    for (sellers, name, wanted) in [
        (&[("alibaba", "deepseek-r9", 9), ("deepseek", "deepseek-r9", 1)][..], "deepseek-r9", Some(1.0)),
        (&[("zai", "kimi-k9", 9), ("moonshotai", "kimi-k9", 1)], "kimi-k9", Some(1.0)),
        // The provider that the model is called after, whoever it is.
        (&[("ab", "newcomer-2", 9), ("newcomer", "newcomer-2", 1)], "newcomer-2", Some(1.0)),
        (&[("ab", "newcomers-2", 9), ("newcomer", "newcomers-2", 1)], "newcomers-2", None),
        // Makers of other models are sellers like all others.
        (&[("xai", "stranger-1", 9), ("openai", "stranger-1", 1)], "stranger-1", None),
        (&[("xai", "stranger-1", 9), ("other", "stranger-1", 9)], "stranger-1", Some(9.0)),
        (&[("openai", "claude-next", 9), ("anthropic", "claude-next", 1)], "claude-next", Some(1.0)),
        (&[("openai", "claude-next", 9)], "claude-next", Some(9.0)),
    ] {
        for name in [name.to_owned(), format!("{name}-20260901"), format!("vendor/{name}")] {
            let models_dev: Vec<String> = sellers
                .iter()
                .map(|(seller, model, input)| {
                    format!(r#""{seller}": {{"models": {{"{model}": {{"cost": {{"input": {input}, "output": 1}}}}}}}}"#)
                })
                .collect();
            let of_models_dev = prices(&format!("{{{}}}", models_dev.join(",")));
            let litellm: Vec<String> = sellers
                .iter()
                .map(|(seller, model, input)| {
                    format!(
                        r#""{seller}/{model}": {{"litellm_provider": "{seller}", "input_cost_per_token": {input}e-6,
                           "output_cost_per_token": 1e-6}}"#
                    )
                })
                .collect();
            let of_litellm = prices(&format!("{{{}}}", litellm.join(",")));
            for prices in [of_models_dev, of_litellm] {
                assert_eq!(table(&prices, &name, 1).map(|[input, ..]| input), wanted, "{name} of {sellers:?}");
            }
        }
    }
    // A seller may write a name without itself: that does not make it the maker's.
    let bare = r#"{"deepseek-r9": {"litellm_provider": "reseller", "input_cost_per_token": 9e-6, "output_cost_per_token": 1e-6},
        "deepseek/deepseek-r9": {"litellm_provider": "deepseek", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}"#;
    assert_eq!(table(&prices(bare), "deepseek-r9", 1).map(|[input, ..]| input), Some(1.0));
}

#[test]
fn what_is_behind_a_list_says_what_a_model_cost_before_a_change_that_the_list_is_younger_than() {
    const CHANGE: Duration = Duration::from_secs(20_000 * 86_400);
    let own = |input, from: Option<Duration>| Offer {
        from: from.map(|from| UNIX_EPOCH + from),
        ..Offer::new(Glob::new("gpt-5.5"), Price::usual(input, 1, None, None, None), "own".into())
    };
    let second = Duration::from_secs(1);
    let input = |as_of: Duration, offers: Vec<Offer>, at: Duration| {
        let list = read(LITELLM, &"prices.json".into(), UNIX_EPOCH + as_of).expect("a list");
        let prices = Prices::default().then_published(list).then(offers);
        prices.of("gpt-5.5", 1, UNIX_EPOCH + at).map(|offer| offer.price.input)
    };
    let both = || vec![own(2, Some(CHANGE)), own(1, None)];
    for (as_of, offers, at, wanted) in [
        (CHANGE + second, both(), CHANGE - second, 1),
        (CHANGE, both(), CHANGE - second, 1),
        (CHANGE + second, both(), CHANGE, 5_000_000),
        // What the list does not know yet changes nothing about it.
        (CHANGE - second, both(), CHANGE - second, 5_000_000),
        // Nobody behind it knows what it cost before.
        (CHANGE + second, vec![own(2, Some(CHANGE))], CHANGE - second, 5_000_000),
        (CHANGE + second, vec![own(1, None)], CHANGE - second, 5_000_000),
    ] {
        assert_eq!(input(as_of, offers, at), Some(wanted), "{as_of:?} {at:?}");
    }
}

#[test]
fn a_list_behind_the_operators_prices_comes_before_those_behind_it() {
    let own = |model, input| Offer::new(Glob::new(model), Price::usual(input, 1, None, None, None), "own".into());
    let prices = Prices::default()
        .then(vec![own("gpt-5.5", 1)])
        .then_published(list(LITELLM))
        .then(vec![own("claude-*", 2), own("gpt-*", 3)]);
    let found = |model| prices.of(model, 1, UNIX_EPOCH).map(|offer| (offer.price.input, &*offer.origin));
    assert_eq!(found("gpt-5.5"), Some((1, "own")));
    assert_eq!(found("claude-sonnet-4-5"), Some((3_000_000, "prices.json")));
    assert_eq!((found("claude-new"), found("gpt-6")), (Some((2, "own")), Some((3, "own"))));
}

#[test]
fn what_is_no_such_list_is_told_apart() {
    let origin = "prices.json".into();
    let wrong = |text: &str| read(text, &origin, UNIX_EPOCH).expect_err("no list");
    assert!(matches!(wrong("{\"a\":\n {,}"), Wrong::NoJson(2, ..)));
    for text in ["[]", "{}", "\"text\"", "{\"a\": 1}", "{\"models\": [{\"id\": \"x\"}]}", "{\"a\": {\"price\": 1}}"] {
        assert_eq!(wrong(text), Wrong::OtherForm, "{text}");
    }
    let many: Vec<String> = (0..=MODELS)
        .map(|at| format!("\"m{at}\": {{\"input_cost_per_token\": 1e-06, \"output_cost_per_token\": 1e-06}}"))
        .collect();
    assert_eq!(wrong(&format!("{{{}}}", many.join(","))), Wrong::TooMany(MODELS + 1));
    assert_eq!(wrong(&"[".repeat(1_000)), Wrong::OtherForm);
    assert!(matches!(wrong(&format!("{{\"a\": {}", "[".repeat(1_000))), Wrong::NoJson(..)));
}
