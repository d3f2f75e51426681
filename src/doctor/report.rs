//! What the doctor found, as text and as JSON.

use super::address::Taken;
use super::findings::{self, Finding, Severity};
use super::hosts::HostWay;
use super::lines::{LineWay, LinesReport};
use super::message::{Came, Message, ShownTokens};
use super::probe::{Step, Way};
use super::settings::{ADDRESS, CHOICES, Choice, ClientSettings, MANAGED_PATHS};
use crate::config::problem::{Problem, path_words};
use crate::gateway::Field;
use crate::language::{self, say, told};
use gateway_core::both;
use gateway_core::language::{Language, Words};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One upstream.
#[derive(Debug, Serialize)]
pub(crate) struct UpstreamReport {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub base_url: String,
    /// Whether the gateway reaches it.
    pub reachable: bool,
    /// The worst that was found on the way that the gateway takes.
    pub verdict: Severity,
    /// The ways that were tried.
    pub ways: Vec<Way>,
}

impl UpstreamReport {
    /// What became of the messages that were sent.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.ways.iter().flat_map(|way| &way.steps).filter_map(|step| step.message.as_deref())
    }

    /// What keeps requests from it on the way that the gateway takes.
    pub(crate) fn problem(&self) -> Option<Finding> {
        let used = self.ways.iter().filter(|way| way.used_by_gateway);
        used.flat_map(|way| &way.findings).find(|finding| finding.severity == Severity::Problem).copied()
    }
}

/// Everything.
#[derive(Debug)]
pub(super) struct Report {
    /// The configuration file, if it could be named.
    pub configuration: Option<String>,
    /// What is wrong with the configuration.
    pub problems: Vec<Problem>,
    /// The addresses that other programs have.
    pub taken: Vec<Taken>,
    /// What is found of the run as a whole.
    pub findings: Vec<Finding>,
    /// The upstreams, in the order of their priority.
    pub upstreams: Vec<UpstreamReport>,
    /// The ways to the hosts of AnyRouter, the fastest first, if an upstream is one of them.
    pub hosts: Option<Vec<HostWay>>,
    /// The lines of upstreams that have several, if that was asked for.
    pub lines: Option<Vec<LinesReport>>,
    /// What the operator set to say where requests go: `base_url`, or the variable that replaces it.
    pub address_setting: &'static str,
    /// What to set in the clients.
    pub settings: Option<ClientSettings>,
    /// Whether people see all of that, not only what is needed.
    pub has_all_settings: bool,
}

impl Report {
    /// Whether requests can work.
    pub(super) fn is_good(&self) -> bool {
        self.problems.is_empty()
            && self.taken.is_empty()
            && !self.upstreams.is_empty()
            && self.upstreams.iter().all(|one| one.reachable)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = format!("anyrouter-gateway {} doctor\n", env!("CARGO_PKG_VERSION"));
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out.replace("base_url", self.address_setting)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let name = self.configuration.as_ref().map_or_else(String::new, |path| format!(" {}", told(&path_words(path))));
        let told = match self.problems.len() {
            0 => say!("configuration{name}: no errors", "配置{name}：没有错误"),
            1 => say!("configuration{name}: 1 error", "配置{name}：1 处错误"),
            count => say!("configuration{name}: {count} errors", "配置{name}：{count} 处错误"),
        };
        writeln!(out, "\n{told}")?;
        for problem in &self.problems {
            let problem = problem.text(language::here());
            writeln!(out, "  {}", say!("error: {problem}", "错误：{problem}"))?;
        }
        for finding in &self.findings {
            write_finding(out, finding)?;
        }
        for taken in &self.taken {
            writeln!(out, "  {}", title(&both!("PROBLEM:", "问题：")))?;
            write_told(out, 4, &taken.words())?;
        }
        for upstream in &self.upstreams {
            let UpstreamReport { name, base_url, .. } = upstream;
            writeln!(out, "\n{}", say!("upstream \"{name}\" {base_url}", "上游“{name}” {base_url}"))?;
            for way in &upstream.ways {
                write_way(out, way)?;
            }
        }
        if let Some(hosts) = &self.hosts {
            write_hosts(out, hosts)?;
        }
        if let Some(lines) = &self.lines {
            write_lines(out, lines)?;
        }
        if !self.upstreams.is_empty() {
            let good = self.upstreams.iter().filter(|one| one.reachable).count();
            let all = self.upstreams.len();
            let told = say!("{good} of {all} upstreams can be used", "共 {all} 个上游，{good} 个可用");
            writeln!(out, "\n{told}")?;
        }
        match &self.settings {
            Some(settings) if self.has_all_settings => write_settings(out, settings),
            Some(settings) => write_needed_settings(out, settings),
            None => Ok(()),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let problems = |list: &[Problem]| -> Vec<Value> {
            list.iter()
                .map(|one| json!({ "at": one.at.to_string(), "message": one.message(), "code": one.what.code() }))
                .collect()
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": self.is_good(),
            "configuration": {
                "path": self.configuration,
                "errors": problems(&self.problems),
            },
            "addresses_taken": self.taken,
            "findings": self.findings,
            "upstreams": self.upstreams,
            "anyrouter_hosts": self.hosts,
            "lines": self.lines,
            "settings": self.settings.as_ref().map(|settings| json!({
                "shell": settings.shell(),
                "claude_code": settings.claude_code(),
                "vs_code": settings.vs_code(),
                "managed": settings.managed(),
                "managed_paths": MANAGED_PATHS.into_iter().collect::<BTreeMap<_, _>>(),
                "choices": CHOICES,
            })),
        })
    }
}

fn write_way(out: &mut String, way: &Way) -> std::fmt::Result {
    let used = match (way.via.as_str(), way.used_by_gateway) {
        ("direct", true) => say!("directly, as the gateway does:", "直接连接（网关也这样做）："),
        ("direct", false) => say!(
            "directly, which the gateway does not do as long as there is a proxy:",
            "直接连接（设置了代理，网关不这样做）："
        ),
        (proxy, _) => {
            say!("through the proxy, as the gateway does ({proxy}):", "经过代理 {proxy}（网关也这样做）：")
        }
    };
    writeln!(out, "  {used}")?;
    for Step { step, ok, milliseconds, told: detail, message, .. } in &way.steps {
        // Six columns in each language.
        let mark = if *ok { say!("ok    ", "正常  ") } else { say!("FAILED", "失败  ") };
        writeln!(out, "    {:5} {mark} {:>10}  {}", step.to_uppercase(), time(*milliseconds), told(detail))?;
        if let Some(message) = message {
            write_message(out, message)?;
        }
    }
    way.findings.iter().try_for_each(|finding| write_finding(out, finding))
}

/// What went out and what came, below the step.
fn write_message(out: &mut String, message: &Message) -> std::fmt::Result {
    let Message { times, sent, came, status, .. } = message;
    let steps = [
        ("dns", times.dns_ms),
        ("connect", times.connect_ms),
        ("tls", times.tls_ms),
        ("first_byte", times.first_byte_ms),
        ("first_token", times.first_token_ms),
        ("total", Some(times.total_ms)),
    ];
    let steps: Vec<String> =
        steps.iter().filter_map(|(step, taken)| Some(format!("{step} {}", time((*taken)?)))).collect();
    let steps = steps.join(", ");
    writeln!(out, "      {}", say!("times: {steps}", "耗时：{steps}"))?;
    let (method, target, bytes) = (&sent.method, &sent.target, sent.bytes);
    let words = say!("sent: {method} {target}, body of {bytes} bytes", "发出：{method} {target}，请求体 {bytes} 字节");
    writeln!(out, "      {words}")?;
    write_fields(out, &sent.headers)?;
    let changes = [
        (say!("head, changed by the rules:", "规则对请求头的改动："), &sent.head_diff),
        (say!("body, changed by the rules:", "规则对请求体的改动："), &sent.body_diff),
    ];
    for (title, diff) in changes.iter().filter(|(_, diff)| !diff.is_empty()) {
        writeln!(out, "      {title}")?;
        diff.lines().try_for_each(|line| writeln!(out, "        {line}"))?;
    }
    let (Some(Came { headers, tokens, cost, model, .. }), Some(status)) = (came, status) else { return Ok(()) };
    writeln!(out, "      {}", say!("came: {status}", "收到：{status}"))?;
    write_fields(out, headers)?;
    if let Some(ShownTokens { input, output, cache_write, cache_read }) = tokens {
        let input = input.saturating_add(*cache_write).saturating_add(*cache_read);
        let model = model.as_deref().unwrap_or_default();
        let cost = cost.map_or_else(|| say!("no price is known", "没有价格"), |cost| format!("${cost:.6}"));
        let words = say!(
            "{model}: {input} tokens in, {output} out; cost: {cost}",
            "{model}：输入 {input} token，输出 {output} token；费用：{cost}"
        );
        writeln!(out, "      {words}")?;
    }
    Ok(())
}

fn write_fields(out: &mut String, fields: &[Field]) -> std::fmt::Result {
    fields.iter().try_for_each(|Field { name, value }| writeln!(out, "        {name}: {value}"))
}

fn time(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.1} ms") } else { format!("{:.2} s", milliseconds / 1000.0) }
}

fn write_finding(out: &mut String, finding: &Finding) -> std::fmt::Result {
    let mark = match finding.severity {
        Severity::Ok => say!("OK: ", "正常："),
        Severity::Note => say!("NOTE: ", "提示："),
        Severity::Problem => say!("PROBLEM: ", "问题："),
    };
    let Finding { id, cause_en, cause_zh, cure_en, cure_zh, .. } = finding;
    // An id is English: where only Chinese is read, the cause stands in its place.
    if language::known() == Some(Language::Chinese) {
        return writeln!(out, "    {mark}{cause_zh}\n       -> {cure_zh}");
    }
    writeln!(out, "    {mark}{id}")?;
    let cause = Words::new(format_args!("{cause_en}"), format_args!("{cause_zh}"));
    let cure = Words::new(format_args!("{cure_en}"), format_args!("{cure_zh}"));
    for (tag, language) in readers() {
        writeln!(out, "      {tag}{}\n       -> {}", cause.text(language), cure.text(language))?;
    }
    Ok(())
}

/// The time that a way took, or what stands against it, in a column; and, where only Chinese is read, why.
fn outcome(milliseconds: Option<f64>, finding: Option<&'static str>) -> (String, String) {
    match (milliseconds, finding) {
        (Some(taken), _) => (time(taken), String::new()),
        (None, Some(id)) if language::known() == Some(Language::Chinese) => {
            let cause = findings::find(id).map_or(id, |finding| finding.cause_zh);
            (say!("FAILED", "失败"), format!("  {cause}"))
        }
        (None, finding) => (finding.unwrap_or_default().to_owned(), String::new()),
    }
}

/// The languages to speak, each with what stands before a text in it: both if it is not known which one is read here.
fn readers() -> impl Iterator<Item = (&'static str, Language)> {
    let both = [("en: ", Language::English), ("zh: ", Language::Chinese)];
    let known = language::known();
    both.into_iter().filter_map(move |(tag, one)| match known {
        None => Some((tag, one)),
        Some(known) => (known == one).then_some(("", one)),
    })
}

/// A text, with these blanks before it, for those who read here.
fn write_told(out: &mut String, indent: usize, words: &Words) -> std::fmt::Result {
    readers().try_for_each(|(tag, language)| writeln!(out, "{:indent$}{tag}{}", "", words.text(language)))
}

/// A title, for those who read here.
fn title(words: &Words) -> String {
    let texts: Vec<&str> = readers().map(|(_, language)| words.text(language)).collect();
    texts.join(" / ")
}

fn write_hosts(out: &mut String, hosts: &[HostWay]) -> std::fmt::Result {
    let words = both!("hosts of AnyRouter, from the name to the answer:", "AnyRouter 各地址的响应时间：");
    writeln!(out, "\n{}", title(&words))?;
    let width = hosts.iter().map(|way| way.host.len()).max().unwrap_or_default();
    for HostWay { host, via, milliseconds, finding, is_used } in hosts {
        let (told, why) = outcome(*milliseconds, *finding);
        let gap = 10_usize.saturating_sub(language::width(&told));
        let used = if *is_used { "  (base_url)" } else { "" };
        writeln!(out, "  {host:width$}  {:gap$}{told}  {via}{used}{why}", "")?;
    }
    let fastest = hosts.iter().find(|way| way.milliseconds.is_some());
    let words = match fastest.map(|way| (way, way.via.as_str())) {
        None => both!("None of them can be reached from here.", "从本机都无法连通。"),
        Some((HostWay { host, is_used: true, .. }, _)) => {
            both!("The fastest from here is in use: {host}.", "正在使用从本机看最快的地址：{host}。")
        }
        Some((HostWay { host, .. }, "direct")) => both!(
            "The fastest from here is {host}, without a proxy: put it into base_url if you like.",
            "从本机看最快的是 {host}（不经代理）：可以把它写入 base_url。"
        ),
        Some((HostWay { host, .. }, proxy)) => both!(
            "The fastest from here is {host}, through {proxy}: put it into base_url if you like.",
            "从本机看最快的是 {host}（经过 {proxy}）：可以把它写入 base_url。"
        ),
    };
    write_told(out, 2, &words)
}

fn write_lines(out: &mut String, reports: &[LinesReport]) -> std::fmt::Result {
    if reports.is_empty() {
        let words = both!("No upstream has lines (upstreams[].lines).", "没有上游设置了线路（upstreams[].lines）。");
        writeln!(out)?;
        return write_told(out, 2, &words);
    }
    for LinesReport { upstream, lines } in reports {
        let words = both!(
            "lines of \"{upstream}\", from the name to the answer, the middle one of three tries:",
            "“{upstream}”各条线路的响应时间（取三次的中位数）："
        );
        writeln!(out, "\n{}", title(&words))?;
        let width = lines.iter().map(|line| line.host.len()).max().unwrap_or_default();
        for LineWay { host, via, is_base_url, milliseconds, steps, finding } in lines {
            let (told, why) = outcome(*milliseconds, *finding);
            let gap = 10_usize.saturating_sub(language::width(&told));
            let base_url = if *is_base_url { "  (base_url)" } else { "" };
            let steps: Vec<String> = steps.iter().map(|(step, taken)| format!("{step} {}", time(*taken))).collect();
            writeln!(out, "  {host:width$}  {:gap$}{told}  {via}  {}{base_url}{why}", "", steps.join(", "))?;
        }
        let words = match lines.iter().find(|line| line.milliseconds.is_some()) {
            None => both!("None of them can be reached from here.", "从本机都无法连通。"),
            Some(LineWay { host, .. }) => both!(
                "The fastest from here is {host}. The gateway measures them by itself, and changes its line where one is \
                 faster by 20% for five minutes.",
                "从本机看最快的是 {host}。网关会自行测量，某条线路连续五分钟快 20% 以上时才更换。"
            ),
        };
        write_told(out, 2, &words)?;
    }
    Ok(())
}

/// What to put where a team's settings lack the address of the gateway.
fn write_address(out: &mut String, is_for_this_machine: bool) -> std::fmt::Result {
    let words = both!(
        "{ADDRESS} stands for the name or the address under which the others reach this machine.",
        "请把 {ADDRESS} 换成其他机器访问本机所用的域名或 IP 地址。"
    );
    write_told(out, 2, &words)?;
    if is_for_this_machine {
        let words = both!(
            "gateway.listen lets only this machine in: set LISTEN=0.0.0.0:PORT, or put a reverse proxy before it.",
            "gateway.listen 目前只允许本机访问：请设置 LISTEN=0.0.0.0:端口，或在前面放一个反向代理。"
        );
        write_told(out, 2, &words)?;
    }
    Ok(())
}

/// What has no default in Claude Code.
fn write_needed_settings(out: &mut String, settings: &ClientSettings) -> std::fmt::Result {
    writeln!(out, "\n{}", title(&both!("Claude Code, in a shell:", "Claude Code（终端）：")))?;
    settings.needed().lines().try_for_each(|line| writeln!(out, "  {line}"))?;
    let words = both!(
        "doctor --settings prints all: settings.json, the VS Code extension, a team, and what else is worth setting",
        "完整的设置（settings.json、VS Code 扩展、团队，以及其他值得设置的项）：doctor --settings"
    );
    write_told(out, 2, &words)
}

fn write_settings(out: &mut String, settings: &ClientSettings) -> std::fmt::Result {
    let mut block = |words: &Words, text: &str| {
        writeln!(out, "\n{}", title(words))?;
        text.lines().try_for_each(|line| writeln!(out, "  {line}"))
    };
    block(&both!("Claude Code, in a shell:", "Claude Code（终端）："), &settings.shell())?;
    let words = both!("Claude Code, ~/.claude/settings.json:", "Claude Code 的 ~/.claude/settings.json：");
    block(&words, &format!("{:#}", settings.claude_code()))?;
    let words = both!("VS Code extension, settings.json:", "VS Code 扩展（settings.json）：");
    block(&words, &format!("{:#}", settings.vs_code()))?;
    let words = both!("a team, managed-settings.json on each machine:", "团队（每台机器上的 managed-settings.json）：");
    block(&words, &format!("{:#}", settings.managed()))?;
    for (system, path) in MANAGED_PATHS {
        writeln!(out, "  {system}: {path}")?;
    }
    if settings.lacks_address() {
        write_address(out, settings.is_for_this_machine())?;
    }
    writeln!(out, "\n{}", title(&both!("what each setting brings:", "各项设置的作用：")))?;
    for Choice { name, value, brings_en, brings_zh } in CHOICES {
        writeln!(out, "  {name}={value}")?;
        write_told(out, 4, &Words::new(format_args!("{brings_en}"), format_args!("{brings_zh}")))?;
    }
    Ok(())
}
