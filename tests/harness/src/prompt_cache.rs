//! A prompt cache as the Messages API keeps it, with a clock that is told. A text that begins with a number and a colon has so
//! many tokens; other texts have one for four bytes.

use serde_json::{Value, json};

/// Shorter prompts are not cached, in tokens.
pub const SHORTEST: u64 = 1_024;

/// A prompt cache.
#[derive(Debug, Default)]
pub struct PromptCache {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    account: String,
    model: String,
    prompt: Vec<String>,
    tokens: u64,
    lives_s: i64,
    used_ms: i64,
}

/// What a request used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Input that no cache was used for, in tokens.
    pub input: u64,
    /// What was read from the cache.
    pub read: u64,
    /// What was written to it, to be kept for five minutes.
    pub written_5m: u64,
    /// The same for an hour.
    pub written_1h: u64,
}

impl Used {
    /// As the API tells it.
    pub fn usage(&self, output: u64) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_read_input_tokens": self.read,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written_5m,
                "ephemeral_1h_input_tokens": self.written_1h,
            },
            "output_tokens": output,
        })
    }
}

struct Block {
    text: String,
    tokens: u64,
    lives_s: Option<i64>,
}

impl PromptCache {
    /// Answers a request of an account at that time.
    pub fn answer(&mut self, account: &str, body: &Value, now_ms: i64) -> Used {
        let model = body["model"].as_str().unwrap_or_default();
        let blocks = blocks(body);
        let texts: Vec<&str> = blocks.iter().map(|block| &*block.text).collect();
        let tokens_of = |end: usize| blocks[..end].iter().map(|block| block.tokens).sum::<u64>();
        let mut read = 0;
        for entry in &mut self.entries {
            let is_alive = now_ms - entry.used_ms <= entry.lives_s * 1_000;
            let is_here = entry.account == account && entry.model == model;
            if is_alive
                && is_here
                && entry.prompt.len() <= texts.len()
                && entry.prompt.iter().eq(&texts[..entry.prompt.len()])
            {
                entry.used_ms = now_ms;
                read = read.max(entry.tokens);
            }
        }
        let (mut used, mut told) = (Used { read, ..Used::default() }, read);
        for (end, lives_s) in (1..).zip(&blocks).filter_map(|(end, block)| Some((end, block.lives_s?))) {
            let tokens = tokens_of(end);
            if tokens < SHORTEST || tokens <= told {
                continue;
            }
            let written = if lives_s > 300 { &mut used.written_1h } else { &mut used.written_5m };
            *written += tokens - told;
            told = tokens;
            let prompt = texts[..end].iter().map(|text| (*text).to_owned()).collect();
            let (account, model) = (account.to_owned(), model.to_owned());
            self.entries.push(Entry { account, model, prompt, tokens, lives_s, used_ms: now_ms });
        }
        used.input = tokens_of(blocks.len()) - told;
        used
    }
}

/// Tools, system and messages, in the order of the cache.
fn blocks(body: &Value) -> Vec<Block> {
    let mut blocks = Vec::new();
    let list = |value: &Value| match value {
        Value::Array(list) => list.clone(),
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        _ => Vec::new(),
    };
    let is_attribution =
        |block: &Value| block["text"].as_str().is_some_and(|text| text.starts_with("x-anthropic-billing-header:"));
    blocks.extend(list(&body["tools"]).into_iter().map(|tool| block("tool", tool)));
    blocks.extend(
        list(&body["system"]).into_iter().filter(|part| !is_attribution(part)).map(|part| block("system", part)),
    );
    // What caches of messages are kept apart by.
    let settings = format!("{}{}", body["thinking"], body["tool_choice"]);
    blocks.push(Block { text: settings, tokens: 0, lives_s: None });
    for message in list(&body["messages"]) {
        let role = message["role"].as_str().unwrap_or_default();
        blocks.extend(list(&message["content"]).into_iter().map(|part| block(role, part)));
    }
    blocks
}

fn block(whose: &str, mut value: Value) -> Block {
    let mark = value.as_object_mut().and_then(|block| block.remove("cache_control"));
    let lives_s = mark.map(|mark| if mark["ttl"] == "1h" { 3_600 } else { 300 });
    let said = [&value["text"], &value["description"], &value["content"]].into_iter().find_map(Value::as_str);
    let told = said.and_then(|said| said.split_once(':')?.0.parse().ok());
    let text = format!("{whose}{value}");
    let tokens = told.unwrap_or(text.len() as u64 / 4);
    Block { text, tokens, lives_s }
}
