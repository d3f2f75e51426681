//! A service's file of variables, which only systemd reads: what of it is not in force, and what the service is told of it.

use super::control::Status;
use super::running::Running;
use super::systemd;
use crate::config::{EnvironmentFile, Lookup, environment_file, lines_left_out, text_file};
use crate::language::{self, say};
use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// In the runtime folder: where each variable stands in the file, which the service itself may not read.
const NOTE: &str = "environment.json";

/// Notes for the service which lines of its file of variables say what; as root, before it is started or reloaded. Without a
/// file there is no note.
///
/// # Errors
/// When the note cannot be written.
pub(crate) fn note(file: &Path, env: Lookup<'_>) -> Result<(), String> {
    let Some(folder) = runtime_folder(env) else { return Ok(()) };
    let note = folder.join(NOTE);
    let written = match text_file::read(file) {
        Ok(text) => write_note(&note, &environment_file(&file.display().to_string(), &text)),
        Err(_) => std::fs::remove_file(&note).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }),
    };
    written
        .map_err(|error| say!("{path} cannot be written: {error}", "无法写入 {path}：{error}", path = note.display()))
}

/// What was noted for this process, if it is a service. Nobody else can write there.
pub(crate) fn noted(env: Lookup<'_>) -> Option<EnvironmentFile> {
    let text = text_file::read_again(&runtime_folder(env)?.join(NOTE))?;
    serde_json::from_str(&text).ok()
}

/// The folder that systemd made for the service.
fn runtime_folder(env: Lookup<'_>) -> Option<PathBuf> {
    env("RUNTIME_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The folder is the service's user's, who must not make root write elsewhere: a new file takes the place of what is there.
fn write_note(path: &Path, file: &EnvironmentFile) -> io::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = serde_json::to_vec(file).map_err(io::Error::other).and_then(|bytes| new.write_all(&bytes));
    // Names and lines, no values: the service is another user.
    let placed = written.and_then(|()| new.set_permissions(Permissions::from_mode(0o644)));
    placed.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// The file of variables that was changed after a gateway was started, and its unit, if it is a service.
pub(super) fn changed(status: &Status) -> Option<(PathBuf, String)> {
    let unit = systemd::unit_of(status.pid).filter(|_| status.has_systemd)?;
    let files = systemd::environment_files(&unit);
    files.into_iter().find(|file| is_newer(file, status.started_ms)).map(|file| (file, unit))
}

/// The file of variables of a gateway, if it is a service and the file can be read.
pub(super) fn of(running: &Running) -> Option<EnvironmentFile> {
    let unit = systemd::unit_of(running.status.pid).filter(|_| running.status.has_systemd)?;
    let path = systemd::environment_files(&unit).into_iter().next_back()?;
    let text = text_file::read_again(&path)?;
    Some(environment_file(&path.display().to_string(), &text))
}

/// The files of variables of the gateway that runs, if it is a service.
fn files_of(status: &Status) -> impl Iterator<Item = EnvironmentFile> {
    let unit = systemd::unit_of(status.pid).filter(|_| status.has_systemd);
    let paths = unit.map(|unit| systemd::environment_files(&unit)).unwrap_or_default();
    paths.into_iter().map(|path| {
        let text = text_file::read_again(&path).unwrap_or_default();
        environment_file(&path.display().to_string(), &text)
    })
}

/// Why its next start would be refused, by these files: their lines that would have set something.
pub(super) fn mistakes(status: &Status) -> Vec<String> {
    let problems = files_of(status).flat_map(|file| lines_left_out(&file).errors);
    problems.map(|problem| problem.text(language::here())).collect()
}

/// What is worth knowing of these files; not of the lines that were `told` already.
pub(super) fn notes(status: &Status, told: &[String]) -> Vec<String> {
    let changed = changed(status).map(|(file, unit)| has_changed(&file, &unit));
    let is_new = |note: &String| !told.iter().any(|told| told.contains(note.as_str()));
    let left_out = files_of(status).flat_map(|file| lines_left_out(&file).warnings);
    let left_out = left_out.map(|problem| problem.text(language::here())).filter(is_new);
    changed.into_iter().chain(left_out).collect()
}

/// That a file has changed, and what to type.
pub(super) fn has_changed(file: &Path, unit: &str) -> String {
    say!(
        "{file} has changed since the gateway was started, and only systemd reads it; type: sudo systemctl reload {unit}",
        "{file} 在网关启动之后有改动，而它只由 systemd 读取；请执行：sudo systemctl reload {unit}",
        file = file.display()
    )
}

fn is_newer(file: &Path, started_ms: u64) -> bool {
    let written = std::fs::metadata(file).and_then(|file| file.modified()).ok();
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.is_some_and(|since| started_ms > 0 && since.as_millis() > u128::from(started_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_where_its_variables_stand_and_not_what_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().display().to_string();
        let env = |name: &str| (name == "RUNTIME_DIRECTORY").then(|| run.clone());
        let file = folder.path().join("environment");
        std::fs::write(&file, "export LISTEN=sk-secret\nPORT=sk-other\n").expect("written");
        // A link that the service's user left in the way leads nowhere.
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(NOTE)).expect("made");
        note(&file, &env).expect("noted");
        assert!(!elsewhere.exists());
        let text = std::fs::read_to_string(folder.path().join(NOTE)).expect("written");
        assert!(!text.contains("sk-"), "{text}");
        let noted_file = noted(&env).expect("noted");
        assert_eq!((noted_file.left_out.len(), noted_file.line_of("PORT", Some("x"))), (1, Some(2)));
        assert_eq!(noted_file.left_out[0].meant.as_deref(), Some("LISTEN"));
        std::fs::remove_file(&file).expect("removed");
        note(&file, &env).expect("nothing to note");
        assert_eq!(noted(&env), None);
        note(&file, &|_: &str| None).expect("not under systemd");
    }
}
