//! What a response told of its usage, event by event, and what follows from that at its end.

use super::summary::{Details, Tokens, word};
use serde_json::Value;

/// More tokens than any response has: a figure beyond that counts as not told. It would spoil the sums of all others, and
/// use up a budget.
pub(crate) const MOST_TOKENS: u64 = 1 << 24;
/// About so many bytes of content are a token.
const BYTES_OF_TOKEN: u64 = 4;
/// And hardly ever more than so many.
const MOST_BYTES_OF_TOKEN: u64 = 32;

/// What was told so far. Counts are cumulative: later ones replace earlier ones. What is missing, null or zero in a
/// later event does not: relays repeat the object without what they do not know.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Whether any count was.
    is_told: bool,
    tokens: Tokens,
    details: Details,
    /// Whether the output was told by an event that comes after content: `message_start` has only a beginning of it.
    is_output_told: bool,
    /// Whether such an event told it as 0: it may be so, or that event tells no counts.
    is_output_zero: bool,
    /// Bytes of content that came since.
    untold_bytes: u64,
}

impl Told {
    /// The usage in `message_start`.
    pub(super) fn beginning(&mut self, usage: &Value) {
        self.merge(usage);
    }

    /// The usage in `message_delta`, or of a whole reply.
    pub(super) fn cumulative(&mut self, usage: &Value) {
        self.merge(usage);
        match count(&usage["output_tokens"]) {
            Some(0) => self.is_output_zero = true,
            Some(_) => (self.is_output_told, self.untold_bytes) = (true, 0),
            None => {}
        }
    }

    /// So many bytes of content came.
    pub(super) fn content(&mut self, bytes: u64) {
        self.untold_bytes = self.untold_bytes.saturating_add(bytes);
    }

    /// Tokens of output so far: what was told, and an estimate of what came since.
    pub(super) fn output_so_far(&self) -> u64 {
        let (told, guess) = (self.tokens.output, self.untold_bytes.div_ceil(BYTES_OF_TOKEN));
        let output = if self.is_output_told { told + guess } else { told.max(guess) };
        output.min(MOST_TOKENS)
    }

    fn merge(&mut self, usage: &Value) {
        let Tokens { input, output, cache_write, cache_read, .. } = &mut self.tokens;
        for (name, known) in [
            ("input_tokens", input),
            ("output_tokens", output),
            ("cache_creation_input_tokens", cache_write),
            ("cache_read_input_tokens", cache_read),
        ] {
            let told = count(&usage[name]);
            self.is_told |= told.is_some();
            if let Some(told) = told.filter(|told| *told > 0) {
                *known = told;
            }
        }
        let (parts, tools) = (&usage["cache_creation"], &usage["server_tool_use"]);
        let details = &mut self.details;
        for (told, known) in [
            (&parts["ephemeral_5m_input_tokens"], &mut details.cache_write_5m),
            (&parts["ephemeral_1h_input_tokens"], &mut details.cache_write_1h),
            (&usage["output_tokens_details"]["thinking_tokens"], &mut details.thinking),
            (&tools["web_search_requests"], &mut details.web_searches),
            (&tools["web_fetch_requests"], &mut details.web_fetches),
        ] {
            let told = count(told);
            self.is_told |= told.is_some();
            *known = told.filter(|told| known.is_none() || *told > 0).or(*known);
        }
        for (name, known) in [
            ("service_tier", &mut details.service_tier),
            ("inference_geo", &mut details.inference_geo),
            ("speed", &mut details.speed),
        ] {
            if let Some(told) = word(&usage[name]) {
                *known = Some(told);
            }
        }
    }

    /// What is known at the end, and whether the output is estimated: that of a stream which did not come to its end
    /// was told by nobody, and nor was that of a whole one whose only count is a beginning, far below what came.
    pub(super) fn conclude(&self, is_complete: bool) -> (Option<Tokens>, bool, Details) {
        if !self.is_told {
            return (None, false, self.details.clone());
        }
        let mut tokens = self.tokens;
        let [five_minutes, hour] =
            [self.details.cache_write_5m, self.details.cache_write_1h].map(Option::unwrap_or_default);
        if tokens.cache_write == 0 {
            tokens.cache_write = five_minutes + hour;
        }
        tokens.cache_write_1h = hour;
        let guess = self.untold_bytes.div_ceil(BYTES_OF_TOKEN);
        let is_estimated = match (is_complete, self.is_output_told) {
            (true, true) => false,
            (true, false) => !self.is_output_zero && guess > MOST_BYTES_OF_TOKEN / BYTES_OF_TOKEN * tokens.output,
            (false, true) => self.untold_bytes > 0,
            (false, false) => true,
        };
        if is_estimated {
            tokens.output = self.output_so_far();
        }
        (Some(tokens), is_estimated, self.details.clone())
    }
}

/// A count; some relays write one as `7.0`.
fn count(value: &Value) -> Option<u64> {
    let whole = || value.as_f64().filter(|count| *count >= 0.0 && count.fract() == 0.0).map(|count| count as u64);
    value.as_u64().or_else(whole).filter(|count| *count <= MOST_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn start() -> Value {
        json!({ "input_tokens": 100, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300, "output_tokens": 1 })
    }

    /// Input, written to the cache, read from it, and output, after these two events of a whole stream.
    fn merged(start: &Value, delta: &Value) -> Option<[u64; 4]> {
        let mut told = Told::default();
        told.beginning(start);
        told.cumulative(delta);
        told.conclude(true).0.map(|tokens| [tokens.input, tokens.cache_write, tokens.cache_read, tokens.output])
    }

    #[test]
    fn what_a_later_event_does_not_tell_erases_nothing() {
        let kept = Some([100, 20, 300, 42]);
        for delta in [
            json!({ "output_tokens": 42 }),
            json!({ "output_tokens": 42.0 }),
            json!({ "input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 42 }),
            json!({ "input_tokens": null, "cache_creation_input_tokens": null, "output_tokens": 42 }),
            json!({ "input_tokens": -1, "cache_read_input_tokens": "many", "output_tokens": 42 }),
        ] {
            assert_eq!(merged(&start(), &delta), kept, "{delta}");
        }
        for nothing in
            [json!({}), json!(null), json!([]), json!({ "output_tokens": 0 }), json!({ "output_tokens": null })]
        {
            assert_eq!(merged(&start(), &nothing), Some([100, 20, 300, 1]), "{nothing}");
        }
    }

    #[test]
    fn a_later_count_replaces_an_earlier_one() {
        let delta = json!({ "input_tokens": 4500, "cache_creation_input_tokens": 700, "cache_read_input_tokens": 12, "output_tokens": 42 });
        for start in [json!(null), json!({}), json!({ "input_tokens": 0, "output_tokens": 0 }), start()] {
            assert_eq!(merged(&start, &delta), Some([4500, 700, 12, 42]), "{start}");
        }
        assert_eq!(merged(&start(), &json!({ "input_tokens": 50, "output_tokens": 7 })), Some([50, 20, 300, 7]));
        for nothing in [json!(null), json!("none"), json!({}), json!({ "input_tokens": null })] {
            assert_eq!(merged(&nothing, &nothing), None, "{nothing}");
        }
    }

    #[test]
    fn parts_make_the_whole_where_the_whole_is_not_told() {
        let written = |usage: Value| {
            let mut told = Told::default();
            told.cumulative(&usage);
            let tokens = told.conclude(true).0.expect("tokens");
            (tokens.cache_write, tokens.cache_write_1h)
        };
        let parts = json!({ "ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100 });
        assert_eq!(written(json!({ "cache_creation": parts })), (556, 100));
        assert_eq!(written(json!({ "cache_creation": parts, "cache_creation_input_tokens": 0 })), (556, 100));
        assert_eq!(written(json!({ "cache_creation": parts, "cache_creation_input_tokens": 600 })), (600, 100));
        assert_eq!(written(json!({ "cache_creation": null, "cache_creation_input_tokens": 600 })), (600, 0));
        // The parts come at the beginning, the whole at the end: both are known then.
        let mut told = Told::default();
        told.beginning(&json!({ "cache_creation": parts }));
        told.cumulative(
            &json!({ "cache_creation_input_tokens": 700, "cache_creation": { "ephemeral_1h_input_tokens": 0 } }),
        );
        let tokens = told.conclude(true).0.expect("tokens");
        assert_eq!((tokens.cache_write, tokens.cache_write_1h), (700, 100));
    }

    #[test]
    fn all_of_a_usage_is_kept() {
        let mut told = Told::default();
        told.beginning(&json!({
            "input_tokens": 1, "service_tier": "priority", "inference_geo": "us", "speed": "standard",
            "server_tool_use": { "web_search_requests": 0, "web_fetch_requests": 0 },
        }));
        told.cumulative(&json!({
            "output_tokens": 9, "service_tier": "", "inference_geo": null, "speed": "fast",
            "server_tool_use": { "web_search_requests": 3, "web_fetch_requests": 0 },
            "output_tokens_details": { "thinking_tokens": 5 },
        }));
        let text = |text: &str| Some(text.to_owned());
        let details = Details {
            cache_write_5m: None,
            cache_write_1h: None,
            thinking: Some(5),
            web_searches: Some(3),
            web_fetches: Some(0),
            service_tier: text("priority"),
            inference_geo: text("us"),
            speed: text("fast"),
        };
        assert_eq!(told.conclude(true).2, details);
    }

    #[test]
    fn the_output_so_far_grows_with_content_until_it_is_told() {
        let mut told = Told::default();
        assert_eq!(told.output_so_far(), 0);
        told.beginning(&start());
        told.content(400);
        assert_eq!(told.output_so_far(), 100);
        told.cumulative(&json!({ "output_tokens": 120 }));
        assert_eq!(told.output_so_far(), 120);
        told.content(8);
        assert_eq!(told.output_so_far(), 122);
    }

    #[test]
    fn the_output_of_a_stream_that_was_cut_is_estimated_from_its_content() {
        let mut told = Told::default();
        told.content(8_000);
        assert_eq!(told.conclude(false).0, None, "without usage nothing is known of the input");
        told.beginning(&start());
        let output = |told: &Told, is_complete| {
            let (tokens, is_estimated, _) = told.conclude(is_complete);
            (tokens.expect("tokens").output, is_estimated)
        };
        assert_eq!(output(&told, false), (2_000, true));
        assert_eq!(told.conclude(false).0.map(|tokens| tokens.input), Some(100));
        assert_eq!(output(&told, true), (2_000, true), "1 is but the beginning");
        // What was told by then counts, and what came since.
        told.cumulative(&json!({ "output_tokens": 1_900 }));
        assert_eq!(output(&told, false), (1_900, false));
        told.content(9);
        assert_eq!(output(&told, false), (1_903, true));
        let mut short = Told::default();
        short.beginning(&json!({ "input_tokens": 1, "output_tokens": 7 }));
        short.content(5);
        assert_eq!(output(&short, false), (7, true), "no less than was told");
    }

    #[test]
    fn a_whole_stream_whose_output_nobody_told_at_its_end_is_estimated_if_what_was_told_cannot_be() {
        let output = |start: Value, delta: Value| {
            let mut told = Told::default();
            told.beginning(&json!({ "input_tokens": 1, "output_tokens": start }));
            told.content(400);
            told.cumulative(&json!({ "output_tokens": delta }));
            let (tokens, is_estimated, _) = told.conclude(true);
            (tokens.map(|tokens| tokens.output), is_estimated)
        };
        for start in [json!(null), json!(0), json!(1), json!(8)] {
            assert_eq!(output(start.clone(), json!(null)), (Some(100), true), "{start}");
        }
        assert_eq!(output(json!(60), json!(null)), (Some(60), false), "a relay that tells all at the beginning");
        assert_eq!(output(json!(0), json!(0)), (Some(0), false), "that was told");
        assert_eq!(output(json!(1), json!(0)), (Some(1), false));
        assert_eq!(output(json!(1), json!(7)), (Some(7), false));
    }
}
