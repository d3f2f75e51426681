//! Messages cost money: which ones a run would send, and whether that is wanted.

use super::message::{self, Question};
use super::model::Wanted;
use crate::config::Config;
use crate::config::secret::Secret;
use crate::gateway::Snapshot;
use crate::language::{say, told};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

/// A message for each key of each upstream; for one without keys of its own, with that of a client.
///
/// # Errors
/// When there is none to be sent, or the upstreams cannot be prepared.
pub(super) fn questions(config: Config, client_key: Option<&Secret>, wanted: Wanted) -> Result<Vec<Question>, String> {
    let snapshot = Arc::new(Snapshot::new(config).map_err(|words| told(&words))?);
    let choice = wanted.choose(&[], &snapshot.priced_models());
    let mut questions = Vec::new();
    for (destination, upstream) in snapshot.upstreams.iter().enumerate() {
        let of = |key: Option<usize>, client_key: Option<&Secret>| Question {
            snapshot: Arc::clone(&snapshot),
            destination,
            key,
            client_key: client_key.cloned(),
            choice: choice.clone(),
        };
        let own = upstream.keys.all().iter().enumerate().filter(|(_, key)| key.config.is_enabled);
        let before = questions.len();
        questions.extend(own.map(|(at, _)| of(Some(at), None)));
        if questions.len() == before && (client_key.is_some() || snapshot.adds_key_at(destination)) {
            questions.push(of(None, client_key));
        }
        if questions.len() == before {
            let name = &upstream.name;
            eprintln!(
                "{}",
                say!(
                    "upstream \"{name}\": no message, for it has no api_key, and --key-env names none",
                    "上游“{name}”：不发送消息，它没有 api_key，也没有用 --key-env 指定密钥"
                )
            );
        }
    }
    match questions.is_empty() {
        true => Err(say!(
            "--model needs a key: set api_key or api_keys of the upstream, or name a variable with --key-env",
            "--model 需要密钥：请设置上游的 api_key 或 api_keys，或用 --key-env 指定环境变量"
        )),
        false => Ok(questions),
    }
}

/// Says what would be sent, and asks.
///
/// # Errors
/// When it is not wanted, or nobody is there to ask.
pub(super) fn agreed(questions: &[Question], is_agreed: bool) -> Result<(), String> {
    let Some(first) = questions.first() else { return Ok(()) };
    let (count, model) = (questions.len(), &first.choice.name);
    let to: Vec<String> = questions
        .iter()
        .map(|question| {
            let name = &question.snapshot.upstreams[question.destination].name;
            message::key_label(question).map_or_else(|| name.to_string(), |key| format!("{name} ({key})"))
        })
        .collect();
    let to = to.join(", ");
    let what = match count {
        1 => say!(
            "this sends a message to {model}, of some hundred tokens with max_tokens 1, which the relay charges for: {to}",
            "将向 {model} 发送一条消息（几百个 token，max_tokens 为 1），中转站会计费：{to}"
        ),
        _ => say!(
            "this sends {count} messages to {model}, each of some hundred tokens with max_tokens 1, which the relays charge \
             for: {to}",
            "将向 {model} 发送 {count} 条消息（每条几百个 token，max_tokens 为 1），中转站会计费：{to}"
        ),
    };
    eprintln!("{what}");
    if is_agreed {
        return Ok(());
    }
    let (mut answer, stdin) = (String::new(), std::io::stdin());
    if !stdin.is_terminal() {
        return Err(say!(
            "nothing was sent: there is no terminal to ask at; --yes sends without asking",
            "没有发送：没有终端可供确认；加上 --yes 则不经确认直接发送"
        ));
    }
    eprint!("{}", say!("send? [y/N] ", "发送吗？[y/N] "));
    // Whoever does not see the question does not answer it.
    let _ = std::io::stderr().flush();
    let read = stdin.lock().read_line(&mut answer);
    match read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "是") {
        true => Ok(()),
        false => Err(say!("nothing was sent", "没有发送")),
    }
}
