//! What was seen at a step of the way to an upstream.

use crate::config::words::messages;
use gateway_core::language::Words;

messages! {
    /// What was seen at a step.
    pub(crate) Detail:
    // --- the name ---
    IsAddress { host: String } = "is_address", "{host} is an address", "{host} 本身就是 IP 地址";
    Resolved { host: String, addresses: String } = "resolved", "{host} is {addresses}", "{host} 解析为 {addresses}";
    ResolveLate { host: String, within: Words } = "resolve_late",
        "{host}: no answer within {within}", "{host}：DNS 在 {within}内没有响应";
    ResolveFailed { host: String, said: String } = "resolve_failed", "{host}: {said}", "{host} 无法解析：{said}";
    NameUnknown { host: String, said: String } = "name_unknown",
        "{host}: the DNS server knows no address of it ({said})", "{host}：DNS 服务器查不到它的地址（{said}）";
    NoAddress { host: String } = "no_address", "{host}: the name has no address", "{host}：该域名没有地址";
    // --- the connection ---
    Connected { address: String } = "connected", "{address}", "已连上 {address}";
    ConnectLate { address: String, within: String } = "connect_late",
        "{address}: no connection in time (connect_timeout {within})", "{address}：没有及时连上（connect_timeout {within}）";
    ConnectFailed { address: String, said: String } = "connect_failed", "{address}: {said}", "{address} 无法连接：{said}";
    // --- the proxy ---
    ProxyTls = "proxy_tls", "the proxy's certificate is valid", "代理的证书有效";
    ProxyTlsLate { proxy: String } = "proxy_tls_late", "{proxy}: no TLS handshake in time", "{proxy}：TLS 握手超时";
    ProxyName { proxy: String } = "proxy_name",
        "{proxy}: its host cannot be a name in TLS", "{proxy}：它的主机名不能用于 TLS";
    ProxyTlsFailed { proxy: String, said: String } = "proxy_tls_failed", "{proxy}: {said}", "{proxy} 的 TLS 连接失败：{said}";
    TunnelOpened { proxy: String, target: String } = "tunnel_opened",
        "{proxy} opened the way to {target}", "{proxy} 已接通 {target}";
    TunnelLate { target: String } = "tunnel_late", "{target}: no answer of the proxy in time", "{target}：代理响应超时";
    TunnelFailed { proxy: String, said: String } = "tunnel_failed", "{proxy} {said}", "{proxy} 没有接通：{said}";
    // --- TLS ---
    TlsName { name: String } = "tls_name",
        "\"{name}\" cannot be a name in TLS; correct sni or base_url", "“{name}”不能用于 TLS；请更正 sni 或 base_url";
    TlsRoots { said: Words } = "tls_roots", "the system's authorities: {said}", "系统自带的签发机构证书有问题：{said}";
    TlsLate { name: String, within: Words } = "tls_late",
        "{name}: no handshake within {within}", "{name}：{within}内没有完成握手";
    TlsFailed { name: String, said: String } = "tls_failed", "{name}: {said}", "{name} 的握手失败：{said}";
    TlsDone { version: String, name: String } = "tls_done",
        "{version}, {name}: the certificate is valid", "{version}，{name}：证书有效";
    TlsByFile { version: String, name: String } = "tls_by_file",
        "{version}, {name}: the certificate is valid by ca_file", "{version}，{name}：证书有效（依据 ca_file）";
    TlsUnchecked { version: String, name: String } = "tls_unchecked",
        "{version}, {name}: the certificate was not checked (insecure: true)", "{version}，{name}：没有验证证书（insecure: true）";
    // --- the answer ---
    AnswerLate { target: String, within: Words } = "answer_late",
        "GET {target}: no answer within {within}", "GET {target}：{within}内没有响应";
    Closed { target: String } = "closed",
        "GET {target}: the connection was closed without an answer", "GET {target}：没有响应就关闭了连接";
    NotHttp { target: String } = "not_http",
        "GET {target}: what came back is not HTTP", "GET {target}：返回的内容不是 HTTP";
    AnsweredWithKey { target: String, status: u64, said: String } = "answered_with_key",
        "GET {target} with a key: {status}{said}", "GET {target}（带密钥）：{status}{said}";
    AnsweredWithoutKey { target: String, status: u64, said: String } = "answered_without_key",
        "GET {target} without a key: {status}{said}", "GET {target}（不带密钥）：{status}{said}";
    // --- the message ---
    MessageAnswered { model: String, key: String, status: u64 } = "message_answered",
        "{model} answered a message with the key {key}: {status}", "{model} 响应了消息（密钥 {key}）：{status}";
    MessageFailed { model: String, key: String, status: u64, said: String } = "message_failed",
        "a message to {model} with the key {key}: {status}, \"{said}\"", "发给 {model} 的消息（密钥 {key}）：{status}，“{said}”";
    MessageLost { model: String, key: String, said: Words } = "message_lost",
        "a message to {model} with the key {key}: the upstream {said}", "发给 {model} 的消息（密钥 {key}）：上游{said}";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words::tests::{check, check_panel};

    #[test]
    fn each_detail_has_a_code_of_its_own_and_all_its_parameters_in_both_languages() {
        check(TEMPLATES);
    }

    #[test]
    fn the_panel_has_the_words_of_every_detail() {
        check_panel("steps", TEMPLATES);
    }
}
