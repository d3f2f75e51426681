//! A service's file of variables, which only systemd reads: what of it is not in force.

use super::control::Status;
use super::systemd;
use crate::language::say;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Most lines that are told of.
const MOST: usize = 10;

/// What is worth knowing of the files of variables of the gateway that runs, if it is a service.
pub(super) fn notes(status: &Status) -> Vec<String> {
    let Some(unit) = systemd::unit_of(status.pid).filter(|_| status.has_systemd) else { return Vec::new() };
    let files = systemd::environment_files(&unit);
    let changed = files.iter().find(|file| is_newer(file, status.started_ms)).map(|file| {
        say!(
            "{file} has changed since the gateway was started, and only systemd reads it; type: sudo systemctl reload {unit}",
            "{file} 在网关启动之后有改动，而它只由 systemd 读取；请执行：sudo systemctl reload {unit}",
            file = file.display()
        )
    });
    let left_out = files.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let path = path.display();
        // The line itself may hold a key.
        let told = |line: usize| {
            say!(
                "{path}:{line}: systemd leaves this line out: it takes NAME=value, without export",
                "{path}:{line}：systemd 会忽略这一行：只接受 名称=值，不能带 export"
            )
        };
        lines_left_out(&text).into_iter().take(MOST).map(told).collect::<Vec<_>>()
    });
    changed.into_iter().chain(left_out).collect()
}

fn is_newer(file: &Path, started_ms: u64) -> bool {
    let written = std::fs::metadata(file).and_then(|file| file.modified()).ok();
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.is_some_and(|since| started_ms > 0 && since.as_millis() > u128::from(started_ms))
}

/// The numbers, from 1, of lines that set nothing (systemd.exec(5), `EnvironmentFile=`). A value may go on in further lines,
/// in quotes or behind a backslash.
fn lines_left_out(text: &str) -> Vec<usize> {
    let mut left_out = Vec::new();
    let (mut quote, mut goes_on) = (None, false);
    for (number, line) in (1..).zip(text.lines()) {
        let begins = quote.is_none() && !std::mem::take(&mut goes_on);
        let value = if begins {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            match line.split_once('=').filter(|(name, _)| is_name(name.trim_end())) {
                Some((_, value)) => value,
                None => {
                    left_out.push(number);
                    continue;
                }
            }
        } else {
            line
        };
        let mut is_escaped = false;
        for character in value.chars() {
            match (quote, character) {
                _ if is_escaped => is_escaped = false,
                (None | Some('"'), '\\') => is_escaped = true,
                (None, '"' | '\'') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                _ => {}
            }
        }
        goes_on = is_escaped;
    }
    left_out
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_part) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_systemd_leaves_out_are_found() {
        let text = "# a comment\n; another\n\nA=1\nexport B=2\nC = 3\n“D”=4\nE=\"two\nlines = here\"\nF=one \\\nmore here\nG\n1H=1\n";
        assert_eq!(lines_left_out(text), [5, 7, 12, 13]);
    }
}
