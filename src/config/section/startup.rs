//! What only a restart can change: listeners, logs, folders.

use super::request_log::LogSettings;
use super::tls_listener::{self, TlsListener};
use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::setting::{Panel, Setting, settings};
use crate::config::source::settings_reader::{Effective, Reader};
use crate::config::source::value;
use std::net::SocketAddr;
use std::path::PathBuf;

settings! {
    STATE_DIR: String = Setting::one(
        "gateway.state_dir",
        "data",
        value::text,
        "Folder for what the gateway writes itself: the panel's overlay.yaml and its history, the panel's key.",
        "网关存放自己写入的文件的目录：面板的 overlay.yaml 及其历史、面板密钥。",
    )
    .env(&["GATEWAY_STATE_DIR"])
    .restart()
    .panel(Panel::Never);
    RUNTIME_DIR: String = Setting::one(
        "gateway.runtime_dir",
        "data/run",
        value::text,
        "Folder for the pid file and the sockets by which reload and upgrade reach the running gateway.",
        "存放 pid 文件和套接字的目录；reload 与 upgrade 由此联系正在运行的网关。",
    )
    .env(&["GATEWAY_RUNTIME_DIR", "RUNTIME_DIRECTORY"])
    .restart()
    .panel(Panel::Never);
    WATCH: bool = Setting::one(
        "gateway.watch",
        "false",
        value::boolean,
        "Load the configuration anew when one of its files changes. (Without it: SIGHUP, or anyrouter-gateway \
         reload.)",
        "配置文件变化时自动重新加载；不开启时，用 SIGHUP 或 anyrouter-gateway reload。",
    )
    .restart();
    LISTEN: SocketAddr = Setting::one(
        "gateway.listen",
        "127.0.0.1:8088",
        value::address,
        "Address of the gateway, host:port. PORT changes its port.",
        "网关的监听地址，host:port。PORT 可修改其端口。",
    )
    .env(&["LISTEN"])
    .restart();
    ADMIN_LISTEN: SocketAddr = Setting::one(
        "gateway.admin_listen",
        "127.0.0.1:9188",
        value::address,
        "Address of the admin service (/metrics), host:port.",
        "管理服务（/metrics）的监听地址，host:port。",
    )
    .env(&["ADMIN_LISTEN"])
    .restart();
    DEBUG: bool = Setting::one(
        "gateway.debug",
        "false",
        value::boolean,
        "Log at debug level: why a body was left alone, each attempt, ...",
        "输出调试级别的日志：请求体为何未改动、每次尝试等。",
    )
    .env(&["DEBUG_MODE"])
    .restart();
    LOG_FORMAT: LogFormat = Setting::choice(
        "gateway.log.format",
        "text",
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        "Log lines as text or json.",
        "日志格式：text 或 json。",
    )
    .env(&["LOG_FORMAT"])
    .restart();
    LOG_FILE: String = Setting::one(
        "gateway.log.file",
        "",
        value::text,
        "File that log lines are added to; not set: standard error. SIGUSR1 and a reload open it anew.",
        "日志写入的文件；未设置时为标准错误输出。SIGUSR1 和 reload 会重新打开它。",
    )
    .env(&["LOG_FILE"])
    .restart()
    .panel(Panel::Never);
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What only a restart can change.
#[derive(Clone, Debug)]
pub struct Startup {
    /// The gateway's address.
    pub listen: SocketAddr,
    /// The admin service's address.
    pub admin_listen: SocketAddr,
    /// The TLS listener, if there is one.
    pub tls: Option<TlsListener>,
    /// Whether to log at debug level.
    pub debug: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The file that log lines are added to; `None` for standard error.
    pub log_file: Option<PathBuf>,
    /// The request log.
    pub log: LogSettings,
    /// The folder for what the gateway writes itself.
    pub state_dir: PathBuf,
    /// The folder of the pid file and the sockets.
    pub runtime_dir: PathBuf,
    /// Whether changes of the files are looked for.
    pub watch: bool,
}

impl Startup {
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>, state_dir: PathBuf) -> Self {
        let listen = read_listen(reader);
        let admin_listen = reader.get_if_set(&ADMIN_LISTEN);
        if let (Some(listen), Some(admin)) = (listen, admin_listen)
            && listen == admin
        {
            let at = reader.source_of(&ADMIN_LISTEN).unwrap_or(Source::Default);
            reader.problem(at, "gateway.admin_listen", Message::OwnAddress { address: admin.to_string() });
        }
        Self {
            listen: reader.or_stand_in(listen, &LISTEN),
            admin_listen: reader.or_stand_in(admin_listen, &ADMIN_LISTEN),
            tls: tls_listener::read(reader),
            debug: reader.get(&DEBUG),
            log_format: reader.get(&LOG_FORMAT),
            log_file: reader.get_if_set(&LOG_FILE).map(PathBuf::from),
            log: LogSettings::read(reader),
            state_dir,
            runtime_dir: PathBuf::from(reader.get(&RUNTIME_DIR)),
            watch: reader.get(&WATCH),
        }
    }
}

/// `LISTEN`, with its port changed by `PORT` unless `LISTEN` comes from a higher source.
pub(crate) fn read_listen(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let listen = reader.get_if_set(&LISTEN);
    let Some((text, source)) = reader.variable("PORT") else { return listen };
    let port = value::port(&text).map_err(|what| reader.problem(source.clone(), "PORT", what)).ok()?;
    let is_outranked = match reader.source_of(&LISTEN) {
        Some(Source::CommandLine) => true,
        Some(Source::Environment(_)) => matches!(source, Source::DotEnv { .. }),
        _ => false,
    };
    let mut listen = listen?;
    if !is_outranked {
        listen.set_port(port);
        reader.effective.push(Effective { key: "gateway.listen (port)".to_owned(), value: port.to_string(), source });
    }
    Some(listen)
}
