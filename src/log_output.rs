//! Log lines: their form, what is kept out of them, and a writer that no request waits for.

use crate::config::LogFormat;
use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Record};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// The log target of access lines.
pub(crate) const ACCESS: &str = "access";

/// Lines that may wait for the writer; what comes on top is dropped and counted.
const QUEUE_LINES: usize = 16 * 1024;
/// The writer collects lines for so long, so that it wakes up at most fifty times a second.
const GATHER: Duration = Duration::from_millis(20);

/// What begins a command to a terminal.
const ESCAPE: u8 = 0x1b;
/// Room for what stands before an access line: time, level and target, in bytes.
const BEFORE_LINE: usize = 48;
/// What is written at once at most.
const BATCH_BYTES: usize = 256 * 1024;

static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Whether the file is to be opened anew before the next line.
static REOPEN: AtomicBool = AtomicBool::new(false);

/// Where access lines go, and how they look there.
static OUTPUT: OnceLock<(SyncSender<Vec<u8>>, Form)> = OnceLock::new();

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Journal,
}

/// Writes what is still queued when it is dropped.
#[derive(Debug)]
pub(crate) struct Flush {
    stop: SyncSender<Vec<u8>>,
    writer: Option<JoinHandle<()>>,
}

/// Sends log lines to `file`, or to standard error. `RUST_LOG` decides what is logged; without it, `info` and above, or with
/// `debug` the gateway's own debug lines too.
///
/// # Errors
/// When the file cannot be opened, or the writer's thread not be started.
pub(crate) fn init(format: LogFormat, debug: bool, file: Option<PathBuf>) -> io::Result<Flush> {
    let (lines, queue) = sync_channel(QUEUE_LINES);
    let mut sink = match file {
        Some(path) => Sink::File { file: open(&path)?, path, is_failing: false },
        None => Sink::StandardError,
    };
    let is_file = matches!(sink, Sink::File { .. });
    let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&queue, &mut sink))?;
    let mut builder = Builder::new();
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => drop(builder.parse_filters(&filter)),
        _ => {
            builder.filter_level(LevelFilter::Info).filter_module("pingora", LevelFilter::Warn);
            for module in ["pingora_core", "pingora_proxy"] {
                builder.filter_module(module, LevelFilter::Warn);
            }
            // It calls each look whether the other process sends its sockets already an error.
            builder.filter_module("pingora_core::server::transfer_fd", LevelFilter::Off);
            if debug {
                builder.filter_module(env!("CARGO_CRATE_NAME"), LevelFilter::Debug);
            }
        }
    }
    // The journal has times and levels of its own.
    let is_journal = !is_file && std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_standard_error(&stream));
    let form = match format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if is_journal => Form::Journal,
        LogFormat::Text => Form::Text,
    };
    // With a pattern behind a slash `RUST_LOG` chooses among lines by their texts, which only `log` looks at.
    if !std::env::var("RUST_LOG").is_ok_and(|filter| filter.contains('/')) {
        // The first one counts: there is one output for the whole process.
        let _ = OUTPUT.set((lines.clone(), form));
    }
    builder.target(Target::Pipe(Box::new(Queue { lines: lines.clone(), line: Vec::new() })));
    builder.format(move |buffer, record| match is_safe(record) && !is_false_alarm(record) {
        true => write_line(buffer, form, record),
        false => Ok(()),
    });
    builder.init();
    Ok(Flush { stop: lines, writer: Some(writer) })
}

/// Writes an access line, of which every request leaves one: not through `log`, which takes each of its parts through three
/// formatters. Whether such lines are wanted at all the caller has asked.
pub(crate) fn access(line: &str) {
    let output = OUTPUT.get().filter(|_| memchr::memchr3(b'\n', b'\r', ESCAPE, line.as_bytes()).is_none());
    let Some((lines, form)) = output else { return log::info!(target: ACCESS, "{line}") };
    let mut written = Vec::with_capacity(line.len() + BEFORE_LINE);
    // Writing to a vector cannot fail.
    let _ = match form {
        Form::Text => write!(written, "{} INFO  {} ", now(), ACCESS),
        Form::Journal => write!(written, "<6>{} ", ACCESS),
        Form::Json => write_json(&mut written, Level::Info, ACCESS, line),
    };
    if *form != Form::Json {
        written.extend_from_slice(line.as_bytes());
        written.push(b'\n');
    }
    send(lines, written);
}

fn send(lines: &SyncSender<Vec<u8>>, line: Vec<u8>) {
    if lines.try_send(line).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where lines go.
enum Sink {
    StandardError,
    File {
        file: File,
        path: PathBuf,
        /// Whether the last write failed.
        is_failing: bool,
    },
}

impl Sink {
    fn write(&mut self, lines: &mut Vec<u8>) {
        if let Self::File { file, path, .. } = self
            && REOPEN.swap(false, Ordering::Relaxed)
        {
            match open(path) {
                Ok(new) => *file = new,
                // The old file goes on; whoever reads it learns why.
                Err(error) => drop(writeln!(
                    lines,
                    "{} ERROR log {} cannot be opened anew, and the old file stays in use: {error}",
                    now(),
                    path.display()
                )),
            }
        }
        match self {
            // There is no other place to complain to.
            Self::StandardError => drop(io::stderr().write_all(lines)),
            Self::File { file, path, is_failing } => {
                let written = file.write_all(lines);
                // Once, not for each line: standard error may be a file on the same disk.
                if let (Err(error), false) = (&written, *is_failing) {
                    let _ = writeln!(
                        io::stderr(),
                        "{}: log lines cannot be written, and are lost: {error}",
                        path.display()
                    );
                }
                *is_failing = written.is_err();
            }
        }
    }
}

/// For its owner and the group: lines have addresses of clients.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
    file.map_err(|error| io::Error::new(error.kind(), format!("gateway.log.file: {}: {error}", path.display())))
}

/// Opens the file anew before the next line: it may have been moved away. Standard error stays what it is.
pub(crate) fn reopen() {
    REOPEN.store(true, Ordering::Relaxed);
}

impl Drop for Flush {
    fn drop(&mut self) {
        // An empty line is the sign to stop.
        if self.stop.send(Vec::new()).is_ok()
            && let Some(writer) = self.writer.take()
        {
            let _ = writer.join();
        }
    }
}

/// Libraries show whole heads, keys included, at debug level: those lines are never written.
fn is_safe(record: &Record<'_>) -> bool {
    record.level() <= Level::Info || record.target().starts_with(env!("CARGO_CRATE_NAME"))
}

/// What Pingora calls an error, and is none: a kept connection that it was about to take is just being looked at by the task
/// that watches idle ones (it takes another one then), and a client that leaves before it speaks HTTP/2, as one does that
/// only looks whether there is TLS, or does not trust the certificate.
fn is_false_alarm(record: &Record<'_>) -> bool {
    match record.target() {
        "pingora_core::connectors" => record.args().as_str() == Some("failed to acquire reusable stream"),
        "pingora_core::apps" => record.args().to_string().starts_with("H2 handshake error"),
        _ => false,
    }
}

fn now() -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_millis(SystemTime::now())
}

fn write_line(buffer: &mut impl Write, form: Form, record: &Record<'_>) -> io::Result<()> {
    match form {
        Form::Text => {
            writeln!(buffer, "{} {:<5} {} {}", now(), record.level(), record.target(), OneLine(record.args()))
        }
        Form::Json => write_json(buffer, record.level(), record.target(), &record.args().to_string()),
        Form::Journal => write_journal(buffer, record),
    }
}

/// Whether `device:inode` is where standard error goes: the variable is handed down to programs whose output is not.
fn is_standard_error(stream: &str) -> bool {
    let Ok(file) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream.split_once(':') == Some((&file.dev().to_string(), &file.ino().to_string()))
}

/// As systemd reads lines: the level first, by its number, so that journalctl can tell warnings from the rest.
fn write_journal(buffer: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let level = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    writeln!(buffer, "<{level}>{} {}", record.target(), OneLine(record.args()))
}

fn write_json(buffer: &mut impl Write, level: Level, target: &str, message: &str) -> io::Result<()> {
    let mut object = serde_json::json!({
        "time": now().to_string(),
        "level": level.as_str().to_ascii_lowercase(),
        "target": target,
    });
    if target == ACCESS {
        for (name, value) in pairs(message) {
            object[name] = value;
        }
    } else {
        object["message"] = message.into();
    }
    writeln!(buffer, "{object}")
}

/// The pairs of an access line as JSON values: numbers where they are numbers.
fn pairs(line: &str) -> impl Iterator<Item = (&str, serde_json::Value)> {
    line.split(' ').filter_map(|pair| pair.split_once('=')).map(|(name, value)| {
        let number = (name == "status"
            || name == "attempts"
            || name == "guesses"
            || name.ends_with("_ms")
            || name.ends_with("_bytes")
            || name.ends_with("_tokens"))
        .then(|| value.parse::<u64>().ok())
        .flatten();
        (name, number.map_or_else(|| value.into(), Into::into))
    })
}

/// A message on one line, whatever is in it.
struct OneLine<'a>(&'a std::fmt::Arguments<'a>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::write(&mut WithoutBreaks(f), *self.0)
    }
}

/// Writes a blank in place of each line break, and of what begins a command to a terminal.
struct WithoutBreaks<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl fmt::Write for WithoutBreaks<'_, '_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while let Some(at) = memchr::memchr3(b'\n', b'\r', ESCAPE, text.as_bytes()) {
            self.0.write_str(&text[..at])?;
            self.0.write_str(" ")?;
            text = &text[at + 1..];
        }
        self.0.write_str(text)
    }
}

/// What env_logger writes to: one write per line.
struct Queue {
    lines: SyncSender<Vec<u8>>,
    line: Vec<u8>,
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            send(&self.lines, std::mem::take(&mut self.line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(queue: &Receiver<Vec<u8>>, sink: &mut Sink) {
    let mut batch = Vec::new();
    let (mut running, mut is_behind) = (true, false);
    while running {
        let first = queue.recv().unwrap_or_default();
        running &= !first.is_empty();
        batch.extend_from_slice(&first);
        // Asleep, and not at the queue: there each line would wake it, at the cost of the request that it is about.
        if running && !is_behind {
            std::thread::sleep(GATHER);
        }
        while running
            && batch.len() < BATCH_BYTES
            && let Ok(line) = queue.try_recv()
        {
            running &= !line.is_empty();
            batch.extend_from_slice(&line);
        }
        is_behind = batch.len() >= BATCH_BYTES;
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(batch, "{} WARN  log {dropped} lines were dropped: the output is too slow", now());
        }
        sink.write(&mut batch);
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_levels_and_no_times() {
        for (level, expected) in
            [(Level::Error, "<3>t a b [31m\n"), (Level::Warn, "<4>t a b [31m\n"), (Level::Info, "<6>t a b [31m\n")]
        {
            let mut line = Vec::new();
            let arguments = format_args!("a\nb\x1b[31m");
            let record = Record::builder().level(level).target("t").args(arguments).build();
            write_journal(&mut line, &record).expect("written");
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
        let file = std::fs::metadata("/proc/self/fd/2").expect("standard error");
        assert!(is_standard_error(&format!("{}:{}", file.dev(), file.ino())));
        assert!(!is_standard_error(&format!("{}:{}", file.dev(), file.ino() + 1)) && !is_standard_error(""));
    }
    #[test]
    fn what_pingora_only_calls_an_error_is_not_written() {
        let is_alarm = |target: &str, message: std::fmt::Arguments<'_>| {
            is_false_alarm(&Record::builder().level(Level::Error).target(target).args(message).build())
        };
        assert!(is_alarm("pingora_core::connectors", format_args!("failed to acquire reusable stream")));
        assert!(!is_alarm("pingora_core::connectors", format_args!("failed to acquire")));
        assert!(!is_alarm("anyrouter_gateway", format_args!("failed to acquire reusable stream")));
        let error = "HandshakeError context: while h2 handshaking with client";
        assert!(is_alarm("pingora_core::apps", format_args!("H2 handshake error {error}")));
        assert!(!is_alarm("pingora_core::apps", format_args!("another error {error}")));
    }
}
