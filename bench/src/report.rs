//! The results as Markdown: tables, ratios and the goals.
use crate::contestants::{
    BARE, FASTAPI, GATEWAY, GATEWAY_NOLOG, GATEWAY_PLAIN, GATEWAY_RULES, HAPROXY, NGINX, NGINX_DEFAULT, NGINX_LUA,
    NGINX_UNBUFFERED,
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

/// A thread that takes less than this part of the CPU time is one of the others.
const THREAD_SHARE: f64 = 0.01;

const RATIOS: [(&str, &str); 12] = [
    (GATEWAY, BARE),
    (GATEWAY_NOLOG, BARE),
    (GATEWAY, GATEWAY_NOLOG),
    (GATEWAY_PLAIN, BARE),
    (GATEWAY_RULES, GATEWAY),
    (GATEWAY, NGINX),
    (GATEWAY, NGINX_DEFAULT),
    (GATEWAY, NGINX_UNBUFFERED),
    (GATEWAY, NGINX_LUA),
    (GATEWAY, HAPROXY),
    (GATEWAY, FASTAPI),
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
            text += &self.threads(language);
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
        text + &self.goals_table(language)
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
        self.compared(above, below, scenario, |above, below| above / below)
    }

    /// By how much CPU times in `scenario` differ, µs, of each round by itself.
    fn difference(&self, more: &str, less: &str, scenario: &str) -> Option<Spread> {
        self.compared(more, less, scenario, |more, less| more - less)
    }

    fn compared(&self, one: &str, other: &str, scenario: &str, by: fn(f64, f64) -> f64) -> Option<Spread> {
        let other = self.of(other, scenario, |t| t.cpu_us);
        let one = self.of(one, scenario, |t| t.cpu_us).into_iter();
        spread(one.filter_map(|(round, a)| other.iter().find(|(r, _)| *r == round).map(|(_, b)| by(a, *b))))
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

    /// What each thread of the gateway takes.
    fn threads(&self, language: Language) -> String {
        let turns = |scenario: &str| {
            let scenario = scenario.to_owned();
            self.turns
                .iter()
                .filter(move |(name, load, ..)| name == GATEWAY && *load == scenario)
                .map(|(.., turn)| turn)
        };
        let mut names: Vec<&str> = Vec::new();
        for (.., turn) in self.turns.iter().filter(|(name, ..)| name == GATEWAY) {
            let large = turn.threads_us.iter().filter(|(_, time)| **time > turn.cpu_us * THREAD_SHARE);
            names.extend(large.map(|(name, _)| name.as_str()));
        }
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return String::new();
        }
        let title = language.pick(
            "CPU time of `gateway` by thread, µs (SSE: per event)",
            "`gateway` 各线程的 CPU 时间，µs（SSE：每个事件）",
        );
        let columns: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let mut text = heading(title, "", &columns);
        for scenario in &self.scenarios {
            let of = |name: &str| spread(turns(scenario).filter_map(|turn| turn.threads_us.get(name).copied()));
            row(&mut text, scenario, names.iter().map(|name| of(name).map_or("–".into(), with_range)));
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

    /// What was to be reached, as far as it was measured.
    fn goals(&self, language: Language) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut goal = |what: String, most: f64, found: Option<Spread>| {
            goals.extend(found.map(|found| Goal { what, most, found }));
        };
        let cpu = |load: &str, what: &str| {
            language.pick(format!("CPU of `{load}`, {what}"), format!("`{load}` 的 CPU，{what}"))
        };
        for (load, most) in [("get", 1.35), ("2kb", 1.5), ("54kb", 1.25), ("107kb", 1.25)] {
            goal(cpu(load, "gateway / bare Pingora"), most, self.ratio(GATEWAY, BARE, load));
        }
        goal(cpu("4mb", "gateway / nginx"), 1.3, self.ratio(GATEWAY, NGINX, "4mb"));
        goal(cpu("sse-whole", "gateway / nginx"), 1.2, self.ratio(GATEWAY, NGINX, "sse-whole"));
        goal(cpu("54kb", "gateway / nginx + Lua"), 0.25, self.ratio(GATEWAY, NGINX_LUA, "54kb"));
        let rules = language.pick("50 rules / no rules", "50 条规则 / 没有规则");
        goal(cpu("54kb", rules), 1.15, self.ratio(GATEWAY_RULES, GATEWAY, "54kb"));
        for load in ["get", "2kb", "54kb"] {
            let log = language.pick("of the request log, µs", "请求日志的部分，µs");
            goal(cpu(load, log), 3.0, self.difference(GATEWAY, GATEWAY_NOLOG, load));
        }
        let of = |value: &dyn Fn(&Resident, &Resident) -> f64| {
            let gateway = self.memory.iter().filter(|(name, ..)| name == GATEWAY);
            spread(gateway.map(|(_, fresh, churned)| value(fresh, churned)))
        };
        let streams = self.amount.streams;
        let fresh = language.pick("kB per open stream, fresh", "每个打开的流 kB，刚启动");
        goal(fresh.into(), 45.0, of(&|fresh, _| fresh.per_stream(streams)));
        let churned = language.pick("kB per open stream, after churn", "每个打开的流 kB，处理过请求之后");
        goal(churned.into(), 45.0, of(&|_, churned| churned.per_stream(streams)));
        let idle = language.pick("MB, after one request", "处理一个请求之后，MB");
        goal(idle.into(), 20.0, of(&|fresh, _| fresh.fresh / 1024.0));
        goals
    }

    /// How many of the goals that were measured were not reached.
    pub(crate) fn missed(&self) -> usize {
        self.goals(Language::English).iter().filter(|goal| !goal.is_reached()).count()
    }

    fn goals_table(&self, language: Language) -> String {
        let goals = self.goals(language);
        if goals.is_empty() {
            return String::new();
        }
        let head = language.pick("### Goals\n\n| figure | at most | found | |", "### 目标\n\n| 指标 | 上限 | 实测 | |");
        let mut text = format!("\n{head}\n|---|---|---|---|\n");
        for goal in goals {
            let verdict = match goal.is_reached() {
                true => language.pick("reached", "达到"),
                false => language.pick("**missed**", "**未达到**"),
            };
            let _ = writeln!(text, "| {} | {} | {} | {verdict} |", goal.what, goal.most, with_range(goal.found));
        }
        text
    }
}

/// A figure that is to be no larger than a bound.
struct Goal {
    what: String,
    most: f64,
    found: Spread,
}

impl Goal {
    fn is_reached(&self) -> bool {
        self.found.median <= self.most
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
        let all = [
            BARE,
            GATEWAY,
            GATEWAY_NOLOG,
            GATEWAY_PLAIN,
            GATEWAY_RULES,
            NGINX,
            NGINX_DEFAULT,
            NGINX_LUA,
            NGINX_UNBUFFERED,
            HAPROXY,
            FASTAPI,
        ];
        let threads = || [("worker".to_owned(), 1.0)].into();
        let turn =
            || Turn { cpu_us: 1.0, threads_us: threads(), rate: 1.0, loaded_us: (1.0, 1.0), alone_us: (1.0, 1.0) };
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
            assert_eq!(headings.len(), 8);
            for line in headings {
                assert!(page.lines().any(|one| one == line), "{} does not have {line:?}", language.page());
            }
        }
    }
}
