//! What is to be put where; nothing is changed here.

use super::environment::{self, Unfit};
use super::gather::Here;
use super::host;
use super::service::{STATE, UNIT, Unit, program};
use crate::config::{BUILT_IN, DOTENV_FILE, has_secrets};
use crate::language::say;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The unit as it is shipped.
const SHIPPED_UNIT: &str = include_str!("../../conf/anyrouter-gateway.service");
/// The program in it, and where this command puts it: `/usr/bin` is the package's.
const PACKAGED: &str = "/usr/bin/anyrouter-gateway";
const PROGRAM: &str = "/usr/local/bin/anyrouter-gateway";
/// The line of the unit that names a manual page.
const MANUAL: &str = "Documentation=man:";
const CONFIGURATION: &str = "/etc/anyrouter-gateway/gateway.yaml";
const ENVIRONMENT: &str = "/etc/anyrouter-gateway/environment";
const UNITS: &str = "/etc/systemd/system";

/// What becomes of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing is there.
    New,
    /// It is the same already.
    Same,
    /// It is an older one of ours.
    Renewed,
    /// It is another one.
    Differs,
}

/// A file to be put somewhere.
pub(super) struct Put {
    /// Where.
    pub to: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Who may read it.
    pub mode: u32,
    /// Whether it is the service's user's, not root's.
    pub is_users: bool,
    /// What becomes of what is there.
    pub fate: Fate,
    /// What it is, and where it comes from.
    pub note: String,
}

/// What is to be done.
pub(super) struct Plan {
    /// The service's user; `None` if it is to be made.
    pub user: Option<u32>,
    /// Files, in their order.
    pub puts: Vec<Put>,
    /// Whether the Debian package has program and unit.
    pub has_package: bool,
    /// Whether the state of this folder comes along: the service has none of its own yet.
    pub brings_state: bool,
}

impl Plan {
    /// The plan for what is here.
    ///
    /// # Errors
    /// What cannot be brought along, a line each.
    pub(super) fn make(here: &Here, user: Option<u32>, has_package: bool) -> Result<Self, Vec<String>> {
        let mut puts = Vec::new();
        if !has_package {
            let bytes = read(Path::new(&program()))?;
            puts.push(put(PROGRAM, bytes, 0o755, say!("the program", "程序")).renewed());
            // The manual page is the package's.
            let lines = SHIPPED_UNIT.replace(PACKAGED, PROGRAM);
            let text: String = lines.split_inclusive('\n').filter(|line| !line.starts_with(MANUAL)).collect();
            puts.push(put(&format!("{UNITS}/{UNIT}"), text.into_bytes(), 0o644, say!("the unit", "systemd 单元")));
        }
        if let Some(text) = drop_in(&here.unit) {
            let note = say!("what this gateway needs beside that", "此网关另外需要的权限和文件");
            puts.push(put(&format!("{UNITS}/{UNIT}.d/install-service.conf"), text.into_bytes(), 0o644, note));
        }
        puts.extend(configuration(here)?);
        if !here.variables.is_empty() {
            let text = variables(&here.variables)?;
            let count = here.variables.len();
            let note = say!("{count} variables, of {DOTENV_FILE}", "{count} 个变量，来自 {DOTENV_FILE}");
            puts.push(put(ENVIRONMENT, text.into_bytes(), 0o600, note));
        }
        for path in &here.files {
            let note = say!("from {path}", "来自 {path}", path = path.display());
            let mut file = put(&format!("{STATE}/{}", path.display()), read(path)?, 0o600, note);
            file.is_users = true;
            puts.push(file);
        }
        let brings_state = here.state.is_relative() && !Path::new(STATE).join(&here.state).exists();
        Ok(Self { user, puts, has_package, brings_state })
    }

    /// That the program that was started may still be found first, where its folder looks like one on a `PATH`.
    pub(super) fn shadowed(&self) -> Option<String> {
        let (own, installed) = (program(), if self.has_package { PACKAGED } else { PROGRAM });
        let folder = Path::new(&own).parent()?;
        let is_other = !["/usr/bin", "/usr/local/bin"].map(Path::new).contains(&folder);
        (is_other && folder.ends_with("bin")).then(|| {
            say!(
                "note: {own} is still there, and may come first on your PATH. So that {installed} is the one that you type: rm \
                 {own}; hash -r",
                "提示：{own} 还在，在 PATH 中可能排在前面。要让输入的命令就是 {installed}，请执行：rm {own}; hash -r"
            )
        })
    }

    /// Whether systemd must begin anew with the service: it reads units and credentials when it starts one.
    pub(super) fn changes_unit(&self) -> bool {
        self.puts.iter().any(|put| put.to.starts_with(UNITS) && put.fate != Fate::Same)
    }

    /// Who has program and unit, if it is not this command.
    pub(super) fn package(&self) -> Option<String> {
        self.has_package.then(|| {
            say!(
                "as it is  program and unit, which the package anyrouter-gateway has",
                "保持不变  程序和单元，由软件包 anyrouter-gateway 提供"
            )
        })
    }

    /// What would be done, a line each.
    pub(super) fn lines(&self, here: &Here) -> Vec<String> {
        let mut lines: Vec<String> = self.package().into_iter().collect();
        if self.user.is_none() {
            lines.push(say!("make      user {user}", "创建      用户 {user}", user = host::USER));
        }
        lines.extend(self.puts.iter().map(|put| {
            let (to, note) = (put.to.display(), &put.note);
            match put.fate {
                Fate::New => say!("put       {to}  {note}", "新建      {to}  {note}"),
                Fate::Same => say!("as it is  {to}", "保持不变  {to}"),
                Fate::Renewed | Fate::Differs => say!("replace   {to}  {note}", "替换      {to}  {note}"),
            }
        }));
        if let Some((_, status)) = &here.running {
            lines.push(say!(
                "stop      the gateway that runs here (process {pid})",
                "停止      这里正在运行的网关（进程 {pid}）",
                pid = status.pid
            ));
        }
        let (from, to) = (here.state.display(), Path::new(STATE).join(&here.state));
        lines.push(match self.brings_state {
            true => say!("copy      {from}  to {to}", "复制      {from}  到 {to}", to = to.display()),
            false => say!("as it is  {to}", "保持不变  {to}", to = to.display()),
        });
        lines.push(say!("start     {UNIT}, now and with the machine", "启动      {UNIT}，并随系统启动"));
        lines
    }
}

/// The YAML file: that of this folder, or the shipped one where there is none at all. One with keys in it is for the
/// service's user alone.
fn configuration(here: &Here) -> Result<Option<Put>, Vec<String>> {
    let Some(path) = &here.yaml else {
        let note = say!("the shipped defaults", "自带的默认配置");
        let shipped = put(CONFIGURATION, BUILT_IN.into(), 0o644, note);
        return Ok(Some(shipped).filter(|put| put.fate == Fate::New));
    };
    let bytes = read(path)?;
    let is_open = path.metadata().is_ok_and(|file| file.permissions().mode() & 0o004 != 0);
    let is_secret = !is_open || has_secrets(&String::from_utf8_lossy(&bytes));
    let note = say!("from {path}", "来自 {path}", path = path.display());
    let mut file = put(CONFIGURATION, bytes, if is_secret { 0o600 } else { 0o644 }, note);
    file.is_users = is_secret;
    Ok(Some(file))
}

fn read(path: &Path) -> Result<Vec<u8>, Vec<String>> {
    std::fs::read(path).map_err(|error| vec![format!("{}: {error}", path.display())])
}

fn put(to: &str, bytes: Vec<u8>, mode: u32, note: String) -> Put {
    let fate = match std::fs::read(to) {
        Ok(there) if there == bytes => Fate::Same,
        Ok(_) => Fate::Differs,
        Err(_) => Fate::New,
    };
    Put { to: PathBuf::from(to), bytes, mode, is_users: false, fate, note }
}

impl Put {
    /// The program is for nothing else than to be replaced by a newer one.
    fn renewed(self) -> Self {
        let fate = if self.fate == Fate::Differs { Fate::Renewed } else { self.fate };
        Self { fate, ..self }
    }
}

/// The file of variables.
fn variables(variables: &BTreeMap<String, String>) -> Result<String, Vec<String>> {
    let mut text = "# Variables of the gateway, for root alone. After a change: systemctl reload anyrouter-gateway\n\
                    # 网关的环境变量，只有 root 可读。改动后执行：systemctl reload anyrouter-gateway\n"
        .to_owned();
    let mut wrong = Vec::new();
    for (name, value) in variables {
        match environment::assignment(name, value) {
            Ok(line) => text += &line,
            Err(why) => wrong.push(told(name, &why)),
        }
    }
    if wrong.is_empty() { Ok(text) } else { Err(wrong) }
}

fn told(name: &str, why: &Unfit) -> String {
    match why {
        Unfit::Name => say!(
            "{DOTENV_FILE}: systemd takes no variable with the name {name}: only letters, digits and underscores",
            "{DOTENV_FILE}：systemd 不接受名为 {name} 的变量：只能用字母、数字和下划线"
        ),
        Unfit::Control(control) => say!(
            "{DOTENV_FILE}: systemd hands no value on with the control character U+{code:04X}, as {name} has one",
            "{DOTENV_FILE}：{name} 的值含有控制字符 U+{code:04X}，systemd 不会传递这样的值",
            code = u32::from(*control)
        ),
        Unfit::TooLong => say!(
            "{DOTENV_FILE}: {name} is too long for a variable (128 KiB): put it into the YAML file",
            "{DOTENV_FILE}：{name} 太长，超过环境变量的上限（128 KiB）：请写入 YAML 文件"
        ),
    }
}

/// What the unit needs beside what it has.
fn drop_in(unit: &Unit) -> Option<String> {
    if *unit == Unit::default() {
        return None;
    }
    let mut text = "[Service]\n".to_owned();
    for (variable, path) in &unit.credentials {
        let name = variable.to_ascii_lowercase().replace('_', ".");
        // In paths of units a % begins a specifier. Writing to a string cannot fail.
        let path = path.display().to_string().replace('%', "%%");
        let _ = writeln!(text, "LoadCredential={name}:{path}\nEnvironment={variable}=%d/{name}");
    }
    if unit.has_low_port {
        text +=
            "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n";
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_gets_what_the_gateway_needs_and_nothing_more() {
        assert_eq!(drop_in(&Unit::default()), None);
        let unit = Unit {
            credentials: vec![("TLS_KEY".to_owned(), PathBuf::from("/etc/ssl/private/100%.key"))],
            has_low_port: true,
        };
        assert_eq!(
            drop_in(&unit).as_deref(),
            Some(
                "[Service]\nLoadCredential=tls.key:/etc/ssl/private/100%%.key\nEnvironment=TLS_KEY=%d/tls.key\n\
                 AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n"
            )
        );
    }

    #[test]
    fn the_shipped_unit_names_the_program_where_it_is_replaced() {
        let text = SHIPPED_UNIT.replace(PACKAGED, PROGRAM);
        assert_eq!(text.matches(PROGRAM).count(), 4, "ExecStartPre, ExecStart, and ExecReload twice");
        assert!(!text.contains(PACKAGED));
    }

    #[test]
    fn variables_that_cannot_be_handed_on_are_all_told_without_their_values() {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let wrong = variables(&of(&[("A.B", "sk-secret"), ("C", "sk-\u{1b}secret"), ("D", "fine")])).expect_err("two");
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].contains("A.B") && wrong[1].contains("U+001B"), "{wrong:?}");
        assert!(!wrong.concat().contains("secret"));
    }
}
