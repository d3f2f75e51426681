use super::*;
use crate::codes::documented;
use crate::language::Language;

const SAID: &str = "10.1.2.3:443 says so";

/// One of each, with its JSON.
fn all() -> Vec<(UpstreamFault, &'static str)> {
    use UpstreamFault as F;
    let (said, within) = (|| SAID.to_owned(), Duration::from_millis(1_500));
    let expired = Some(TlsFault::Expired);
    let proxy_answer = F::ProxyAnswer { proxy: SAID.to_owned(), status: 407, has_credentials: Some(false) };
    vec![
        (
            F::Resolve { said: said(), host: None, absent: None },
            r#"{"code":"resolve","parameters":{"said":"10.1.2.3:443 says so"}}"#,
        ),
        (F::ConnectRefused, r#"{"code":"connect_refused"}"#),
        (F::ConnectTimeout { within }, r#"{"code":"connect_timeout","parameters":{"within_ms":1500}}"#),
        (F::Connect { said: said() }, r#"{"code":"connect","parameters":{"said":"10.1.2.3:443 says so"}}"#),
        (
            F::Tls { fault: expired, said: said() },
            r#"{"code":"tls","parameters":{"fault":"expired","said":"10.1.2.3:443 says so"}}"#,
        ),
        (
            F::Proxy { said: said(), refusal: None, absent: None },
            r#"{"code":"proxy","parameters":{"said":"10.1.2.3:443 says so"}}"#,
        ),
        (F::ProxyTimeout { said: said() }, r#"{"code":"proxy_timeout","parameters":{"said":"10.1.2.3:443 says so"}}"#),
        (
            proxy_answer,
            r#"{"code":"proxy_answer","parameters":{"proxy":"10.1.2.3:443 says so","status":407,"has_credentials":false}}"#,
        ),
        (
            F::QueueFull { max_in_flight: 2, queue: 64 },
            r#"{"code":"queue_full","parameters":{"max_in_flight":2,"queue":64}}"#,
        ),
        (
            F::QueueTimeout { max_in_flight: 2, within },
            r#"{"code":"queue_timeout","parameters":{"max_in_flight":2,"within_ms":1500}}"#,
        ),
        (F::KeysRest { within }, r#"{"code":"keys_rest","parameters":{"within_ms":1500}}"#),
        (F::KeysOut, r#"{"code":"keys_out"}"#),
        (F::FirstByteTimeout { within }, r#"{"code":"first_byte_timeout","parameters":{"within_ms":1500}}"#),
        (F::FirstEventTimeout { within }, r#"{"code":"first_event_timeout","parameters":{"within_ms":1500}}"#),
        (F::WriteTimeout, r#"{"code":"write_timeout"}"#),
        (F::Closed, r#"{"code":"closed"}"#),
        (F::BadAnswer, r#"{"code":"bad_answer"}"#),
        (F::InterimFlood { most: 100, kib: 64 }, r#"{"code":"interim_flood","parameters":{"most":100,"kib":64}}"#),
        (F::WebPage, r#"{"code":"web_page"}"#),
        (F::NoAnswer, r#"{"code":"no_answer"}"#),
        (F::NoMessage { status: 202 }, r#"{"code":"no_message","parameters":{"status":202}}"#),
        (
            F::ErrorReply { kind: "new_api_error".to_owned() },
            r#"{"code":"error_reply","parameters":{"kind":"new_api_error"}}"#,
        ),
        (F::Status { status: 503 }, r#"{"code":"status","parameters":{"status":503}}"#),
        (F::ThinkingRefused, r#"{"code":"thinking_refused"}"#),
        (F::Stalled { within }, r#"{"code":"stalled","parameters":{"within_ms":1500}}"#),
        (F::Truncated, r#"{"code":"truncated"}"#),
        (F::NoMessageStop, r#"{"code":"no_message_stop"}"#),
        (
            F::StreamError { kind: "overloaded_error".to_owned() },
            r#"{"code":"stream_error","parameters":{"kind":"overloaded_error"}}"#,
        ),
        (F::ProbeStatus { status: 500 }, r#"{"code":"probe_status","parameters":{"status":500}}"#),
        (F::ProbeFailed { said: said() }, r#"{"code":"probe_failed","parameters":{"said":"10.1.2.3:443 says so"}}"#),
        (F::ProbeTimeout { within }, r#"{"code":"probe_timeout","parameters":{"within_ms":1500}}"#),
    ]
}

/// The request log holds these for as long as it is kept, and other programs go by them.
#[test]
fn codes_and_parameters_stay_as_they_are() {
    for (fault, json) in all() {
        assert_eq!(serde_json::to_string(&fault).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<UpstreamFault>(json).expect("a fault"), fault);
    }
    let tls = [
        (TlsFault::Expired, "expired"),
        (TlsFault::NotYetValid, "not_yet_valid"),
        (TlsFault::OtherName, "other_name"),
        (TlsFault::UnknownIssuer, "unknown_issuer"),
        (TlsFault::SelfSigned, "self_signed"),
        (TlsFault::Invalid, "invalid"),
        (TlsFault::NotTls, "not_tls"),
    ];
    for (fault, code) in tls {
        assert_eq!(serde_json::to_value(fault).expect("JSON"), code);
    }
    // Parameters that came to be later, and that older rows do not have.
    let (absent, said) = (Some(Duration::from_millis(31_000)), || SAID.to_owned());
    for (fault, json) in [
        (
            UpstreamFault::Resolve { said: said(), host: None, absent },
            r#"{"code":"resolve","parameters":{"said":"10.1.2.3:443 says so","absent_ms":31000}}"#,
        ),
        (
            UpstreamFault::Resolve { said: said(), host: Some("a.example".to_owned()), absent: None },
            r#"{"code":"resolve","parameters":{"said":"10.1.2.3:443 says so","host":"a.example"}}"#,
        ),
        (
            UpstreamFault::Proxy { said: said(), refusal: Some(ProxyRefusal::Forbidden), absent: None },
            r#"{"code":"proxy","parameters":{"said":"10.1.2.3:443 says so","refusal":"forbidden"}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&fault).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<UpstreamFault>(json).expect("a fault"), fault);
    }
    assert!(serde_json::from_str::<UpstreamFault>(r#"{"upstream":"a","what":"answered 503"}"#).is_err(), "an old row");
}

#[test]
fn a_name_that_does_not_exist_is_told_once_and_in_one_language() {
    let fault = |host: Option<&str>, absent: Option<u64>| UpstreamFault::Resolve {
        said: "no DNS server answered".to_owned(),
        host: host.map(str::to_owned),
        absent: absent.map(Duration::from_secs),
    };
    for (fault, english, chinese) in [
        (
            fault(None, Some(0)),
            "could not be found: its name does not exist (NXDOMAIN). Check base_url",
            "的域名不存在（NXDOMAIN）：请检查 base_url",
        ),
        (
            fault(Some("a.example"), Some(0)),
            "could not be found: the name a.example does not exist (NXDOMAIN). Check base_url",
            "的域名 a.example 不存在（NXDOMAIN）：请检查 base_url",
        ),
        (
            fault(Some("a.example"), None),
            "could not be found: a.example: no DNS server answered. Check base_url and the machine's DNS",
            "的域名 a.example 无法解析：no DNS server answered。请检查 base_url 和本机的 DNS",
        ),
    ] {
        let told = [Language::English, Language::Chinese].map(|language| fault.text(language, Reader::Operator));
        assert_eq!(told, [english, chinese]);
        assert!(!fault.text(Language::English, Reader::Client).contains("example"));
    }
}

/// A new fault stops this from compiling: it belongs into the list above too.
fn known(fault: &UpstreamFault) {
    use UpstreamFault as F;
    match fault {
        F::Resolve { .. } | F::ConnectRefused | F::ConnectTimeout { .. } | F::Connect { .. } | F::Tls { .. } => {}
        F::Proxy { .. } | F::ProxyTimeout { .. } | F::ProxyAnswer { .. } => {}
        F::QueueFull { .. } | F::QueueTimeout { .. } | F::FirstByteTimeout { .. } | F::WriteTimeout | F::Closed => {}
        F::KeysRest { .. } | F::KeysOut => {}
        F::FirstEventTimeout { .. } | F::NoMessage { .. } | F::ErrorReply { .. } | F::ThinkingRefused => {}
        F::BadAnswer | F::InterimFlood { .. } | F::WebPage | F::NoAnswer | F::Status { .. } => {}
        F::Stalled { .. } | F::Truncated | F::NoMessageStop | F::StreamError { .. } => {}
        F::ProbeStatus { .. } | F::ProbeFailed { .. } | F::ProbeTimeout { .. } => {}
    }
}

#[test]
fn the_documented_codes_are_those_of_all_faults() {
    all().iter().for_each(|(fault, _)| known(fault));
    let codes: Vec<String> = all().iter().map(|(fault, _)| code(fault)).collect();
    assert_eq!(documented("FaultCode"), codes);
}

fn code(fault: &UpstreamFault) -> String {
    serde_json::to_value(fault).expect("JSON")["code"].as_str().expect("a code").to_owned()
}

#[test]
fn clients_do_not_read_what_another_side_said_and_operators_do() {
    for (fault, json) in all() {
        for language in [Language::English, Language::Chinese] {
            let (operator, client) = (fault.text(language, Reader::Operator), fault.text(language, Reader::Client));
            assert_eq!(operator.contains(SAID), json.contains(SAID), "{operator}");
            assert!(!client.contains(SAID) && !client.is_empty(), "{client}");
            for text in [&operator, &client] {
                assert!(!text.ends_with(['.', '。']), "a sentence goes on after it: {text}");
                let is_chinese = text.chars().any(|char| ('\u{4e00}'..='\u{9fff}').contains(&char));
                assert_eq!(is_chinese, language == Language::Chinese, "{text}");
            }
        }
    }
}

#[test]
fn parameters_are_in_the_words() {
    let fault = UpstreamFault::QueueTimeout { max_in_flight: 7, within: Duration::from_millis(90_500) };
    for (language, time) in [(Language::English, "1m 30s 500ms"), (Language::Chinese, "在 1 分 30 秒 500 毫秒内")]
    {
        let text = fault.text(language, Reader::Client);
        assert!(text.contains("max_in_flight 7") && text.contains(time), "{text}");
    }
}

#[test]
fn faults_of_the_connection_are_told_from_those_of_a_response() {
    let codes = all().into_iter().map(|(fault, _)| fault).filter(UpstreamFault::is_of_connection);
    let codes: Vec<String> = codes.map(|fault| code(&fault)).collect();
    for connection in ["resolve", "connect_refused", "connect_timeout", "connect", "tls", "proxy", "proxy_timeout"] {
        assert!(codes.iter().any(|code| code == connection), "{connection} is not in {codes:?}");
    }
    for response in ["closed", "status", "truncated", "queue_full", "first_byte_timeout", "web_page"] {
        assert!(codes.iter().all(|code| code != response), "{response} is in {codes:?}");
    }
}

#[test]
fn what_the_gateway_answers_fits_how_the_request_ends() {
    for (fault, _) in all() {
        let (status, outcome) = (fault.status(), fault.outcome());
        assert_eq!(outcome == Outcome::Rejected, matches!(status, 429 | 503) && !fault.has_response(), "{fault:?}");
        let says_so = ["status", "stream_error", "error_reply", "no_message"].contains(&&*code(&fault));
        assert_eq!(fault.has_response(), says_so, "{fault:?}");
        // Only a wait for the operator's keys is the client's to obey.
        let is_wait = matches!(fault, UpstreamFault::KeysRest { .. });
        assert!((500..600).contains(&status) != is_wait, "{fault:?}");
        assert!(outcome.is_failure() || outcome == Outcome::Rejected, "{fault:?}");
    }
}
