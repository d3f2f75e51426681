//! What the gateway of this folder has written so far, for the service: the panel's changes and key, the request log.

use super::gather::Here;
use super::journal::{Journal, Rights, give};
use super::plan::Plan;
use super::service::STATE;
use crate::language::say;
use crate::store;
use std::path::{Path, PathBuf};

/// Copies it, unless the service has state of its own. Whatever is in the service's folder is its user's then.
///
/// # Errors
/// What cannot be copied.
pub(super) fn bring(here: &Here, plan: &Plan, user: u32, journal: &mut Journal) -> Result<(), String> {
    let (state, rights) = (Path::new(STATE), Rights { owner: Some(user), mode: 0o700 });
    journal.folder(state, rights)?;
    let to = state.join(&here.state);
    if !plan.brings_state {
        println!("{}", say!("as it is  {to}", "保持不变  {to}", to = to.display()));
        return give(state, user);
    }
    journal.folder(&to, rights)?;
    for folder in &here.folders {
        journal.folder(&state.join(folder), rights)?;
    }
    let database = here.database.as_deref().filter(|path| path.is_relative() && path.is_file());
    let mut count = 0;
    if here.state.is_dir() {
        copy(&here.state, &here.state, &own_files(here), user, journal, &mut count)?;
    }
    println!(
        "{}",
        say!(
            "copied    {from}  {count} files, to {to}",
            "已复制    {from}  {count} 个文件，到 {to}",
            from = here.state.display(),
            to = to.display()
        )
    );
    if let Some(from) = database {
        let to = state.join(from);
        if let Some(folder) = to.parent() {
            journal.folder(folder, rights)?;
        }
        store::copy(from, &to)?;
        journal.made(&to);
        std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(|e| e.to_string())?;
        println!(
            "{}",
            say!(
                "copied    {from}  the request log, to {to}",
                "已复制    {from}  请求日志，到 {to}",
                from = from.display(),
                to = to.display()
            )
        );
    }
    give(state, user)
}

/// What is not copied as a file: the request log, and the log.
fn own_files(here: &Here) -> Vec<String> {
    here.database.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Copies the files of a folder, and of those in it; sockets and links are none. The runtime folder has nothing that
/// outlives a process.
fn copy(
    from: &Path,
    below: &Path,
    left_out: &[String],
    user: u32,
    journal: &mut Journal,
    count: &mut usize,
) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for entry in std::fs::read_dir(from).map_err(|error| failed(from, error))?.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().map_err(|error| failed(&path, error))?;
        let to: PathBuf = Path::new(STATE).join(below).join(entry.file_name());
        let is_left_out = left_out.iter().any(|known| name.starts_with(known.as_str()));
        if kind.is_dir() && !path.join("gateway.pid").exists() && !path.join("control.sock").exists() && name != "run" {
            journal.folder(&to, Rights { owner: Some(user), mode: 0o700 })?;
            copy(&path, &below.join(entry.file_name()), left_out, user, journal, count)?;
        } else if kind.is_file() && !is_left_out && !to.exists() {
            let bytes = std::fs::read(&path).map_err(|error| failed(&path, error))?;
            journal.file(&to, &bytes, Rights { owner: Some(user), mode: 0o600 })?;
            *count += 1;
        }
    }
    Ok(())
}
