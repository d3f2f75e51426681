//! Why the gateway refused a request, or failed to serve it: the `reason` of logs, metrics and the API.

use crate::codes::codes;

codes! {
    /// Why the gateway refused a request, or failed to serve it.
    Reason {
        // --- the request breaks HTTP ---
        /// It is no HTTP at all.
        NotHttp = "not_http",
        /// Its first line is none.
        RequestLine = "request_line",
        /// A line ends without CR LF.
        LineEnd = "line_end",
        /// Its method is no token, or one that is not served.
        Method = "method",
        /// A version that is not spoken here.
        Version = "version",
        /// Its target is none.
        Target = "target",
        /// A header is malformed.
        Header = "header",
        /// `Host` is missing, malformed, or there twice.
        Host = "host",
        /// `Connection` is malformed, or names too much.
        Connection = "connection",
        /// `Content-Length` is none, or not the length of the body.
        ContentLength = "content_length",
        /// A transfer coding that is not spoken here.
        TransferEncoding = "transfer_encoding",
        /// It is not clear where the body ends.
        Framing = "framing",
        /// The chunks of the body are malformed.
        Chunked = "chunked",
        /// It expects what nobody can meet.
        Expect = "expect",
        // --- it is larger or slower than it may be ---
        /// Its target is too long.
        TargetBytes = "target_bytes",
        /// Its head is too large.
        HeaderBytes = "header_bytes",
        /// It has too many headers.
        HeaderCount = "header_count",
        /// Its head did not come in in time.
        HeaderTimeout = "header_timeout",
        /// Its body is too large.
        RequestBody = "request_body",
        /// All bodies together are too large.
        RequestBodiesTotal = "request_bodies_total",
        /// Its client holds too much of the memory for bodies.
        BodyShare = "body_share",
        /// Its body came in too slowly.
        BodyMinRate = "body_min_rate",
        /// Its body stopped coming in.
        BodyTimeout = "body_timeout",
        /// There is no room for one more connection.
        Connections = "connections",
        /// The client left in the middle of it.
        Incomplete = "incomplete",
        // --- it may not go to an upstream ---
        /// No route is there for its key.
        UnknownKey = "unknown_key",
        /// It has no client token, and needs one.
        TokenMissing = "token_missing",
        /// Nobody knows its client token.
        TokenUnknown = "token_unknown",
        /// Too many tokens that nobody knows came from its address.
        TokenGuesses = "token_guesses",
        /// Its client token has expired.
        TokenExpired = "token_expired",
        /// Its client token was revoked.
        TokenRevoked = "token_revoked",
        /// Its client token, or that one's user, is suspended.
        TokenSuspended = "token_suspended",
        /// Its client token may not come from its address.
        TokenAddress = "token_address",
        /// Its client token may not use its model.
        TokenModel = "token_model",
        /// None of the upstreams of its client token is there.
        TokenUpstream = "token_upstream",
        /// A client token stands in it where an upstream would see it.
        TokenExposed = "token_exposed",
        /// Nobody has said what its model costs, and a limit of its token, user or group is in dollars.
        LimitUnpriced = "limit_unpriced",
        /// Too many requests a minute, for a limit.
        LimitRate = "limit_rate",
        /// Too many requests at one time, for a limit.
        LimitPlaces = "limit_places",
        /// Too many sessions, for a limit.
        LimitSessions = "limit_sessions",
        /// What is left of a limit is held by requests that are being served.
        LimitHeld = "limit_held",
        /// A limit is used until it begins again.
        LimitUsed = "limit_used",
        /// A limit is used for good.
        LimitTotal = "limit_total",
        /// The ledger of the limits cannot be asked.
        LimitLedger = "limit_ledger",
        /// Another site's page sends it, and the gateway would add a key.
        CrossSite = "cross_site",
        /// It carries the panel's key.
        PanelKey = "panel_key",
        /// A browser wants a service worker.
        ServiceWorker = "service_worker",
        /// A rule answers it with an error.
        Rule = "rule",
        // --- the client ---
        /// It took no byte of its response for too long; or the upstream none of the request.
        WriteTimeout = "write_timeout",
        /// Too many responses waited for slow clients: this one was ended, or refused.
        UnsentAnswers = "unsent_answers",
        /// It closed the connection.
        ClientGone = "client_gone",
        // --- the upstream ---
        /// Its name, or its proxy's, does not resolve.
        Resolve = "resolve",
        /// No connection, for another reason than those below.
        Connect = "connect",
        /// It refused the connection.
        ConnectRefused = "connect_refused",
        /// The connection took too long.
        ConnectTimeout = "connect_timeout",
        /// No TLS.
        Tls = "tls",
        /// The outbound proxy did not do its work.
        Proxy = "proxy",
        /// The outbound proxy took too long.
        ProxyTimeout = "proxy_timeout",
        /// It has no room for one more request.
        UpstreamFull = "upstream_full",
        /// All of its keys rest: one of them is back by itself.
        KeysRest = "keys_rest",
        /// None of its keys is used, until somebody does something about it.
        KeysOut = "keys_out",
        /// It did not begin its response in time.
        FirstByteTimeout = "first_byte_timeout",
        /// It sent no event of its response in time.
        FirstEventTimeout = "first_event_timeout",
        /// It closed the connection without a response.
        Closed = "closed",
        /// It sent something that is no HTTP response.
        BadAnswer = "bad_answer",
        /// It sent a success with nothing in it.
        NoAnswer = "no_answer",
        /// It sent something that is no message.
        NoMessage = "no_message",
        /// It sent an error with the status of a success.
        ErrorReply = "error_reply",
        /// It sent a web page.
        WebPage = "web_page",
        /// It sent interim responses without end.
        InterimFlood = "interim_flood",
        /// It fell silent in the middle of its response.
        Stalled = "stalled",
        /// It ended its response too early.
        Truncated = "truncated",
        /// It ended its stream without `message_stop`.
        NoMessageStop = "no_message_stop",
        // --- the gateway ---
        /// What the response says could not be read; it was passed on.
        Unreadable = "unreadable",
        /// A fault of the gateway's.
        Internal = "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the request log, dashboards and alerts go by these.
    #[test]
    fn the_codes_of_reasons_stay_as_they_are() {
        let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        let pinned = "not_http request_line line_end method version target header host connection content_length \
            transfer_encoding framing chunked expect target_bytes header_bytes header_count header_timeout request_body \
            request_bodies_total body_share body_min_rate body_timeout connections incomplete unknown_key token_missing token_unknown token_guesses token_expired token_revoked token_suspended \
            token_address token_model token_upstream token_exposed limit_unpriced limit_rate limit_places limit_sessions limit_held \
            limit_used limit_total limit_ledger cross_site \
            panel_key service_worker rule write_timeout unsent_answers client_gone resolve connect connect_refused \
            connect_timeout tls proxy proxy_timeout upstream_full keys_rest keys_out first_byte_timeout first_event_timeout closed \
            bad_answer no_answer no_message error_reply web_page interim_flood stalled truncated no_message_stop unreadable internal";
        assert_eq!(codes.join(" "), pinned);
        assert_eq!(codes, crate::codes::documented("Reason"));
    }
}
