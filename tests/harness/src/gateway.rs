//! The real binary as a child process.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::child::{Log, Running};
use crate::client::{Client, Request, Response};
use crate::deadline::{DEADLINE, within};
use crate::h2_client::H2Client;
use crate::ports::Port;

/// What a run to the end left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The gateway ended before it served.
#[derive(Debug)]
pub struct Died {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard error.
    pub stderr: String,
}

/// How to start a [`Gateway`]. Nothing of this process's environment is inherited but `PATH`.
pub struct GatewayBuilder {
    binary: PathBuf,
    env: Vec<(String, String)>,
    args: Vec<String>,
    dir: TempDir,
    listen: Port,
    admin: Port,
    user: Option<u32>,
    is_told_by_file: bool,
}

impl GatewayBuilder {
    /// Sends requests to this base URL (`API_BASE_URL`).
    pub fn upstream(self, base_url: impl AsRef<str>) -> Self {
        self.env("API_BASE_URL", base_url.as_ref())
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a command line argument.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Writes a file into its working directory, for its owner alone: there may be keys in it.
    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent folder")).expect("folder created");
        std::fs::write(&path, text).expect("file written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
        self
    }

    /// Starts it with `-c gateway.yaml`, a file with this text.
    pub fn yaml(self, text: &str) -> Self {
        self.file("gateway.yaml", text).arg("-c").arg("gateway.yaml")
    }

    /// Tells it its addresses in `env/.env`, where they can be changed, instead of in its environment.
    pub fn addresses_in_file(mut self) -> Self {
        self.is_told_by_file = true;
        let text = format!("LISTEN={}\nADMIN_LISTEN={}\n", self.listen.addr(), self.admin.addr());
        self.file("env/.env", &text)
    }

    /// Runs it as this user, for root: its folder and a copy of the program there are that user's. Call it last.
    pub fn user(mut self, id: u32) -> Self {
        let program = self.dir.path().join("program");
        std::fs::copy(&self.binary, &program).expect("the program copied");
        self.binary = program;
        give(self.dir.path(), id);
        self.user = Some(id);
        self
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where it is going to listen.
    pub fn addr(&self) -> SocketAddr {
        self.listen.addr()
    }

    fn command(&self) -> Command {
        let mut command = clean(&self.binary, self.dir.path(), &self.env);
        command.args(&self.args);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs it to its end, as given: no address is added. For `check` and for refused configurations.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn run(self) -> Output {
        run(self.command()).await
    }

    /// Starts it and waits until it answers on `/health`.
    ///
    /// # Panics
    /// When it ends, with its standard error in the message.
    pub async fn start(self) -> Gateway {
        match self.try_start().await {
            Ok(gateway) => gateway,
            Err(died) => panic!("the gateway ended ({}); its stderr:\n{}", died.status, died.stderr),
        }
    }

    /// As [`GatewayBuilder::start`], with the failure as a value.
    ///
    /// # Errors
    /// When it ended before it served.
    pub async fn try_start(self) -> Result<Gateway, Died> {
        let mut command = self.command();
        let addresses = [("LISTEN", self.listen.addr()), ("ADMIN_LISTEN", self.admin.addr())];
        let addresses = addresses.map(|(name, address)| (name.to_owned(), address.to_string()));
        let addresses: Vec<_> = addresses.into_iter().filter(|_| !self.is_told_by_file).collect();
        command
            .envs(addresses.iter().chain(&self.env).map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the gateway's binary");
        let (log, reader) = Log::of(&mut child);
        let mut gateway = Gateway {
            binary: self.binary,
            env: addresses.into_iter().chain(self.env).collect(),
            args: self.args,
            addr: self.listen.addr(),
            admin_addr: self.admin.addr(),
            child: Running(child),
            log,
            dir: self.dir,
            _ports: [self.listen, self.admin],
        };
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = gateway.child.0.try_wait() {
                let _ = reader.join();
                return Err(Died { status, stderr: gateway.log.text() });
            }
            if let Ok(tcp) = TcpStream::connect(gateway.addr).await {
                let health = Client::over(tcp).try_request(&Request::get("/health")).await;
                if health.is_ok_and(|answer| answer.status() == 200) {
                    return Ok(gateway);
                }
            }
            assert!(started.elapsed() < DEADLINE, "no /health in {DEADLINE:?}; stderr:\n{}", gateway.log.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    binary: PathBuf,
    env: Vec<(String, String)>,
    args: Vec<String>,
    addr: SocketAddr,
    admin_addr: SocketAddr,
    child: Running,
    log: Log,
    dir: TempDir,
    _ports: [Port; 2],
}

impl Gateway {
    /// Describes a gateway to start; `binary` is `env!("CARGO_BIN_EXE_anyrouter-gateway")`.
    pub fn builder(binary: impl Into<PathBuf>) -> GatewayBuilder {
        GatewayBuilder {
            binary: binary.into(),
            env: vec![],
            args: vec![],
            dir: tempfile::tempdir().expect("a temporary folder"),
            listen: Port::free(),
            admin: Port::free(),
            user: None,
            is_told_by_file: false,
        }
    }

    /// Where it takes requests.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its admin service listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The panel's key: of its environment, or the one that it made.
    ///
    /// # Panics
    /// When it has none.
    pub fn panel_key(&self) -> String {
        let of = |name: &str| self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        of("DASHBOARD_API_KEY").unwrap_or_else(|| {
            let folder = of("GATEWAY_STATE_DIR").unwrap_or_else(|| "data".to_owned());
            let text = std::fs::read_to_string(self.dir.path().join(folder).join("dashboard.key")).expect("a key");
            text.trim().to_owned()
        })
    }

    /// The request with that key.
    pub fn as_admin(&self, request: Request) -> Request {
        request.header("Authorization", format!("Bearer {}", self.panel_key()))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// A new connection.
    pub async fn connect(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// A new HTTP/2 connection (prior knowledge).
    pub async fn connect_h2(&self) -> H2Client {
        H2Client::connect(self.addr).await
    }

    /// One request on a new connection.
    pub async fn request(&self, request: &Request) -> Response {
        self.connect().await.request(request).await
    }

    /// These bytes on a new connection, and the answer to a request with this method.
    pub async fn exchange(&self, bytes: impl AsRef<[u8]>, method: &str) -> Response {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.response(method).await
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.log.text()
    }

    /// How many lines its standard error has so far.
    pub fn stderr_lines(&self) -> usize {
        self.log.lines().len()
    }

    /// Waits for a line on its standard error, among those after the first `from`.
    pub async fn stderr_line(&self, from: usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        within(&format!("a line on stderr: {what}"), async {
            loop {
                if let Some(line) = self.log.lines().iter().skip(from).find(|line| wanted(line)) {
                    return line.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// Runs another command of the same program, in the same place, with the same configuration, to its end.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        self.command_by(&self.binary, arguments).await
    }

    /// As [`Gateway::command`], by another program.
    pub async fn command_by(&self, program: &Path, arguments: &[&str]) -> Output {
        let mut command = clean(program, self.dir.path(), &self.env);
        command.args(&self.args).args(arguments);
        run(command).await
    }

    /// Starts another process of the same program, as [`Gateway::command`] does, and goes on.
    pub fn spawn(&self, arguments: &[&str]) -> Beside {
        let mut command = clean(&self.binary, self.dir.path(), &self.env);
        let command = command.args(&self.args).args(arguments).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the program starts");
        let (said, _) = Log::gather(child.stdout.take().expect("its stdout"));
        Beside { child: Running(child), said }
    }

    /// Starts it again, at its addresses, after all of its processes were killed. It says what it says on standard error.
    pub fn start_again(&self) -> Beside {
        let mut command = clean(&self.binary, self.dir.path(), &self.env);
        let mut child =
            command.args(&self.args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (said, _) = Log::of(&mut child);
        Beside { child: Running(child), said }
    }

    /// The program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Sends a signal, such as `TERM`, to a process of this gateway.
    pub fn signal(&self, pid: u32, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().expect("kill runs");
        assert!(sent.success(), "no process {pid}");
    }

    /// All processes that work in its folder: itself, and those that took over.
    pub fn processes(&self) -> Vec<u32> {
        let Ok(folder) = self.dir.path().canonicalize() else { return Vec::new() };
        let entries = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)).collect()
    }

    /// Waits until only this many processes are left.
    pub async fn wait_processes(&mut self, count: usize) -> Vec<u32> {
        let started = Instant::now();
        loop {
            // One that ended is only gone when it was waited for.
            let _ = self.child.0.try_wait();
            let left = self.processes();
            if left.len() == count {
                return left;
            }
            assert!(started.elapsed() < DEADLINE, "{count} processes expected: {left:?}; stderr:\n{}", self.log.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for its end, after a signal for one.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.ended(DEADLINE).await
    }
}

/// See [`Gateway::spawn`] and [`Gateway::start_again`]; killed when dropped.
pub struct Beside {
    child: Running,
    said: Log,
}

impl Beside {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it has said so far.
    pub fn text(&self) -> String {
        self.said.text()
    }

    /// Waits for this line on its standard output.
    pub async fn line(&self, wanted: &str) {
        within(&format!("a line on stdout: {wanted}"), async {
            while !self.said.lines().iter().any(|line| line == wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

impl Drop for Gateway {
    /// Processes that took over are nobody's children here.
    fn drop(&mut self) {
        let own = self.pid();
        for pid in self.processes().into_iter().filter(|&pid| pid != own) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

/// Makes a folder, and all in it, another user's.
fn give(folder: &Path, user: u32) {
    std::os::unix::fs::chown(folder, Some(user), Some(user)).expect("root's rights");
    for entry in std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        match entry.path().is_dir() {
            true => give(&entry.path(), user),
            false => std::os::unix::fs::chown(entry.path(), Some(user), Some(user)).expect("root's rights"),
        }
    }
}

/// A program with nothing of this process's environment but `PATH`.
fn clean(program: &Path, folder: &Path, env: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")))
        .env("GATEWAY_DB", "off")
        // Where gateways are noted for commands: those of other tests are none of this one's.
        .env("XDG_RUNTIME_DIR", folder)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}

async fn run(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = child.stdout.take().expect("its stdout");
    let stdout = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (log, reader) = Log::of(&mut child);
    let mut child = Running(child);
    let status = child.ended(DEADLINE).await.unwrap_or_else(|| panic!("it did not end; stderr:\n{}", log.text()));
    let _ = reader.join();
    Output { status, stdout: stdout.join().unwrap_or_default(), stderr: log.text() }
}
