//! Price lists that others publish: LiteLLM's `model_prices_and_context_window.json` and models.dev's `api.json`. Which of
//! them a text is, its shape tells. Models that have no price per token are passed over.

use super::decimal::{Decimal, Factor};
use super::model_name;
use super::offer::{FAST, Offer, PicoUsd, Price};
use crate::rules::glob::Glob;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

#[cfg(test)]
mod tests;

/// Most models of a list.
pub const MODELS: usize = 20_000;
/// The dearest token, in pico-dollars: ten thousand dollars per million.
const DEAREST: PicoUsd = 10_000_000_000;
/// The dearest search: a hundred dollars.
const DEAREST_SEARCH: PicoUsd = 100_000_000_000_000;
/// How many times as much fast mode, or a place, may cost.
const MOST_TIMES: u32 = 100;
/// LiteLLM's prices are dollars per token.
const PER_TOKEN: i32 = -12;
/// Those of models.dev are dollars per million tokens.
const PER_MILLION: i32 = -6;
/// Who makes which models, as of 2026-11-27: providers of both lists, each with what the names of its own models begin
/// with. Of one maker's providers the first counts. What they sell besides is as anybody else's.
const MAKERS: [(&str, &[&str]); 16] = [
    ("anthropic", &["claude"]),
    ("openai", &["gpt", "chatgpt", "codex", "o1", "o3", "o4"]),
    ("gemini", &["gemini", "gemma"]),
    ("google", &["gemini", "gemma"]),
    ("vertex_ai-language-models", &["gemini", "gemma"]),
    ("deepseek", &["deepseek"]),
    ("moonshot", &["kimi", "moonshot"]),
    ("moonshotai", &["kimi", "moonshot"]),
    ("zai", &["glm"]),
    ("zhipuai", &["glm"]),
    ("xai", &["grok"]),
    ("mistral", &["mistral", "ministral", "magistral", "codestral", "devstral", "pixtral", "open-mi"]),
    ("minimax", &["minimax", "abab"]),
    ("dashscope", &["qwen", "qwq", "qvq"]),
    ("alibaba", &["qwen", "qwq", "qvq"]),
    ("meta_llama", &["llama"]),
];

/// Which of a model's makers a provider is, the first that counts being 0; `None` if it sells what others make. Who is not
/// known makes the models that are called after it.
fn as_maker(provider: &str, plain: &str) -> Option<usize> {
    let known = MAKERS
        .iter()
        .position(|(maker, models)| *maker == provider && models.iter().any(|begin| plain.starts_with(begin)));
    let is_called_after_it = || {
        let rest = plain.strip_prefix(&provider.to_ascii_lowercase())?;
        (!provider.is_empty() && !rest.starts_with(|next: char| next.is_ascii_alphabetic())).then_some(0)
    };
    known.or_else(is_called_after_it)
}

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// LiteLLM.
    LiteLlm,
    /// models.dev.
    ModelsDev,
}

/// A list that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Whose it is.
    pub publisher: Publisher,
    /// When it was written: its prices are those of that day.
    pub as_of: SystemTime,
    /// How many models it has prices of.
    pub models: usize,
    /// Models with a price that cannot be read: they have none.
    pub unreadable: Vec<String>,
    /// Offers by name, each in the order to ask them.
    pub(super) offers: HashMap<Box<str>, Arc<[Offer]>>,
}

impl Published {
    /// The names that have a price in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.offers.keys().map(|name| &**name)
    }
}

impl Publisher {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::LiteLlm => "LiteLLM",
            Self::ModelsDev => "models.dev",
        }
    }
}

/// Why a text is no such list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is no JSON: line, column, and what is said of it.
    NoJson(usize, usize, String),
    /// It is another JSON.
    OtherForm,
    /// It has more than [`MODELS`].
    TooMany(usize),
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// A price that cannot be read.
struct Unreadable;

/// Reads a list; `origin` is what the operator is told of where its prices are from, `as_of` when it was written.
///
/// # Errors
/// When it is none.
pub fn read(text: &str, origin: &Arc<str>, as_of: SystemTime) -> Result<Published, Wrong> {
    let list: Object<'_> = serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => Wrong::OtherForm,
        false => Wrong::NoJson(error.line(), error.column(), error.to_string()),
    })?;
    let entries: Vec<(String, Object<'_>)> =
        list.into_iter().filter_map(|(name, entry)| Some((name, object(entry)?))).collect();
    let has = |key: &str| entries.iter().any(|(_, entry)| entry.contains_key(key));
    let mut reading = Reading { origin, all: Vec::new(), unreadable: Vec::new() };
    let publisher = if has("models") {
        for (provider, entry) in &entries {
            let models = entry.get("models").and_then(|models| object(models)).unwrap_or_default();
            for (model, entry) in &models {
                let offers = object(entry).map_or(Ok(Vec::new()), |entry| of_models_dev(&entry));
                reading.add(&format!("{provider}/{model}"), model, provider, offers);
            }
        }
        Publisher::ModelsDev
    } else if has(INPUT) {
        for (name, entry) in &entries {
            // What the list says of itself.
            if name == "sample_spec" {
                continue;
            }
            let provider: String = entry.get("litellm_provider").and_then(|raw| value(raw)).unwrap_or_default();
            reading.add(name, name, &provider, of_litellm(entry));
        }
        Publisher::LiteLlm
    } else {
        return Err(Wrong::OtherForm);
    };
    if reading.all.len() > MODELS {
        return Err(Wrong::TooMany(reading.all.len()));
    }
    let Reading { all, unreadable, .. } = reading;
    Ok(Published { publisher, as_of, models: all.len(), unreadable, offers: by_name(&all) })
}

/// What was read of a list so far.
struct Reading<'a> {
    origin: &'a Arc<str>,
    all: Vec<Model>,
    unreadable: Vec<String>,
}

/// One model of one provider.
struct Model {
    /// Its name in the list.
    key: String,
    /// Its name at the provider.
    id: String,
    /// The same without what others put around it.
    plain: String,
    /// Which of its makers the provider is.
    maker: Option<usize>,
    offers: Arc<[Offer]>,
}

impl Reading<'_> {
    fn add(&mut self, key: &str, id: &str, provider: &str, offers: Result<Vec<Offered>, Unreadable>) {
        let offers = match offers {
            Ok(offers) if offers.is_empty() => return,
            Ok(offers) => offers,
            Err(Unreadable) => return self.unreadable.push(key.to_owned()),
        };
        let is_claude = id.to_ascii_lowercase().contains("claude");
        let offers = offers.into_iter().map(|offered| {
            let plain = Offer::new(Glob::new(key), offered.told.price(is_claude), Arc::clone(self.origin));
            Offer {
                prompt_up_to: offered.prompt_up_to,
                fast: offered.fast,
                geo: offered.us.into_iter().map(|factor| ("us".into(), factor)).collect(),
                web_search: offered.web_search.unwrap_or(plain.web_search),
                ..plain
            }
        });
        let (offers, plain) = (offers.collect(), model_name::plain(id));
        let maker = as_maker(provider, &plain);
        self.all.push(Model { key: key.to_owned(), id: id.to_owned(), plain, maker, offers });
    }
}

/// What an entry says of one tier.
#[derive(Clone, Copy, Default)]
struct Offered {
    prompt_up_to: Option<u64>,
    told: Told,
    fast: Option<Factor>,
    us: Option<Factor>,
    web_search: Option<PicoUsd>,
}

/// The amounts that an entry tells.
#[derive(Clone, Copy, Default)]
struct Told {
    input: Option<PicoUsd>,
    output: Option<PicoUsd>,
    cache_write: Option<PicoUsd>,
    cache_write_1h: Option<PicoUsd>,
    cache_read: Option<PicoUsd>,
}

impl Told {
    fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
            cache_read: self.cache_read.or(other.cache_read),
        }
    }

    /// Of Claude's models the cache costs what it usually does where that is not told; of others it is no cheaper and no
    /// dearer than input then.
    fn price(self, is_claude: bool) -> Price {
        let (input, output) = (self.input.unwrap_or_default(), self.output.unwrap_or_default());
        match is_claude {
            true => Price::usual(input, output, self.cache_write, self.cache_write_1h, self.cache_read),
            false => {
                let cache_write = self.cache_write.unwrap_or(input);
                let cache_write_1h = self.cache_write_1h.unwrap_or(cache_write);
                Price { input, output, cache_write, cache_write_1h, cache_read: self.cache_read.unwrap_or(input) }
            }
        }
    }
}

const INPUT: &str = "input_cost_per_token";

fn told_by_litellm(entry: &Object<'_>, suffix: &str) -> Result<Told, Unreadable> {
    let field = |name: &str| amount(entry.get(&format!("{name}{suffix}")), PER_TOKEN, DEAREST);
    Ok(Told {
        input: field(INPUT)?,
        output: field("output_cost_per_token")?,
        cache_write: field("cache_creation_input_token_cost")?,
        cache_write_1h: field("cache_creation_input_token_cost_above_1hr")?,
        cache_read: field("cache_read_input_token_cost")?,
    })
}

/// An entry of LiteLLM's list.
fn of_litellm(entry: &Object<'_>) -> Result<Vec<Offered>, Unreadable> {
    let base = told_by_litellm(entry, "")?;
    let tier = |key: &String| {
        let (name, length) = key.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
        let is_priced = name == INPUT || name == "output_cost_per_token";
        length.parse::<u32>().ok().filter(|length| is_priced && *length > 0)
    };
    let lengths: BTreeSet<u32> = entry.keys().filter_map(tier).collect();
    let mut tiers = vec![(0, base)];
    for length in lengths {
        let told = told_by_litellm(entry, &format!("_above_{length}k_tokens"))?;
        tiers.push((u64::from(length) * 1_000, told.or(base)));
    }
    // Another way to say the same, for models that have no other price.
    let ranges: Vec<Object<'_>> = entry.get("tiered_pricing").and_then(|tiers| value(tiers)).unwrap_or_default();
    if base.input.is_none() && !ranges.is_empty() {
        tiers.clear();
        for range in &ranges {
            let ends: Vec<&RawValue> = range.get("range").and_then(|ends| value(ends)).unwrap_or_default();
            let begin = ends.first().and_then(|begin| Decimal::parse(begin.get())?.in_units(0)).ok_or(Unreadable)?;
            tiers.push((begin, told_by_litellm(range, "")?));
        }
        tiers.sort_by_key(|(begin, _)| *begin);
    }
    let special = entry.get("provider_specific_entry").and_then(|special| object(special)).unwrap_or_default();
    let searches = entry.get("search_context_cost_per_query").and_then(|searches| object(searches)).unwrap_or_default();
    let others = Offered {
        fast: special.get("fast").and_then(|times| factor(times)),
        us: special.get("us").and_then(|times| factor(times)),
        web_search: amount(searches.get("search_context_size_medium"), PER_TOKEN, DEAREST_SEARCH)?,
        ..Offered::default()
    };
    Ok(in_tiers(tiers, others))
}

/// An entry of the list of models.dev.
fn of_models_dev(entry: &Object<'_>) -> Result<Vec<Offered>, Unreadable> {
    let Some(cost) = entry.get("cost").and_then(|cost| object(cost)) else { return Ok(Vec::new()) };
    let base = told_of_cost(&cost)?;
    let mut tiers = vec![(0, base)];
    let listed: Vec<Object<'_>> = cost.get("tiers").and_then(|tiers| value(tiers)).unwrap_or_default();
    for tier in &listed {
        let of = tier.get("tier").or_else(|| tier.get("context")).and_then(|of| object(of)).unwrap_or_default();
        let length = ["size", "min"].into_iter().find_map(|key| value::<u64>(of.get(key)?)).ok_or(Unreadable)?;
        tiers.push((length, told_of_cost(tier)?.or(base)));
    }
    // The older way to say the same: where both are told, that way is the coarser one.
    if listed.is_empty()
        && let Some(over) = cost.get("context_over_200k").and_then(|over| object(over))
    {
        tiers.push((200_000, told_of_cost(&over)?.or(base)));
    }
    tiers.sort_by_key(|(length, _)| *length);
    Ok(in_tiers(tiers, Offered { fast: fast_of_models_dev(entry, &base), ..Offered::default() }))
}

/// How many times as much fast mode costs, if input and output agree on that.
fn fast_of_models_dev(entry: &Object<'_>, base: &Told) -> Option<Factor> {
    let experimental = object(entry.get("experimental")?)?;
    let modes = object(experimental.get("modes")?)?;
    let fast = object(modes.get("fast")?)?;
    let provider: serde_json::Value = value(fast.get("provider")?)?;
    // What others call fast is asked for in another way, and not told in the answer.
    provider["body"]["speed"].as_str().filter(|speed| *speed == FAST)?;
    let cost = told_of_cost(&object(fast.get("cost")?)?).ok()?;
    let of_input = Factor::ratio(cost.input?, base.input?)?;
    (Factor::ratio(cost.output?, base.output?)? == of_input).then_some(of_input)
}

fn told_of_cost(cost: &Object<'_>) -> Result<Told, Unreadable> {
    let field = |name: &str| amount(cost.get(name), PER_MILLION, DEAREST);
    Ok(Told {
        input: field("input")?,
        output: field("output")?,
        cache_write: field("cache_write")?,
        cache_write_1h: field("cache_write_1h")?,
        cache_read: field("cache_read")?,
    })
}

/// Offers for tiers, each with the length of a prompt beyond which it holds; none if tokens have no price.
fn in_tiers(tiers: Vec<(u64, Told)>, others: Offered) -> Vec<Offered> {
    if tiers.iter().any(|(_, told)| told.input.is_none() || told.output.is_none()) {
        return Vec::new();
    }
    let ends: Vec<Option<u64>> = tiers.iter().skip(1).map(|(length, _)| Some(*length)).chain([None]).collect();
    tiers.into_iter().zip(ends).map(|((_, told), prompt_up_to)| Offered { prompt_up_to, told, ..others }).collect()
}

/// The offers by all names that a model may be asked for: as the list has it, as its maker calls it, and without what
/// clouds and relays put around it. A name without a vendor has the maker's price; if only others sell it, and do not agree
/// on a price, it is nobody's.
fn by_name(all: &[Model]) -> HashMap<Box<str>, Arc<[Offer]>> {
    let mut claims: Vec<(Box<str>, Rank, &Model)> = Vec::new();
    for model in all {
        let mut claim = |name: &str, rank: Rank| claims.push((name.to_ascii_lowercase().into(), rank, model));
        // What costs nothing at another one's is paid for in another way.
        let is_free = model.offers.iter().all(|offer| offer.price.input == 0 && offer.price.output == 0);
        let has_vendor = model.key.contains('/');
        claim(&model.key, if has_vendor || model.maker.is_some() { Rank::AsItStands } else { Rank::Others });
        match model.maker {
            Some(_) => {
                claim(&model.id, Rank::AsItStands);
                claim(&model.plain, Rank::Makers);
            }
            None if is_free => {}
            None => claim(&model.plain, Rank::Others),
        }
    }
    // Of several by one maker the shortest name stands for what is current, and of those the latest date.
    let order = |model: &Model| (model.maker, model.key.len(), std::cmp::Reverse(model.key.clone()));
    claims.sort_by_cached_key(|(name, rank, model)| (name.clone(), *rank, order(model)));
    let costs =
        |model: &Model| -> Vec<_> { model.offers.iter().map(|offer| (offer.prompt_up_to, offer.price)).collect() };
    let mut offers = HashMap::new();
    for claims in claims.chunk_by(|(one, ..), (other, ..)| one == other) {
        let [(name, rank, first), rest @ ..] = claims else { continue };
        if *rank != Rank::Others || rest.iter().all(|(.., other)| costs(other) == costs(first)) {
            offers.insert(name.clone(), Arc::clone(&first.offers));
        }
    }
    offers
}

/// Whose claim to a name counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    AsItStands,
    Makers,
    Others,
}

fn object(raw: &RawValue) -> Option<Object<'_>> {
    value(raw)
}

fn value<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// An amount of dollars in units of ten to the power of `unit`, to pico-dollars; `None` if it is not told.
fn amount(raw: Option<&&RawValue>, unit: i32, most: PicoUsd) -> Result<Option<PicoUsd>, Unreadable> {
    let text = raw.map_or("null", |raw| raw.get());
    if text == "null" {
        return Ok(None);
    }
    let pico = Decimal::parse(text.trim_matches('"')).and_then(|number| number.in_units(unit));
    pico.filter(|pico| *pico <= most).map(Some).ok_or(Unreadable)
}

fn factor(raw: &RawValue) -> Option<Factor> {
    Factor::parse(raw.get(), MOST_TIMES)
}
