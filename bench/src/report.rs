//! The results as Markdown: tables, ratios and the goals.
use crate::contestants::{
    BARE, GATEWAY, GATEWAY_PLAIN, GATEWAY_RULES, NGINX, NGINX_DEFAULT, NGINX_LUA, NGINX_UNBUFFERED,
};
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
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        if !self.turns.is_empty() {
            text += &self.table("CPU time of the proxy process per request, µs (SSE: per event)", |t| t.cpu_us, None);
            text += &self.ratios();
            text += &self.table("Requests per second under load (SSE: events per second)", |t| t.rate, None);
            text += &self.table(
                "Latency under load, p50 / p99, µs (sse: of a whole stream; sse-paced: of one event)",
                |t| t.loaded_us.0,
                Some(|t| t.loaded_us.1),
            );
            text +=
                &self.table("Latency of one connection alone, p50 / p99, µs", |t| t.alone_us.0, Some(|t| t.alone_us.1));
        }
        if !self.memory.is_empty() {
            text += &self.memory_table();
        }
        text + &self.goals()
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

    fn ratios(&self) -> String {
        let known = |name: &str| self.contestants.iter().any(|c| c == name);
        let mut pairs: Vec<(&str, &str)> = RATIOS.into_iter().filter(|(a, b)| known(a) && known(b)).collect();
        for other in self.contestants.iter().filter(|c| !RATIOS.iter().any(|(a, b)| c == a || c == b)) {
            pairs.extend([BARE, GATEWAY].into_iter().filter(|below| known(below)).map(|below| (other.as_str(), below)));
        }
        let columns: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} / {b}")).collect();
        let mut text = heading("CPU time, ratios within a round", "", &columns);
        for scenario in &self.scenarios {
            let cells = pairs.iter().map(|(a, b)| self.ratio(a, b, scenario).map_or("–".into(), with_range));
            row(&mut text, scenario, cells);
        }
        text
    }

    fn memory_table(&self) -> String {
        let Amount { streams, churn, .. } = self.amount;
        let columns = [
            "fresh, MB".to_string(),
            format!("{streams} streams, MB"),
            "**kB per stream**".into(),
            "streams ended, MB".into(),
            format!("after {churn} requests, MB"),
            format!("and {streams} streams, MB"),
            "**kB per stream, from fresh**".into(),
            "kB per stream, from before".into(),
        ];
        let mut text = heading(&format!("Resident memory with {streams} open streams"), "", &columns);
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

    fn goals(&self) -> String {
        let mut text = String::new();
        let mut goal = |what: &str, limit: f64, found: Option<Spread>| {
            if let Some(found) = found {
                let verdict = if found.median <= limit { "reached" } else { "**missed**" };
                let _ = writeln!(text, "| {what} | {limit} | {} | {verdict} |", with_range(found));
            }
        };
        goal("CPU at 54 KB, gateway / bare Pingora", 1.25, self.ratio(GATEWAY, BARE, "54kb"));
        goal("CPU at 54 KB, 50 rules / no rules", 1.15, self.ratio(GATEWAY_RULES, GATEWAY, "54kb"));
        goal("CPU at 54 KB, gateway / nginx + Lua", 0.25, self.ratio(GATEWAY, NGINX_LUA, "54kb"));
        for nginx in [NGINX, NGINX_DEFAULT, NGINX_UNBUFFERED] {
            goal(&format!("CPU at 4 MB, gateway / {nginx}"), 1.3, self.ratio(GATEWAY, nginx, "4mb"));
        }
        let gateway = || self.memory.iter().filter(|(name, ..)| name == GATEWAY);
        let streams = self.amount.streams;
        goal("kB per open stream, fresh", 64.0, spread(gateway().map(|(_, fresh, _)| fresh.per_stream(streams))));
        goal(
            "kB per open stream, after churn",
            64.0,
            spread(gateway().map(|(.., churned)| churned.per_stream(streams))),
        );
        if text.is_empty() {
            return text;
        }
        format!("\n### Goals\n\n| figure | at most | found | |\n|---|---|---|---|\n{text}")
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
