//! The results as Markdown: tables, ratios and the goals.
use crate::contestants::{
    BARE, GATEWAY, GATEWAY_PLAIN, GATEWAY_RULES, NGINX, NGINX_DEFAULT, NGINX_LUA, NGINX_UNBUFFERED,
};
use crate::language::Language;
use crate::memory::{Amount, Resident};
use crate::scenarios::Turn;
use crate::stats::{Spread, short, spread};
use std::fmt::Write;

/// Everything that was measured.
pub(crate) struct Results {
    /// Names of the contestants, in the order of the columns.
    pub contestants: Vec<String>,
    /// Names of the scenarios, in the order of the rows.
    pub scenarios: Vec<String>,
    /// One entry per turn: contestant, scenario, round.
    pub turns: Vec<(String, String, usize, Turn)>,
    /// One entry per process pair: contestant, fresh, after churn.
    pub memory: Vec<(String, Resident, Resident)>,
    /// How many streams and requests the memory figures stand for.
    pub amount: Amount,
}

const RATIOS: [(&str, &str); 8] = [
    (GATEWAY, BARE),
    (GATEWAY_PLAIN, BARE),
    (GATEWAY_RULES, GATEWAY),
    (GATEWAY, NGINX),
    (GATEWAY, NGINX_DEFAULT),
    (GATEWAY, NGINX_UNBUFFERED),
    (GATEWAY, NGINX_LUA),
    (BARE, NGINX),
];

impl Results {
    /// All tables.
    pub(crate) fn tables(&self, language: Language) -> String {
        let mut text = String::new();
        if !self.turns.is_empty() {
            let title = language.pick(
                "CPU time of the proxy process per request, µs (SSE: per event)",
                "代理进程处理每个请求的 CPU 时间，µs（SSE：每个事件）",
            );
            text += &self.table(title, |t| t.cpu_us, None);
            text += &self.ratios(language);
            let title = language.pick(
                "Requests per second under load (SSE: events per second)",
                "负载下每秒的请求数（SSE：每秒的事件数）",
            );
            text += &self.table(title, |t| t.rate, None);
            let title = language.pick(
                "Latency under load, p50 / p99, µs (sse: of a whole stream; sse-paced: of one event)",
                "负载下的延迟，p50 / p99，µs（sse：整个流；sse-paced：一个事件）",
            );
            text += &self.table(title, |t| t.loaded_us.0, Some(|t| t.loaded_us.1));
            let title =
                language.pick("Latency of one connection alone, p50 / p99, µs", "只有一条连接时的延迟，p50 / p99，µs");
            text += &self.table(title, |t| t.alone_us.0, Some(|t| t.alone_us.1));
        }
        if !self.memory.is_empty() {
            text += &self.memory_table(language);
        }
        text + &self.goals(language)
    }

    fn of(&self, contestant: &str, scenario: &str, value: fn(&Turn) -> f64) -> Vec<(usize, f64)> {
        let wanted = self.turns.iter().filter(|(c, s, ..)| c == contestant && s == scenario);
        wanted.map(|(_, _, round, turn)| (*round, value(turn))).collect()
    }

    fn table(&self, title: &str, value: fn(&Turn) -> f64, second: Option<fn(&Turn) -> f64>) -> String {
        let mut text = heading(title, "", &self.contestants);
        for scenario in &self.scenarios {
            let cells = self.contestants.iter().map(|contestant| {
                let median = |value| spread(self.of(contestant, scenario, value).into_iter().map(|(_, v)| v));
                match (median(value), second.and_then(median)) {
                    (Some(first), Some(second)) => format!("{} / {}", short(first.median), short(second.median)),
                    (Some(only), None) => with_range(only),
                    _ => "–".into(),
                }
            });
            row(&mut text, scenario, cells);
        }
        text
    }

    /// The ratio of CPU times in `scenario`, of each round by itself.
    fn ratio(&self, above: &str, below: &str, scenario: &str) -> Option<Spread> {
        let below = self.of(below, scenario, |t| t.cpu_us);
        let above = self.of(above, scenario, |t| t.cpu_us).into_iter();
        spread(above.filter_map(|(round, a)| below.iter().find(|(r, _)| *r == round).map(|(_, b)| a / b)))
    }

    fn ratios(&self, language: Language) -> String {
        let known = |name: &str| self.contestants.iter().any(|c| c == name);
        let mut pairs: Vec<(&str, &str)> = RATIOS.into_iter().filter(|(a, b)| known(a) && known(b)).collect();
        for other in self.contestants.iter().filter(|c| !RATIOS.iter().any(|(a, b)| c == a || c == b)) {
            pairs.extend([BARE, GATEWAY].into_iter().filter(|below| known(below)).map(|below| (other.as_str(), below)));
        }
        let columns: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} / {b}")).collect();
        let title = language.pick("CPU time, ratios within a round", "CPU 时间，同一轮内的比值");
        let mut text = heading(title, "", &columns);
        for scenario in &self.scenarios {
            let cells = pairs.iter().map(|(a, b)| self.ratio(a, b, scenario).map_or("–".into(), with_range));
            row(&mut text, scenario, cells);
        }
        text
    }

    fn memory_table(&self, language: Language) -> String {
        let Amount { streams, churn, .. } = self.amount;
        let english = [
            "fresh, MB".to_string(),
            format!("{streams} streams, MB"),
            "**kB per stream**".into(),
            "streams ended, MB".into(),
            format!("after {churn} requests, MB"),
            format!("and {streams} streams, MB"),
            "**kB per stream, from fresh**".into(),
            "kB per stream, from before".into(),
        ];
        let chinese = [
            "刚启动，MB".to_string(),
            format!("{streams} 个流，MB"),
            "**每个流 kB**".into(),
            "流结束后，MB".into(),
            format!("{churn} 个请求之后，MB"),
            format!("再加 {streams} 个流，MB"),
            "**每个流 kB，与刚启动相比**".into(),
            "每个流 kB，与加流之前相比".into(),
        ];
        let title = language
            .pick(format!("Resident memory with {streams} open streams"), format!("打开 {streams} 个流时的常驻内存"));
        let mut text = heading(&title, "", &language.pick(english, chinese));
        for contestant in &self.contestants {
            let of = |value: &dyn Fn(&Resident, &Resident) -> f64| {
                let measured = self.memory.iter().filter(|(name, ..)| name == contestant);
                spread(measured.map(|(_, fresh, churned)| value(fresh, churned)))
            };
            let megabytes = |value: &dyn Fn(&Resident, &Resident) -> f64| {
                of(value).map_or("–".into(), |s| short(s.median / 1024.0))
            };
            let kilobytes = |value: &dyn Fn(&Resident, &Resident) -> f64| of(value).map_or("–".into(), with_range);
            let cells = [
                megabytes(&|fresh, _| fresh.before),
                megabytes(&|fresh, _| fresh.open),
                kilobytes(&|fresh, _| fresh.per_stream(streams)),
                megabytes(&|fresh, _| fresh.after),
                megabytes(&|_, churned| churned.before),
                megabytes(&|_, churned| churned.open),
                kilobytes(&|_, churned| churned.per_stream(streams)),
                kilobytes(&|_, churned| churned.per_stream_on_top(streams)),
            ];
            row(&mut text, contestant, cells.into_iter());
        }
        text
    }

    fn goals(&self, language: Language) -> String {
        let mut text = String::new();
        let mut goal = |what: &str, limit: f64, found: Option<Spread>| {
            if let Some(found) = found {
                let verdict = match found.median <= limit {
                    true => language.pick("reached", "达到"),
                    false => language.pick("**missed**", "**未达到**"),
                };
                let _ = writeln!(text, "| {what} | {limit} | {} | {verdict} |", with_range(found));
            }
        };
        let at = |size: &str, what: &str| {
            language.pick(format!("CPU at {size}, {what}"), format!("{size} 时的 CPU，{what}"))
        };
        goal(&at("54 KB", "gateway / bare Pingora"), 1.25, self.ratio(GATEWAY, BARE, "54kb"));
        let rules = language.pick("50 rules / no rules", "50 条规则 / 没有规则");
        goal(&at("54 KB", rules), 1.15, self.ratio(GATEWAY_RULES, GATEWAY, "54kb"));
        goal(&at("54 KB", "gateway / nginx + Lua"), 0.25, self.ratio(GATEWAY, NGINX_LUA, "54kb"));
        for nginx in [NGINX, NGINX_DEFAULT, NGINX_UNBUFFERED] {
            goal(&at("4 MB", &format!("gateway / {nginx}")), 1.3, self.ratio(GATEWAY, nginx, "4mb"));
        }
        let gateway = || self.memory.iter().filter(|(name, ..)| name == GATEWAY);
        let streams = self.amount.streams;
        let fresh = spread(gateway().map(|(_, fresh, _)| fresh.per_stream(streams)));
        goal(language.pick("kB per open stream, fresh", "每个打开的流 kB，刚启动"), 64.0, fresh);
        let churned = spread(gateway().map(|(.., churned)| churned.per_stream(streams)));
        goal(language.pick("kB per open stream, after churn", "每个打开的流 kB，处理过请求之后"), 64.0, churned);
        if text.is_empty() {
            return text;
        }
        let head = language.pick("### Goals\n\n| figure | at most | found | |", "### 目标\n\n| 指标 | 上限 | 实测 | |");
        format!("\n{head}\n|---|---|---|---|\n{text}")
    }
}

fn heading(title: &str, corner: &str, columns: &[String]) -> String {
    format!("\n### {title}\n\n| {corner} | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn row(text: &mut String, name: &str, cells: impl Iterator<Item = String>) {
    let _ = writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn with_range(s: Spread) -> String {
    if s.min == s.max { short(s.median) } else { format!("{} ({}–{})", short(s.median), short(s.min), short(s.max)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn results() -> Results {
        let all = [BARE, GATEWAY, GATEWAY_PLAIN, GATEWAY_RULES, NGINX, NGINX_DEFAULT, NGINX_LUA, NGINX_UNBUFFERED];
        let turn = || Turn { cpu_us: 1.0, rate: 1.0, loaded_us: (1.0, 1.0), alone_us: (1.0, 1.0) };
        let turns = all.iter().flat_map(|name| ["54kb", "4mb"].map(|load| ((*name).into(), load.into(), 0, turn())));
        let resident = Resident { fresh: 1.0, before: 1.0, open: 2.0, after: 1.0 };
        Results {
            contestants: all.map(str::to_string).into(),
            scenarios: vec!["54kb".into(), "4mb".into()],
            turns: turns.collect(),
            memory: all.iter().map(|name| ((*name).into(), resident, resident)).collect(),
            amount: Amount { streams: 2000, churn: 20000, settle: Duration::ZERO },
        }
    }

    #[test]
    fn both_languages_have_the_same_tables() {
        let [english, chinese] = [Language::English, Language::Chinese].map(|language| results().tables(language));
        let shape = |text: &str| text.lines().map(|line| line.matches('|').count()).collect::<Vec<_>>();
        assert_eq!(shape(&english), shape(&chinese));
    }

    #[test]
    fn the_pages_have_the_headings_that_a_run_writes() {
        let pages = [
            (Language::English, include_str!("../../docs/benchmarks.md")),
            (Language::Chinese, include_str!("../../docs/benchmarks.zh-CN.md")),
        ];
        for (language, page) in pages {
            let tables = results().tables(language);
            let headings: Vec<&str> = tables.lines().filter(|line| line.starts_with("### ")).collect();
            assert_eq!(headings.len(), 7);
            for line in headings {
                assert!(page.lines().any(|one| one == line), "{} does not have {line:?}", language.page());
            }
        }
    }
}
