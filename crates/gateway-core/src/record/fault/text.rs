//! The words for what an upstream did: the one place where they are made.

use super::{OTHER, TlsFault, UpstreamFault};
use crate::language::{Language, Spelled, Words};
use serde::Serialize;
use std::fmt;

/// Who reads a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Who runs the gateway: reads all that is known.
    Operator,
    /// Who sends requests: addresses, hosts and proxies are nobody else's business.
    Client,
}

/// What an upstream did with its words for the operator, as the API tells it.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// In English.
    pub what: String,
    /// In Chinese; `None` if nothing but the English words is known.
    pub what_zh: Option<String>,
    /// As code and parameters; `None` if only the words are known.
    #[serde(flatten)]
    pub fault: Option<UpstreamFault>,
}

impl From<UpstreamFault> for Told {
    fn from(fault: UpstreamFault) -> Self {
        let text = |language| fault.text(language, Reader::Operator);
        Self { what: text(Language::English), what_zh: Some(text(Language::Chinese)), fault: Some(fault) }
    }
}

/// For the operator, in English: as logs have it.
impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Language::English, Reader::Operator))
    }
}

impl UpstreamFault {
    /// What the upstream did, as the rest of a sentence that begins with its name; without a full stop.
    pub fn text(&self, language: Language, reader: Reader) -> String {
        match language {
            Language::English => self.english(reader),
            Language::Chinese => self.chinese(reader),
        }
    }

    /// The same for the operator, in both languages.
    pub fn words(&self) -> Words {
        let text = |language| self.text(language, Reader::Operator);
        Words::new(format_args!("{}", text(Language::English)), format_args!("{}", text(Language::Chinese)))
    }

    fn english(&self, reader: Reader) -> String {
        let is_operator = reader == Reader::Operator;
        match self {
            Self::Resolve { host, absent: Some(_), .. } if is_operator => {
                let name = host.as_ref().map_or_else(|| "its name".to_owned(), |host| format!("the name {host}"));
                format!("could not be found: {name} does not exist (NXDOMAIN). Check base_url")
            }
            Self::Resolve { said, host, .. } if is_operator => {
                let name = host.as_ref().map_or_else(String::new, |host| format!("{host}: "));
                format!("could not be found: {name}{said}. Check base_url and the machine's DNS")
            }
            Self::Resolve { .. } => "could not be found: its name does not resolve".to_owned(),
            Self::ConnectRefused => {
                "refused the connection: check that it is running and that base_url is right".to_owned()
            }
            Self::ConnectTimeout { within } => format!(
                "could not be connected to within {}: check the network, or whether a proxy is needed",
                Spelled(*within)
            ),
            Self::Connect { said } if is_operator => format!("could not be connected to: {said}"),
            Self::Connect { .. } => "could not be connected to".to_owned(),
            Self::Tls { fault, said } => english_tls(*fault, said, is_operator),
            Self::Proxy { said, .. } | Self::ProxyTimeout { said } if is_operator => {
                format!("could not be reached: {said}")
            }
            Self::ProxyAnswer { proxy, status, has_credentials } if is_operator => {
                let did = match has_credentials {
                    Some(true) => format!("refused the user and password of its URL ({status})"),
                    Some(false) => format!("wants a user and a password ({status}): write them into its URL"),
                    None => format!("answered {status}"),
                };
                format!("could not be reached: the proxy {proxy} {did}")
            }
            Self::Proxy { .. } | Self::ProxyTimeout { .. } | Self::ProxyAnswer { .. } => {
                "could not be reached through its outbound proxy".to_owned()
            }
            Self::QueueFull { max_in_flight, queue } => format!(
                "has as many requests as it may have (max_in_flight {max_in_flight}), and {queue} wait (limits.queue)"
            ),
            Self::QueueTimeout { max_in_flight, within } => format!(
                "had no room for one more request (max_in_flight {max_in_flight}) within {} (limits.queue_timeout)",
                Spelled(*within)
            ),
            Self::KeysRest { within } => {
                format!("has no key that is used now; the first is back in {}", Spelled::whole(*within))
            }
            Self::KeysOut => "has no key that is used: each is switched off, or was refused".to_owned(),
            Self::FirstByteTimeout { within } => {
                format!("did not begin its answer within {} (first_byte_timeout, read_timeout)", Spelled(*within))
            }
            Self::FirstEventTimeout { within } => {
                format!("sent no event of its answer within {} (first_event_timeout)", Spelled(*within))
            }
            Self::WriteTimeout => "stopped taking the request".to_owned(),
            Self::Closed => "closed the connection without an answer".to_owned(),
            Self::BadAnswer => "sent something that is not a valid HTTP answer".to_owned(),
            Self::InterimFlood { most, kib } => {
                format!("sent interim responses (1xx) without an answer: more than {most}, or {kib} KiB of them")
            }
            Self::WebPage => {
                "sent a web page instead of an answer, probably that of a firewall (WAF): open it in a browser"
                    .to_owned()
            }
            Self::NoAnswer => "answered 200 with nothing in it: an empty body, or no event".to_owned(),
            Self::NoMessage { status: 200 } => "answered 200 with something that is not a message".to_owned(),
            Self::NoMessage { status } => format!("answered {status}, which is not a message"),
            Self::ErrorReply { kind } if kind == OTHER => "answered 200 with an error".to_owned(),
            Self::ErrorReply { kind } => format!("answered 200 with the error {kind}"),
            Self::Status { status } => format!("answered {status}"),
            Self::ThinkingRefused => {
                "refused thinking that came back, and was sent the request once more without it".to_owned()
            }
            Self::Stalled { within } => format!("fell silent for {} in the middle of its answer", Spelled(*within)),
            Self::Truncated => "ended its answer before it was complete".to_owned(),
            Self::NoMessageStop => "ended its stream without message_stop".to_owned(),
            Self::StreamError { kind } if kind == OTHER => "sent an error in its stream".to_owned(),
            Self::StreamError { kind } => format!("sent the error {kind} in its stream"),
            Self::ProbeStatus { status } => format!("answered {status} to the health check"),
            Self::ProbeFailed { said } if is_operator => format!("failed the health check: {said}"),
            Self::ProbeFailed { .. } => "failed the health check".to_owned(),
            Self::ProbeTimeout { within } => {
                format!("did not answer the health check within {}", Spelled(*within))
            }
        }
    }

    fn chinese(&self, reader: Reader) -> String {
        let is_operator = reader == Reader::Operator;
        match self {
            Self::Resolve { said, host, absent } if is_operator => {
                let name = host.as_ref().map_or_else(String::new, |host| format!(" {host} "));
                match absent {
                    Some(_) => format!("的域名{name}不存在（NXDOMAIN）：请检查 base_url"),
                    None => format!("的域名{name}无法解析：{said}。请检查 base_url 和本机的 DNS"),
                }
            }
            Self::Resolve { .. } => "的域名无法解析".to_owned(),
            Self::ConnectRefused => "拒绝了连接：请确认它正在运行，并检查 base_url".to_owned(),
            Self::ConnectTimeout { within } => {
                format!("在 {:#}内没有连上：请检查网络，或确认是否需要代理", Spelled(*within))
            }
            Self::Connect { said } if is_operator => format!("无法连接：{said}"),
            Self::Connect { .. } => "无法连接".to_owned(),
            Self::Tls { fault, said } => chinese_tls(*fault, said, is_operator),
            Self::Proxy { said, .. } | Self::ProxyTimeout { said } if is_operator => format!("无法连通：{said}"),
            Self::ProxyAnswer { proxy, status, has_credentials } if is_operator => match has_credentials {
                Some(true) => format!("无法连通：代理 {proxy} 不接受其 URL 中的用户名和密码（{status}）"),
                Some(false) => format!("无法连通：代理 {proxy} 要求用户名和密码（{status}），请写入其 URL"),
                None => format!("无法连通：代理 {proxy} 返回了 {status}"),
            },
            Self::Proxy { .. } | Self::ProxyTimeout { .. } | Self::ProxyAnswer { .. } => {
                "无法通过出站代理连通".to_owned()
            }
            Self::QueueFull { max_in_flight, queue } => format!(
                "的并发请求已达上限（max_in_flight {max_in_flight}），另有 {queue} 个请求在排队（limits.queue）"
            ),
            Self::QueueTimeout { max_in_flight, within } => {
                format!(
                    "在 {:#}内没有空出名额（max_in_flight {max_in_flight}，limits.queue_timeout）",
                    Spelled(*within)
                )
            }
            Self::KeysRest { within } => format!("的密钥全部暂停使用，最早的 {:#}后恢复", Spelled::whole(*within)),
            Self::KeysOut => "没有可用的密钥：全部已关闭或已停用".to_owned(),
            Self::FirstByteTimeout { within } => {
                format!("在 {:#}内没有开始响应（first_byte_timeout、read_timeout）", Spelled(*within))
            }
            Self::FirstEventTimeout { within } => {
                format!("在 {:#}内没有发送响应的任何事件（first_event_timeout）", Spelled(*within))
            }
            Self::WriteTimeout => "不再接收请求内容".to_owned(),
            Self::Closed => "没有响应就关闭了连接".to_owned(),
            Self::BadAnswer => "返回的内容不是有效的 HTTP 响应".to_owned(),
            Self::InterimFlood { most, kib } => {
                format!("只发送临时响应（1xx）而没有正式响应：超过 {most} 个，或超过 {kib} KiB")
            }
            Self::WebPage => "返回了网页而不是 API 响应，多半来自防火墙（WAF）：请用浏览器打开看看".to_owned(),
            Self::NoAnswer => "返回了 200，但内容为空，或没有任何事件".to_owned(),
            Self::NoMessage { status: 200 } => "返回了 200，但内容不是消息".to_owned(),
            Self::NoMessage { status } => format!("返回了 {status}，而不是消息"),
            Self::ErrorReply { kind } if kind == OTHER => "返回了 200，但内容是错误".to_owned(),
            Self::ErrorReply { kind } => format!("返回了 200，但内容是错误 {kind}"),
            Self::Status { status } => format!("返回了 {status}"),
            Self::ThinkingRefused => "拒绝了带回的思考块，已去掉这些块重发一次".to_owned(),
            Self::Stalled { within } => format!("在响应中途有 {:#}没有发送任何内容", Spelled(*within)),
            Self::Truncated => "的响应没有发完就结束了".to_owned(),
            Self::NoMessageStop => "的流没有以 message_stop 结束".to_owned(),
            Self::StreamError { kind } if kind == OTHER => "在流中发送了错误".to_owned(),
            Self::StreamError { kind } => format!("在流中发送了错误 {kind}"),
            Self::ProbeStatus { status } => format!("对健康检查返回了 {status}"),
            Self::ProbeFailed { said } if is_operator => format!("没有通过健康检查：{said}"),
            Self::ProbeFailed { .. } => "没有通过健康检查".to_owned(),
            Self::ProbeTimeout { within } => format!("在 {:#}内没有响应健康检查", Spelled(*within)),
        }
    }
}

fn english_tls(fault: Option<TlsFault>, said: &str, is_operator: bool) -> String {
    let english = Language::English;
    let what = "could not be connected to over TLS";
    match fault {
        Some(fault) if is_operator => format!("{what}: {}: {} ({said})", fault.what(english), fault.cure(english)),
        Some(fault) => format!("{what}: {}", fault.what(english)),
        None if is_operator => format!("{what}: {said}. Check base_url, sni and ca_file"),
        None => what.to_owned(),
    }
}

fn chinese_tls(fault: Option<TlsFault>, said: &str, is_operator: bool) -> String {
    let chinese = Language::Chinese;
    let what = "的 TLS 连接无法建立";
    match fault {
        Some(fault) if is_operator => format!("{what}：{}；{}（{said}）", fault.what(chinese), fault.cure(chinese)),
        Some(fault) => format!("{what}：{}", fault.what(chinese)),
        None if is_operator => format!("{what}：{said}。请检查 base_url、sni 和 ca_file"),
        None => what.to_owned(),
    }
}
