//! `docs/benchmarks.md`: the part between two marks is written anew by each full run, what stands around it is kept.
use crate::process;
use crate::report::Results;
use crate::scenarios::Scenario;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- bench: begin, written by `make bench` -->\n";
const END: &str = "<!-- bench: end -->\n";
const TITLE: &str = "# Benchmarks\n\n";

/// How the run was made.
pub(crate) struct Conditions {
    /// Rounds of each scenario.
    pub rounds: usize,
    /// Whether proxies and load had a core each.
    pub pinned: bool,
    /// Pingora's `work_stealing`.
    pub work_stealing: bool,
}

/// The generated part.
pub(crate) fn generated(results: &Results, scenarios: &[Scenario], conditions: &Conditions) -> String {
    let Conditions { rounds, pinned, work_stealing } = conditions;
    let cores = if *pinned {
        "The proxies are bound to one core (`taskset`), load client and origin share the other."
    } else {
        "Nothing is bound to a core."
    };
    let loads: String = scenarios.iter().map(|s| format!("- `{}`: {}\n", s.name, s.describe())).collect();
    let streams = results.amount.streams;
    format!(
        "Machine: {}. {}, {}. {cores} One worker thread each; Pingora's `work_stealing: {work_stealing}`; keep-alive on both \
         sides; no access log. {rounds} rounds, in each of which every contestant carries every load once, in turn; figures are \
         medians, in brackets the smallest and the largest. Every body that arrives is compared byte by byte (nginx + Lua: \
         searched for the new text), every reply too; one mismatch ends the run.\n\n\
         Contestants: `gateway` rewrites the system prompt, `gateway-plain` has nothing to rewrite, `gateway-rules` rewrites the prompt and has 50 rules, 20 of them for the request, `bare-pingora` is \
         `bench/src/bin/bare-pingora.rs`, `nginx` is `proxy_pass` with the request body buffered in memory, `nginx-default` \
         the same with nginx's own body buffer (16 KiB, larger bodies go through a temporary file), `nginx-unbuffered` with \
         `proxy_request_buffering off`, `nginx-lua` decodes the body with cjson, replaces the same text and encodes \
         it again. Their configurations are in `bench/src/nginx.rs` and `bench/src/contestants.rs`.\n\n\
         Loads:\n\n{loads}- memory: {streams} streams opened by the 54 KB request, one event received on each, then silence\n{}",
        process::machine(),
        version("rustc", "--version"),
        version(if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }, "-v"),
        results.tables()
    )
}

/// Puts `generated` into the document at `path`.
pub(crate) fn write(path: &Path, generated: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_else(|_| format!("{TITLE}{BEGIN}{END}"));
    let (before, after) = match (old.split_once(BEGIN), old.split_once(END)) {
        (Some((before, _)), Some((_, after))) => (before, after),
        _ => (old.as_str(), ""),
    };
    fs::write(path, format!("{before}{BEGIN}{generated}{END}{after}"))?;
    Ok(())
}

fn version(program: &str, option: &str) -> String {
    let Ok(output) = Command::new(program).arg(option).output() else { return format!("{program} unknown") };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim().replace("nginx version: nginx/", "nginx ");
    text.split(" (").next().unwrap_or_default().to_string()
}
