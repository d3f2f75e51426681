//! `anyrouter-gateway explain`: which request it is about, and how what is found is told.

use super::explain_error;
use crate::cli::ExplainOptions;
use crate::config::Loaded;
use crate::config::log_store::LogStore;
use crate::gateway::{self, SAMPLE, Snapshot, Values};
use crate::language::say;
use crate::store::{Captured, Reader};
use crate::team;
use anyhow::Context as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// A request, and what it is.
struct Request {
    head: Option<String>,
    body: Vec<u8>,
    /// Which one was taken, where nobody named one.
    which: Option<String>,
}

/// Explains what the rules would make of the request that was named, or else of the last one that was kept, or of a sample.
///
/// # Errors
/// When the request or the configuration cannot be read.
pub(super) fn run(loaded: Loaded, options: &ExplainOptions) -> anyhow::Result<()> {
    if let Some(file) = &options.response {
        return explain_error::run(&loaded.config, file, options);
    }
    let log = loaded.startup.log.store.clone();
    let roster = team::roster(&loaded.startup.state_dir);
    let snapshot = Snapshot::new(loaded.config).map_err(anyhow::Error::msg)?;
    let request = match &options.body {
        Some(body) => Request { head: head_of(options)?, body: body_of(body)?, which: None },
        None => unnamed(options, log.as_ref())?,
    };
    let values = if options.show_values { Values::Shown } else { Values::Masked };
    let (head, body) = (request.head.as_deref(), &request.body);
    let explanation = gateway::explain(Arc::new(snapshot), &roster, head, body, values, None);
    let explanation = explanation.map_err(anyhow::Error::msg)?;
    if options.show_values {
        eprintln!(
            "{}",
            say!("warning: keys are shown as they are: do not pass this on", "警告：密钥会原样显示，请勿转发")
        );
    }
    match (options.json, request.which) {
        (true, which) => {
            which.iter().for_each(|which| eprintln!("{which}"));
            println!("{}", serde_json::to_string_pretty(&explanation)?);
        }
        (false, Some(which)) => print!("{which}\n\n{explanation}"),
        (false, None) => print!("{explanation}"),
    }
    Ok(())
}

fn head_of(options: &ExplainOptions) -> anyhow::Result<Option<String>> {
    let read = |path: &std::path::PathBuf| {
        let failed = || say!("reading the head from {name}", "读取请求头文件 {name}", name = path.display());
        std::fs::read_to_string(path).with_context(failed)
    };
    options.head.as_ref().map(read).transpose()
}

fn body_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin()
            .read_to_end(&mut body)
            .with_context(|| say!("reading the body from standard input", "从标准输入读取请求体"))?;
        return Ok(body);
    }
    std::fs::read(path)
        .with_context(|| say!("reading the body from {name}", "读取请求体文件 {name}", name = path.display()))
}

/// The last request that was kept as a whole, or else a sample; with a head that was named in the place of its own.
fn unnamed(options: &ExplainOptions, log: Option<&LogStore>) -> anyhow::Result<Request> {
    let named = head_of(options)?;
    let (found, why) = match log.filter(|log| log.may_be_there()).map(last_captured) {
        Some(Ok(Some(found))) => (Some(found), String::new()),
        Some(Err(error)) => (None, error.to_string()),
        Some(Ok(None)) => {
            let why = say!(
                "none is kept as a whole (gateway.log.capture keeps them)",
                "没有完整保存的请求（由 gateway.log.capture 设置）"
            );
            (None, why)
        }
        None => (None, say!("there is no request log here", "这里没有请求日志")),
    };
    Ok(match found {
        Some(Captured { id, started_ms, head, body }) => {
            let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(started_ms).unwrap_or_default());
            let at = humantime::format_rfc3339_seconds(at);
            let which = say!(
                "this is about the last request that was kept: {id}, of {at}",
                "以下是最近一个完整保存的请求：{id}，{at}"
            );
            Request { head: named.or(Some(head)), body: body.into_bytes(), which: Some(which) }
        }
        None => {
            let which = say!(
                "this is about a sample, built in: a request of Claude Code. To explain one of your own: \
                 `anyrouter-gateway explain BODY.json`; the last one that came is not known: {why}",
                "以下是内置的 Claude Code 请求示例。要看自己的请求，请用 `anyrouter-gateway explain BODY.json`；\
                 最近一个请求不可用：{why}"
            );
            let (head, body) = SAMPLE;
            Request { head: named.or_else(|| Some(head.to_owned())), body: body.into(), which: Some(which) }
        }
    })
}

fn last_captured(log: &LogStore) -> anyhow::Result<Option<Captured>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async { Reader::new(log).last_captured().await })?)
}
