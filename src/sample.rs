//! A request for unit tests.

use gateway_core::record::{Labels, PromptOutcome, RequestRecord};
use gateway_core::rules::body::Change;
use std::time::{Duration, SystemTime};

/// One that went well.
pub(crate) fn record() -> RequestRecord {
    RequestRecord {
        duration: Duration::from_millis(12),
        queue: Some(Duration::ZERO),
        connect: Some(Duration::from_millis(2)),
        first_byte: Some(Duration::from_millis(9)),
        client: Some([127, 0, 0, 1].into()),
        http: "1.1",
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        status: 200,
        upstream: Some("a".into()),
        attempts: 1,
        request_bytes: 3,
        response_bytes: 4,
        key: Some("0a1b2c3d4e5f6071".to_owned()),
        is_keyed: true,
        rewrite: Some(PromptOutcome::Changed(Change::Replaced)),
        labels: Labels { model: "".into(), path: "/v1/messages", request_class: "" },
        ..RequestRecord::new("req_1".to_owned(), SystemTime::UNIX_EPOCH)
    }
}
