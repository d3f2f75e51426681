//! Everything that can be found, with its cause and its cure in English and in Chinese.

use gateway_core::language::Language;
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; requests can work.
    Note,
    /// Requests fail.
    Problem,
}

/// What is the matter, why, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// A short fixed name.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Why, in English.
    pub cause_en: &'static str,
    /// What to do, in English.
    pub cure_en: &'static str,
    /// Why, in Chinese.
    pub cause_zh: &'static str,
    /// What to do, in Chinese.
    pub cure_zh: &'static str,
}

impl Finding {
    /// Why, and what to do.
    pub(crate) fn words(&self, language: Language) -> (&'static str, &'static str) {
        match language {
            Language::English => (self.cause_en, self.cure_en),
            Language::Chinese => (self.cause_zh, self.cure_zh),
        }
    }
}

/// The finding with this id.
pub(crate) fn find(id: &str) -> Option<&'static Finding> {
    ALL.iter().find(|finding| finding.id == id)
}

/// One constant for each finding, and `ALL` of them.
macro_rules! findings {
    ($($name:ident, $id:literal, $severity:ident, en $cause_en:literal, $cure_en:literal, zh $cause_zh:literal,
       $cure_zh:literal;)*) => {
        $(
            #[doc = concat!("`", $id, "`: ", $cause_en)]
            pub(crate) const $name: Finding = Finding {
                id: $id,
                severity: Severity::$severity,
                cause_en: $cause_en,
                cure_en: $cure_en,
                cause_zh: $cause_zh,
                cure_zh: $cure_zh,
            };
        )*
        /// All of them.
        const ALL: &[Finding] = &[$($name),*];
    };
}

findings! {
    // --- as it should be ---
    REACHABLE, "reachable", Ok,
        en "The upstream answered as an API does.",
        "Nothing to do.",
        zh "上游按 API 的方式正常响应。",
        "无需处理。";
    REACHABLE_WITHOUT_KEY, "reachable_without_key", Ok,
        en "The upstream is reachable; it asks for a key, and none was sent.",
        "Nothing to do. To try a key too: put it into an environment variable and name it with --key-env NAME.",
        zh "上游可以连通；它要求密钥，而本次没有发送密钥。",
        "无需处理。若要同时检验密钥：把密钥放进一个环境变量，再用 --key-env 变量名 指定。";
    ANSWERED, "answered", Ok,
        en "The upstream answered a message: key, model and shape of the request are as it wants them.",
        "Nothing to do.",
        zh "上游响应了一条消息：密钥、模型和请求的形式都符合它的要求。",
        "无需处理。";
    OTHER_MODEL, "other_model", Note,
        en "The upstream answered a message, but names another model than the one that was asked for.",
        "See the model in what came: the relay gives the model another name, or serves another one in its place.",
        zh "上游响应了消息，但它给出的模型名与所请求的不同。",
        "请看响应中的模型名：中转站可能给模型改了名称，也可能换用了其他模型。";
    NO_MODEL_LIST, "no_model_list", Note,
        en "The upstream is reachable, but has no /v1/models; some relays do not offer it.",
        "Nothing to do if requests work. If they get 404 too, check the path in base_url.",
        zh "上游可以连通，但没有 /v1/models；有些中转站不提供它。",
        "如果请求正常则无需处理；如果请求也得到 404，请检查 base_url 中的路径。";
    PROBE_REFUSED, "probe_refused", Note,
        en "The upstream is reachable, but refused this test request (4xx); real requests may be treated differently.",
        "Read its message above. If Claude Code gets the same, check base_url and the profile of the upstream.",
        zh "上游可以连通，但拒绝了这个测试请求（4xx）；实际请求的结果可能不同。",
        "请看上面的原始信息。如果 Claude Code 也遇到同样的错误，请检查该上游的 base_url 和 profile。";
    NOT_JSON, "not_json", Note,
        en "The upstream answered with success, but not with JSON: perhaps this is not an API address.",
        "Check that base_url is the API address of the relay, without /v1 at its end.",
        zh "上游返回成功，但内容不是 JSON：这个地址可能不是 API。",
        "请确认 base_url 是中转站的 API 地址，结尾不带 /v1。";
    SOME_ADDRESSES, "some_addresses_fail", Note,
        en "Some of the upstream's addresses could not be connected to; others work.",
        "Nothing to do if it is quick: the gateway tries another address. IPv6 that leads nowhere is a usual reason.",
        zh "上游的部分地址无法连接，其余地址正常。",
        "如果速度正常则无需处理：网关会换一个地址重试。常见原因是本机的 IPv6 不通。";

    // --- the configuration ---
    CONFIGURATION, "configuration", Problem,
        en "The configuration has errors; the gateway would not start with it.",
        "Correct them at the places named above, then run the doctor again.",
        zh "配置有错误，网关无法用它启动。",
        "请按上面给出的位置逐一修改，然后重新运行 doctor。";

    // --- no connection ---
    NAME_UNKNOWN, "name_unknown", Problem,
        en "The DNS server answered, and knows no address of this name: it is misspelt, or the relay has given it up.",
        "Compare the host in base_url letter by letter; if it is right, ask the relay for its present address.",
        zh "DNS 服务器有响应，但查不到这个域名的地址：域名写错，或中转站已停用它。",
        "请逐字核对 base_url 的主机名；如果没有写错，请向中转站询问现在的地址。";
    NAME_UNKNOWN_MIRROR, "name_unknown_mirror", Problem,
        en "The DNS server answered, and knows no address of this name, which is one of AnyRouter's: the address is out of use.",
        "Use another address of AnyRouter in base_url: `anyrouter-gateway doctor` compares them.",
        zh "DNS 服务器有响应，但查不到这个域名的地址；它是 AnyRouter 的地址之一，可能已停用。",
        "请在 base_url 中换用 AnyRouter 的其他地址：`anyrouter-gateway doctor` 会比较它们的速度。";
    DNS_FAILED, "dns_failed", Problem,
        en "The upstream's name could not be looked up: the DNS servers of this machine failed.",
        "Check the network and the DNS servers (resolv.conf); a public one such as 223.5.5.5 or 1.1.1.1 may help.",
        zh "没能查询上游的域名：本机的 DNS 服务器出错。",
        "请检查网络和 DNS 服务器（resolv.conf）；可以改用公共 DNS，例如 223.5.5.5 或 1.1.1.1。";
    DNS_TIMEOUT, "dns_timeout", Problem,
        en "The DNS servers of this machine did not answer in time.",
        "Check the network and the DNS servers (resolv.conf); a public one such as 223.5.5.5 or 1.1.1.1 may help.",
        zh "本机的 DNS 服务器没有及时响应。",
        "请检查网络和 DNS 服务器（resolv.conf）；可以改用公共 DNS，例如 223.5.5.5 或 1.1.1.1。";
    CONNECT_REFUSED, "connect_refused", Problem,
        en "The connection was refused: nothing listens at this address and port, or a firewall rejects it.",
        "Check host and port in base_url, and that the upstream is running.",
        zh "连接被拒绝：该地址和端口没有服务在监听，或被防火墙拒绝。",
        "请检查 base_url 的主机和端口，并确认上游正在运行。";
    CONNECT_TIMEOUT, "connect_timeout", Problem,
        en "The connection timed out: packets get lost on the way, or are dropped by a firewall.",
        "From mainland China an outbound proxy is likely needed: HTTP CONNECT or SOCKS5 on 127.0.0.1:7890 is usual \
         (Clash and its like). Elsewhere check firewall, host and port.",
        zh "连接超时：数据包在途中丢失，或被防火墙丢弃。",
        "在中国大陆很可能需要出站代理：常见的是 127.0.0.1:7890 上的 HTTP CONNECT 或 SOCKS5（Clash 等）。\
         其他地区请检查防火墙、主机和端口。";
    NO_ROUTE, "no_route", Problem,
        en "There is no route to the upstream: this machine is offline, or has no IPv6 (or IPv4) connection.",
        "Check the network of this machine.",
        zh "没有到上游的路由：本机没有联网，或没有 IPv6（或 IPv4）连接。",
        "请检查本机的网络。";
    CONNECT_FAILED, "connect_failed", Problem,
        en "The connection could not be made; the reason that the system gave is above.",
        "Check network, firewall, and host and port in base_url; from mainland China an outbound proxy is likely needed.",
        zh "无法建立连接；系统给出的原因见上。",
        "请检查网络、防火墙，以及 base_url 的主机和端口；在中国大陆很可能需要出站代理。";

    // --- no TLS ---
    TLS_NAME, "tls_name_mismatch", Problem,
        en "The certificate is for another name than the one in base_url (or sni).",
        "Use the name that the certificate has, set sni, or check that nobody redirects the traffic (DNS, proxy).",
        zh "证书上的域名与 base_url（或 sni）中的域名不一致。",
        "请改用证书上的域名，或设置 sni；并检查流量是否被重定向（DNS、代理）。";
    TLS_AUTHORITY, "tls_unknown_authority", Problem,
        en "The certificate is signed by an authority that this machine does not trust.",
        "For an authority of your own: name its PEM file in ca_file. Else install or update the system's \
         certificates (ca-certificates), and check that no proxy or antivirus intercepts TLS.",
        zh "证书的签发机构不受本机信任。",
        "如果是自建机构：在 ca_file 中写上它的 PEM 文件。否则请安装或更新系统证书（ca-certificates），\
         并检查是否有代理或杀毒软件在拦截 TLS。";
    TLS_SELF_SIGNED, "tls_self_signed", Problem,
        en "The certificate is that of an authority itself (self-signed, CA:TRUE); a server may not use it as its own.",
        "Give the upstream a certificate that an authority signed, and name that authority in ca_file. Only for a \
         short test: insecure: true.",
        zh "该证书本身就是签发机构证书（自签名，CA:TRUE），服务器不能直接使用。",
        "请为上游签发一张由机构证书签名的证书，并在 ca_file 中写上该机构。仅短暂测试时可用 insecure: true。";
    TLS_EXPIRED, "tls_expired", Problem,
        en "The certificate has expired, or the clock of this machine is wrong.",
        "Check date and time of this machine; if they are right, only the operator of the upstream can renew it.",
        zh "证书已过期，或本机时间不准。",
        "请检查本机的日期和时间；如果时间正确，只能由上游的运营者更新证书。";
    TLS_NOT_YET_VALID, "tls_not_yet_valid", Problem,
        en "The certificate is not valid yet: most often the clock of this machine is behind.",
        "Set date and time of this machine (timedatectl set-ntp true).",
        zh "证书尚未生效：多半是本机时间落后。",
        "请校准本机的日期和时间（timedatectl set-ntp true）。";
    TLS_NO_ROOTS, "tls_no_roots", Problem,
        en "This machine has no trusted certificate authorities, so that no certificate can be checked.",
        "Install them (Debian and Ubuntu: apt install ca-certificates), or name a PEM file in ca_file.",
        zh "本机没有受信任的签发机构，无法校验任何证书。",
        "请安装系统证书（Debian 和 Ubuntu：apt install ca-certificates），或在 ca_file 中指定 PEM 文件。";
    NOT_TLS, "not_tls", Problem,
        en "What answers at this port does not speak TLS.",
        "Use http:// in base_url if the upstream is meant to be plain, or correct the port.",
        zh "这个端口上的服务不是 TLS。",
        "如果上游本来就是明文的，请在 base_url 中使用 http://；否则请改正端口。";
    TLS_CLOSED, "tls_closed", Problem,
        en "The connection was cut during the TLS handshake: a firewall that dislikes the name does so, and so does \
         a proxy in TUN mode that cannot reach the upstream.",
        "From mainland China use an outbound proxy (usually 127.0.0.1:7890) or another node of it; elsewhere check sni \
         and the port.",
        zh "TLS 握手时连接被切断：防火墙屏蔽该域名会如此，TUN 模式的代理连不上上游时也会如此。",
        "在中国大陆请使用出站代理（通常是 127.0.0.1:7890）或更换节点；其他地区请检查 sni 和端口。";
    TLS_TIMEOUT, "tls_timeout", Problem,
        en "The TLS handshake timed out, although the connection was made.",
        "From mainland China an outbound proxy is likely needed (usually 127.0.0.1:7890). Elsewhere try again, and \
         check that the port speaks TLS.",
        zh "连接已建立，但 TLS 握手超时。",
        "在中国大陆很可能需要出站代理（通常是 127.0.0.1:7890）。其他地区请重试，并检查该端口是否为 TLS。";
    TLS_FAILED, "tls_failed", Problem,
        en "The TLS handshake failed; the reason is above.",
        "Check base_url and sni; an upstream that speaks only TLS 1.1 or older cannot be used.",
        zh "TLS 握手失败；原因见上。",
        "请检查 base_url 和 sni；只支持 TLS 1.1 或更旧版本的上游无法使用。";

    // --- no answer ---
    CLOSED, "closed_without_answer", Problem,
        en "The upstream closed the connection without an answer.",
        "Try again; if it stays so, check whether base_url should be https:// instead of http://, and the upstream itself.",
        zh "上游没有响应就关闭了连接。",
        "请重试；如果一直如此，请检查 base_url 是否应为 https:// 而不是 http://，并检查上游本身。";
    ANSWER_TIMEOUT, "answer_timeout", Problem,
        en "The upstream took the request, but did not answer in time: it is overloaded, or the network loses packets.",
        "Try again later or use another mirror; from mainland China an outbound proxy (usually 127.0.0.1:7890) may help.",
        zh "上游接收了请求，但没有及时响应：上游过载，或网络丢包。",
        "请稍后重试或换用其他镜像；在中国大陆使用出站代理（通常是 127.0.0.1:7890）可能有帮助。";
    NOT_HTTP, "not_http", Problem,
        en "What came back is not a valid HTTP answer.",
        "Check scheme (http or https), host and port in base_url.",
        zh "返回的内容不是有效的 HTTP 响应。",
        "请检查 base_url 的协议（http 或 https）、主机和端口。";

    // --- the proxy ---
    PROXY_UNREACHABLE, "proxy_unreachable", Problem,
        en "The outbound proxy itself could not be reached.",
        "Start the proxy program, and check its port (Clash: 7890) and the proxy setting; or switch it off for this \
         upstream with proxy: off.",
        zh "无法连接出站代理本身。",
        "请启动代理软件，并检查端口（Clash 为 7890）和代理设置；或用 proxy: off 为该上游关闭代理。";
    PROXY_CREDENTIALS, "proxy_credentials", Problem,
        en "The outbound proxy wants another user and password (407).",
        "Put them into the proxy's URL: http://user:password@host:port (special characters percent-encoded).",
        zh "出站代理要求正确的用户名和密码（407）。",
        "请写入代理地址：http://用户名:密码@主机:端口（特殊字符需做百分号编码）。";
    PROXY_REFUSED, "proxy_refused", Problem,
        en "The outbound proxy refused to connect to the upstream.",
        "Check the proxy's rules and its node; many proxies allow CONNECT to port 443 only.",
        zh "出站代理拒绝连接上游。",
        "请检查代理的规则和节点；许多代理只允许 CONNECT 到 443 端口。";
    PROXY_TIMEOUT, "proxy_timeout", Problem,
        en "The outbound proxy did not answer in time: perhaps its node does not work.",
        "Choose another node in the proxy program, then try again.",
        zh "出站代理没有及时响应：可能是当前节点不可用。",
        "请在代理软件中更换节点后重试。";
    PROXY_BROKEN, "proxy_broken", Problem,
        en "What answers at the proxy's address does not speak the protocol of the proxy's URL.",
        "Check scheme and port: http:// for the HTTP port, socks5h:// for the SOCKS port; a mixed port (Clash: 7890) \
         speaks both. A control port speaks neither.",
        zh "代理地址上的服务不支持代理地址所写的协议。",
        "请检查协议和端口：HTTP 端口用 http://，SOCKS 端口用 socks5h://；混合端口（Clash 为 7890）两者都支持，控制端口都不支持。";

    // --- answers ---
    WAF_CHALLENGE, "waf_challenge", Problem,
        en "A web application firewall (WAF) answered with a challenge page for browsers; no program passes it.",
        "The gateway never solves challenges. Try another exit address (proxy node), another mirror, or later; \
         else ask the operator of the relay.",
        zh "网站防火墙（WAF）返回了给浏览器的验证页面，任何程序都无法通过。",
        "网关绝不破解验证。请更换出口 IP（代理节点）、更换镜像或稍后再试；仍不行请联系中转站运营者。";
    WAF_PAGE, "html_page", Problem,
        en "An HTML page came where JSON belongs: most likely a page of a web application firewall (WAF), else \
         base_url leads to a web site instead of an API.",
        "Check base_url first. If it is right: the gateway never solves challenges; try another exit address \
         (proxy node), another mirror, or later.",
        zh "应返回 JSON 的地方返回了 HTML 页面：很可能是网站防火墙（WAF）的页面，否则就是 base_url 指向了网站而不是 API。",
        "请先检查 base_url。如果没有写错：网关绝不破解验证，请更换出口 IP（代理节点）、更换镜像或稍后再试。";
    WRONG_PATH, "wrong_path", Problem,
        en "The server has no such path, and answered with a web page: base_url probably leads to the wrong place.",
        "Check host and path in base_url: the API address of the relay, without /v1 at its end.",
        zh "服务器没有这个路径，并返回了网页：base_url 很可能指向了错误的位置。",
        "请检查 base_url 的主机和路径：应是中转站的 API 地址，结尾不带 /v1。";
    EMPTY_ANSWER, "empty_answer", Problem,
        en "The upstream answered with success, but with nothing in it.",
        "The upstream is broken or blocks this machine: try again later, or another mirror.",
        zh "上游返回成功，但内容为空。",
        "上游故障或屏蔽了本机：请稍后重试，或换用其他镜像。";
    NO_MODEL, "no_model", Problem,
        en "The upstream knows no such model, or has no such path (404).",
        "Try another model with --model. If all of them get this, check the path in base_url: the API address of the \
         relay, without /v1 at its end.",
        zh "上游没有这个模型，或没有这个路径（404）。",
        "请用 --model 换一个模型再试。如果所有模型都如此，请检查 base_url 中的路径：应是中转站的 API 地址，结尾不带 /v1。";
    NO_CHANNEL, "no_channel", Problem,
        en "The relay has no channel for this model in the group of the key: the key itself is taken.",
        "Choose a model that the relay lists, or give the key another group on the relay's web site.",
        zh "中转站在该密钥的分组下没有这个模型的可用渠道；密钥本身没有问题。",
        "请选择中转站提供的模型，或在中转站网站上更换密钥的分组。";
    BROKE_OFF, "broke_off", Problem,
        en "The answer began well, and ended too early.",
        "Try again; if it stays so, the relay or something before it (CDN, proxy) cuts streams off.",
        zh "响应正常开始，但提前结束。",
        "请重试；如果一直如此，说明中转站或它前面的环节（CDN、代理）切断了流式响应。";
    REQUEST_REFUSED, "request_refused", Problem,
        en "The upstream refused the request (4xx); its message says why.",
        "If it is AnyRouter or wants the same, use profile: anyrouter for this upstream; else try another model with \
         --model, and check the path in base_url.",
        zh "上游拒绝了该请求（4xx）；原因见它的信息。",
        "如果它是 AnyRouter 或有同样的要求，请为该上游使用 profile: anyrouter；否则请用 --model 换一个模型，并检查 base_url 中的路径。";
    NO_MESSAGE, "no_message", Problem,
        en "The upstream answered with success, but its answer is no message.",
        "Check that base_url is the API address of the relay for Claude, without /v1 at its end.",
        zh "上游返回成功，但内容不是消息。",
        "请确认 base_url 是中转站供 Claude 使用的 API 地址，结尾不带 /v1。";
    REDIRECT, "redirect", Problem,
        en "The upstream redirects to another address; the gateway follows no redirects, and clients often do not either.",
        "Put the address that it redirects to (shown above) into base_url, often https:// instead of http://, or a \
         new host name. A redirect to a login page comes from the network (captive portal).",
        zh "上游重定向到另一个地址；网关不会跟随重定向，客户端往往也不会。",
        "请把重定向的目标（见上）写入 base_url，常见的是 http:// 应改为 https://，或域名已更换。\
         如果目标是登录页面，说明来自当前网络（认证门户）。";
    BAD_KEY, "bad_key", Problem,
        en "The upstream does not accept the key (401): it is wrong, expired, or belongs to another relay.",
        "Copy the key anew from the relay's web site (whole, without blanks), and check that it belongs to this base_url.",
        zh "上游不接受该密钥（401）：密钥错误、已失效，或属于另一个中转站。",
        "请从中转站网站重新复制密钥（完整、不带空格），并确认它属于这个 base_url。";
    FORBIDDEN, "forbidden", Problem,
        en "The upstream refuses access (403): the key lacks a permission, or this address or region is blocked.",
        "Check the key's group and limits on the relay's web site; try another exit address (proxy node).",
        zh "上游拒绝访问（403）：密钥没有权限，或本机的 IP 或地区被屏蔽。",
        "请在中转站网站检查密钥的分组和限制；或更换出口 IP（代理节点）。";
    LONG_CONTEXT, "context_1m", Problem,
        en "The upstream wants the 1M context flag for this model: anthropic-beta with context-1m-2025-08-07.",
        "Use profile: anyrouter for this upstream, which adds it; or choose the model's [1m] variant in Claude Code.",
        zh "上游要求该模型启用 1M 上下文：anthropic-beta 需含 context-1m-2025-08-07。",
        "请为该上游使用 profile: anyrouter（会自动添加）；或在 Claude Code 中选择该模型的 [1m] 版本。";
    QUOTA, "quota", Problem,
        en "The quota is used up, or requests come too fast (429).",
        "Look at the balance and limits on the relay's web site; wait for the time in Retry-After, then try again.",
        zh "额度已用完，或请求过于频繁（429）。",
        "请在中转站网站查看余额和限制；按 Retry-After 的时间等待后再试。";
    QUOTA_403, "quota_403", Problem,
        en "The account at the relay has no credit left (402 or 403 with a message about quota); the key itself is fine.",
        "Look at balance and group of the key on the relay's web site, and wait until there is credit again.",
        zh "中转站账户的额度已用完（402 或 403，信息中提到额度）；密钥本身没有问题。",
        "请在中转站网站查看余额和密钥的分组，等额度恢复后再试。";
    SHAPE_REFUSED, "shape_refused", Problem,
        en "The relay does not take the request for one of Claude Code (invalid claude code request, or a 429 that names no \
         limit): AnyRouter refuses what does not look complete, lists with few tools or one tool too many among it.",
        "Use profile: anyrouter, and Claude Code itself as the client. If it persists, switch off MCP servers and rules that \
         change tools or system, one after the other.",
        zh "中转站认为这不是 Claude Code 的请求（invalid claude code request，或没有提到任何限制的 429）：AnyRouter 会拒绝看起来不完整的请求，\
         包括工具过少或多出一个工具的请求。",
        "请使用 profile: anyrouter，并用 Claude Code 本身作为客户端。如果仍然如此，请逐个关闭 MCP 服务器，以及改动 tools 或 system 的规则。";
    SATURATED, "saturated", Problem,
        en "The relay is saturated for now (负载已经达到上限, 上游负载压力太大: its load is at the limit); your key and settings \
         are fine.",
        "Try again in some minutes, choose another model, or add a second upstream.",
        zh "中转站当前负载已经达到上限；密钥和设置没有问题。",
        "请过几分钟再试，换一个模型，或增加第二个上游。";
    DEMANDED, "new_api_error", Problem,
        en "The relay (new-api) answers 500 new_api_error when something that it demands is missing in the request.",
        "Use profile: anyrouter for this upstream: it supplies what AnyRouter demands. Else read its message above.",
        zh "请求中缺少中转站（new-api）要求的内容时，它会返回 500 new_api_error。",
        "请为该上游使用 profile: anyrouter，它会补上 AnyRouter 要求的内容；否则请看上面的原始信息。";
    POOL_CLOSED, "pool_closed", Problem,
        en "The relay has no account to serve this at the moment (503): its pool is closed or exhausted.",
        "Try again later, choose another model, or add a second upstream. It is not the fault of your settings.",
        zh "中转站目前没有可用的账号（503）：号池已关闭或耗尽。",
        "请稍后再试，换一个模型，或增加第二个上游。这不是你的设置的问题。";
    OVERLOADED, "overloaded", Problem,
        en "The model provider is overloaded (529).",
        "Try again later, or choose another model.",
        zh "模型提供方过载（529）。",
        "请稍后再试，或换一个模型。";
    BAD_GATEWAY, "bad_gateway", Problem,
        en "A server in front of the relay (CDN or load balancer) got no good answer from the relay behind it.",
        "Try again later, or use another mirror of the relay; nothing in your settings causes this.",
        zh "中转站前面的服务器（CDN 或负载均衡）没有从后端得到正常响应。",
        "请稍后再试，或换用中转站的其他镜像；这不是你的设置造成的。";
    SERVER_ERROR, "server_error", Problem,
        en "The upstream failed by itself (5xx).",
        "Read its message above; try again later.",
        zh "上游自身出错（5xx）。",
        "请看上面的原始信息；稍后再试。";
    CDN_520, "cdn_520", Problem,
        en "The CDN got an empty or odd answer from the relay behind it (520): network or origin trouble; for single \
         models also a beta flag that does not suit the model.",
        "Try again later or use another mirror; CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 helps some. If only one \
         model does it, use profile: anyrouter.",
        zh "CDN 从后端的中转站得到空的或异常的响应（520）：网络或源站故障；如果只有个别模型如此，也可能是 beta 标志不适合该模型。",
        "请稍后再试或换用其他镜像；设置 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 有时有帮助。\
         如果只有个别模型如此，请使用 profile: anyrouter。";
    CDN_521, "cdn_521", Problem,
        en "The relay's server behind the CDN is down or refuses the CDN (521).",
        "Wait until the relay is back, or use another mirror.",
        zh "CDN 后面的中转站服务器已停机，或拒绝了 CDN 的连接（521）。",
        "请等待中转站恢复，或换用其他镜像。";
    CDN_522, "cdn_522", Problem,
        en "The CDN could not connect to the relay's server in time (522, 523).",
        "Try again later, or use another mirror.",
        zh "CDN 连接中转站服务器超时（522、523）。",
        "请稍后再试，或换用其他镜像。";
    CDN_524, "cdn_524", Problem,
        en "The relay behind the CDN took the request, but did not answer within the CDN's time (524, about 100 s).",
        "Let requests stream, shorten them (/compact), try again later or another mirror.",
        zh "CDN 后面的中转站收到了请求，但没有在 CDN 的时限内响应（524，约 100 秒）。",
        "请使用流式请求，缩短上下文（/compact），稍后再试或换用其他镜像。";
    CDN_TLS, "cdn_tls", Problem,
        en "The CDN and the relay's server behind it do not agree on TLS (525, 526).",
        "Only the operator of the relay can mend this; use another mirror meanwhile.",
        zh "CDN 与后面的中转站服务器之间的 TLS 有问题（525、526）。",
        "只能由中转站的运营者修复；在此期间请换用其他镜像。";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_finding_is_told_in_both_languages() {
        let ids: HashSet<&str> = ALL.iter().map(|finding| finding.id).collect();
        assert_eq!(ids.len(), ALL.len(), "ids are unique");
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        for finding in ALL {
            let id = finding.id;
            for text in [finding.cause_en, finding.cure_en, finding.cause_zh, finding.cure_zh] {
                assert!(
                    !text.trim().is_empty() && !text.contains(['\n', '\t']) && !text.contains("  "),
                    "{id}: {text:?}"
                );
            }
            assert!(is_chinese(finding.cause_zh) && is_chinese(finding.cure_zh), "{id}");
        }
    }
}
