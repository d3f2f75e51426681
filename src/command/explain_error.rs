//! `explain --response`: which rule for errors would decide about a response of an upstream, and what would follow.

use crate::cli::ExplainOptions;
use crate::config::Config;
use crate::gateway::place_of_error;
use crate::language::say;
use anyhow::Context as _;
use gateway_core::errors::{DECIDING_BYTES, ErrorRule, Of, Told, deciding};
use gateway_core::language::Spelled;
use gateway_core::usage::error_body::ErrorText;
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::path::Path;

/// Most characters of a text that are shown to people.
const LONGEST_SHOWN: usize = 1_000;

/// What would follow.
#[derive(Debug, Serialize)]
struct Explanation {
    upstream: String,
    status: u16,
    r#type: Option<String>,
    code: Option<String>,
    message: Option<String>,
    /// The rules in the order in which they are asked, up to the one that decides; of the built-in ones only that.
    rules: Vec<Asked>,
    /// The rule that decides; `None`: the status does.
    rule: Option<String>,
    /// `pass`, `next` or `next_key`.
    then: &'static str,
    rest_ms: Option<u128>,
    /// `key`, `upstream`, or `client`: who sends with the only key, or its own, goes elsewhere.
    of: Option<&'static str>,
    disable_key: bool,
    answer: Option<Answer>,
}

#[derive(Debug, Serialize)]
struct Asked {
    name: String,
    matches: bool,
    /// What does not hold.
    unmet: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Answer {
    status: u16,
    message: String,
}

/// Explains what would follow the response in this file.
///
/// # Errors
/// When it cannot be read, or there is no such upstream.
pub(super) fn run(config: &Config, file: &Path, options: &ExplainOptions) -> anyhow::Result<()> {
    let failed = || say!("reading the response from {name}", "读取响应文件 {name}", name = file.display());
    let bytes = std::fs::read(file).with_context(failed)?;
    let (in_file, body) = split(&bytes);
    let no_status = || {
        say!("the file has no status line: name the status with --status", "文件中没有状态行：请用 --status 指明状态码")
    };
    let status = options.status.or(in_file).with_context(no_status)?;
    let upstream = match &options.upstream {
        Some(name) => config.upstreams.iter().find(|upstream| upstream.name == *name),
        None => config.upstreams.first(),
    };
    let none = || say!("there is no such upstream", "没有这个上游");
    let upstream = upstream.with_context(none)?;
    // The gateway looks at no more of it.
    let text = ErrorText::whole(&body[..body.len().min(DECIDING_BYTES)]);
    let (kind, code) = (text.kind.as_deref(), text.code.as_deref());
    let message = text.message.as_deref();
    let told = Told { upstream: &upstream.name, status, kind: kind.or(code), code: code.or(kind), message };
    let there = place_of_error(status, upstream, &config.failover.retry_on);
    let rule = deciding(&config.errors, &told, there);
    let is_retried = there.retries_status || there.wants_retries && there.has_own_key && matches!(status, 401..=403);
    let by_status = match status {
        401..=403 | 429 if there.has_several_keys => "next_key",
        _ if is_retried => "next",
        _ => "pass",
    };
    // The built-in rules leave a key alone that has no others beside it.
    let takes_key =
        |rule: &ErrorRule| there.has_several_keys || rule.built_in().is_none() && !upstream.api_keys.is_empty();
    let explanation = Explanation {
        upstream: upstream.name.clone(),
        status,
        r#type: text.kind.clone(),
        code: text.code.clone(),
        message: text.message.clone(),
        rules: asked(&config.errors, &told, rule.map(|rule| &**rule)),
        rule: rule.map(|rule| rule.name.to_string()),
        then: rule.map_or(by_status, |rule| rule.then.name()),
        rest_ms: rule.and_then(|rule| rule.rest).map(|rest| rest.as_millis()),
        of: rule.filter(|rule| rule.rest.is_some()).map(|rule| match (rule.of, there.has_several_keys) {
            (Some(Of::Key), _) if !takes_key(rule) => "client",
            (Some(Of::Key), _) | (None, true) => "key",
            (Some(Of::Upstream), _) | (None, false) => "upstream",
        }),
        disable_key: rule.is_some_and(|rule| rule.disable_key && takes_key(rule)),
        answer: rule
            .and_then(|rule| rule.answer.as_ref())
            .map(|answer| Answer { status: answer.status.unwrap_or(status), message: answer.message.clone() }),
    };
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&explanation)?),
        false => print!("{explanation}"),
    }
    Ok(())
}

fn asked<'r>(
    rules: impl IntoIterator<Item = &'r std::sync::Arc<ErrorRule>>,
    told: &Told<'_>,
    decides: Option<&ErrorRule>,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    for rule in rules {
        let is_it = decides.is_some_and(|decides| decides.name == rule.name);
        if rule.built_in().is_none() || is_it {
            let unmet = rule.first_unmet(told).map(|unmet| unmet.code());
            asked.push(Asked { name: rule.name.to_string(), matches: unmet.is_none(), unmet });
        }
        if is_it {
            break;
        }
    }
    asked
}

/// The status of a response with a head, and its body; without a head all of it is the body.
fn split(bytes: &[u8]) -> (Option<u16>, &[u8]) {
    if !bytes.starts_with(b"HTTP/") {
        return (None, bytes);
    }
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let status = String::from_utf8_lossy(line).split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let end = |mark: &[u8]| memchr::memmem::find(bytes, mark).map(|at| at + mark.len());
    let body = end(b"\r\n\r\n").into_iter().chain(end(b"\n\n")).min();
    (status, body.map_or(&[][..], |at| &bytes[at..]))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { upstream, status, .. } = self;
        writeln!(f, "{}", say!("the upstream \"{upstream}\" answers {status}", "上游“{upstream}”返回 {status}"))?;
        for (name, value) in [("type", &self.r#type), ("code", &self.code), ("message", &self.message)] {
            if let Some(value) = value {
                // A terminal heeds what is not to be seen.
                let shown = value.chars().take(LONGEST_SHOWN).map(|char| if char.is_control() { ' ' } else { char });
                writeln!(f, "  {name}: {}", shown.collect::<String>())?;
            }
        }
        writeln!(f, "\n{}", say!("rules for errors, in order:", "错误规则（按顺序）："))?;
        for Asked { name, unmet, .. } in &self.rules {
            match unmet {
                Some(unmet) => {
                    writeln!(f, "  {}", say!("- {name}: does not hold: {unmet}", "- {name}：不满足：{unmet}"))?
                }
                None => writeln!(f, "  + {name}")?,
            }
        }
        if self.rule.is_none() {
            writeln!(
                f,
                "  {}",
                say!(
                    "none decides: the status does (failover.retry_on)",
                    "没有规则适用：由状态码决定（failover.retry_on）"
                )
            )?;
        }
        let then = match self.then {
            "next" => say!("then next: another upstream, if there is one", "然后（next）：换一个上游（如果有）"),
            "next_key" => say!(
                "then next_key: another key of the upstream, or else another upstream",
                "然后（next_key）：换该上游的另一个密钥，没有则换上游"
            ),
            _ => say!("then pass: the client gets it", "然后（pass）：原样交给客户端"),
        };
        writeln!(f, "\n{then}")?;
        self.write_rest(f)
    }
}

impl Explanation {
    fn write_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = String::new();
        if let (Some(rest), Some(of)) = (self.rest_ms, self.of) {
            let rest = std::time::Duration::from_millis(u64::try_from(rest).unwrap_or(u64::MAX));
            let rest = Spelled(rest);
            let words = match of {
                "key" => say!("the key rests for {rest}", "该密钥暂停使用 {rest:#}"),
                "client" => say!(
                    "who sent the request goes elsewhere for {rest}, up to five minutes",
                    "该客户端在 {rest:#}内（最多五分钟）改用别的上游"
                ),
                _ => say!("the upstream rests for {rest}", "该上游暂停使用 {rest:#}"),
            };
            writeln!(lines, "{words}")?;
        }
        if self.disable_key {
            let words = say!("the key is out of use until somebody wakes it", "该密钥停用，直到有人恢复使用");
            writeln!(lines, "{words}")?;
        }
        if let Some(Answer { status, message }) = &self.answer {
            let words =
                say!("what the client gets instead: {status}: {message}", "客户端收到的是：{status}：{message}");
            writeln!(lines, "{words}")?;
        }
        f.write_str(&lines)
    }
}
