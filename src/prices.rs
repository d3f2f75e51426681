//! What `anyrouter-gateway prices` prints: what models cost, since when, and who says so.

use crate::config::Config;
use crate::config::problem::path_words;
use crate::language::{self, say, told};
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::pricing::{Offer, PicoUsd, model_name};
use std::time::SystemTime;

/// Names like an unknown one that are told.
const NEAR: usize = 3;
/// How many columns there are.
const COLUMNS: usize = 10;

/// What stands over the columns.
fn titles() -> [String; COLUMNS] {
    [
        say!("MODELS", "模型"),
        say!("SINCE", "生效日期"),
        say!("PROMPT UP TO", "提示词上限"),
        say!("INPUT", "输入"),
        say!("OUTPUT", "输出"),
        say!("WRITE 5m", "写缓存 5m"),
        say!("WRITE 1h", "写缓存 1h"),
        say!("READ", "读缓存"),
        say!("ALSO", "其他"),
        say!("FROM", "来源"),
    ]
}

/// All prices, in the order in which they are asked.
pub(crate) fn all(config: &Config, path: &str, now: SystemTime) -> String {
    let mut text = say!(
        "# anyrouter-gateway {version}, configuration: {path}\n\
         # US dollars per million tokens; the first that fits counts. `anyrouter-gateway prices MODEL` shows one model.\n",
        "# anyrouter-gateway {version}，配置：{path}\n\
         # 单位：美元/百万 token；以最先符合的一行为准。`anyrouter-gateway prices 模型名` 只显示一个模型。\n",
        version = env!("CARGO_PKG_VERSION"),
        path = told(&path_words(path))
    );
    let rows = config.prices.written().map(|offer| row(offer, offer.from.is_some_and(|from| from > now)));
    text.push_str(&table(rows.collect()));
    if let Some(list) = config.prices.published() {
        let name = list.publisher.name();
        text += &say!(
            "Before the built-in ones: {models} models of gateway.prices_file ({name}).\n",
            "gateway.prices_file（{name}）中的 {models} 个模型优先于内置价格。\n",
            models = list.models
        );
    }
    text.push_str(&cost_factors(config));
    text.truncate(text.trim_end().len());
    text
}

/// What one model costs.
///
/// # Errors
/// When it has no price, with what to do about it.
pub(crate) fn of_model(config: &Config, model: &str, now: SystemTime) -> Result<String, String> {
    let offers = config.prices.all_of(model);
    // Each tier is tried at its end, and beyond all of them.
    let prompts = offers.iter().filter_map(|offer| offer.prompt_up_to).chain([u64::MAX]);
    let in_force: Vec<&Offer> = prompts.filter_map(|prompt| config.prices.of(model, prompt, now)).collect();
    if offers.is_empty() {
        return Err(unknown(config, model));
    }
    let is_in_force = |offer: &Offer| in_force.iter().any(|other| std::ptr::eq(*other, offer));
    let rows = offers.iter().map(|offer| row(offer, !is_in_force(offer)));
    let today = humantime::format_rfc3339_seconds(now).to_string();
    let mut text = say!(
        "# {model}, in US dollars per million tokens; the first that fits counts. (Those in brackets do not hold on {day}, \
         or come behind another one.)\n",
        "# {model}，单位：美元/百万 token；以最先符合的一行为准。（括号中的价格在 {day} 未生效，或已被前面的价格取代。）\n",
        day = &today[..10]
    );
    text.push_str(&table(rows.collect()));
    text.push_str(&cost_factors(config));
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// What to do about a model without a price.
fn unknown(config: &Config, model: &str) -> String {
    let plain = model_name::plain(model);
    let written = config.prices.written().map(|offer| offer.models.to_string()).filter(|name| !name.contains('*'));
    let published = config.prices.published().into_iter().flat_map(|list| list.names().map(str::to_owned));
    let distance = |name: String| (strsim::damerau_levenshtein(&plain, &model_name::plain(&name)), name);
    let mut near: Vec<_> = written.chain(published).map(distance).collect();
    near.retain(|(distance, name)| *distance <= name.len().max(plain.len()) / 3);
    near.sort();
    near.dedup_by(|one, other| one.1 == other.1);
    let near: Vec<String> = near.into_iter().take(NEAR).map(|(_, name)| name).collect();
    let near = near.join(", ");
    let near = if near.is_empty() { near } else { say!(" (near: {near})", "（相近的有：{near}）") };
    say!(
        "\"{model}\" has no price{near}: its requests have no cost, and count as unpriced\n\
         give it one in the configuration, in US dollars per million tokens:\n\
         \x20 gateway:\n\
         \x20   prices:\n\
         \x20     - {{models: \"{plain}\", input: 1, output: 5}}\n\
         or name a published list in gateway.prices_file: LiteLLM's or that of models.dev",
        "“{model}”没有价格{near}：它的请求不计费用，归为未定价\n\
         请在配置中写上价格，单位为美元/百万 token：\n\
         \x20 gateway:\n\
         \x20   prices:\n\
         \x20     - {{models: \"{plain}\", input: 1, output: 5}}\n\
         也可用 gateway.prices_file 指定公开的价格表（LiteLLM 或 models.dev）"
    )
}

/// The cells of an offer, in brackets if it does not count.
fn row(offer: &Offer, is_aside: bool) -> [String; COLUMNS] {
    let models = offer.models.to_string();
    let price = &offer.price;
    let mut also = Vec::new();
    also.extend(offer.fast.map(|times| say!("fast ×{times}", "快速模式 ×{times}")));
    also.extend(offer.geo.iter().map(|(place, times)| format!("{place} ×{times}")));
    if offer.batch != Factor::HALF {
        also.push(say!("batch ×{times}", "批量 ×{times}", times = offer.batch));
    }
    let thousand = dollars(offer.web_search.saturating_mul(1_000) / 1_000_000);
    if thousand != "10" {
        also.push(say!("1,000 searches {thousand}", "千次搜索 {thousand}"));
    }
    [
        if is_aside { format!("({models})") } else { models },
        offer
            .from
            .map_or_else(String::new, |from| humantime::format_rfc3339_seconds(from).to_string()[..10].to_owned()),
        offer.prompt_up_to.map_or_else(String::new, |most| most.to_string()),
        dollars(price.input),
        dollars(price.output),
        dollars(price.cache_write),
        dollars(price.cache_write_1h),
        dollars(price.cache_read),
        also.join(", "),
        match &*offer.origin {
            "built-in" => say!("built-in", "内置"),
            path => path.to_owned(),
        },
    ]
}

/// Rows below their titles, in columns.
fn table(rows: Vec<[String; COLUMNS]>) -> String {
    let rows: Vec<_> = std::iter::once(titles()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| language::width(&row[column])).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| language::padded(cell, *width));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// The upstreams that charge something else.
fn cost_factors(config: &Config) -> String {
    let others = config.upstreams.iter().filter(|upstream| upstream.cost_factor != Factor::ONE);
    let told = others.map(|upstream| {
        say!(
            "{name} charges {times} times the price.\n",
            "{name} 按价格的 {times} 倍收费。\n",
            name = upstream.name,
            times = upstream.cost_factor
        )
    });
    told.collect()
}

/// Pico-dollars per token as dollars per million.
fn dollars(pico: PicoUsd) -> String {
    let (whole, fraction) = (pico / 1_000_000, pico % 1_000_000);
    let text = format!("{whole}.{fraction:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_to_their_last_digit() {
        let told = [3_000_000, 250_000, 1, 18_750_000, 0, 10_000_000].map(dollars);
        assert_eq!(told, ["3", "0.25", "0.000001", "18.75", "0", "10"]);
    }
}
