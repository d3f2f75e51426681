//! Names of models as clouds and relays write them.

/// A model's name without what relays and clouds put around it: the vendor and region before it, the context in
/// brackets, dates, and `-latest` behind it; with dashes in its version. Of Claude's models also versions of clouds,
/// `-thinking`, and what follows a colon: others are sold under such names at prices of their own.
pub fn plain(model: &str) -> String {
    let model = model.trim().to_ascii_lowercase();
    let model = model.rsplit_once('/').map_or(&*model, |(_, model)| model);
    let claude = model.rfind("claude-").map(|start| &model[start..]);
    let model = claude.unwrap_or(model);
    let end = model.find(|character| matches!(character, '[' | '@') || claude.is_some() && character == ':');
    let mut model = model[..end.unwrap_or(model.len())].trim_end();
    while let Some(rest) = without_date(model).or_else(|| {
        let (rest, last) = model.rsplit_once('-')?;
        let is_version = last.strip_prefix('v').is_some_and(is_number) || last == "thinking";
        (last == "latest" || is_version && claude.is_some()).then_some(rest)
    }) {
        model = rest;
    }
    model.replace('.', "-")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands before `-20251101` or `-2025-11-01`.
fn without_date(model: &str) -> Option<&str> {
    let (rest, last) = model.rsplit_once('-')?;
    if last.len() == 8 && is_number(last) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    let is_date =
        [(year, 4), (month, 2), (last, 2)].into_iter().all(|(text, length)| text.len() == length && is_number(text));
    (is_date && year.starts_with("20")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_without_what_others_put_around_them() {
        for name in [
            "claude-opus-4-5",
            "claude-opus-4-5-20251101",
            "claude-opus-4-5@20251101",
            "claude-opus-4-5@default",
            "anthropic/claude-opus-4.5",
            "anthropic/claude-opus-4.5:thinking",
            "openrouter/anthropic/claude-opus-4.5",
            "claude-opus-4-5[1m]",
            " Claude-Opus-4-5 [1M] ",
            "claude-opus-4-5-latest",
            "claude-opus-4-5-20251101-thinking",
            "anthropic.claude-opus-4-5-20251101-v1:0",
            "us.anthropic.claude-opus-4-5-20251101-v1:0",
            "global.anthropic.claude-opus-4-5-v1",
            "vertex_ai/claude-opus-4-5@20251101",
            "bedrock/eu.anthropic.claude-opus-4-5-20251101-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-5-20251101-v1:0",
            "publishers/anthropic/models/claude-opus-4-5@20251101",
            "claude-opus-4-5-2025-11-01",
        ] {
            assert_eq!(plain(name), "claude-opus-4-5", "{name}");
        }
        for (name, wanted) in [
            ("claude-opus-4@20250514", "claude-opus-4"),
            ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
            ("claude-opus-4-5-mini", "claude-opus-4-5-mini"),
            ("glm-5.1", "glm-5-1"),
            ("moonshot/kimi-k2-thinking", "kimi-k2-thinking"),
            ("deepseek/r1:free", "r1:free"),
            ("gpt-6-20260801", "gpt-6"),
            ("gpt-5.5-2026-04-23", "gpt-5-5"),
            ("openai/gpt-5.5", "gpt-5-5"),
            ("model-10-20-30", "model-10-20-30"),
            ("other-v2", "other-v2"),
            ("20251101", "20251101"),
            ("2025-11-01", "2025-11-01"),
            ("", ""),
            ("/", ""),
            ("@", ""),
            ("-latest", ""),
        ] {
            assert_eq!(plain(name), wanted, "{name}");
        }
    }
}
