//! The upstreams that failed, in a column of JSON.

use gateway_core::record::RequestRecord;
use gateway_core::record::fault::{Told, UpstreamFault};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An upstream that failed, as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// Its name.
    pub upstream: String,
    /// What it did.
    #[serde(flatten)]
    pub told: Told,
}

/// The same, as the column has it.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    upstream: Arc<str>,
    what: String,
    /// Older versions kept the words alone.
    #[serde(flatten)]
    fault: Option<UpstreamFault>,
}

/// The column of a record; `None` if no upstream failed.
pub(super) fn write(record: &RequestRecord) -> Option<String> {
    let kept = |(upstream, fault): &(Arc<str>, UpstreamFault)| Kept {
        upstream: Arc::clone(upstream),
        what: fault.to_string(),
        fault: Some(fault.clone()),
    };
    let list: Vec<Kept> = record.tried.iter().map(kept).collect();
    serde_json::to_string(&list).ok().filter(|_| !list.is_empty())
}

/// The one that is the reason of the request's failure: the last one, if it is any.
pub(super) fn of_reason<'t>(tried: &'t [Tried], reason: &str) -> Option<&'t Tried> {
    let of_fault = |fault: &UpstreamFault| fault.reason().is_some_and(|of_fault| of_fault.code() == reason);
    tried.last().filter(|tried| tried.told.fault.as_ref().is_some_and(of_fault))
}

/// The same of a record.
pub(super) fn of_record(record: &RequestRecord) -> Option<Tried> {
    let (upstream, fault) = record.tried.last()?;
    let is_it = fault.reason().is_some_and(|of_fault| record.reason.is_some_and(|reason| reason == of_fault));
    is_it.then(|| Tried { upstream: String::from(&**upstream), told: fault.clone().into() })
}

/// What the column says.
pub(super) fn read(column: Option<&str>) -> Vec<Tried> {
    let list: Vec<Kept> = column.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let tried = |Kept { upstream, what, fault }| Tried {
        upstream: String::from(&*upstream),
        told: match fault {
            Some(fault) => fault.into(),
            None => Told { what, what_zh: None, fault: None },
        },
    };
    list.into_iter().map(tried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_kept_as_codes_and_words() {
        let tried =
            vec![("a".into(), UpstreamFault::Status { status: 503 }), ("b".into(), UpstreamFault::ConnectRefused)];
        let record = RequestRecord { tried, ..crate::sample::record() };
        let column = write(&record).expect("a column");
        let shown = serde_json::to_value(read(Some(&column))).expect("JSON");
        let wanted = serde_json::json!([
            {"upstream": "a", "what": "answered 503", "what_zh": "返回了 503", "code": "status",
             "parameters": {"status": 503}},
            {"upstream": "b", "what": "refused the connection: check that it is running and that base_url is right",
             "what_zh": "拒绝了连接：请确认它正在运行，并检查 base_url", "code": "connect_refused"},
        ]);
        assert_eq!(shown, wanted);
        assert!(column.contains(r#"{"upstream":"a","what":"answered 503","code":"status""#), "{column}");
        assert_eq!(write(&crate::sample::record()), None);
    }

    #[test]
    fn the_fault_of_a_failure_is_the_one_that_its_reason_is_for() {
        let tried = read(Some(
            r#"[{"upstream":"a","what":"-","code":"closed"},
                {"upstream":"b","what":"-","code":"queue_full","parameters":{"max_in_flight":2,"queue":3}}]"#,
        ));
        let of = |reason| of_reason(&tried, reason).map(|tried| tried.upstream.as_str());
        assert_eq!(of("upstream_full"), Some("b"));
        assert_eq!(of("closed"), None, "another upstream took the request over");
        assert_eq!((of("client_gone"), of("")), (None, None));
    }

    #[test]
    fn rows_of_other_versions_keep_their_words() {
        for column in [
            r#"[{"upstream":"a","what":"answered 503"}]"#,
            r#"[{"upstream":"a","what":"answered 503","code":"not_yet_invented","parameters":{"x":1}}]"#,
        ] {
            let shown = serde_json::to_value(read(Some(column))).expect("JSON");
            assert_eq!(shown, serde_json::json!([{"upstream": "a", "what": "answered 503", "what_zh": null}]));
        }
        assert!(read(None).is_empty() && read(Some("no JSON")).is_empty());
    }
}
