//! The proxy of a few lines that the gateway replaces: `bench/seed/proxy.py`, on FastAPI.
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python that has what it needs, installed into `folder` when it is not there.
pub(crate) fn python(project: &Path, folder: &Path) -> Result<PathBuf> {
    let requirements = project.join("bench/seed/requirements.txt");
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = std::fs::read(&requirements)?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
