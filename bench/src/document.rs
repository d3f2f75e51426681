//! `docs/benchmarks.md` and its twin in Chinese: the part between two marks is written anew by each full run, what
//! stands around it is kept.
use crate::contestants::installed;
use crate::language::Language;
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
pub(crate) fn generated(
    results: &Results,
    scenarios: &[Scenario],
    conditions: &Conditions,
    language: Language,
) -> String {
    let streams = results.amount.streams;
    let colon = language.pick(": ", "：");
    let loads: String = scenarios.iter().map(|s| format!("- `{}`{colon}{}\n", s.name, s.describe(language))).collect();
    let how = language.pick(english(conditions), chinese(conditions));
    let heading = language.pick("Loads:", "负载：");
    let memory = language.pick(
        format!("- memory: {streams} streams opened by the 54 KB request, one event received on each, then silence"),
        format!("- memory：用 54 KB 的请求打开 {streams} 个流，每个流收到一个事件，此后不再有内容"),
    );
    format!("{how}\n\n{heading}\n\n{loads}{memory}\n{}", results.tables(language))
}

fn english(conditions: &Conditions) -> String {
    let Conditions { rounds, pinned, work_stealing } = conditions;
    let cores = match pinned {
        true => "The proxies are bound to one core (`taskset`), load client and origin share the other.",
        false => "Nothing is bound to a core.",
    };
    let (machine, rustc, servers) = (process::machine(Language::English), rustc(), servers());
    format!(
        "Machine: {machine}. {rustc}, {servers}. {cores} One worker thread each; Pingora's `work_stealing: {work_stealing}`; \
         keep-alive on both sides. {rounds} rounds, in each of which every contestant carries every load once, \
         in turn; figures are medians, in brackets the smallest and the largest. Every body that arrives is compared byte by \
         byte (nginx + Lua and FastAPI: searched for the new text), every reply too; one mismatch ends the run.\n\n\
         Contestants: `gateway` is the gateway as it is run: access log and request log to files, metrics, accounting, and the \
         system prompt rewritten; `gateway-nolog` the same without the request log, `gateway-plain` that with nothing to rewrite, \
         `gateway-rules` `gateway` with 50 rules, 20 of them for the request. The others write no log. `bare-pingora` is `bench/src/bin/bare-pingora.rs`, `nginx` \
         is `proxy_pass` with the request body buffered in memory, `nginx-default` the same with nginx's own body buffer (16 \
         KiB, larger bodies go through a temporary file), `nginx-unbuffered` with `proxy_request_buffering off`, `nginx-lua` \
         decodes the body with cjson, replaces the same text and encodes it again, `haproxy` sends the body on as it comes, \
         `fastapi` is what the gateway replaces: a proxy of a few lines (`bench/seed/proxy.py`), which gets about one in 20 \
         of the requests, and is not in the table of memory. The configurations are in `bench/src`: `nginx.rs`, `haproxy.rs` and `contestants.rs`."
    )
}

fn chinese(conditions: &Conditions) -> String {
    let Conditions { rounds, pinned, work_stealing } = conditions;
    let cores = match pinned {
        true => "各代理绑定在一个核上（`taskset`），负载客户端和源站共用另一个核。",
        false => "没有绑定 CPU 核。",
    };
    let (machine, rustc, servers) = (process::machine(Language::Chinese), rustc(), servers());
    format!(
        "测试机：{machine}。{rustc}，{servers}。{cores}各用一个工作线程；Pingora 的 `work_stealing: {work_stealing}`；两侧都保持连接。\
         共 {rounds} 轮，每轮中各参测者依次承受每种负载一次；数值为中位数，括号内为最小值和最大值。\
         到达的每个请求体都逐字节核对（nginx + Lua 和 FastAPI 则查找新的文本），响应也一样；有一处不符，测试即中止。\n\n\
         参测者：`gateway` 即实际运行时的网关：访问日志和请求日志写入文件，有指标和用量核算，并改写系统提示词；`gateway-nolog` 同上，但没有请求日志；\
         `gateway-plain` 又没有要改写的；`gateway-rules` 是有 50 条规则的 `gateway`，其中 20 条匹配该请求。其余参测者都不写日志。\
         `bare-pingora` 即 `bench/src/bin/bare-pingora.rs`；`nginx` 是 `proxy_pass`，请求体缓冲在内存中；`nginx-default` 同上，\
         但用 nginx 默认的请求体缓冲区（16 KiB，更大的写入临时文件）；`nginx-unbuffered` 设了 `proxy_request_buffering off`；\
         `nginx-lua` 用 cjson 解码请求体，替换同样的文本，再重新编码；`haproxy` 边收边转发请求体；`fastapi` 是网关所取代的那种几行代码的\
         代理（`bench/seed/proxy.py`），只承受约二十分之一的请求，也不在内存表中。各项配置在 `bench/src` 的 `nginx.rs`、`haproxy.rs` 和 `contestants.rs` 中。"
    )
}

fn rustc() -> String {
    version("rustc", "--version")
}

fn servers() -> String {
    format!("{}, {}", version(installed("nginx"), "-v"), version(installed("haproxy"), "-v"))
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

fn version(program: impl AsRef<Path>, option: &str) -> String {
    let program = program.as_ref();
    let Ok(output) = Command::new(program).arg(option).output() else {
        return format!("{} unknown", program.display());
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace("nginx version: nginx/", "nginx ");
    let text = text.replace("HAProxy version ", "haproxy ");
    let (name, rest) = text.split_once(' ').unwrap_or((&text, ""));
    format!("{name} {}", rest.split([' ', '-', '\n']).next().unwrap_or_default())
}
