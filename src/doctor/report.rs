//! What the doctor found, as text and as JSON.

use super::findings::{Finding, Severity};
use super::hosts::HostWay;
use super::probe::{Step, Way};
use super::settings::{ADDRESS, CHOICES, ClientSettings, MANAGED_PATHS};
use crate::config::problem::Problem;
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
    /// The ways that were tried.
    pub ways: Vec<Way>,
}

impl UpstreamReport {
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
    /// What is found of the run as a whole.
    pub findings: Vec<Finding>,
    /// The upstreams, in the order of their priority.
    pub upstreams: Vec<UpstreamReport>,
    /// The ways to the hosts of AnyRouter, the fastest first, if an upstream is one of them.
    pub hosts: Option<Vec<HostWay>>,
    /// What to set in the clients.
    pub settings: Option<ClientSettings>,
}

impl Report {
    /// Whether requests can work.
    pub(super) fn is_good(&self) -> bool {
        self.problems.is_empty() && !self.upstreams.is_empty() && self.upstreams.iter().all(|one| one.reachable)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = format!("anyrouter-gateway {} doctor\n", env!("CARGO_PKG_VERSION"));
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let name = self.configuration.as_ref().map_or_else(String::new, |path| format!(" {path}"));
        match self.problems.len() {
            0 => writeln!(out, "\nconfiguration{name}: no errors")?,
            1 => writeln!(out, "\nconfiguration{name}: 1 error")?,
            count => writeln!(out, "\nconfiguration{name}: {count} errors")?,
        }
        for problem in &self.problems {
            writeln!(out, "  error: {problem}")?;
        }
        for finding in &self.findings {
            write_finding(out, finding)?;
        }
        for upstream in &self.upstreams {
            writeln!(out, "\nupstream \"{}\" {}", upstream.name, upstream.base_url)?;
            for way in &upstream.ways {
                write_way(out, way)?;
            }
        }
        if let Some(hosts) = &self.hosts {
            write_hosts(out, hosts)?;
        }
        if let Some(settings) = &self.settings {
            write_settings(out, settings)?;
        }
        if !self.upstreams.is_empty() {
            let good = self.upstreams.iter().filter(|one| one.reachable).count();
            writeln!(out, "\n{good} of {} upstreams can be used", self.upstreams.len())?;
        }
        Ok(())
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
            "findings": self.findings,
            "upstreams": self.upstreams,
            "anyrouter_hosts": self.hosts,
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
        ("direct", true) => "directly, as the gateway does",
        ("direct", false) => "directly, which the gateway does not do as long as there is a proxy",
        _ => "through the proxy, as the gateway does",
    };
    match way.via.as_str() {
        "direct" => writeln!(out, "  {used}:")?,
        proxy => writeln!(out, "  {used} ({proxy}):")?,
    }
    for Step { step, ok, milliseconds, detail, .. } in &way.steps {
        let mark = if *ok { "ok" } else { "FAILED" };
        writeln!(out, "    {:5} {mark:6} {:>10}  {detail}", step.to_uppercase(), time(*milliseconds))?;
    }
    way.findings.iter().try_for_each(|finding| write_finding(out, finding))
}

fn time(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.1} ms") } else { format!("{:.2} s", milliseconds / 1000.0) }
}

fn write_finding(out: &mut String, finding: &Finding) -> std::fmt::Result {
    let mark = match finding.severity {
        Severity::Ok => "OK",
        Severity::Note => "NOTE",
        Severity::Problem => "PROBLEM",
    };
    writeln!(out, "    {mark}: {}", finding.id)?;
    for (language, cause, cure) in
        [("en", finding.cause_en, finding.cure_en), ("zh", finding.cause_zh, finding.cure_zh)]
    {
        writeln!(out, "      {language}: {cause}\n       -> {cure}")?;
    }
    Ok(())
}

fn write_hosts(out: &mut String, hosts: &[HostWay]) -> std::fmt::Result {
    writeln!(out, "\nhosts of AnyRouter, from the name to the answer / AnyRouter 各地址的响应时间:")?;
    let width = hosts.iter().map(|way| way.host.len()).max().unwrap_or_default();
    for HostWay { host, via, milliseconds, finding, is_used } in hosts {
        let told = milliseconds.map_or_else(|| finding.unwrap_or_default().to_owned(), time);
        let used = if *is_used { "  (base_url)" } else { "" };
        writeln!(out, "  {host:width$}  {told:>10}  {via}{used}")?;
    }
    let Some(HostWay { host, via, is_used, .. }) = hosts.iter().find(|way| way.milliseconds.is_some()) else {
        return writeln!(out, "  en: None of them can be reached from here.\n  zh: 从本机都无法连通。");
    };
    if *is_used {
        return writeln!(
            out,
            "  en: The fastest from here is in use: {host}.\n  zh: 正在使用从本机看最快的地址：{host}。"
        );
    }
    let (how, how_zh) = match via.as_str() {
        "direct" => ("without a proxy".to_owned(), "不经代理".to_owned()),
        proxy => (format!("through {proxy}"), format!("经过 {proxy}")),
    };
    writeln!(out, "  en: The fastest from here is {host}, {how}: put it into base_url if you like.")?;
    writeln!(out, "  zh: 从本机看最快的是 {host}（{how_zh}）：可以把它写入 base_url。")
}

/// What to put where a team's settings lack the address of the gateway.
fn write_address(out: &mut String, is_for_this_machine: bool) -> std::fmt::Result {
    writeln!(out, "  en: {ADDRESS} stands for the name or the address under which the others reach this machine.")?;
    writeln!(out, "  zh: 请把 {ADDRESS} 换成其他机器访问本机所用的域名或 IP 地址。")?;
    if is_for_this_machine {
        writeln!(
            out,
            "  en: gateway.listen lets only this machine in: set LISTEN=0.0.0.0:PORT, or put a reverse proxy before it."
        )?;
        writeln!(out, "  zh: gateway.listen 目前只允许本机访问：请设置 LISTEN=0.0.0.0:端口，或在前面放一个反向代理。")?;
    }
    Ok(())
}

fn write_settings(out: &mut String, settings: &ClientSettings) -> std::fmt::Result {
    let mut block = |title: &str, text: &str| {
        writeln!(out, "\n{title}")?;
        text.lines().try_for_each(|line| writeln!(out, "  {line}"))
    };
    block("Claude Code, in a shell / 在终端中:", &settings.shell())?;
    block("Claude Code, ~/.claude/settings.json:", &format!("{:#}", settings.claude_code()))?;
    block("VS Code extension, settings.json / VS Code 扩展:", &format!("{:#}", settings.vs_code()))?;
    block("a team, managed-settings.json on each machine / 团队:", &format!("{:#}", settings.managed()))?;
    for (system, path) in MANAGED_PATHS {
        writeln!(out, "  {system}: {path}")?;
    }
    if settings.lacks_address() {
        write_address(out, settings.is_for_this_machine())?;
    }
    writeln!(out, "\nwhat each setting brings / 各项设置的作用:")?;
    for choice in CHOICES {
        writeln!(out, "  {}={}", choice.name, choice.value)?;
        writeln!(out, "    en: {}\n    zh: {}", choice.brings_en, choice.brings_zh)?;
    }
    Ok(())
}
