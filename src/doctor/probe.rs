//! The way to one upstream, step by step, each with its time.

use super::clean::Cleaner;
use super::detail::Detail;
use super::diagnosis::{self, Failure, Stopped};
use super::findings::{self, Finding, Severity};
use super::message::Message;
use super::{http, tls};
use crate::config::profile::is_anyrouter;
use crate::config::proxy::{OutboundProxy, ProxyKind};
use crate::config::secret::Secret;
use crate::config::upstream::UpstreamConfig;
use crate::upstream::tunnel::{self, Target};
use crate::upstream::unknown_name;
use ::http::header::LOCATION;
use gateway_core::language::{Language, Spelled, Words};
use hickory_resolver::TokioResolver;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// Time for the answer to begin and to come in.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;
/// How long the other addresses have after one of them has connected.
const LATECOMERS: Duration = Duration::from_secs(2);

/// One step on the way.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// `dns`, `tcp`, `proxy`, `tls`, `http` or `message`.
    pub step: &'static str,
    /// Whether it succeeded.
    pub ok: bool,
    /// The time that it took, in milliseconds.
    pub milliseconds: f64,
    /// What was seen, in English.
    pub detail: String,
    /// The same in both languages.
    #[serde(skip)]
    pub told: Words,
    /// The same for programs.
    pub code: &'static str,
    /// What differs from case to case.
    pub parameters: Map<String, Value>,
    /// What became of the message, if the step is one.
    pub message: Option<Box<Message>>,
}

impl Step {
    /// One that took this time.
    pub(super) fn new(step: &'static str, ok: bool, time: Duration, detail: &Detail, cleaner: &Cleaner) -> Self {
        let milliseconds = (time.as_secs_f64() * 10_000.0).round() / 10.0;
        let mut parameters = detail.parameters();
        for parameter in parameters.values_mut() {
            if let Value::String(text) = parameter {
                *text = cleaner.line(text);
            }
        }
        let [english, chinese] =
            [Language::English, Language::Chinese].map(|language| cleaner.line(&detail.text(language)));
        let told = Words::new(format_args!("{english}"), format_args!("{chinese}"));
        Self { step, ok, milliseconds, detail: english, told, code: detail.code(), parameters, message: None }
    }
}

/// A way to an upstream, as far as it led.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    /// `direct`, or the proxy's URL without user and password.
    pub via: String,
    /// Whether the gateway takes this way too.
    pub used_by_gateway: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What it means; never empty.
    pub findings: Vec<Finding>,
}

impl Way {
    /// Whether requests can go this way.
    pub(crate) fn reaches(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Problem)
    }
}

/// What to try.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    /// The upstream.
    pub upstream: &'a UpstreamConfig,
    /// The key to try it with.
    pub key: Option<&'a Secret>,
    /// The proxy to go through.
    pub proxy: Option<&'a OutboundProxy>,
    /// The resolver that the gateway would use.
    pub resolver: &'a TokioResolver,
    /// Hides secrets in what the other side says.
    pub cleaner: &'a Cleaner,
}

impl Probe<'_> {
    /// Goes the way.
    pub(super) async fn run(&self, used_by_gateway: bool) -> Way {
        let via = self.proxy.map_or_else(|| "direct".to_owned(), |proxy| proxy.shown.clone());
        let mut way = Way { via, used_by_gateway, steps: Vec::new(), status: None, findings: Vec::new() };
        let finding = match self.walk(&mut way).await {
            Ok(finding) => finding,
            Err(failure) => diagnosis::of_failure(failure),
        };
        way.findings.push(finding);
        way
    }

    async fn walk(&self, way: &mut Way) -> Result<Finding, Failure> {
        let upstream = self.upstream;
        let url = &upstream.base_url;
        let limit = upstream.connect_timeout;
        let to_proxy = |failure| if self.proxy.is_some() { Failure::ProxyUnreachable } else { failure };
        let (host, port) = self.proxy.map_or((&url.host, url.port), |proxy| (&proxy.host, proxy.port));

        let addresses = self.timed(way, "dns", resolve(self.resolver, host, port, limit)).await.map_err(to_proxy)?;
        let tcp = self.connect(way, &addresses, limit).await.map_err(to_proxy)?;
        let stream: Box<dyn Stream> = match self.proxy {
            None => Box::new(tcp),
            Some(proxy) => self.through(way, proxy, tcp, limit).await?,
        };
        let mut stream: Box<dyn Stream> = match url.tls {
            true => self.timed(way, "tls", handshake(upstream, stream, limit)).await?,
            false => stream,
        };
        let answer = self.timed(way, "http", self.exchange(&mut stream)).await?;
        way.status = Some(answer.status);
        if self.is_forwarded() && answer.status == 407 {
            return Err(Failure::ProxyCredentials);
        }
        let finding = diagnosis::of_answer(&diagnosis::Answer {
            status: answer.status,
            headers: &answer.headers,
            body_start: &answer.body_start,
            with_key: self.key.is_some(),
        });
        // The step went well, but not what it led to.
        if finding.severity == Severity::Problem
            && let Some(step) = way.steps.last_mut()
        {
            step.ok = false;
        }
        Ok(finding)
    }

    /// The way through the proxy: opened by it, or, for what goes to it with absolute targets, the connection itself.
    async fn through(
        &self,
        way: &mut Way,
        proxy: &OutboundProxy,
        tcp: TcpStream,
        limit: Duration,
    ) -> Result<Box<dyn Stream>, Failure> {
        let deadline = Instant::now() + limit;
        let late = |detail: Detail| Stopped(Failure::ProxyTimeout, detail);
        let shown = || proxy.shown.clone();
        let stream: Box<dyn Stream> = match proxy.kind {
            ProxyKind::Https => {
                let handshake = async {
                    let broken = |detail: Detail| Stopped(Failure::ProxyBroken, detail);
                    let failed = |said: String| broken(Detail::ProxyTlsFailed { proxy: shown(), said });
                    let name = pingora::tls::ServerName::try_from(proxy.host.clone())
                        .map_err(|_| broken(Detail::ProxyName { proxy: shown() }))?;
                    let connector =
                        crate::upstream::tls::connector(&[], false).map_err(|why| failed(why.to_string()))?;
                    let connecting = timeout_at(deadline, connector.connect(name, tcp)).await;
                    let connected = connecting.map_err(|_| late(Detail::ProxyTlsLate { proxy: shown() }))?;
                    let stream = connected.map_err(|error| failed(error.to_string()))?;
                    Ok((Box::new(stream) as Box<dyn Stream>, Detail::ProxyTls))
                };
                self.timed(way, "proxy", handshake).await?
            }
            ProxyKind::Http | ProxyKind::Socks5 { .. } => Box::new(tcp),
        };
        if self.is_forwarded() {
            return Ok(stream);
        }
        let url = &self.upstream.base_url;
        let target = match proxy.kind {
            ProxyKind::Socks5 { remote_dns: false } => {
                let addresses = self.timed(way, "dns", resolve(self.resolver, &url.host, url.port, limit)).await?;
                addresses.first().map_or(Target::Name(&url.host, url.port), |&address| Target::Address(address))
            }
            _ => Target::Name(&url.host, url.port),
        };
        let opening = async {
            let opened = timeout_at(deadline, tunnel::open(stream, proxy, target)).await;
            let opened = opened.map_err(|_| late(Detail::TunnelLate { target: target.to_string() }))?;
            let opened = opened.map_err(|not| {
                let failure = match not.failure {
                    tunnel::Failure::Credentials => Failure::ProxyCredentials,
                    tunnel::Failure::Forbidden | tunnel::Failure::Refused => Failure::ProxyRefused,
                    tunnel::Failure::Broken => Failure::ProxyBroken,
                };
                Stopped(failure, Detail::TunnelFailed { proxy: shown(), said: not.message.to_string() })
            })?;
            Ok((opened, Detail::TunnelOpened { proxy: shown(), target: target.to_string() }))
        };
        self.timed(way, "proxy", opening).await
    }

    /// Whether the request goes to the proxy itself, with an absolute target.
    fn is_forwarded(&self) -> bool {
        let is_http = self.proxy.is_some_and(|proxy| matches!(proxy.kind, ProxyKind::Http | ProxyKind::Https));
        is_http && !self.upstream.base_url.tls
    }

    /// Takes one step, and notes it with its time.
    async fn timed<T>(
        &self,
        way: &mut Way,
        step: &'static str,
        work: impl Future<Output = Result<(T, Detail), Stopped>>,
    ) -> Result<T, Failure> {
        let start = Instant::now();
        let done = work.await;
        let time = start.elapsed();
        let (result, detail) = match done {
            Ok((value, detail)) => (Ok(value), detail),
            Err(Stopped(failure, detail)) => (Err(failure), detail),
        };
        self.note(way, step, result.is_ok(), time, &detail);
        result
    }

    fn note(&self, way: &mut Way, step: &'static str, ok: bool, time: Duration, detail: &Detail) {
        way.steps.push(Step::new(step, ok, time, detail, self.cleaner));
    }

    /// Connects to all addresses at once, and goes on with the first that answers.
    async fn connect(&self, way: &mut Way, addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, Failure> {
        let start = Instant::now();
        let mut deadline = start + limit;
        let mut tries = JoinSet::new();
        for (at, &address) in addresses.iter().enumerate() {
            tries.spawn(async move { (at, address, TcpStream::connect(address).await, start.elapsed()) });
        }
        let mut results: Vec<Result<(), Stopped>> =
            addresses.iter().map(|address| Err(no_connection(address, limit))).collect();
        let mut times = vec![None; addresses.len()];
        let mut connected = None;
        while let Ok(Some(Ok((at, address, result, time)))) = timeout_at(deadline, tries.join_next()).await {
            times[at] = Some(time);
            results[at] = match result {
                Ok(stream) => {
                    deadline = deadline.min(Instant::now() + LATECOMERS);
                    connected.get_or_insert(stream);
                    Ok(())
                }
                Err(error) => {
                    let detail = Detail::ConnectFailed { address: address.to_string(), said: error.to_string() };
                    Err(Stopped(connect_failure(&error), detail))
                }
            };
        }
        let waited = start.elapsed();
        if connected.is_some() && results.iter().any(Result::is_err) {
            way.findings.push(findings::SOME_ADDRESSES);
        }
        let mut failure = Failure::NoRoute;
        for ((address, result), time) in addresses.iter().zip(results).zip(times) {
            let time = time.unwrap_or(waited);
            match result {
                Ok(()) => self.note(way, "tcp", true, time, &Detail::Connected { address: address.to_string() }),
                Err(Stopped(why, detail)) => {
                    failure = more_telling(failure, why);
                    self.note(way, "tcp", false, time, &detail);
                }
            }
        }
        connected.ok_or(failure)
    }

    async fn exchange(&self, stream: &mut Box<dyn Stream>) -> Result<(http::Answer, Detail), Stopped> {
        let (target, deadline) = (http::target(self.upstream), Instant::now() + ANSWER_TIMEOUT);
        let stopped = |failure| {
            let target = target.to_string();
            let detail = match failure {
                Failure::AnswerTimeout => Detail::AnswerLate { target, within: Spelled(ANSWER_TIMEOUT).words() },
                Failure::Closed => Detail::Closed { target },
                _ => Detail::NotHttp { target },
            };
            Stopped(failure, detail)
        };
        let request = http::request(self.upstream, self.key, self.proxy.filter(|_| self.is_forwarded()));
        // An upstream that has closed already, or closes while it is being written to, shows in its answer.
        if timeout_at(deadline, async { stream.write_all(&request).await.and(stream.flush().await) }).await.is_err() {
            return Err(stopped(Failure::AnswerTimeout));
        }
        let answer = http::read_answer(stream, deadline).await.map_err(stopped)?;
        let (target, status, said) = (target.to_string(), u64::from(answer.status), said(&answer, self.cleaner));
        let detail = match self.key.is_some() {
            true => Detail::AnsweredWithKey { target, status, said },
            false => Detail::AnsweredWithoutKey { target, status, said },
        };
        Ok((answer, detail))
    }
}

/// A connection, plain or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// That a name has no address: AnyRouter has others.
fn name_unknown(host: &str) -> Failure {
    if is_anyrouter(host) { Failure::MirrorUnknown } else { Failure::NameUnknown }
}

async fn resolve(
    resolver: &TokioResolver,
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<(Vec<SocketAddr>, Detail), Stopped> {
    let own = || host.to_owned();
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((vec![SocketAddr::new(ip, port)], Detail::IsAddress { host: own() }));
    }
    let found = timeout(limit, resolver.lookup_ip(host)).await.map_err(|_| {
        Stopped(Failure::ResolveTimeout, Detail::ResolveLate { host: own(), within: Spelled(limit).words() })
    })?;
    let found = found.map_err(|error| match unknown_name(&error) {
        Some(said) => Stopped(name_unknown(host), Detail::NameUnknown { host: own(), said }),
        None => Stopped(Failure::Resolve, Detail::ResolveFailed { host: own(), said: error.to_string() }),
    })?;
    let addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, port)).take(MOST_ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(Stopped(name_unknown(host), Detail::NoAddress { host: own() }));
    }
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    Ok((addresses, Detail::Resolved { host: own(), addresses: shown.join(", ") }))
}

/// A duration as settings have it.
fn spelled(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn no_connection(address: &SocketAddr, limit: Duration) -> Stopped {
    // With another address connected the wait is shorter; that its time is shown too makes it clear.
    let detail = Detail::ConnectLate { address: address.to_string(), within: spelled(limit) };
    Stopped(Failure::ConnectTimeout, detail)
}

fn connect_failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::TimedOut => Failure::ConnectTimeout,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable => Failure::NoRoute,
        _ => Failure::Connect,
    }
}

/// Of two reasons, the one that tells more: that there is no way over IPv6 is no news.
fn more_telling(one: Failure, other: Failure) -> Failure {
    let rank = |failure| match failure {
        Failure::NoRoute => 0,
        Failure::Connect => 1,
        Failure::ConnectTimeout => 2,
        _ => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

async fn handshake(
    upstream: &UpstreamConfig,
    stream: Box<dyn Stream>,
    limit: Duration,
) -> Result<(Box<dyn Stream>, Detail), Stopped> {
    let name = tls::server_name(upstream)?;
    let shown = name.to_str().into_owned();
    let connecting = tls::connector(upstream)?.connect(name, stream);
    let stream = timeout(limit, connecting).await.map_err(|_| {
        Stopped(Failure::TlsTimeout, Detail::TlsLate { name: shown.clone(), within: Spelled(limit).words() })
    })?;
    let stream = stream.map_err(|error| {
        Stopped(tls::failure(&error), Detail::TlsFailed { name: shown.clone(), said: error.to_string() })
    })?;
    let version = stream.get_ref().1.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
    let (version, name) = (version.unwrap_or_default(), shown);
    let detail = match (upstream.insecure, upstream.authorities.is_empty()) {
        (true, _) => Detail::TlsUnchecked { version, name },
        (_, false) => Detail::TlsByFile { version, name },
        (_, true) => Detail::TlsDone { version, name },
    };
    Ok((Box::new(stream), detail))
}

/// What an answer says in words: where it redirects to, its error's type and message, or the title of its page.
fn said(answer: &http::Answer, cleaner: &Cleaner) -> String {
    let location = answer.headers.get(LOCATION).filter(|_| (300..400).contains(&answer.status));
    if let Some(location) = location {
        return format!(", to {}", cleaner.line(&String::from_utf8_lossy(location.as_bytes())));
    }
    if answer.status < 400 && !answer.body_start.trim_ascii_start().starts_with(b"<") {
        return String::new();
    }
    let Some(words) = error_words(&answer.body_start).or_else(|| title(&answer.body_start)) else {
        return String::new();
    };
    format!(", \"{}\"", cleaner.line(&words))
}

fn error_words(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error").unwrap_or(&body);
    let message = error.as_str().or_else(|| error.get("message")?.as_str())?;
    let kind = error.get("type").and_then(serde_json::Value::as_str).filter(|kind| !kind.is_empty());
    Some(kind.map_or_else(|| message.to_owned(), |kind| format!("{kind}: {message}")))
}

fn title(body: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(body);
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    Some(page[start..end].trim().to_owned()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_json_and_in_pages() {
        let words = |body: &str| error_words(body.as_bytes()).or_else(|| title(body.as_bytes()));
        for (body, wanted) in [
            (r#"{"error":{"type":"t","message":"m"}}"#, Some("t: m")),
            (r#"{"error":{"message":"m","type":""}}"#, Some("m")),
            (r#"{"error":"plain"}"#, Some("plain")),
            (r#"{"message":"m"}"#, Some("m")),
            (r#"{"error":{"code":1}}"#, None),
            ("<html><TITLE lang=en>\n 验证 </title>", Some("验证")),
            ("<title>", None),
            ("", None),
        ] {
            assert_eq!(words(body).as_deref(), wanted, "{body}");
        }
    }

    #[test]
    fn a_dead_address_family_does_not_hide_the_real_reason() {
        use Failure as F;
        assert_eq!(more_telling(F::NoRoute, F::ConnectTimeout), F::ConnectTimeout);
        assert_eq!(more_telling(F::Refused, F::ConnectTimeout), F::Refused);
        assert_eq!(more_telling(F::ConnectTimeout, F::NoRoute), F::ConnectTimeout);
    }
}
