//! `anyrouter-gateway install-service`: makes the gateway of this folder a service of systemd, with its settings and data.
//!
//! `gather` looks what there is, `plan` says what is to be done, `journal` does it in a way that can be undone. What is in
//! this folder stays as it is.

mod environment;
mod gather;
mod host;
mod journal;
mod plan;
mod service;
mod state;

use crate::config::Arguments;
use crate::language::say;
use gather::Here;
use journal::{Journal, Rights};
use plan::{Fate, Plan, Put};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use service::{UNIT, program};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Longest wait for the end of the gateway that runs here: it finishes its requests.
const END_TIME: Duration = Duration::from_secs(90);

/// What the command is asked for.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace files that differ from those here; the former ones are kept beside them, with .old at the end.
    #[arg(long)]
    pub force: bool,
}

/// Does it, and says what is done, line by line. Returns what to tell at the end.
///
/// # Errors
/// Why it was not done, a line each; nothing was changed then, or what was is undone, or named.
pub(crate) fn run(arguments: &Arguments, options: Options) -> Result<String, String> {
    if !geteuid().is_root() && !options.dry_run {
        return Err(say!(
            "only root can install a service; type: sudo {command}",
            "只有 root 才能安装服务；请执行：sudo {command}",
            command = typed()
        ));
    }
    if !host::has_systemd() {
        return Err(say!(
            "systemd does not run here (a container?), so there is nothing that could keep the gateway running",
            "这里没有运行 systemd（是否在容器中？），无法安装服务"
        ));
    }
    let here = Here::look(arguments).map_err(|wrong| wrong.join("\n"))?;
    let plan = Plan::make(&here, host::user(), host::has_package()).map_err(|wrong| wrong.join("\n"))?;
    let differing: Vec<String> =
        plan.puts.iter().filter(|put| put.fate == Fate::Differs).map(|put| put.to.display().to_string()).collect();
    if !differing.is_empty() && !options.force {
        return Err(say!(
            "nothing was done: what is there differs from what is here: {files}. --force replaces it (the former files are \
             kept, with .old at the end)",
            "没有做任何改动：已有的文件与这里的不同：{files}。加上 --force 会替换它们（原文件保留，名称末尾加 .old）",
            files = differing.join(", ")
        ));
    }
    if let Some(why) = taken(&here) {
        return Err(why);
    }
    if options.dry_run {
        plan.lines(&here).iter().for_each(|line| println!("{line}"));
        return Ok(say!("nothing was done (--dry-run)", "没有做任何改动（--dry-run）"));
    }
    let mut journal = Journal::default();
    let was_active = host::is_active();
    install(&here, &plan, was_active, &mut journal).map_err(|why| {
        let left = journal.undo();
        let reloaded = host::run("systemctl", &["daemon-reload"]);
        // With the former files, if it is not still running with them.
        let started = if was_active { host::run("systemctl", &["start", UNIT]) } else { Ok(()) };
        let reloaded = reloaded.and(started);
        let user = plan.user.is_none() && host::user().is_some();
        let user = user.then(|| host::run("userdel", &[host::USER]).err()).flatten();
        let left: Vec<String> = left.into_iter().chain(reloaded.err()).chain(user).collect();
        match left.is_empty() {
            true => say!("{why}\nwhat was done is undone", "{why}\n已撤销所做的改动"),
            false => say!(
                "{why}\nwhat was done is undone, but for: {left}",
                "{why}\n已撤销所做的改动，但以下各项除外：{left}",
                left = left.join("; ")
            ),
        }
    })?;
    if let Some(note) = plan.shadowed() {
        println!("{note}");
    }
    Ok(say!(
        "the service runs and starts with the machine. The link to its panel: sudo anyrouter-gateway panel. Its log: sudo \
         journalctl -u anyrouter-gateway -f. Its settings: /etc/anyrouter-gateway (sudo systemctl reload anyrouter-gateway after a \
         change)",
        "服务已运行，并随系统启动。面板链接：sudo anyrouter-gateway panel；日志：sudo journalctl -u anyrouter-gateway -f；配置：\
         /etc/anyrouter-gateway（改动后执行 sudo systemctl reload anyrouter-gateway）"
    ))
}

/// Why the service could not listen.
fn taken(here: &Here) -> Option<String> {
    if here.running.is_some() || host::is_active() {
        return None;
    }
    let bound =
        here.addresses.iter().find_map(|address| TcpListener::bind(address).err().map(|error| (address, error)));
    bound.map(|(address, error)| {
        say!(
            "the service could not listen on {address} ({error}): stop the program that does, or change the address",
            "服务无法监听 {address}（{error}）：请停止占用它的程序，或更换地址"
        )
    })
}

/// Everything that changes the machine.
fn install(here: &Here, plan: &Plan, is_active: bool, journal: &mut Journal) -> Result<(), String> {
    plan.package().iter().for_each(|line| println!("{line}"));
    let user = match plan.user {
        Some(user) => user,
        None => {
            let user = host::make_user()?;
            println!("{}", say!("made      user {name}", "已创建    用户 {name}", name = host::USER));
            user
        }
    };
    for put in &plan.puts {
        place(put, user, journal)?;
    }
    if let Some((_, status)) = &here.running {
        stop(status.pid)?;
        println!(
            "{}",
            say!(
                "stopped   the gateway that ran here (process {pid})",
                "已停止    这里正在运行的网关（进程 {pid}）",
                pid = status.pid
            )
        );
    }
    let started = state::bring(here, plan, user, journal).and_then(|()| start(is_active, plan.changes_unit()));
    started.map_err(|why| match &here.running {
        None => why,
        Some((_, status)) => {
            let command =
                std::iter::once(program()).chain(status.arguments.iter().cloned()).collect::<Vec<_>>().join(" ");
            say!(
                "{why}\nthe gateway that ran here was stopped; to start it again: cd {folder} && {command}",
                "{why}\n原来在这里运行的网关已停止；重新启动：cd {folder} && {command}",
                folder = status.folder
            )
        }
    })
}

fn place(put: &Put, user: u32, journal: &mut Journal) -> Result<(), String> {
    let (to, note) = (put.to.display(), &put.note);
    if put.fate == Fate::Same {
        println!("{}", say!("as it is  {to}", "保持不变  {to}"));
        return Ok(());
    }
    let owner = put.is_users.then_some(user);
    if let Some(folder) = put.to.parent() {
        let rights = Rights { owner, mode: if put.is_users { 0o700 } else { 0o755 } };
        journal.folder(folder, rights)?;
    }
    journal.file(&put.to, &put.bytes, Rights { owner, mode: put.mode })?;
    println!(
        "{}",
        match put.fate {
            Fate::New | Fate::Same => say!("new       {to}  {note}", "新建      {to}  {note}"),
            Fate::Renewed | Fate::Differs => {
                say!("replaced  {to}  {note} (the former one: .old)", "已替换    {to}  {note}（原文件：.old）")
            }
        }
    );
    Ok(())
}

/// Starts the service, or has a new process take over from the one that runs; where that cannot be, starts it anew.
fn start(is_active: bool, is_new_unit: bool) -> Result<(), String> {
    let systemctl = |verb: &str| host::run("systemctl", &[verb, UNIT]);
    host::run("systemctl", &["daemon-reload"])?;
    let started = match is_active {
        false => systemctl("start").map(|()| say!("started   {UNIT}", "已启动    {UNIT}")),
        true if !is_new_unit && systemctl("reload").is_ok() => Ok(say!("reloaded  {UNIT}", "已重载    {UNIT}")),
        // On a busy machine systemd 252 calls a restart that follows a failed reload failed, though the service runs anew.
        true => {
            systemctl("stop").and_then(|()| systemctl("start")).map(|()| say!("restarted {UNIT}", "已重启    {UNIT}"))
        }
    };
    let done = started.and_then(|done| systemctl("enable").map(|()| done)).map_err(|why| {
        let said = host::journal();
        if !is_active {
            let _ = host::run("systemctl", &["disable", "--now", UNIT]);
        }
        let _ = systemctl("reset-failed");
        format!("{why}\n{said}").trim_end().to_owned()
    })?;
    println!("{done}");
    Ok(())
}

/// Ends a process in order, and waits for that.
fn stop(pid: u32) -> Result<(), String> {
    let failed = || say!("process {pid} does not end: stop it, then try again", "进程 {pid} 没有结束：请先停止它再试");
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(failed)?;
    kill_process(id, Signal::TERM).map_err(|_| failed())?;
    let began = Instant::now();
    while is_alive(pid) {
        if began.elapsed() > END_TIME {
            return Err(failed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether a process is there, and more than what its parent has not looked at yet.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The command as it was typed, with the path of the program: root may have another `PATH`.
fn typed() -> String {
    let arguments = std::env::args().skip(1).map(|word| crate::operate::panel::quoted(&word));
    std::iter::once(crate::operate::panel::quoted(&program())).chain(arguments).collect::<Vec<_>>().join(" ")
}
