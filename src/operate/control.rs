//! The control socket: one line of JSON in, one line out. Only the user that the gateway runs as, and root, are listened
//! to.

use super::inheritance::User;
use super::{RuntimeDir, descriptors, systemd};
use crate::config::live::{Difference, Live};
use crate::drain::Drain;
use crate::team;
use gateway_core::language::Words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::{UnixListener, UnixStream};

/// Longest question: a token may have long lists.
const LINE_BYTES: u64 = 64 * 1024;
/// Time for one.
const LINE_TIME: Duration = Duration::from_secs(5);

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// Who serves.
    Status,
    /// Load the configuration anew.
    Reload,
    /// Give the listening sockets to a process that waits for them.
    HandOver {
        /// Its process id; any one without.
        to: Option<u32>,
    },
    /// Wait for the listening sockets.
    Succeed,
    /// With what a successor is to be started.
    Inherit,
    /// Let me into the panel.
    Panel(Wish),
    /// Costs made anew.
    Recost(Recost),
    /// Something of the team.
    Team(Box<team::Wish>),
}

/// How to be let into the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wish {
    /// By a link that is good once.
    Link,
    /// The same, with a new key; the old one, and all sessions, are over.
    NewKey,
}

/// What is wanted of costs made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recost {
    /// Begin with the rows of requests from then on.
    Begin {
        /// Milliseconds since 1970.
        from_ms: i64,
        /// The same, for requests before then only.
        to_ms: Option<i64>,
    },
    /// Say how far it is.
    Look,
    /// End it.
    Stop,
}

/// Who serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// What it was started with, the name of the program left out.
    pub arguments: Vec<String>,
    /// The folder that relative paths begin at.
    pub folder: String,
    /// The addresses that it listens at.
    pub addresses: Vec<String>,
    /// Whether systemd looks after it.
    pub has_systemd: bool,
    /// Whether it finishes its last requests already.
    pub is_draining: bool,
    /// Requests and new connections.
    pub busy: usize,
    /// The file of its configuration, as it was named; empty if the process is of a version that does not tell.
    #[serde(default)]
    pub configuration: String,
    /// When it was started, in milliseconds since 1970; 0 as above.
    #[serde(default)]
    pub started_ms: u64,
}

impl Status {
    /// That of this process.
    pub(super) fn own(addresses: &[SocketAddr], drain: &Drain, live: &Live, started: SystemTime) -> Self {
        let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: std::env::args().skip(1).filter(|argument| argument != "--upgrade").collect(),
            folder: std::env::current_dir().unwrap_or_default().display().to_string(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            has_systemd: systemd::is_supervisor(),
            is_draining: drain.is_on(),
            busy: drain.busy(),
            configuration: live.path(),
            started_ms: u64::try_from(since.as_millis()).unwrap_or_default(),
        }
    }
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// To [`Question::Status`].
    Status(Status),
    /// The configuration was loaded.
    Reloaded {
        /// Names the texts in force.
        version: String,
        /// Settings that only a restart or an upgrade changes.
        pending_restart: Vec<String>,
        /// What is valid, but hardly what was meant.
        #[serde(default)]
        warnings: Vec<Words>,
        /// What differs from what was in force; `None` if the process is of a version that does not tell.
        #[serde(default)]
        differences: Option<Vec<Difference>>,
        /// Whether an upgrade would fail at what is pending.
        #[serde(default)]
        needs_stop: bool,
    },
    /// The sockets are handed over.
    HandingOver,
    /// To [`Question::Succeed`]: they will come over this connection.
    Waiting,
    /// The listening sockets are attached.
    Sockets,
    /// To [`Question::Inherit`]: standard error is attached.
    Inheritance {
        /// Variables.
        environment: BTreeMap<String, String>,
        /// Whose rights the process has.
        user: User,
    },
    /// The service is left to the successor.
    Yours,
    /// A link that logs in.
    Panel {
        /// The link.
        link: String,
    },
    /// To [`Question::Recost`].
    Recost {
        /// How far it is, and what it covered.
        text: Words,
        /// Whether it goes on.
        is_running: bool,
        /// Whether it covered all.
        is_done: bool,
    },
    /// To [`Question::Team`].
    Team(team::Told),
    /// It was refused, for these reasons.
    Refused(Vec<Words>),
}

/// Binds the socket, and takes the name over from whoever had it.
///
/// # Errors
/// When that cannot be done.
pub(crate) fn bind(folder: &RuntimeDir) -> io::Result<UnixListener> {
    let beside = folder.control_socket_of(std::process::id());
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&beside, folder.control_socket())?;
    Ok(listener)
}

/// Reads the question of a client.
///
/// # Errors
/// When there is none in time, or it cannot be read.
pub(crate) async fn read(stream: &mut UnixStream) -> io::Result<Question> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(LINE_BYTES));
    tokio::time::timeout(LINE_TIME, reader.read_line(&mut line)).await??;
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// Writes the answer, with these descriptors.
///
/// # Errors
/// When the client is gone, or does not read.
pub(crate) async fn write(stream: &mut UnixStream, answer: &Answer, attached: &[BorrowedFd<'_>]) -> io::Result<()> {
    let line = line(answer)?;
    let written = async {
        let send = || descriptors::send(&*stream, &line, attached);
        let sent = stream.async_io(Interest::WRITABLE, send).await?;
        stream.write_all(&line[sent..]).await
    };
    tokio::time::timeout(LINE_TIME, written).await?
}

/// An answer, or a question, as it is sent.
///
/// # Errors
/// None: both can be written as JSON.
pub(crate) fn line(said: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(said).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}
