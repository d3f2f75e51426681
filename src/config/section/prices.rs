//! `gateway.prices`: what tokens cost, by model; behind the operator's prices come the built-in ones.

use crate::config::source::layers::Places;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::Problem;
use crate::config::source::settings_reader::Reader;
use crate::config::source::value::number;
use gateway_core::rules::glob::Glob;
use gateway_core::usage::pricing::{NanoUsd, Offer, Price, Prices};
use marked_yaml::Node;

/// The prices that the gateway comes with, and their date.
const BUILT_IN: &str = include_str!("prices.yaml");
/// A dollar per million tokens is a thousand billionths of a dollar per token.
const NANO_PER_TOKEN: f64 = 1_000.0;
/// The dearest token: far beyond every price there is.
const MOST: f64 = 10_000.0;
/// How many times as much fast mode may cost.
const MOST_TIMES: u64 = 100;
/// Most tokens of a prompt that a price is bound to.
const LONGEST_PROMPT: u64 = 1 << 31;

/// The prices of the file, and then the built-in ones.
pub(crate) fn read(reader: &mut Reader<'_>) -> Prices {
    let mut problems = Vec::new();
    let mut prices = Vec::new();
    if let Some(list) = reader.node("gateway.prices").cloned() {
        let places = reader.places();
        prices = read_list(&mut NodeReader::new(&places, reader.names, &mut problems), &list);
    }
    prices.extend(built_in(&mut problems));
    reader.problems.append(&mut problems);
    Prices::new(prices)
}

fn built_in(problems: &mut Vec<Problem>) -> Vec<Offer> {
    let options = marked_yaml::LoaderOptions::default().toplevel_sequence().prevent_coercion(true);
    match marked_yaml::parse_yaml_with_options(0, BUILT_IN, options) {
        Ok(list) => read_list(&mut NodeReader::new(&Places::file("the built-in prices"), &|_| None, problems), &list),
        // A test reads them.
        Err(_) => Vec::new(),
    }
}

fn read_list(reading: &mut NodeReader<'_, '_>, list: &Node) -> Vec<Offer> {
    let mut prices = Vec::new();
    for (index, node) in
        reading.bounded_list(list, "gateway.prices", crate::config::source::bounds::PRICES).into_iter().enumerate()
    {
        let at = format!("gateway.prices[{index}]");
        let (mut models, mut amounts, mut fast, mut prompt_up_to) = (Vec::new(), [None; AMOUNTS.len()], None, None);
        let known: Vec<&str> = AMOUNTS.into_iter().chain(["models", "fast", "prompt_up_to"]).collect();
        let before = reading.problems();
        for (key, value) in reading.entries(node, &at, &known) {
            let at = format!("{at}.{key}");
            match (AMOUNTS.iter().position(|amount| *amount == key), key.as_str()) {
                (Some(place), _) => amounts[place] = reading.parse(value, &at, amount),
                (None, "fast") => fast = reading.parse(value, &at, |text| number(text, 1..=MOST_TIMES)),
                (None, "prompt_up_to") => {
                    prompt_up_to = reading.parse(value, &at, |text| number(text, 1..=LONGEST_PROMPT));
                }
                (None, _) => models = reading.texts(value, &at),
            }
        }
        let [Some(input), Some(output), cache_write, cache_write_1h, cache_read] = amounts else {
            if reading.problems() == before {
                reading.wrong(node, &at, Message::PriceIncomplete);
            }
            continue;
        };
        if models.is_empty() && reading.problems() == before {
            reading.wrong(node, &at, Message::PriceModels);
        }
        let price = Price {
            input,
            output,
            cache_write: cache_write.unwrap_or(input * 5 / 4),
            cache_write_1h: cache_write_1h.unwrap_or(input * 2),
            cache_read: cache_read.unwrap_or(input / 10),
        };
        prices.extend(models.iter().map(|model| Offer { model: Glob::new(model), prompt_up_to, price, fast }));
    }
    prices
}

/// The keys of a price beside `models`.
const AMOUNTS: [&str; 5] = ["input", "output", "cache_write", "cache_write_1h", "cache_read"];

/// Dollars per million tokens.
fn amount(text: &str) -> Result<NanoUsd, Message> {
    let dollars: f64 = text
        .parse()
        .ok()
        .filter(|dollars| (0.0..=MOST).contains(dollars))
        .ok_or_else(|| Message::NotAPrice { text: text.to_owned() })?;
    Ok((dollars * NANO_PER_TOKEN).round() as NanoUsd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in_prices() -> Prices {
        let mut problems = Vec::new();
        let prices = built_in(&mut problems);
        assert!(problems.is_empty() && prices.len() >= 15, "{problems:?}");
        Prices::new(prices)
    }

    #[test]
    fn the_built_in_prices_are_those_of_the_api() {
        let prices = built_in_prices();
        for (model, input, output, cache_write, cache_read) in [
            ("claude-opus-4-5-20251101", 5_000, 25_000, 6_250, 500),
            ("claude-opus-4-8", 5_000, 25_000, 6_250, 500),
            ("claude-opus-4-1-20250805", 15_000, 75_000, 18_750, 1_500),
            ("claude-opus-4-20250514", 15_000, 75_000, 18_750, 1_500),
            ("claude-3-opus-20240229", 15_000, 75_000, 18_750, 1_500),
            ("claude-sonnet-4-5-20250929", 3_000, 15_000, 3_750, 300),
            ("anthropic/claude-sonnet-4.6", 3_000, 15_000, 3_750, 300),
            ("claude-haiku-4-5-20251001", 1_000, 5_000, 1_250, 100),
            ("claude-3-5-haiku-20241022", 800, 4_000, 1_000, 80),
            ("claude-3-haiku-20240307", 250, 1_250, 300, 30),
            ("claude-opus-4@20250514", 15_000, 75_000, 18_750, 1_500),
            ("claude-opus-4-8[1m]", 5_000, 25_000, 6_250, 500),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 1_000, 5_000, 1_250, 100),
            ("claude-3-5-haiku-latest", 800, 4_000, 1_000, 80),
            ("claude-fable-5-1", 10_000, 50_000, 12_500, 250),
            ("claude-mythos-5-1-20260901", 10_000, 50_000, 12_500, 250),
            ("claude-fable-5", 10_000, 50_000, 12_500, 1_000),
            ("claude-mythos-5", 10_000, 50_000, 12_500, 1_000),
            ("claude-opus-5-5", 4_000, 20_000, 5_000, 200),
            ("anthropic/claude-opus-5", 5_000, 25_000, 6_250, 500),
            ("claude-sonnet-5-5@20260901", 2_000, 10_000, 2_500, 100),
            ("claude-sonnet-5", 2_000, 10_000, 2_500, 200),
            ("global.anthropic.claude-haiku-5-5-v1:0", 100, 500, 125, 10),
        ] {
            let price = prices.of(model, 0).unwrap_or_else(|| panic!("{model} has no price")).price;
            let found = (price.input, price.output, price.cache_write, price.cache_read);
            assert_eq!(found, (input, output, cache_write, cache_read), "{model}");
        }
        for unknown in ["gpt-5", "glm-5.1", "claude-opus-5-9", "claude-opus-6", ""] {
            assert_eq!(prices.of(unknown, 0), None, "{unknown}");
        }
        let of_long_prompt = prices.of("claude-haiku-5-5", 100_001).expect("a price").price;
        assert_eq!((of_long_prompt.input, of_long_prompt.output), (500, 2_500));
        for (model, fast) in [("claude-opus-5", Some(2)), ("claude-opus-5-5", Some(2)), ("claude-sonnet-5", None)] {
            assert_eq!(prices.of(model, 0).and_then(|offer| offer.fast), fast, "{model}");
        }
    }

    #[test]
    fn amounts_are_dollars_per_million_tokens() {
        assert_eq!((amount("3"), amount("0.08"), amount("18.75")), (Ok(3_000), Ok(80), Ok(18_750)));
        for bad in ["", "-1", "three", "1e99", "NaN"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }
}
