//! The panel's key in the state folder, for a gateway whose configuration sets none; and how good a key is that somebody
//! chose.

use super::source::atomic_file::Staged;
use super::source::secret::Secret;
use super::source::value::bare;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::both;
use gateway_core::language::Words;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Its name in the state folder.
const FILE: &str = "dashboard.key";
/// Random bytes in a key that is made: 256 bits.
const KEY_BYTES: usize = 32;
/// Longest file, in bytes.
const MOST_BYTES: u64 = 4096;
/// Shortest key, of the file or chosen by somebody, that nobody guesses, in characters.
const SHORTEST: usize = 16;
/// Fewest different characters of such a key.
const FEWEST_DIFFERENT: usize = 8;
/// What people write where a key is asked for.
const WORDS: [&str; 27] = [
    // Of a command in env/.env, which nobody runs there.
    "$(openssl rand -hex 32)",
    "password",
    "passwort",
    "passwd",
    "secret",
    "changeme",
    "change-me",
    "change_me",
    "admin",
    "root",
    "letmein",
    "welcome",
    "dashboard",
    "anyrouter",
    "gateway",
    "claude",
    "anthropic",
    "api-key",
    "api_key",
    "apikey",
    "a-long-random",
    "example",
    "default",
    "test",
    "qwerty",
    "your",
    "key",
];

/// The file of the key in this state folder.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// The key of this folder; one is made if there is none.
///
/// # Errors
/// Why there is none, and what to do.
pub(crate) fn read_or_make(state_dir: &Path) -> Result<Secret, Words> {
    if let Some(key) = read(state_dir)? {
        return Ok(key);
    }
    let (key, staged) = stage(state_dir)?;
    if staged.commit_new()? {
        return Ok(key);
    }
    // Another process was faster, or the file was there, and empty: a machine may stop at any moment.
    match read(state_dir)? {
        Some(key) => Ok(key),
        None => replace(state_dir),
    }
}

/// Puts the key that is in force back into its file if there is none any more; `false` if there is one.
///
/// # Errors
/// Why it cannot be written.
pub(crate) fn put_back(state_dir: &Path, key: &Secret) -> Result<bool, Words> {
    let path = path(state_dir);
    if path.exists() {
        return Ok(false);
    }
    Staged::write(&path, format!("{}\n", key.expose()).as_bytes())?.commit_new()
}

/// A new key in the place of the old one.
///
/// # Errors
/// Why it cannot be written, and what to do.
pub(crate) fn replace(state_dir: &Path) -> Result<Secret, Words> {
    let (key, staged) = stage(state_dir)?;
    staged.commit()?;
    Ok(key)
}

/// The key of this folder; `None` if there is no file, or nothing in it. A file that others may read is closed to them.
///
/// # Errors
/// When it cannot be read, or what it holds is no key.
pub(crate) fn read(state_dir: &Path) -> Result<Option<Secret>, Words> {
    let path = path(state_dir);
    let failed = |error: io::Error| {
        both!(
            "the panel's key cannot be read from {path}: {error}",
            "无法从 {path} 读取面板密钥：{error}",
            path = path.display()
        )
    };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    close_to_others(&file, &path).map_err(failed)?;
    let mut text = String::new();
    file.by_ref().take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    let key = bare(&text);
    if key.is_empty() {
        return Ok(None);
    }
    if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(both!(
            "{path} holds no key: one line of at least {SHORTEST} visible ASCII characters is expected",
            "{path} 中没有可用的密钥：应为一行，至少 {SHORTEST} 个可见的 ASCII 字符",
            path = path.display()
        ));
    }
    Ok(Some(Secret::new(key)))
}

/// Takes from others what only the owner should have.
fn close_to_others(file: &File, path: &Path) -> io::Result<()> {
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let advice = "if somebody may have read it, `anyrouter-gateway panel --new-key` makes another one";
    match file.set_permissions(Permissions::from_mode(0o600)) {
        // A file system without owners, such as a disk of Windows, takes the change and forgets it.
        Ok(()) if file.metadata()?.mode() & 0o077 == 0 => {
            log::warn!(
                "{}: others could read the panel's key (mode {mode:o}), which is mended: {advice}",
                path.display()
            );
        }
        _ => log::warn!(
            "{}: others can read the panel's key (mode {mode:o}): `chmod 600` it, or give gateway.state_dir a folder where \
             that is possible; {advice}",
            path.display()
        ),
    }
    Ok(())
}

/// A new key, written beside its place.
fn stage(state_dir: &Path) -> Result<(Secret, Staged), Words> {
    let key = random()?;
    let staged = Staged::write(&path(state_dir), format!("{}\n", key.expose()).as_bytes())?;
    Ok((key, staged))
}

/// A text that nobody can guess.
///
/// # Errors
/// When the system gives no random bytes.
pub(crate) fn random() -> Result<Secret, Words> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| both!("the system gives no random bytes", "系统没有提供随机数"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// Why somebody could guess a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// It is shorter than 16 characters.
    Short,
    /// It has few different characters.
    Plain,
    /// Its characters follow one another as in the alphabet, or repeat.
    Sequence,
    /// It is made of well-known words.
    Words,
}

/// Why somebody could guess this key; `None` for one that is good.
pub(crate) fn weakness(key: &str) -> Option<Weakness> {
    let characters: Vec<char> = key.chars().collect();
    if characters.len() < SHORTEST {
        return Some(Weakness::Short);
    }
    let mut different = characters.clone();
    different.sort_unstable();
    different.dedup();
    if different.len() < FEWEST_DIFFERENT {
        return Some(Weakness::Plain);
    }
    let is_step = |pair: &[char]| (pair[0] as u32).abs_diff(pair[1] as u32) <= 1;
    if characters.windows(2).filter(|pair| is_step(pair)).count() * 2 > characters.len() {
        return Some(Weakness::Sequence);
    }
    let mut left = key.to_lowercase();
    for word in WORDS {
        left = left.replace(word, "");
    }
    left.retain(|character| character.is_alphanumeric());
    (left.chars().count() * 2 < characters.len()).then_some(Weakness::Words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").mode() & 0o777
    }

    #[test]
    fn a_key_is_made_once_and_read_from_then_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = dir.path().join("data");
        assert_eq!(read(&state).expect("no file"), None);
        let key = read_or_make(&state).expect("made");
        assert_eq!(URL_SAFE_NO_PAD.decode(key.expose()).expect("base64").len(), 32);
        assert_eq!(mode(&path(&state)), 0o600);
        assert_eq!(read_or_make(&state).expect("read"), key);
        let other = replace(&state).expect("replaced");
        assert_ne!(other, key);
        assert_eq!((read(&state).expect("read"), mode(&path(&state))), (Some(other), 0o600));
        assert_eq!(std::fs::read_dir(&state).expect("a folder").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_file_that_others_can_read_is_closed_and_an_empty_one_is_no_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = read_or_make(dir.path()).expect("made");
        std::fs::set_permissions(path(dir.path()), Permissions::from_mode(0o644)).expect("changed");
        assert_eq!(read_or_make(dir.path()).expect("read"), key);
        assert_eq!(mode(&path(dir.path())), 0o600);
        std::fs::write(path(dir.path()), "").expect("written");
        assert_ne!(read_or_make(dir.path()).expect("made"), key);
    }

    #[test]
    fn what_is_no_key_and_a_folder_that_cannot_be_written_are_told() {
        let dir = tempfile::tempdir().expect("a folder");
        for no_key in ["short", "two words that are long enough", "ключключключключ"] {
            std::fs::write(path(dir.path()), no_key).expect("written");
            let error = read_or_make(dir.path()).expect_err("no key");
            let error = error.to_string();
            assert!(error.contains("dashboard.key holds no key") && !error.contains(no_key), "{error}");
        }
        std::fs::write(dir.path().join("file"), "").expect("written");
        let error = read_or_make(&dir.path().join("file")).expect_err("no folder");
        assert!(error.to_string().contains("dashboard.key"), "{error}");
    }

    #[test]
    fn keys_that_can_be_guessed_are_told_from_others() {
        for weak in [
            "",
            "the-key",
            "hunter2",
            "123456789012345678901234",
            "abcdefghijklmnopqrstuvwxyz",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "abababababababababab",
            "a-long-random-key",
            "my-secret-password",
            "AnyRouter-Gateway-Dashboard",
            "changeme-changeme",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        for good in [
            "7f3b9c2e8d1a4f60b5e97c3d2a8f1e4b7c6d5a3f2e1b9c8d",
            "kX9vQ2mZ7pL4wR8t",
            "correct horse battery staple",
            "3Zt0ZgKXyQ8m6Qb1r7u5lq0y4n2v9x8w6c5b4a3s2d1",
        ] {
            assert_eq!(weakness(good), None, "{good}");
        }
        let dir = tempfile::tempdir().expect("a folder");
        for _ in 0..100 {
            assert_eq!(weakness(replace(dir.path()).expect("made").expose()), None);
        }
    }
}
