//! `anyrouter-gateway reload`: has the running gateway load its configuration anew, and says what changed, or what is
//! wrong; and what else to type, where that was not enough.

use super::ask::{self, ask, printable};
use super::control::{Answer, Question, Status};
use super::{RuntimeDir, service_file, systemd};
use crate::config::live::Difference;
use crate::language::{joined, say, told as told_in_words};

/// Most differences that are told.
const MOST: usize = 40;

/// Has it done. Returns what to tell.
///
/// # Errors
/// When the gateway cannot be asked, or what is wrong with the configuration.
pub(crate) fn run(folder: &RuntimeDir) -> Result<String, String> {
    let status = ask::status(folder)?;
    let mistakes = service_file::mistakes(&status);
    if !mistakes.is_empty() {
        return Err(format!("{}\n{}", mistakes.join("\n"), refused(mistakes.len())));
    }
    match ask(folder, Question::Reload)? {
        Answer::Reloaded { pending_restart, warnings, differences, needs_stop, .. } => {
            let mut lines: Vec<String> = warnings.iter().map(|warning| warned(&told_in_words(warning))).collect();
            lines.extend(told(differences.as_deref()));
            if !pending_restart.is_empty() {
                let (keys, way) = (pending_restart.join(", "), Way::of(&status).to_change(&status, needs_stop));
                lines.push(pending(&printable(&keys), &way));
            }
            let notes = service_file::notes(&status, &lines);
            lines.extend(notes);
            Ok(lines.join("\n"))
        }
        Answer::Refused(problems) => Err(format!("{}\n{}", joined(&problems, "\n"), refused(problems.len()))),
        other => Err(say!(
            "the gateway gave another answer than to a reload: {other:?}",
            "网关的回答与重新加载无关：{other:?}"
        )),
    }
}

fn warned(text: &str) -> String {
    say!("warning: {text}", "警告：{text}")
}

fn pending(keys: &str, way: &str) -> String {
    say!("not in force yet: {keys}; {way}", "尚未生效：{keys}；{way}")
}

fn refused(count: usize) -> String {
    match count {
        1 => say!("refused with 1 error; what was in force still is", "有 1 处错误，未采用；原来的配置仍然有效"),
        _ => say!(
            "refused with {count} errors; what was in force still is",
            "有 {count} 处错误，未采用；原来的配置仍然有效"
        ),
    }
}

/// What changed, a line each.
fn told(differences: Option<&[Difference]>) -> Vec<String> {
    let done = say!("the configuration was loaded anew", "已重新加载配置");
    match differences {
        None => vec![done],
        Some([]) => vec![say!(
            "{done}; nothing changed: no setting has another value than before",
            "{done}；没有变化：各项设置的值都与之前相同"
        )],
        Some(differences) => {
            let mut lines = vec![say!("the configuration was loaded anew:", "已重新加载配置：")];
            lines.extend(
                differences.iter().take(MOST).map(|found| format!("  {}", printable(&told_in_words(&found.words())))),
            );
            if differences.len() > MOST {
                let left = differences.len() - MOST;
                lines.push(say!("  and {left} more", "  另有 {left} 项"));
            }
            lines
        }
    }
}

/// Who starts the gateway anew.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// It is the first process of a container.
    Container,
    /// systemd, by this unit.
    Unit(String),
    /// Whoever started it.
    Person,
}

impl Way {
    fn of(status: &Status) -> Self {
        match systemd::unit_of(status.pid).filter(|_| status.has_systemd) {
            _ if status.pid == 1 => Self::Container,
            Some(unit) => Self::Unit(unit),
            None => Self::Person,
        }
    }

    /// What to type for what a reload does not change. A new process can take over while the old one serves, unless that one
    /// is in its way.
    fn to_change(&self, status: &Status, needs_stop: bool) -> String {
        let pid = status.pid;
        match (self, needs_stop) {
            (Self::Container, _) => {
                say!("restart the container (docker compose restart)", "请重启容器（docker compose restart）")
            }
            (Self::Unit(unit), true) => {
                say!("type: sudo systemctl restart {unit}", "请执行：sudo systemctl restart {unit}")
            }
            (Self::Unit(unit), false) => say!(
                "type: sudo systemctl reload {unit} (a new process takes over, nothing is cut off)",
                "请执行：sudo systemctl reload {unit}（由新进程接替，不会中断任何请求）"
            ),
            (Self::Person, true) => {
                say!("stop the gateway (kill {pid}), and start it again", "请停止网关（kill {pid}），再重新启动")
            }
            (Self::Person, false) => say!(
                "type: anyrouter-gateway upgrade (a new process takes over, nothing is cut off)",
                "请执行：anyrouter-gateway upgrade（由新进程接替，不会中断任何请求）"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_a_line_each() {
        let value = |key: &str| Difference::Value {
            key: key.to_owned(),
            before: "1".to_owned(),
            after: "2\u{1b}[2J".to_owned(),
        };
        assert_eq!(told(None), ["the configuration was loaded anew"]);
        assert!(told(Some(&[]))[0].contains("nothing changed"));
        let lines = told(Some(&[value("gateway.a"), Difference::Hidden { key: "gateway.b".to_owned() }]));
        assert_eq!(lines[1..], ["  gateway.a: 1 -> 2 [2J", "  gateway.b: changed (********)"]);
        let lines = told(Some(&vec![value("k"); MOST + 2]));
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MOST + 2, Some("  and 2 more")));
    }

    #[test]
    fn the_way_to_change_the_rest_fits_who_starts_the_gateway() {
        let status = Status {
            pid: 12,
            version: String::new(),
            arguments: Vec::new(),
            folder: String::new(),
            addresses: Vec::new(),
            has_systemd: false,
            is_draining: false,
            busy: 0,
            configuration: String::new(),
            started_ms: 0,
        };
        let unit = Way::Unit("a.service".to_owned());
        for (way, needs_stop, wanted) in [
            (&unit, true, "type: sudo systemctl restart a.service"),
            (&unit, false, "type: sudo systemctl reload a.service "),
            (&Way::Person, true, "stop the gateway (kill 12), and start it again"),
            (&Way::Person, false, "type: anyrouter-gateway upgrade "),
            (&Way::Container, true, "restart the container"),
        ] {
            let told = way.to_change(&status, needs_stop);
            assert!(told.starts_with(wanted), "{told}");
        }
    }
}
