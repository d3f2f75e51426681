//! Folders for the gateway alone: what is in them is for nobody else to read, and nobody else may put anything there.

use gateway_core::both;
use gateway_core::language::{Language, Words};
use rustix::process::geteuid;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Why a folder is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Somebody else is in it too; what to do.
    Refused(Words),
    /// It cannot be made or written.
    Failed(Words),
}

/// What is to be done with a folder that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Private,
    ToClose,
    Foreign,
    Shared,
}

/// Rights of the group and of others.
const OTHERS: u32 = 0o077;
/// Everybody may put something there: `/tmp`.
const STICKY: u32 = 0o1000;

/// What the gateway keeps in its folders: beginnings of names, without a dot in front.
const OURS: [&str; 12] = [
    "overlay.yaml",
    "config-history.json",
    "conversations",
    "dashboard.key",
    "team.db",
    "ledger",
    "ended-sessions.json",
    "gateway.",
    "control.sock",
    "draining-",
    "upgrade.",
    "access.log",
];

/// What lies in the folder that should not: a file of ours that another user made, or, if the folder was open until now, one
/// that is not ours at all.
fn stranger(path: &Path, own: u32, was_open: bool) -> io::Result<Option<Words>> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let bare = name.trim_start_matches('.');
        let is_ours = bare == "run" || OURS.iter().any(|ours| bare.starts_with(ours));
        let owner = entry.metadata()?.uid();
        if is_ours && owner != own && owner != 0 {
            return Ok(Some(both!(
                "{name} in it belongs to user {owner}, who may have put anything there: look at it, then remove it or \
                 `chown {own}` it",
                "其中的 {name} 属于用户 {owner}，内容未必可信：请检查后删除它，或执行 `chown {own}`"
            )));
        }
        if !is_ours && was_open {
            return Ok(Some(both!(
                "it is open to others, and {name} in it is not the gateway's: `chmod 700 {path}` if the folder is for the \
                 gateway alone, else name another",
                "其他用户可以访问它，且其中的 {name} 不是网关的文件：如果这个目录只给网关用，请执行 `chmod 700 {path}`，否则请换一个目录",
                path = path.display()
            )));
        }
    }
    Ok(None)
}

fn judge(owner: u32, own: u32, mode: u32, is_around_others: bool) -> Verdict {
    match () {
        () if owner != own => Verdict::Foreign,
        () if mode & (OTHERS | STICKY) == 0 => Verdict::Private,
        () if is_around_others || mode & STICKY != 0 => Verdict::Shared,
        () => Verdict::ToClose,
    }
}

/// Makes the folder at `path`, which `setting` names, or closes the one that is there to everybody else. One that belongs
/// to somebody else is refused, and one that plainly is not the gateway's alone: `/tmp`, a home, the working directory, and
/// what they lie in, unless nobody else can look into it as it is.
///
/// # Errors
/// Why the folder is not used.
pub(crate) fn prepare(path: &Path, setting: &str) -> Result<(), Unusable> {
    let failed = |error: io::Error| {
        Unusable::Failed(both!(
            "{setting}: {path} cannot be used: {error}",
            "{setting}：无法使用 {path}：{error}",
            path = path.display()
        ))
    };
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // What is made around it is not for others either.
            let around = |parent: &Path| DirBuilder::new().recursive(true).mode(0o700).create(parent);
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), around).map_err(failed)?;
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map_err(failed),
            }
        }
        Err(error) => return Err(failed(error)),
        Ok(_) => {}
    }
    let folder = path.metadata().map_err(failed)?;
    if !folder.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    let (own, shown) = (geteuid().as_raw(), path.display());
    let verdict = judge(folder.uid(), own, folder.mode(), is_around_others(path));
    if matches!(verdict, Verdict::Private | Verdict::ToClose)
        && let Some(why) = stranger(path, own, verdict == Verdict::ToClose).map_err(failed)?
    {
        let (english, chinese) = (why.text(Language::English), why.text(Language::Chinese));
        return Err(Unusable::Refused(Words::new(
            format_args!("{setting}: {shown} cannot be used: {english}"),
            format_args!("{setting}：无法使用 {shown}：{chinese}"),
        )));
    }
    match verdict {
        Verdict::Private => Ok(()),
        Verdict::Foreign => Err(Unusable::Refused(both!(
            "{setting}: {shown} belongs to user {owner}, and the gateway runs as user {own}: `chown -R {own} {shown}`, run \
             it as that user, or name another folder",
            "{setting}：{shown} 属于用户 {owner}，而网关以用户 {own} 运行：请执行 `chown -R {own} {shown}`，或以该用户运行，或换一个目录",
            owner = folder.uid()
        ))),
        Verdict::Shared => Err(Unusable::Refused(both!(
            "{setting}: {shown} is not for the gateway alone, as what it keeps there must be: name a folder of its own, such \
             as {own_folder}",
            "{setting}：{shown} 不是网关专用的目录，而网关的文件需要专用目录：请换一个，例如 {own_folder}",
            own_folder = path.join("anyrouter-gateway").display()
        ))),
        Verdict::ToClose => {
            // The folder that was looked at, whatever its name stands for by now.
            let open = File::open(path).map_err(failed)?;
            let same = open.metadata().map_err(failed)?;
            if (same.dev(), same.ino()) != (folder.dev(), folder.ino()) {
                return Err(failed(io::Error::other("it was replaced just now")));
            }
            open.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
            log::info!("{setting}: {shown} was open to others; its mode is 0700 from now on");
            Ok(())
        }
    }
}

/// Whether the folder is, or holds, the working directory or a home.
fn is_around_others(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return true };
    // Not `home_dir`: without HOME it asks NSS, which loads plugins that a static program cannot run.
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    let places = [std::env::current_dir().ok(), home];
    places.into_iter().flatten().filter_map(|place| place.canonicalize().ok()).any(|place| place.starts_with(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("there").mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }

    #[test]
    fn a_new_folder_and_an_open_one_are_closed() {
        let dir = tempfile::tempdir().expect("a folder");
        let new = dir.path().join("a/b");
        prepare(&new, "gateway.state_dir").expect("made");
        assert_eq!(mode(&new), 0o700);
        for open in [0o755, 0o777, 0o770, 0o711] {
            set(&new, open);
            prepare(&new, "gateway.state_dir").expect("closed");
            assert_eq!(mode(&new), 0o700, "{open:o}");
        }
        std::fs::write(dir.path().join("file"), "").expect("written");
        assert!(matches!(prepare(&dir.path().join("file"), "x"), Err(Unusable::Failed(_))));
        assert!(matches!(prepare(&dir.path().join("file/in"), "x"), Err(Unusable::Failed(_))));
    }

    #[test]
    fn folders_of_others_are_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let sticky = dir.path().join("sticky");
        std::fs::create_dir(&sticky).expect("made");
        set(&sticky, 0o1777);
        let Err(Unusable::Refused(error)) = prepare(&sticky, "gateway.state_dir") else { panic!("used") };
        let error = error.to_string();
        assert!(error.starts_with("gateway.state_dir: ") && error.contains("sticky/anyrouter-gateway"), "{error}");
        assert_eq!(mode(&sticky), 0o1777);
        for path in ["/", ".."] {
            assert!(prepare(Path::new(path), "x").is_err(), "{path}");
        }
    }

    #[test]
    fn the_owner_counts_before_the_mode_and_the_place_only_where_others_look_in() {
        assert_eq!(judge(1000, 1000, 0o40700, true), Verdict::Private);
        assert_eq!(judge(1000, 1000, 0o40755, true), Verdict::Shared);
        assert_eq!(judge(1000, 1000, 0o40755, false), Verdict::ToClose);
        assert_eq!(judge(1000, 1000, 0o41700, false), Verdict::Shared);
        for (owner, own) in [(1000, 0), (0, 1000), (1000, 1001)] {
            assert_eq!(judge(owner, own, 0o40700, false), Verdict::Foreign);
        }
    }

    #[test]
    fn an_open_folder_with_files_of_somebody_else_is_neither_closed_nor_used() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("data");
        std::fs::create_dir(&folder).expect("made");
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("opened");
        std::fs::write(folder.join("dashboard.key"), "x").expect("written");
        std::fs::write(folder.join("letters.txt"), "x").expect("written");
        let Err(Unusable::Refused(why)) = prepare(&folder, "gateway.state_dir") else { panic!("not refused") };
        let why = why.to_string();
        assert!(why.contains("letters.txt") && why.contains("chmod 700"), "{why}");
        assert_eq!(folder.metadata().expect("there").mode() & 0o777, 0o755, "left as it was");
        std::fs::remove_file(folder.join("letters.txt")).expect("removed");
        prepare(&folder, "gateway.state_dir").expect("closed");
        assert_eq!(folder.metadata().expect("there").mode() & 0o777, 0o700);
        if geteuid().is_root() {
            std::os::unix::fs::chown(folder.join("dashboard.key"), Some(12345), None).expect("given away");
            let Err(Unusable::Refused(why)) = prepare(&folder, "gateway.state_dir") else { panic!("not refused") };
            let why = why.to_string();
            assert!(why.contains("12345"), "{why}");
        }
    }
}
