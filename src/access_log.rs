//! One line per request on the log target `access`.

use crate::log_output;
use gateway_core::record::RequestRecord;
use gateway_core::usage::summary::Summary;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Longest of most lines, in bytes.
const USUAL_BYTES: usize = 512;

/// Writes the line of a request.
pub(crate) fn write(record: &RequestRecord) {
    if log::log_enabled!(target: log_output::ACCESS, log::Level::Info) {
        log_output::access(&line(record));
    }
}

/// Writes the line of a request with an unknown token that stands for so many of its client.
pub(crate) fn write_guesses(record: &RequestRecord, guesses: u64) {
    log::info!(target: log_output::ACCESS, "{} guesses={guesses}", line(record));
}

/// Writes the line of a request for one of the gateway's own pages: an open panel asks often.
pub(crate) fn write_local(record: &RequestRecord) {
    if log::log_enabled!(target: log_output::ACCESS, log::Level::Debug) {
        log::debug!(target: log_output::ACCESS, "{}", line(record));
    }
}

/// `name=value` pairs in a fixed order; values that are not known are left out.
fn line(record: &RequestRecord) -> String {
    let mut line = Line(String::with_capacity(USUAL_BYTES));
    line.text("request_id", &record.request_id);
    match record.client {
        // To format one takes ten times as long.
        Some(IpAddr::V4(client)) => {
            let [first, rest @ ..] = client.octets();
            line.number("client", first);
            rest.into_iter().for_each(|octet| {
                line.0.push('.');
                line.digits(octet);
            });
        }
        Some(client) => line.text("client", &client.to_string()),
        None => {}
    }
    if !record.http.is_empty() {
        line.text("http", record.http);
        line.word("method", &record.method);
        line.word("path", &record.path);
    }
    line.number("status", record.status);
    line.text("outcome", record.outcome.name());
    if let Some(reason) = record.reason {
        line.text("reason", reason.code());
    }
    if let Some(upstream) = &record.upstream {
        line.text("upstream", upstream);
        line.number("attempts", record.attempts);
    }
    line.millis("duration_ms", record.duration);
    if let Some(first_byte) = record.first_byte {
        line.millis("first_byte_ms", first_byte);
    }
    line.number("request_bytes", record.request_bytes);
    line.number("response_bytes", record.response_bytes);
    if let Some(key) = &record.key {
        line.text("key", key);
    }
    if let Some(rewrite) = record.rewrite {
        line.text("rewrite", rewrite.code());
    }
    if let Some(moved) = &record.moved {
        line.text("moved", moved.code());
        let what = moved.what();
        if !what.is_empty() {
            line.word("moved_by", &what);
        }
    }
    if let Some(model) = &record.model_asked {
        line.word("model_asked", model);
    }
    if let Some(answer) = &record.answer {
        line.answer(answer);
    }
    if let Some(cost) = record.cost {
        // Writing to a string cannot fail.
        let _ = write!(line.0, " cost_usd={}", cost as f64 / 1e9);
    }
    if let Some(cause) = record.cause {
        line.text("cause", cause.code());
    }
    line.0
}

/// A line that is being written.
struct Line(String);

impl Line {
    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(name);
        self.0.push('=');
    }

    fn digits(&mut self, number: impl itoa::Integer) {
        self.0.push_str(itoa::Buffer::new().format(number));
    }

    fn number(&mut self, name: &str, number: impl itoa::Integer) {
        self.name(name);
        self.digits(number);
    }

    fn millis(&mut self, name: &str, time: Duration) {
        self.number(name, time.as_millis());
    }

    /// The gateway's own text.
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push_str(value);
    }

    /// Another side's text as one word: what would break the line or the pairs is percent-encoded.
    fn word(&mut self, name: &str, value: &str) {
        self.name(name);
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'"';
        let mut rest = value;
        while let Some(at) = rest.bytes().position(|byte| !is_plain(&byte)) {
            let (plain, from) = rest.split_at(at);
            let next = from.chars().next().map_or(0, char::len_utf8);
            self.0.push_str(plain);
            for byte in from.bytes().take(next) {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "%{byte:02X}");
            }
            rest = &from[next..];
        }
        self.0.push_str(rest);
    }

    /// What the answer says.
    fn answer(&mut self, answer: &Summary) {
        if let Some(model) = &answer.model {
            self.word("model", model);
        }
        if let Some(tokens) = answer.tokens {
            self.number("input_tokens", tokens.input);
            self.number("output_tokens", tokens.output);
            self.number("cache_write_tokens", tokens.cache_write);
            self.number("cache_read_tokens", tokens.cache_read);
            if answer.is_estimated {
                self.text("estimated", "true");
            }
        }
        if let Some(first_token) = answer.first_token {
            self.millis("first_token_ms", first_token);
            self.millis("longest_gap_ms", answer.longest_gap);
        }
        let error = if answer.is_stream() { "stream_error" } else { "reply_error" };
        for (name, value) in [("stop_reason", &answer.stop_reason), (error, &answer.error)] {
            if let Some(value) = value {
                self.word(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_row_of_pairs() {
        let mut record = crate::sample::record();
        assert_eq!(
            line(&record),
            "request_id=req_1 client=127.0.0.1 http=1.1 method=POST path=/v1/messages status=200 outcome=completed \
             upstream=a attempts=1 duration_ms=12 first_byte_ms=9 request_bytes=3 response_bytes=4 key=0a1b2c3d4e5f6071 \
             rewrite=replaced"
        );
        record.path = "/a b\n\"中~".to_owned();
        assert!(line(&record).contains(" path=/a%20b%0A%22%E4%B8%AD~ "));
    }
}
