use super::*;
use crate::doctor::findings::Severity;
use http::HeaderValue;

fn diagnose(status: u16, kind: &'static str, body: &str, with_key: bool) -> Finding {
    let mut headers = HeaderMap::new();
    if !kind.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    of_answer(&Answer { status, headers: &headers, body_start: body.as_bytes(), with_key })
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = "<!DOCTYPE html><html><body>hello</body></html>";

#[test]
fn answers_are_recognised() {
    let saturated =
        r#"{"error":{"message":"当前模型 claude-opus 负载已经达到上限，请稍后重试","type":"new_api_error"}}"#;
    let escaped = r#"{"error":{"message":"\u8D1F\u8F7D\u5DF2\u7ECF\u8FBE\u5230\u4E0A\u9650"}}"#;
    let new_api = r#"{"error":{"message":"invalid request","type":"new_api_error"}}"#;
    let aliyun = "<html><script>var arg1='A1B2'; document.cookie='acw_sc__v2=' + x;</script></html>";
    let cloudflare = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>";
    let long = r#"{"error":{"message":"1m 上下文已经全量可用，请启用 1m 上下文后重试"}}"#;
    let rows: &[(u16, &'static str, &str, bool, &str)] = &[
        (200, JSON, r#"{"data":[]}"#, false, "reachable"),
        (200, "", " \n[1]", true, "reachable"),
        (200, HTML, PAGE, false, "html_page"),
        (200, "text/plain", "\u{feff}\n<HTML>", false, "html_page"),
        (200, JSON, PAGE, false, "html_page"),
        (200, HTML, aliyun, false, "waf_challenge"),
        (403, HTML, cloudflare, false, "waf_challenge"),
        (503, HTML, cloudflare, true, "waf_challenge"),
        (200, "", "", false, "empty_answer"),
        (200, "text/plain", "hello", false, "not_json"),
        (301, "", "", false, "redirect"),
        (308, HTML, PAGE, false, "redirect"),
        (401, JSON, "{}", false, "reachable_without_key"),
        (401, JSON, "{}", true, "bad_key"),
        (401, JSON, new_api, true, "bad_key"),
        (401, JSON, new_api, false, "reachable_without_key"),
        (403, JSON, "{}", false, "reachable_without_key"),
        (403, JSON, "{}", true, "forbidden"),
        (403, "text/plain", "no", false, "forbidden"),
        (403, HTML, PAGE, false, "html_page"),
        (400, JSON, "{}", false, "probe_refused"),
        (400, JSON, long, true, "context_1m"),
        (404, JSON, "{}", true, "no_model_list"),
        (404, HTML, PAGE, true, "wrong_path"),
        (405, HTML, PAGE, true, "html_page"),
        (429, JSON, "{}", true, "quota"),
        (429, JSON, saturated, true, "saturated"),
        (500, JSON, saturated, true, "saturated"),
        (503, JSON, escaped, true, "saturated"),
        (200, JSON, saturated, true, "reachable"),
        (500, JSON, new_api, true, "new_api_error"),
        (
            500,
            JSON,
            r#"{"error":{"message":"invalid claude code request","type":"new_api_error"}}"#,
            true,
            "shape_refused",
        ),
        (429, JSON, r#"{"error":{"message":"请求体不符合要求","type":"new_api_error"}}"#, true, "shape_refused"),
        (429, JSON, r#"{"error":{"message":"请求过于频繁","type":"new_api_error"}}"#, true, "quota"),
        (503, JSON, r#"{"error":{"message":"上游负载压力太大","type":"new_api_error"}}"#, true, "saturated"),
        (503, JSON, r#"{"error":{"message":"\u8d1f\u8f7d\u538b\u529b\u592a\u5927"}}"#, true, "saturated"),
        (403, JSON, r#"{"error":{"message":"用户额度不足","type":"new_api_error"}}"#, true, "quota_403"),
        (403, JSON, r#"{"error":{"message":"quota is not enough"}}"#, false, "quota_403"),
        (500, JSON, "{}", true, "server_error"),
        (502, HTML, PAGE, true, "bad_gateway"),
        (504, HTML, PAGE, true, "bad_gateway"),
        (503, JSON, new_api, true, "pool_closed"),
        (503, HTML, PAGE, true, "bad_gateway"),
        (520, HTML, PAGE, true, "cdn_520"),
        (521, "", "", true, "cdn_521"),
        (522, "", "", true, "cdn_522"),
        (523, "", "", true, "cdn_522"),
        (524, "", "", true, "cdn_524"),
        (526, "", "", true, "cdn_tls"),
        (529, JSON, "{}", true, "overloaded"),
        (599, "", "", true, "server_error"),
        (101, "", "", true, "not_http"),
        (999, "", "", true, "not_http"),
    ];
    for (status, kind, body, with_key, wanted) in rows {
        assert_eq!(diagnose(*status, kind, body, *with_key).id, *wanted, "{status} {kind} {body} key: {with_key}");
    }
}

#[test]
fn a_challenge_is_recognised_by_its_header_whatever_its_body() {
    let mut headers = HeaderMap::new();
    headers.insert("cf-mitigated", HeaderValue::from_static("challenge"));
    let finding = of_answer(&Answer { status: 403, headers: &headers, body_start: b"", with_key: true });
    assert_eq!(finding.id, "waf_challenge");
}

#[test]
fn json_that_speaks_of_challenges_is_no_challenge() {
    let finding = diagnose(200, JSON, r#"{"data":[{"id":"captcha"}]}"#, true);
    assert_eq!((finding.id, finding.severity), ("reachable", Severity::Ok));
}

#[test]
fn bodies_cut_anywhere_are_no_trouble() {
    let body = "<html>负载已经达到上限</html>".as_bytes();
    for end in 0..=body.len() {
        let answer = Answer { status: 500, headers: &HeaderMap::new(), body_start: &body[..end], with_key: true };
        assert_eq!(of_answer(&answer).severity, Severity::Problem, "{end}");
    }
}

#[test]
fn failures_are_problems_with_names_of_their_own() {
    use Failure as F;
    let rows = [
        (F::NameUnknown, "name_unknown"),
        (F::MirrorUnknown, "name_unknown_mirror"),
        (F::Resolve, "dns_failed"),
        (F::ResolveTimeout, "dns_timeout"),
        (F::Refused, "connect_refused"),
        (F::ConnectTimeout, "connect_timeout"),
        (F::NoRoute, "no_route"),
        (F::Connect, "connect_failed"),
        (F::TlsName, "tls_name_mismatch"),
        (F::TlsAuthority, "tls_unknown_authority"),
        (F::TlsSelfSigned, "tls_self_signed"),
        (F::TlsExpired, "tls_expired"),
        (F::TlsNotYetValid, "tls_not_yet_valid"),
        (F::TlsNoRoots, "tls_no_roots"),
        (F::NotTls, "not_tls"),
        (F::TlsClosed, "tls_closed"),
        (F::TlsTimeout, "tls_timeout"),
        (F::Tls, "tls_failed"),
        (F::Closed, "closed_without_answer"),
        (F::AnswerTimeout, "answer_timeout"),
        (F::NotHttp, "not_http"),
        (F::ProxyUnreachable, "proxy_unreachable"),
        (F::ProxyCredentials, "proxy_credentials"),
        (F::ProxyRefused, "proxy_refused"),
        (F::ProxyTimeout, "proxy_timeout"),
        (F::ProxyBroken, "proxy_broken"),
    ];
    for (failure, id) in rows {
        let finding = of_failure(failure);
        assert_eq!((finding.id, finding.severity), (id, Severity::Problem));
    }
    let timeout = of_failure(F::ConnectTimeout);
    assert!(timeout.cure_en.contains("127.0.0.1:7890") && timeout.cure_zh.contains("127.0.0.1:7890"));
}
