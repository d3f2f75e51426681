//! The machine: its systemd, its users, and the Debian package.

use super::service::UNIT;
use crate::language::say;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The user that the service runs as.
pub(super) const USER: &str = "anyrouter-gateway";
/// Where the package's unit is.
const OF_PACKAGE: [&str; 2] =
    ["/usr/lib/systemd/system/anyrouter-gateway.service", "/lib/systemd/system/anyrouter-gateway.service"];

/// Whether systemd is process 1.
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether the Debian package is installed, which has program and unit.
pub(super) fn has_package() -> bool {
    OF_PACKAGE.iter().any(|path| Path::new(path).exists())
}

/// Whether the service runs.
pub(super) fn is_active() -> bool {
    run("systemctl", &["is-active", "--quiet", UNIT]).is_ok()
}

/// The id of the service's user, if there is one.
pub(super) fn user() -> Option<u32> {
    let asked = Command::new("id").args(["-u", USER]).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&asked.stdout).trim().parse().ok().filter(|_| asked.status.success())
}

/// Makes that user.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_user() -> Result<u32, String> {
    let line = format!("u {USER} - \"anyrouter-gateway\" /nonexistent\n");
    let failed =
        |error: &dyn std::fmt::Display| say!("the user {USER} cannot be made: {error}", "无法创建用户 {USER}：{error}");
    let mut command =
        Command::new("systemd-sysusers").arg("-").stdin(Stdio::piped()).spawn().map_err(|e| failed(&e))?;
    if let Some(mut stdin) = command.stdin.take() {
        stdin.write_all(line.as_bytes()).map_err(|error| failed(&error))?;
    }
    let status = command.wait().map_err(|error| failed(&error))?;
    user().ok_or_else(|| failed(&status))
}

/// Runs a program, whose output is told only if it fails.
///
/// # Errors
/// What it said.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let typed = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{typed}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{typed}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// The last lines that the service logged when it ran last; not those of a former run.
pub(super) fn journal() -> String {
    let shown = Command::new("systemctl").args(["show", "--property", "InvocationID", "--value", UNIT]).output();
    let id = shown.map(|shown| String::from_utf8_lossy(&shown.stdout).trim().to_owned()).unwrap_or_default();
    let of_run = format!("_SYSTEMD_INVOCATION_ID={id}");
    let arguments = ["--no-pager", &of_run, "--lines", "8", "--output", "cat"];
    let output = Command::new("journalctl").args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
