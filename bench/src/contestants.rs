//! Who is measured, and how each is started.
use crate::bodies::REPLACEMENT;
use crate::nginx::{self, Flavour};
use crate::{haproxy, seed};
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The gateway as it is run, with all that it does by default, each line and row to a file, and rewriting on: the one that
/// the ratios are about.
pub(crate) const GATEWAY: &str = "gateway";
/// The same without the request log.
pub(crate) const GATEWAY_NOLOG: &str = "gateway-nolog";
/// That without a rule either.
pub(crate) const GATEWAY_PLAIN: &str = "gateway-plain";
/// `gateway` with 50 rules, of which 20 are for the request.
pub(crate) const GATEWAY_RULES: &str = "gateway-rules";
/// The bare Pingora proxy.
pub(crate) const BARE: &str = "bare-pingora";
/// nginx, body buffered in memory.
pub(crate) const NGINX: &str = "nginx";
/// nginx as it comes, body in a temporary file.
pub(crate) const NGINX_DEFAULT: &str = "nginx-default";
/// nginx, body streamed.
pub(crate) const NGINX_UNBUFFERED: &str = "nginx-unbuffered";
/// nginx that rewrites in Lua.
pub(crate) const NGINX_LUA: &str = "nginx-lua";
/// haproxy, body streamed.
pub(crate) const HAPROXY: &str = "haproxy";
/// The proxy of a few lines that the gateway replaces.
pub(crate) const FASTAPI: &str = "fastapi";

const READY_WITHIN: Duration = Duration::from_secs(10);

/// One contestant, not yet running.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    /// Its name in the tables.
    pub name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Gateway { binary: PathBuf, work: Work, has_log: bool },
    Bare { binary: PathBuf },
    Nginx(Flavour),
    Haproxy,
    Seed { python: PathBuf, program: PathBuf },
}

/// What a gateway has to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing.
    Nothing,
    /// Replace the system prompt.
    Prompt,
    /// That, and 50 rules.
    Rules,
}

/// What happens to a request body on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It arrives as it was sent.
    Untouched,
    /// The named text is replaced, every other byte arrives as it was sent.
    Spliced,
    /// The named text is replaced and the whole document written anew.
    Reserialised,
}

/// What is common to all that run on Pingora.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Pingora's `work_stealing`.
    pub work_stealing: bool,
    /// The cores that proxies are bound to, as `taskset` lists them, if binding is possible.
    pub cores: Option<&'static str>,
    /// Worker threads of a gateway; the others have one.
    pub threads: usize,
}

impl Contestant {
    /// A gateway binary under a name, with everything on.
    pub(crate) fn gateway(name: &str, binary: PathBuf) -> Contestant {
        Contestant { name: name.into(), kind: Kind::Gateway { binary, work: Work::Prompt, has_log: true } }
    }

    /// Those of a full run of `project`, from the binaries in `folder`.
    ///
    /// # Errors
    /// When what the last of them needs cannot be installed.
    pub(crate) fn all(project: &Path, folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Contestant>> {
        let of = |name: &str, kind| Contestant { name: name.into(), kind };
        let gateway = |work, has_log| Kind::Gateway { binary: folder.join("anyrouter-gateway"), work, has_log };
        let mut all = vec![
            of(GATEWAY, gateway(Work::Prompt, true)),
            of(GATEWAY_NOLOG, gateway(Work::Prompt, false)),
            of(GATEWAY_PLAIN, gateway(Work::Nothing, false)),
            of(GATEWAY_RULES, gateway(Work::Rules, true)),
            of(BARE, Kind::Bare { binary: folder.join("bare-pingora") }),
            of(NGINX, Kind::Nginx(Flavour::Buffered)),
            of(NGINX_DEFAULT, Kind::Nginx(Flavour::Default)),
            of(NGINX_UNBUFFERED, Kind::Nginx(Flavour::Unbuffered)),
            of(NGINX_LUA, Kind::Nginx(Flavour::Lua)),
            of(HAPROXY, Kind::Haproxy),
        ];
        all.retain(|contestant| wanted(&contestant.name));
        if wanted(FASTAPI) {
            let python = seed::python(project, &folder.join("bench-seed"))?;
            all.push(of(FASTAPI, Kind::Seed { python, program: project.join("bench/seed/proxy.py") }));
        }
        Ok(all)
    }

    /// One request in so many is enough of it: it takes that much longer.
    pub(crate) fn slowness(&self) -> usize {
        if matches!(self.kind, Kind::Seed { .. }) { 20 } else { 1 }
    }

    /// What it does to the body of `POST /v1/messages`.
    pub(crate) fn effect(&self) -> Effect {
        match self.kind {
            Kind::Gateway { work: Work::Prompt | Work::Rules, .. } => Effect::Spliced,
            Kind::Nginx(Flavour::Lua) | Kind::Seed { .. } => Effect::Reserialised,
            _ => Effect::Untouched,
        }
    }

    /// Starts it in a folder of its own and waits until it answers.
    pub(crate) async fn start(&self, origin: SocketAddr, setting: Setting) -> Result<Running> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let (program, arguments) = self.command(address, origin, setting, &folder)?;
        let mut command = match setting.cores {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(program);
                command
            }
            None => Command::new(program),
        };
        // A proxy of the surroundings (HTTP_PROXY) must not come between.
        command.args(arguments).env_clear();
        if let Kind::Gateway { has_log, .. } = self.kind {
            command.env("GATEWAY_DB", if has_log { "requests.db" } else { "off" });
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let log = fs::File::create(folder.path().join("output"))?;
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {}", self.name))?;
        let mut running = Running { contestant: self.clone(), address, child, folder };
        running.wait().await?;
        Ok(running)
    }

    fn command(
        &self,
        listen: SocketAddr,
        origin: SocketAddr,
        setting: Setting,
        folder: &TempDir,
    ) -> Result<(PathBuf, Vec<String>)> {
        Ok(match &self.kind {
            Kind::Gateway { binary, work, .. } => {
                let file = folder.path().join("gateway.yaml");
                fs::write(&file, gateway_yaml(listen, origin, *work, setting)?)?;
                (binary.clone(), vec!["-c".into(), file.display().to_string()])
            }
            Kind::Bare { binary } => {
                (binary.clone(), vec![listen.to_string(), origin.to_string(), setting.work_stealing.to_string()])
            }
            Kind::Nginx(flavour) => {
                let as_root = fs::metadata("/proc/self")?.uid() == 0;
                let file = folder.path().join("nginx.conf");
                fs::write(&file, nginx::configuration(*flavour, listen, origin, folder.path(), as_root))?;
                (installed("nginx"), vec!["-c".into(), file.display().to_string()])
            }
            Kind::Haproxy => {
                let file = folder.path().join("haproxy.cfg");
                fs::write(&file, haproxy::configuration(listen, origin))?;
                (installed("haproxy"), vec!["-db".into(), "-f".into(), file.display().to_string()])
            }
            Kind::Seed { python, program } => {
                let program = program.display().to_string();
                (python.clone(), vec![program, listen.to_string(), origin.to_string(), REPLACEMENT.into()])
            }
        })
    }

    fn probe(&self) -> &'static str {
        if matches!(self.kind, Kind::Gateway { .. }) { "/health" } else { "/v1/models" }
    }
}

fn gateway_yaml(listen: SocketAddr, origin: SocketAddr, work: Work, setting: Setting) -> Result<String> {
    let Setting { work_stealing, threads, .. } = setting;
    let admin = free_address()?;
    let prompt = format!("  system_prompt:\n    replacement: \"{REPLACEMENT}\"\n");
    let rewriting = match work {
        Work::Nothing => String::new(),
        Work::Prompt => prompt,
        Work::Rules => prompt + &fifty_rules(),
    };
    Ok(format!(
        "threads: {threads}\nwork_stealing: {work_stealing}\ngateway:\n  listen: {listen}\n  admin_listen: {admin}\n  \
         limits: {{connections_per_client: 16384}}\n  upstreams:\n    - name: bench\n      base_url: \"http://{origin}\"\n      profile: none\n{rewriting}"
    ))
}

/// 50 rules, of which 20 are for the Messages requests of the fixtures. Those about the body find it as they want it, so
/// that what arrives can be compared.
fn fifty_rules() -> String {
    let mut lines = vec!["  rules:".to_owned()];
    for index in 0..20 {
        let (condition, action) = match index % 5 {
            0 => ("{method: POST}", format!("headers: {{set: {{X-Bench-{index}: \"a value ${{request.id}}\"}}}}")),
            1 => ("{path: \"/v1/*\"}", format!("headers: {{list_add: {{anthropic-beta: bench-{index}}}}}")),
            2 => ("{header: {user-agent: {regex: \"^claude-cli/\"}}}", format!("query: {{set: {{bench{index}: on}}}}")),
            3 => ("{model: \"claude-*\"}", "body: {default: {/model: none}}".to_owned()),
            _ => ("{client: 127.0.0.0/8}", format!("response_headers: {{set: {{X-Bench-{index}: a}}}}")),
        };
        lines.push(format!("    - name: matching-{index}\n      match: {condition}\n      {action}"));
    }
    for index in 0..30 {
        let condition = match index % 5 {
            0 => format!("{{method: DELETE, path: /bench/{index}}}"),
            1 => format!("{{path: \"/bench/{index}/*\"}}"),
            2 => format!("{{header: {{user-agent: {{regex: \"bench-{index}$\"}}}}}}"),
            3 => format!("{{model: \"*bench-{index}*\"}}"),
            _ => format!("{{client: 10.{index}.0.0/16}}"),
        };
        lines.push(format!(
            "    - name: other-{index}\n      match: {condition}\n      headers: {{set: {{X-Other: a}}}}"
        ));
    }
    lines.join("\n") + "\n"
}

/// Debian keeps servers where a plain user's PATH does not look.
pub(crate) fn installed(server: &str) -> PathBuf {
    let usual = Path::new("/usr/sbin").join(server);
    if usual.exists() { usual } else { server.into() }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A running contestant; it ends when this is dropped.
pub(crate) struct Running {
    /// Which one.
    pub contestant: Contestant,
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Running {
    /// Its process (`taskset` becomes the program that it starts, nginx runs as one process).
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its output and error log.
    pub(crate) fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("output") + &read("error.log")
    }

    async fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !answers(self.address, self.contestant.probe()).await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.contestant.name, self.output());
            }
            if Instant::now() > deadline {
                bail!("{} does not answer:\n{}", self.contestant.name, self.output());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answers(address: SocketAddr, target: &str) -> bool {
    let ask = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut start = [0; 12];
        socket.read_exact(&mut start).await?;
        std::io::Result::Ok(start == *b"HTTP/1.1 200")
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}
