//! Which gateways of a user run: in a folder of the user's own, a link for each of them to its runtime folder. Who answers
//! at a link's end says the rest; where nobody answers, the link is old, and counts for nothing.

use super::RuntimeDir;
use crate::config::Lookup;
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where root's are: `/run/anyrouter-gateway` is the service's, and may belong to its user.
const OF_ROOT: &str = "/run/anyrouter-gateways";
/// How often the link is looked for.
const LOOK: Duration = Duration::from_secs(10);
/// Most links that are looked at.
const MOST: usize = 64;

/// A place for a user's links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder.
    pub path: PathBuf,
    /// Whose it must be.
    owner: u32,
}

/// Where the links of a user are, the best place first. `chosen` is that user's `XDG_RUNTIME_DIR`, if it is one that systemd
/// does not give: somebody wants this place alone.
fn places(owner: u32, chosen: Option<&Path>) -> Vec<Place> {
    let paths = match (chosen, owner) {
        (Some(chosen), _) => vec![chosen.join("anyrouter-gateway")],
        // Not /run/user/0, which is there for as long as root is logged in.
        (None, 0) => vec![PathBuf::from(OF_ROOT), of_tmp(owner)],
        (None, _) => vec![of_systemd(owner).join("anyrouter-gateway"), of_tmp(owner)],
    };
    paths.into_iter().map(|path| Place { path, owner }).collect()
}

fn of_systemd(user: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{user}"))
}

fn of_tmp(user: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/anyrouter-gateway-{user}"))
}

/// The places of this process's user.
fn own_places(env: Lookup<'_>) -> Vec<Place> {
    let own = geteuid().as_raw();
    let chosen = env("XDG_RUNTIME_DIR").map(PathBuf::from);
    let chosen = chosen.filter(|path| path.is_absolute() && *path != of_systemd(own) && is_owned(path, own));
    places(own, chosen.as_deref())
}

/// Where this process's user may have links; for root by way of `sudo`, also those of the user who typed it.
pub(super) fn to_look_at(env: Lookup<'_>) -> Vec<Place> {
    let mut all = own_places(env);
    let who = env("SUDO_UID").and_then(|user| user.parse().ok());
    if let Some(user) = who.filter(|&user| geteuid().is_root() && user != 0) {
        all.extend(places(user, None));
    }
    all
}

fn is_owned(path: &Path, owner: u32) -> bool {
    path.symlink_metadata().is_ok_and(|folder| folder.is_dir() && folder.uid() == owner)
}

impl Place {
    /// Whether nobody but its user can put anything there. In `/tmp` anybody may have taken the name, or made a link of it.
    fn is_safe(&self) -> bool {
        let is_closed = |folder: &std::fs::Metadata| folder.mode() & 0o022 == 0;
        is_owned(&self.path, self.owner) && self.path.symlink_metadata().is_ok_and(|folder| is_closed(&folder))
    }

    /// The runtime folders that links lead to.
    pub(super) fn targets(&self) -> Vec<PathBuf> {
        if !self.is_safe() {
            return Vec::new();
        }
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok);
        // What another put there, through whatever hole, is not followed.
        let own = entries.filter(|entry| entry.metadata().is_ok_and(|link| link.uid() == self.owner));
        own.filter_map(|entry| std::fs::read_link(entry.path()).ok()).take(MOST).collect()
    }

    /// Removes links to folders that are no more: those of processes that were killed would add up.
    fn clear(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok) {
            let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            if entry.path().is_symlink() && entry.path().metadata().is_err_and(gone) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn prepare(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.is_safe() {
            true => Ok(()),
            false => Err(io::Error::other("it is not this user's alone")),
        }
    }
}

/// The link to a runtime folder: its name is always the same, so that a process that takes over leaves it as it is.
fn name(folder: &RuntimeDir) -> String {
    let digest = Sha256::digest(folder.path().as_os_str().as_encoded_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Sees to it that there is a link to this folder: at the start, and again and again, because a place may go away when its
/// user logs out. Without a place for it, the gateway is found in its own folder alone.
fn keep(folder: &RuntimeDir, env: Lookup<'_>) {
    for place in own_places(env) {
        let link = place.path.join(name(folder));
        if place.is_safe() && std::fs::read_link(&link).is_ok_and(|target| target == folder.path()) {
            return;
        }
        let beside = place.path.join(format!(".{}.{}", name(folder), std::process::id()));
        let linked = place.prepare().and_then(|()| symlink(folder.path(), &beside));
        match linked.and_then(|()| std::fs::rename(&beside, &link)) {
            Ok(()) => return place.clear(),
            Err(error) => log::debug!("{}: the gateway is not noted there: {error}", place.path.display()),
        }
    }
}

/// Sees to it for as long as the process lives.
pub(super) async fn attend(folder: RuntimeDir) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        keep(&folder, &own_variable);
    }
}

/// A variable of this process.
pub(super) fn own_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Takes the link away.
pub(super) fn forget(folder: &RuntimeDir, env: Lookup<'_>) {
    for place in own_places(env).iter().filter(|place| place.is_safe()) {
        let _ = std::fs::remove_file(place.path.join(name(folder)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    fn runtime(path: PathBuf) -> RuntimeDir {
        RuntimeDir::prepare(&path).expect("made")
    }

    #[test]
    fn a_gateway_is_noted_once_and_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let env = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| dir.path().display().to_string());
        let (one, two) = (runtime(dir.path().join("one")), runtime(dir.path().join("two")));
        for folder in [&one, &two, &one] {
            keep(folder, &env);
        }
        let noted = || {
            let mut targets: Vec<PathBuf> = to_look_at(&env).iter().flat_map(Place::targets).collect();
            targets.sort();
            targets
        };
        assert_eq!(noted(), [one.path().to_owned(), two.path().to_owned()]);
        assert_eq!(std::fs::metadata(dir.path().join("anyrouter-gateway")).expect("there").mode() & 0o777, 0o700);
        forget(&one, &env);
        assert_eq!(noted(), [two.path().to_owned()]);
        // Of a process that was killed, whose folder somebody deleted since.
        keep(&runtime(dir.path().join("killed")), &env);
        std::fs::remove_dir(dir.path().join("killed")).expect("removed");
        keep(&one, &env);
        assert_eq!(noted(), [one.path().to_owned(), two.path().to_owned()]);
        forget(&one, &env);
        // Whoever clears the place does no lasting harm.
        std::fs::remove_dir_all(dir.path().join("anyrouter-gateway")).expect("removed");
        keep(&two, &env);
        assert_eq!(noted(), [two.path().to_owned()]);
    }

    #[test]
    fn a_place_that_others_can_write_to_or_have_made_a_link_of_is_not_used() {
        let dir = tempfile::tempdir().expect("a folder");
        let owner = geteuid().as_raw();
        let open = Place { path: dir.path().join("open"), owner };
        std::fs::create_dir(&open.path).expect("made");
        symlink("/nowhere", open.path.join("link")).expect("a link");
        for mode in [0o777, 0o720, 0o702] {
            std::fs::set_permissions(&open.path, Permissions::from_mode(mode)).expect("changed");
            assert!(open.prepare().is_err() && open.targets().is_empty(), "{mode:o}");
        }
        std::fs::set_permissions(&open.path, Permissions::from_mode(0o700)).expect("changed");
        assert_eq!(open.targets(), [PathBuf::from("/nowhere")]);
        let linked = Place { path: dir.path().join("linked"), owner };
        symlink(&open.path, &linked.path).expect("a link");
        assert!(linked.prepare().is_err() && linked.targets().is_empty());
        let foreign = Place { path: open.path, owner: owner + 1 };
        assert!(foreign.prepare().is_err() && foreign.targets().is_empty());
    }

    #[test]
    fn each_user_has_places_of_its_own() {
        let paths = |owner, chosen: Option<&str>| -> Vec<String> {
            places(owner, chosen.map(Path::new)).iter().map(|place| place.path.display().to_string()).collect()
        };
        assert_eq!(paths(0, None), ["/run/anyrouter-gateways", "/tmp/anyrouter-gateway-0"]);
        assert_eq!(paths(1000, None), ["/run/user/1000/anyrouter-gateway", "/tmp/anyrouter-gateway-1000"]);
        assert_eq!(paths(1000, Some("/somewhere")), ["/somewhere/anyrouter-gateway"]);
    }
}
