//! The request log: what it keeps, and for how long.

use super::log_store::{LogStore, NotAUrl, PostgresUrl};
use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::setting::{Panel, Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::{text_file, value};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

settings! {
    DATABASE: Option<PathBuf> = Setting::one(
        "gateway.database",
        "data/gateway.db",
        database,
        "SQLite file of the request log; off keeps nothing.",
        "请求日志的 SQLite 文件；off 表示不保留。",
    )
    .env(&["GATEWAY_DB"])
    .restart()
    .panel(Panel::NoMore);
    STORE: Option<PostgresUrl> = Setting::one(
        "gateway.store.url",
        "",
        store,
        "PostgreSQL for the request log in the place of the file, for several gateways together: \
         postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full.",
        "把请求日志写到 PostgreSQL 而不是文件，供多个网关共用：postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full。",
    )
    .env(&["GATEWAY_STORE"])
    .restart()
    .secret()
    .panel(Panel::Never);
    STORE_PASSWORD: String = Setting::one(
        "gateway.store.password",
        "",
        value::text,
        "Its password, if that is not in the URL.",
        "它的密码，如果没有写在 URL 中。",
    )
    .env(&["GATEWAY_STORE_PASSWORD"])
    .restart()
    .secret()
    .panel(Panel::Never);
    STORE_PASSWORD_FILE: String = Setting::one(
        "gateway.store.password_file",
        "",
        value::text,
        "A file with that password; line ends around it are no part of it.",
        "存放该密码的文件；首尾换行会被忽略。",
    )
    .env(&["GATEWAY_STORE_PASSWORD_FILE"])
    .restart()
    .panel(Panel::Never);
    KEEP: Duration = Setting::one(
        "gateway.log.keep",
        "30d",
        value::duration,
        "How long the request log keeps its rows.",
        "请求日志的保留时间。",
    )
    .restart();
    KEEP_SIZE: usize = Setting::one(
        "gateway.log.keep_size",
        "1GiB",
        value::size,
        "How large the request log may grow; beyond it the oldest rows go.",
        "请求日志的大小上限，超出后删除最旧的记录。",
    )
    .restart();
    KEEP_REJECTED: usize = Setting::one(
        "gateway.log.keep_rejected",
        "32MiB",
        value::size,
        "How much room rows may take, beside that, of requests that anybody can send: refused ones, and those \
         without a key.",
        "任何人都能发出的请求（被网关拒绝的、没有密钥的），其记录另占空间，这是它的上限；再多也不会挤掉其他记录。",
    )
    .restart();
    KEEP_STATISTICS: Duration = Setting::one(
        "gateway.log.keep_statistics",
        "400d",
        value::duration,
        "How long statistics by the hour and by the day are kept, which need little room.",
        "按小时和按天的统计保留多久；它们占用空间很少。",
    )
    .restart();
    QUEUE: usize = Setting::one(
        "gateway.log.queue",
        "16384",
        |text| value::number(text, 1..=1_000_000),
        "Most records that wait for the disk; others are dropped, and counted.",
        "等待写入磁盘的记录数上限；超出的会被丢弃并计数。",
    )
    .restart();
    QUEUE_BYTES: usize = Setting::one(
        "gateway.log.queue_bytes",
        "32MiB",
        value::size,
        "Most bytes of bodies among them; other records go without.",
        "等待写入磁盘的记录中，正文的字节数上限；超出后，记录不再附带正文。",
    )
    .restart();
    SHAPES: usize = Setting::one(
        "gateway.log.shapes",
        "10000",
        |text| value::number(text, 0..=1_000_000),
        "Of how many requests with a prompt, the newest, head and shape are kept for dry runs: no keys, and no text of a \
         prompt. 0 keeps none.",
        "为最近多少个带提示词的请求保留请求头和结构，供试运行使用：不含密钥，也不含提示词文本。0 表示不保留。",
    )
    .restart();
    CAPTURE_ERROR_BODY: bool = Setting::one(
        "gateway.log.capture_error_body",
        "true",
        value::boolean,
        "Keep the first 8 KiB of an error's body in the request log, without keys.",
        "在请求日志中保留错误正文的前 8 KiB，不含密钥。",
    );
    CAPTURE: Kept = Setting::choice(
        "gateway.log.capture",
        "off",
        &[("off", Kept::Off), ("errors", Kept::Errors), ("all", Kept::All)],
        "Keep whole requests in the request log, without keys: off, errors (those of failed requests), or all.",
        "在请求日志中保留完整请求，不含密钥：off、errors（仅失败的请求）或 all。",
    );
    CAPTURE_BODY: usize = Setting::one(
        "gateway.log.capture_body",
        "64KiB",
        value::size,
        "How much of a kept request's body is kept.",
        "保留请求时，最多保留多长的请求体。",
    );
}

/// How the request log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where it is; `None` keeps nothing.
    pub store: Option<LogStore>,
    /// How long rows are kept.
    pub keep: Duration,
    /// How large it may grow, in bytes.
    pub keep_bytes: usize,
    /// How much room requests that anybody can send may take beside that, in bytes.
    pub keep_rejected_bytes: usize,
    /// How long statistics by the hour and by the day are kept.
    pub keep_statistics: Duration,
    /// Most records that wait for the disk.
    pub queue: usize,
    /// Most bytes of bodies among them.
    pub queue_bytes: usize,
    /// Of how many requests head and shape are kept.
    pub shapes: usize,
}

impl LogSettings {
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            store: store_of(reader),
            keep: reader.get(&KEEP),
            keep_bytes: reader.get(&KEEP_SIZE),
            keep_rejected_bytes: reader.get(&KEEP_REJECTED),
            keep_statistics: reader.get(&KEEP_STATISTICS),
            queue: reader.get(&QUEUE),
            queue_bytes: reader.get(&QUEUE_BYTES),
            shapes: reader.get(&SHAPES),
        }
    }
}

/// The database that is shared, or else the file.
fn store_of(reader: &mut Reader<'_>) -> Option<LogStore> {
    let file = reader.get(&DATABASE);
    let url = reader.get_if_set(&STORE).flatten();
    let password = reader.get_if_set(&STORE_PASSWORD).unwrap_or_default();
    let path = reader.get_if_set(&STORE_PASSWORD_FILE).unwrap_or_default();
    let Some(url) = url else { return file.map(LogStore::File) };
    // The configuration that is shipped has the default written out, and `off` loses nothing.
    if file.is_some()
        && file != DATABASE.default_value()
        && let Some(at) = reader.source_of(&DATABASE)
    {
        reader.warning(at, DATABASE.about.key, Message::StoreInItsPlace);
    }
    let password = match path.as_str() {
        "" => password,
        path => text_file::read(path).map(|text| text.trim_matches(['\r', '\n']).to_owned()).unwrap_or_else(|error| {
            let at = reader.source_of(&STORE_PASSWORD_FILE).unwrap_or(Source::Default);
            let unreadable = || Message::CannotBeRead { said: error.to_string() };
            let what = text_file::refused(path, &error).unwrap_or_else(unreadable);
            reader.problem(at, STORE_PASSWORD_FILE.about.key, what);
            String::new()
        }),
    };
    let url = if password.is_empty() { url } else { url.with_password(&password) };
    Some(LogStore::Postgres(Arc::new(url)))
}

/// The URL of a PostgreSQL database. What is wrong with it is told without the text: there may be a password in it.
fn store(text: &str) -> Result<Option<PostgresUrl>, Message> {
    match text {
        "" => Ok(None),
        text => PostgresUrl::parse(text).map(Some).map_err(|why| match why {
            NotAUrl::Database => Message::NotAPostgresUrl,
            NotAUrl::Parameter { name } => Message::UrlParameterUnknown { name },
        }),
    }
}

/// A path, or `off`.
fn database(text: &str) -> Result<Option<PathBuf>, Message> {
    Ok((!text.eq_ignore_ascii_case("off")).then(|| PathBuf::from(text)))
}

/// Which requests are kept as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// None.
    Off,
    /// Those that failed.
    Errors,
    /// All.
    All,
}

/// What the request log keeps of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureSettings {
    /// Whether the beginning of an error's body is kept.
    pub error_body: bool,
    /// Which requests are kept as a whole.
    pub requests: Kept,
    /// How much of the body of such a request is kept, in bytes.
    pub body_bytes: usize,
}

impl CaptureSettings {
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            error_body: reader.get(&CAPTURE_ERROR_BODY),
            requests: reader.get(&CAPTURE),
            body_bytes: reader.get(&CAPTURE_BODY),
        }
    }
}
