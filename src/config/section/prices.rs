//! `gateway.prices` and `gateway.prices_file`: what tokens cost, by model; behind them come the built-in prices.

use crate::config::source::bounds;
use crate::config::source::json_text;
use crate::config::source::layers::Places;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::place::{offset_of, place_in};
use crate::config::source::problem::{Problem, Source};
use crate::config::source::setting::{Panel, Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::text_file;
use crate::config::source::value::{self, number};
use gateway_core::rules::glob::Glob;
use gateway_core::usage::pricing::decimal::{Decimal, Factor};
use gateway_core::usage::pricing::published::{self, Published, Wrong};
use gateway_core::usage::pricing::{Offer, PicoUsd, Price, Prices};
use marked_yaml::Node;
use std::sync::Arc;
use std::time::SystemTime;

/// The prices that the gateway comes with, and where they are from.
const BUILT_IN: &str = include_str!("prices.yaml");
/// A dollar per million tokens is a million pico-dollars per token: amounts are in this power of ten of a dollar.
const PER_MILLION: i32 = -6;
/// The dearest million of tokens, in dollars: far beyond every price there is.
const MOST: u64 = 10_000;
/// A dollar per thousand requests is a billion pico-dollars per request.
const PICO_PER_THOUSANDTH: u64 = 1_000;
/// How many times as much something may cost.
const MOST_TIMES: u32 = 100;
/// Most places that a price names.
const PLACES: usize = 50;
/// Most tokens of a prompt that a price is bound to.
const LONGEST_PROMPT: u64 = 1 << 31;

settings! {
    PRICES_FILE: String = Setting::one(
        "gateway.prices_file",
        "",
        value::text,
        "A published price list, LiteLLM's model_prices_and_context_window.json or api.json of models.dev: behind \
         gateway.prices, before the built-in prices.",
        "公开的价格表文件：LiteLLM 的 model_prices_and_context_window.json，或 models.dev 的 api.json；\
         次于 gateway.prices，先于内置价格。",
    )
    .panel(Panel::Never);
}

/// The operator's prices, then those of the list that he names, and then the built-in ones.
pub(crate) fn read(reader: &mut Reader<'_>) -> Prices {
    let mut problems = Vec::new();
    let mut prices = Prices::default();
    if let Some(list) = reader.node("gateway.prices").cloned() {
        let places = reader.places();
        // A mapping begins with its first key.
        let origin = |node: &Node| {
            let first = node.as_mapping().and_then(|entry| entry.keys().next());
            places.of(first.map_or(node.span(), |key| key.span())).to_string().into()
        };
        let offers = read_list(&mut NodeReader::new(&places, reader.names, &mut problems), &list, &origin);
        prices = prices.then(offers);
    }
    if let Some(path) = reader.get_if_set(&PRICES_FILE) {
        let at = reader.source_of(&PRICES_FILE).unwrap_or(Source::Default);
        match read_published(&path, &at) {
            Ok(published) => {
                if let Some(what) = unreadable(&path, &published) {
                    reader.warning(at, PRICES_FILE.about.key, what);
                }
                prices = prices.then_published(published);
            }
            Err(problem) => problems.push(*problem),
        }
    }
    let prices = prices.then(built_in(&mut problems));
    reader.problems.append(&mut problems);
    prices
}

/// The list at a path that the setting at `at` names.
///
/// # Errors
/// What is wrong with it, with the place in the file if it is one.
fn read_published(path: &str, at: &Source) -> Result<Published, Box<Problem>> {
    let named = || path.to_owned();
    let wrong = |at: Source, what| Box::new(Problem { at, key: PRICES_FILE.about.key.to_owned(), what });
    let text = text_file::read_up_to(path.as_ref(), bounds::PRICE_LIST_BYTES).map_err(|error| {
        let what = Message::FileUnreadable { path: named(), said: error.to_string() };
        let place = text_file::place_of(&error).map(|(line, column)| Source::File { path: named(), line, column });
        wrong(place.unwrap_or_else(|| at.clone()), what)
    })?;
    // Of what tells no such time, all is taken to be of old: it stands whatever is behind it.
    let as_of = std::fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let what = match published::read(&text, &path.into(), as_of) {
        Ok(list) if list.models == 0 => Message::PriceListEmpty { path: named() },
        Ok(list) => return Ok(list),
        Err(Wrong::NoJson(line, column, said)) => {
            let (line, column) = place_in(&text, offset_of(&text, line, column));
            let said = json_text::without_place(&said).to_owned();
            return Err(wrong(Source::File { path: named(), line, column }, Message::NotJson { said }));
        }
        Err(Wrong::OtherForm) => Message::PriceListForm { path: named() },
        Err(Wrong::TooMany(found)) => Message::TooMany { found: found as u64, most: published::MODELS as u64 },
    };
    Err(wrong(at.clone(), what))
}

/// That some prices of a list cannot be read, with the names of the first models.
fn unreadable(path: &str, list: &Published) -> Option<Message> {
    const NAMED: usize = 5;
    let count = list.unreadable.len();
    let mut models = list.unreadable.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if count > NAMED {
        models.push_str(", …");
    }
    (count > 0).then(|| Message::PricesUnreadable { path: path.to_owned(), count: count as u64, models })
}

fn built_in(problems: &mut Vec<Problem>) -> Vec<Offer> {
    let options = marked_yaml::LoaderOptions::default().toplevel_sequence().prevent_coercion(true);
    let origin: Arc<str> = "built-in".into();
    match marked_yaml::parse_yaml_with_options(0, BUILT_IN, options) {
        Ok(list) => {
            let places = Places::file("the built-in prices");
            read_list(&mut NodeReader::new(&places, &|_| None, problems), &list, &|_| Arc::clone(&origin))
        }
        // A test reads them.
        Err(_) => Vec::new(),
    }
}

/// One entry while it is read.
#[derive(Default)]
struct Entry {
    models: Vec<String>,
    amounts: [Option<PicoUsd>; AMOUNTS.len()],
    from: Option<SystemTime>,
    prompt_up_to: Option<u64>,
    fast: Option<Factor>,
    geo: Vec<(Box<str>, Factor)>,
    batch: Option<Factor>,
    web_search: Option<PicoUsd>,
}

fn read_list(reading: &mut NodeReader<'_, '_>, list: &Node, origin: &dyn Fn(&Node) -> Arc<str>) -> Vec<Offer> {
    let mut offers = Vec::new();
    for (index, node) in reading.bounded_list(list, "gateway.prices", bounds::PRICES).into_iter().enumerate() {
        let at = format!("gateway.prices[{index}]");
        let before = reading.problems();
        let entry = read_entry(reading, node, &at);
        let [Some(input), Some(output), cache_write, cache_write_1h, cache_read] = entry.amounts else {
            if reading.problems() == before {
                reading.wrong(node, &at, Message::PriceIncomplete);
            }
            continue;
        };
        if entry.models.is_empty() && reading.problems() == before {
            reading.wrong(node, &at, Message::PriceModels);
        }
        if let Err(what) = bounds::count(offers.len() + entry.models.len(), bounds::OFFERS) {
            reading.wrong(node, &at, what);
            break;
        }
        let price = Price::usual(input, output, cache_write, cache_write_1h, cache_read);
        let (origin, geo) = (origin(node), Arc::from(entry.geo));
        offers.extend(entry.models.iter().map(|models| {
            let plain = Offer::new(Glob::new(models), price, Arc::clone(&origin));
            Offer {
                from: entry.from,
                prompt_up_to: entry.prompt_up_to,
                fast: entry.fast,
                geo: Arc::clone(&geo),
                batch: entry.batch.unwrap_or(plain.batch),
                web_search: entry.web_search.unwrap_or(plain.web_search),
                ..plain
            }
        }));
    }
    offers
}

fn read_entry(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Entry {
    const OTHERS: [&str; 7] = ["models", "from", "prompt_up_to", "fast", "inference_geo", "batch", "web_search"];
    let known: Vec<&str> = AMOUNTS.into_iter().chain(OTHERS).collect();
    let factor = |text: &str| value::factor(text, MOST_TIMES);
    let mut entry = Entry::default();
    for (key, value) in reading.entries(node, at, &known) {
        let at = format!("{at}.{key}");
        match (AMOUNTS.iter().position(|amount| *amount == key), key.as_str()) {
            (Some(place), _) => entry.amounts[place] = reading.parse(value, &at, amount),
            (None, "from") => entry.from = reading.parse(value, &at, value::date),
            (None, "fast") => entry.fast = reading.parse(value, &at, factor),
            (None, "batch") => entry.batch = reading.parse(value, &at, factor),
            (None, "inference_geo") => entry.geo = places(reading, value, &at),
            (None, "web_search") => {
                // Dollars for a thousand of them.
                let pico = reading.parse(value, &at, amount);
                entry.web_search = pico.map(|pico| pico * PICO_PER_THOUSANDTH);
            }
            (None, "prompt_up_to") => {
                entry.prompt_up_to = reading.parse(value, &at, |text| number(text, 1..=LONGEST_PROMPT));
            }
            (None, _) => entry.models = reading.texts(value, &at),
        }
    }
    entry
}

/// `{us: 1.1}`
fn places(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<(Box<str>, Factor)> {
    let entries = reading.any_entries(node, at);
    if let Err(what) = bounds::count(entries.len(), PLACES) {
        reading.wrong(node, at, what);
        return Vec::new();
    }
    let mut places = Vec::new();
    for (place, value) in entries {
        let factor = reading.parse(value, &format!("{at}.{place}"), |text| value::factor(text, MOST_TIMES));
        places.extend(factor.map(|factor| (place.into(), factor)));
    }
    places
}

/// The keys of a price that are amounts.
const AMOUNTS: [&str; 5] = ["input", "output", "cache_write", "cache_write_1h", "cache_read"];

/// Dollars per million tokens.
fn amount(text: &str) -> Result<PicoUsd, Message> {
    Decimal::parse(text)
        .filter(|dollars| dollars.is_whole_in(PER_MILLION))
        .and_then(|dollars| dollars.in_units(PER_MILLION))
        .filter(|pico| *pico <= MOST * 1_000_000)
        .ok_or_else(|| Message::NotAPrice { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::usage::summary::{Details, Tokens};

    fn built_in_prices() -> Prices {
        let mut problems = Vec::new();
        let prices = built_in(&mut problems);
        assert!(problems.is_empty() && prices.len() >= 15, "{problems:?}");
        Prices::default().then(prices)
    }

    fn at(date: &str) -> SystemTime {
        value::date(date).expect("a date")
    }

    /// What a million tokens of each kind cost in a request of this many, in nano-dollars per token: input, output,
    /// written for 5 minutes, written for an hour, read.
    fn paid(prices: &Prices, model: &str, count: u64, time: SystemTime) -> Option<[u64; 5]> {
        let zero = Tokens::default();
        let kinds = [
            Tokens { input: count, ..zero },
            Tokens { input: count, output: 1_000, ..zero },
            Tokens { cache_write: count, ..zero },
            Tokens { cache_write: count, cache_write_1h: count, ..zero },
            Tokens { cache_read: count, ..zero },
        ];
        let cost = |tokens: &Tokens| prices.cost(model, tokens, &Details::default(), time, Factor::ONE);
        let [input, output, five, hour, read] = kinds.each_ref().map(cost);
        let (input, output) = (input?, output?);
        let of_one = |cost: u64| {
            assert_eq!(cost % count, 0, "{model}: {cost}");
            cost / count
        };
        assert_eq!((output - input) % 1_000, 0, "{model}");
        Some([of_one(input), (output - input) / 1_000, of_one(five?), of_one(hour?), of_one(read?)])
    }

    /// The prices of the API in October 2026, in nano-dollars per token, which are thousandths of a dollar per million.
    const TABLE: [(&str, [u64; 5]); 15] = [
        ("claude-fable-5-1", [10_000, 50_000, 12_500, 20_000, 250]),
        ("claude-mythos-5-1", [10_000, 50_000, 12_500, 20_000, 250]),
        ("claude-fable-5", [10_000, 50_000, 12_500, 20_000, 1_000]),
        ("claude-mythos-5", [10_000, 50_000, 12_500, 20_000, 1_000]),
        ("claude-opus-5-5", [4_000, 20_000, 5_000, 8_000, 200]),
        ("claude-opus-5", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-opus-4-5", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-opus-4-6", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-opus-4-7", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-opus-4-8", [5_000, 25_000, 6_250, 10_000, 500]),
        ("claude-sonnet-5-5", [2_000, 10_000, 2_500, 4_000, 100]),
        ("claude-sonnet-5", [2_000, 10_000, 2_500, 4_000, 200]),
        ("claude-haiku-5-5", [100, 500, 125, 200, 10]),
        ("claude-sonnet-4-6", [3_000, 15_000, 3_750, 6_000, 300]),
        ("claude-haiku-4-5", [1_000, 5_000, 1_250, 2_000, 100]),
    ];

    #[test]
    fn every_model_of_the_table_costs_what_the_table_says_under_every_form_of_its_name() {
        let prices = built_in_prices();
        for (model, wanted) in TABLE {
            let dotted = model.rsplit_once('-').filter(|(rest, _)| rest.ends_with(|c: char| c.is_ascii_digit()));
            let dotted = dotted.map_or_else(|| model.to_owned(), |(rest, minor)| format!("{rest}.{minor}"));
            for name in [
                model.to_owned(),
                format!("{model}-20260901"),
                format!("{model}-latest"),
                format!("{model}[1m]"),
                format!("anthropic/{model}"),
                format!("anthropic/{dotted}"),
                format!("openrouter/anthropic/{dotted}"),
                format!("{dotted}[1M]"),
                format!("{model}@20260901"),
                format!("{model}@default"),
                format!("vertex_ai/{model}@20260901"),
                format!("anthropic.{model}-20260901-v1:0"),
                format!("us.anthropic.{model}-20260901-v1:0"),
                format!("bedrock/global.anthropic.{model}-v1:0"),
                format!("{model}-thinking"),
            ] {
                assert_eq!(paid(&prices, &name, 1_000, at("2026-11-27")), Some(wanted), "{name}");
            }
        }
        for unknown in ["made-up-1", "claude-opus-5-9", "claude-opus-6", "claude-sonnet-5-5-mini", ""] {
            assert_eq!(paid(&prices, unknown, 1_000, at("2026-11-27")), None, "{unknown}");
        }
    }

    #[test]
    fn a_long_prompt_of_haiku_pays_the_upper_tier_for_all_of_it() {
        let prices = built_in_prices();
        let paid = |count| paid(&prices, "claude-haiku-5-5", count, at("2026-11-27"));
        assert_eq!(paid(100_000), Some([100, 500, 125, 200, 10]));
        assert_eq!(paid(100_001), Some([500, 2_500, 625, 1_000, 50]));
        assert_eq!(paid(150_000), Some([500, 2_500, 625, 1_000, 50]));
        // Whatever the prompt consists of.
        for (tokens, wanted) in [
            (Tokens { input: 1, cache_read: 99_999, output: 1, ..Tokens::default() }, 100 + 999_990 + 500),
            (Tokens { input: 1, cache_read: 100_000, output: 1, ..Tokens::default() }, 500 + 5_000_000 + 2_500),
            (
                Tokens { input: 50_000, cache_write: 50_000, cache_write_1h: 20_000, cache_read: 50_000, output: 7 },
                50_000 * 500 + 30_000 * 625 + 20_000 * 1_000 + 50_000 * 50 + 7 * 2_500,
            ),
            // Output is no part of the prompt.
            (Tokens { input: 100_000, output: 100_000, ..Tokens::default() }, 100_000 * 100 + 100_000 * 500),
        ] {
            let cost = prices.cost("claude-haiku-5-5", &tokens, &Details::default(), at("2026-11-27"), Factor::ONE);
            assert_eq!(cost, Some(wanted), "{tokens:?}");
        }
    }

    #[test]
    fn the_cache_of_sonnet_became_cheaper_on_a_day_in_october() {
        let prices = built_in_prices();
        let midnight = at("2026-10-07");
        let read = |time| paid(&prices, "claude-sonnet-5-5", 1_000, time).map(|[.., read]| read);
        let second = std::time::Duration::from_secs(1);
        assert_eq!(read(midnight - second), Some(200));
        assert_eq!(read(midnight), Some(100));
        assert_eq!((read(at("2026-09-01")), read(at("2027-01-01"))), (Some(200), Some(100)));
    }

    #[test]
    fn a_published_list_does_not_change_what_was_paid_before_the_day_in_october() {
        let list = r#"{"claude-sonnet-5-5": {"litellm_provider": "anthropic", "input_cost_per_token": 2e-06,
            "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.1e-07}}"#;
        let read = |as_of: &str, time: &str| {
            let list = published::read(list, &"list.json".into(), at(as_of)).expect("a list");
            let prices = Prices::default().then_published(list).then(built_in(&mut Vec::new()));
            paid(&prices, "claude-sonnet-5-5", 1_000, at(time)).map(|[.., read]| read)
        };
        assert_eq!((read("2026-11-27", "2026-10-06"), read("2026-11-27", "2026-10-07")), (Some(200), Some(110)));
        assert_eq!(read("2026-09-01", "2026-10-06"), Some(110), "it is of before the change");
    }

    #[test]
    fn speed_place_batch_and_searches_are_charged_as_published() {
        let prices = built_in_prices();
        let tokens = Tokens { input: 1_000_000, output: 100_000, ..Tokens::default() };
        let cost = |model: &str, details: Details| {
            prices.cost(model, &tokens, &details, at("2026-11-27"), Factor::ONE).map(|nano| nano / 1_000_000)
        };
        let fast = Details { speed: Some("fast".to_owned()), ..Details::default() };
        let us = Details { inference_geo: Some("us".to_owned()), ..Details::default() };
        let batch = Details { service_tier: Some("batch".to_owned()), ..Details::default() };
        let searches = Details { web_searches: Some(7), web_fetches: Some(9), ..Details::default() };
        // In thousandths of a dollar.
        for (model, standard, in_fast_mode, in_us) in [
            ("claude-opus-5-5", 6_000, Some(12_000), 6_600),
            ("claude-opus-5", 7_500, Some(15_000), 8_250),
            ("claude-opus-4-8", 7_500, Some(15_000), 8_250),
            ("claude-opus-4-6", 7_500, Some(45_000), 8_250),
            ("claude-sonnet-5-5", 3_000, None, 3_300),
            ("claude-fable-5-1", 15_000, None, 16_500),
        ] {
            assert_eq!(cost(model, Details::default()), Some(standard), "{model}");
            assert_eq!(cost(model, fast.clone()), in_fast_mode, "{model}");
            assert_eq!(cost(model, us.clone()), Some(in_us), "{model}");
            assert_eq!(cost(model, batch.clone()), Some(standard / 2), "{model}");
            assert_eq!(cost(model, searches.clone()), Some(standard + 70), "{model}");
        }
        let both = Details { inference_geo: us.inference_geo, ..fast };
        assert_eq!(cost("claude-opus-5-5", both), Some(13_200));
    }

    #[test]
    fn models_of_others_cost_what_their_makers_publish() {
        let prices = built_in_prices();
        for (model, date, prompt, wanted) in [
            ("gpt-6-astra", "2026-11-27", 272_000, [10_000, 50_000, 12_500, 20_000, 1_000]),
            ("gpt-6-astra-cc-format", "2026-11-27", 272_000, [10_000, 50_000, 12_500, 20_000, 1_000]),
            ("openai/gpt-6-astra", "2026-11-27", 272_001, [20_000, 75_000, 25_000, 40_000, 2_000]),
            ("gpt-6.2-astra", "2026-11-27", 272_000, [8_000, 40_000, 10_000, 16_000, 400]),
            ("gpt-6.1-sol", "2026-11-27", 272_001, [4_000, 15_000, 5_000, 8_000, 200]),
            ("gpt-5.6-luna", "2026-07-29", 1_000, [1_000, 6_000, 1_250, 2_000, 100]),
            ("gpt-5.6-luna", "2026-07-30", 1_000, [200, 1_200, 250, 400, 20]),
            ("gpt-5.5-2026-04-23", "2026-11-27", 272_001, [10_000, 45_000, 10_000, 10_000, 1_000]),
            ("gemini-3.1-pro-preview", "2026-11-27", 200_000, [2_000, 12_000, 2_000, 2_000, 200]),
            ("google/gemini-2.5-pro", "2026-11-27", 200_001, [2_500, 15_000, 2_500, 2_500, 250]),
            ("gemini-3.8-flash", "2026-12-31", 1_000, [750, 3_750, 750, 750, 75]),
            ("gemini-3.8-flash", "2027-01-01", 1_000, [1_500, 7_500, 1_500, 1_500, 150]),
        ] {
            assert_eq!(paid(&prices, model, prompt, at(date)), Some(wanted), "{model} {date} {prompt}");
        }
        assert_eq!(paid(&prices, "gpt-5.6-sol", 1_000, at("2026-11-27")), None, "its dates are not known");
    }

    #[test]
    fn older_models_and_other_names_cost_what_they_did() {
        let prices = built_in_prices();
        for (model, wanted) in [
            ("claude-opus-4-1-20250805", [15_000, 75_000, 18_750, 30_000, 1_500]),
            ("claude-opus-4-20250514", [15_000, 75_000, 18_750, 30_000, 1_500]),
            ("claude-opus-4@20250514", [15_000, 75_000, 18_750, 30_000, 1_500]),
            ("claude-3-opus-20240229", [15_000, 75_000, 18_750, 30_000, 1_500]),
            ("claude-4-opus-20250514", [15_000, 75_000, 18_750, 30_000, 1_500]),
            ("anthropic/claude-opus-4.6-fast", [30_000, 150_000, 37_500, 60_000, 3_000]),
            ("claude-opus-5-5-fast", [8_000, 40_000, 10_000, 16_000, 400]),
            ("claude-sonnet-4-5-20250929", [3_000, 15_000, 3_750, 6_000, 300]),
            ("claude-sonnet-4-0", [3_000, 15_000, 3_750, 6_000, 300]),
            ("claude-3-7-sonnet-latest", [3_000, 15_000, 3_750, 6_000, 300]),
            ("claude-3-5-haiku-latest", [800, 4_000, 1_000, 1_600, 80]),
            ("claude-3-haiku-20240307", [250, 1_250, 300, 500, 30]),
        ] {
            assert_eq!(paid(&prices, model, 1_000, at("2026-11-27")), Some(wanted), "{model}");
        }
    }

    #[test]
    fn amounts_are_dollars_per_million_tokens() {
        let exact = [("3", 3_000_000), ("0.08", 80_000), ("18.75", 18_750_000), ("0.000001", 1), ("1e-3", 1_000)];
        for (text, pico) in exact {
            assert_eq!(amount(text), Ok(pico), "{text}");
        }
        for bad in ["", "-1", "three", "1e99", "NaN", "10000.1", "0.0000001"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
    }
}
