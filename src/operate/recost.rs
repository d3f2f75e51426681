//! `anyrouter-gateway recost`: costs of the request log made anew, by the gateway that runs.

use super::RuntimeDir;
use super::ask::{ask, is_anybody_there};
use super::control::{Answer, Question, Recost};
use crate::language::{joined, say, told as in_words};
use gateway_core::language::Words;
use std::sync::Arc;
use std::time::Duration;

/// Begins, looks, or stops; says what is told of the run, or why there is none.
pub(crate) type Recosting = Arc<dyn Fn(Recost) -> Result<Told, Words> + Send + Sync>;

/// What is told of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// In words.
    pub text: Words,
    /// Whether it goes on.
    pub is_running: bool,
    /// Whether it covered all that it should.
    pub is_done: bool,
}

/// How often the gateway is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// What the command is asked for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Requests from then on: a day such as 2026-10-07 (UTC), or a time such as 2026-10-07T08:00:00Z.
    #[arg(long, value_name = "DATE", value_parser = time, required_unless_present = "stop")]
    pub from: Option<i64>,
    /// Only requests before then; without it, all that follow.
    #[arg(long, value_name = "DATE", value_parser = time)]
    pub to: Option<i64>,
    /// End what is under way; rows and sums agree at any time.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub stop: bool,
}

impl Options {
    /// What the gateway is to do.
    ///
    /// # Errors
    /// When the time ends before it begins.
    pub(crate) fn wish(&self) -> Result<Recost, String> {
        match (self.stop, self.from.unwrap_or_default(), self.to) {
            (true, ..) => Ok(Recost::Stop),
            (false, from_ms, Some(to_ms)) if to_ms <= from_ms => {
                Err(say!("--to is not after --from", "--to 必须晚于 --from"))
            }
            (false, from_ms, to_ms) => Ok(Recost::Begin { from_ms, to_ms }),
        }
    }
}

/// A day, or a time, in milliseconds since 1970.
fn time(text: &str) -> Result<i64, String> {
    let is_day = text.len() == "2026-10-07".len();
    let text = if is_day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = humantime::parse_rfc3339_weak(&text).map_err(|error| error.to_string())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| say!("it is before 1970", "早于 1970 年"))?;
    i64::try_from(since.as_millis()).map_err(|error| error.to_string())
}

/// Has the gateway that runs do it, and waits for the end; `None` if none runs.
///
/// # Errors
/// When it refuses, does not reach the end, or cannot be asked.
pub(crate) fn run(folder: &RuntimeDir, wish: Recost) -> Result<Option<String>, String> {
    if !is_anybody_there(folder)? {
        return Ok(None);
    }
    let mut told = tell(folder, wish)?;
    while told.is_running && wish != Recost::Stop {
        std::thread::sleep(LOOK);
        let next = tell(folder, Recost::Look)?;
        if next.text != told.text {
            eprintln!("{}", in_words(&next.text));
        }
        told = next;
    }
    if told.is_done || wish == Recost::Stop { Ok(Some(in_words(&told.text))) } else { Err(in_words(&told.text)) }
}

fn tell(folder: &RuntimeDir, wish: Recost) -> Result<Told, String> {
    match ask(folder, Question::Recost(wish))? {
        Answer::Recost { text, is_running, is_done } => Ok(Told { text, is_running, is_done }),
        Answer::Refused(why) => Err(joined(&why, "\n")),
        other => Err(say!(
            "the gateway gave another answer than to a recost: {other:?}",
            "网关的回答与重新计算费用无关：{other:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_moments() {
        assert_eq!(time("2026-10-07"), Ok(1_791_331_200_000));
        assert_eq!(time("2026-10-07T08:00:00Z"), Ok(1_791_360_000_000));
        for bad in ["", "yesterday", "2026-13-01", "1969-12-31", "1700000000000"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
