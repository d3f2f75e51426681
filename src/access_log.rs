//! One line per request on the log target `access`.

use gateway_core::record::RequestRecord;
use gateway_core::usage::summary::Summary;
use std::fmt::{self, Write as _};

/// The log target of access lines.
pub(crate) const TARGET: &str = "access";
/// Longest of most lines, in bytes.
const USUAL_BYTES: usize = 512;

/// Writes the line of a request.
pub(crate) fn write(record: &RequestRecord) {
    if log::log_enabled!(target: TARGET, log::Level::Info) {
        // In one piece: each piece of a line goes through all that stands between here and the log.
        let mut line = String::with_capacity(USUAL_BYTES);
        // Writing to a string cannot fail.
        let _ = write!(line, "{}", Line(record));
        log::info!(target: TARGET, "{line}");
    }
}

/// Writes the line of a request with an unknown token that stands for so many of its client.
pub(crate) fn write_guesses(record: &RequestRecord, guesses: u64) {
    log::info!(target: TARGET, "{} guesses={guesses}", Line(record));
}

/// Writes the line of a request for one of the gateway's own pages: an open panel asks often.
pub(crate) fn write_local(record: &RequestRecord) {
    log::debug!(target: TARGET, "{}", Line(record));
}

/// The pairs of an access line as JSON values: numbers where they are numbers.
pub(crate) fn pairs(line: &str) -> impl Iterator<Item = (&str, serde_json::Value)> {
    line.split(' ').filter_map(|pair| pair.split_once('=')).map(|(name, value)| {
        let number = (name == "status"
            || name == "attempts"
            || name == "guesses"
            || name.ends_with("_ms")
            || name.ends_with("_bytes")
            || name.ends_with("_tokens"))
        .then(|| value.parse::<u64>().ok())
        .flatten();
        (name, number.map_or_else(|| value.into(), Into::into))
    })
}

/// `name=value` pairs in a fixed order; values that are not known are left out.
struct Line<'a>(&'a RequestRecord);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        write!(f, "request_id={}", record.request_id)?;
        if let Some(client) = record.client {
            write!(f, " client={client}")?;
        }
        if !record.http.is_empty() {
            write!(f, " http={} method={} path={}", record.http, Word(&record.method), Word(&record.path))?;
        }
        write!(f, " status={} outcome={}", record.status, record.outcome.name())?;
        if let Some(reason) = record.reason {
            write!(f, " reason={}", reason.code())?;
        }
        if let Some(upstream) = &record.upstream {
            write!(f, " upstream={upstream} attempts={}", record.attempts)?;
        }
        write!(f, " duration_ms={}", record.duration.as_millis())?;
        if let Some(first_byte) = record.first_byte {
            write!(f, " first_byte_ms={}", first_byte.as_millis())?;
        }
        write!(f, " request_bytes={} response_bytes={}", record.request_bytes, record.response_bytes)?;
        if let Some(key) = &record.key {
            write!(f, " key={key}")?;
        }
        if let Some(rewrite) = record.rewrite {
            write!(f, " rewrite={}", rewrite.code())?;
        }
        if let Some(moved) = &record.moved {
            write!(f, " moved={}", moved.code())?;
            let what = moved.what();
            if !what.is_empty() {
                write!(f, " moved_by={}", Word(&what))?;
            }
        }
        if let Some(model) = &record.model_asked {
            write!(f, " model_asked={}", Word(model))?;
        }
        if let Some(answer) = &record.answer {
            write_answer(f, answer)?;
        }
        if let Some(cost) = record.cost {
            write!(f, " cost_usd={}", cost as f64 / 1e9)?;
        }
        match record.cause {
            Some(cause) => write!(f, " cause={}", cause.code()),
            None => Ok(()),
        }
    }
}

/// What the answer says.
fn write_answer(f: &mut fmt::Formatter<'_>, answer: &Summary) -> fmt::Result {
    if let Some(model) = &answer.model {
        write!(f, " model={}", Word(model))?;
    }
    if let Some(tokens) = answer.tokens {
        write!(f, " input_tokens={} output_tokens={}", tokens.input, tokens.output)?;
        write!(f, " cache_write_tokens={} cache_read_tokens={}", tokens.cache_write, tokens.cache_read)?;
        if answer.is_estimated {
            write!(f, " estimated=true")?;
        }
    }
    if let Some(first_token) = answer.first_token {
        write!(f, " first_token_ms={} longest_gap_ms={}", first_token.as_millis(), answer.longest_gap.as_millis())?;
    }
    let error = if answer.is_stream() { "stream_error" } else { "reply_error" };
    for (name, value) in [("stop_reason", &answer.stop_reason), (error, &answer.error)] {
        if let Some(value) = value {
            write!(f, " {name}={}", Word(value))?;
        }
    }
    Ok(())
}

/// Another side's text as one word: what would break the line or the pairs is percent-encoded.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'"';
        let mut rest = self.0;
        while let Some(at) = rest.bytes().position(|byte| !is_plain(&byte)) {
            let (plain, from) = rest.split_at(at);
            let next = from.chars().next().map_or(0, char::len_utf8);
            f.write_str(plain)?;
            from.bytes().take(next).try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            rest = &from[next..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_row_of_pairs() {
        let mut record = crate::sample::record();
        assert_eq!(
            Line(&record).to_string(),
            "request_id=req_1 client=127.0.0.1 http=1.1 method=POST path=/v1/messages status=200 outcome=completed \
             upstream=a attempts=1 duration_ms=12 first_byte_ms=9 request_bytes=3 response_bytes=4 key=0a1b2c3d4e5f6071 \
             rewrite=replaced"
        );
        record.path = "/a b\n\"中~".to_owned();
        assert!(Line(&record).to_string().contains(" path=/a%20b%0A%22%E4%B8%AD~ "));
    }
}
