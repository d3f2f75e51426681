//! Where things are: the workspace, the binaries, and the cores that programs are bound to.
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Cores: proxies on the first, everything else on the second.
pub(crate) const PROXY_CORE: &str = "0";
const LOAD_CORE: usize = 1;
/// Both, for a proxy with two worker threads.
pub(crate) const BOTH_CORES: &str = "0,1";

/// The folder of the workspace: cargo's, or the current one. Contestants start in folders of their own, so it is absolute.
pub(crate) fn project() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let of_cargo = package.and_then(|package| package.parent().map(Path::to_path_buf));
    of_cargo.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}

/// The release binaries are where this program is.
pub(crate) fn binaries() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().context("no folder")?.to_path_buf())
}

/// Binds this process to its core; false if there is but one core or no `taskset`.
pub(crate) fn pin() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = std::process::Command::new("taskset");
    command.args(["-cp", &LOAD_CORE.to_string(), &std::process::id().to_string()]).stdout(std::process::Stdio::null());
    cores > LOAD_CORE && command.status().is_ok_and(|status| status.success())
}
