//! The files of a configuration: written together, and watched for changes.

use super::super::files::{OTHER_FILES, Texts};
use super::super::source::atomic_file::Staged;
use super::super::source::bounds::PRICE_LIST_BYTES;
use super::super::source::text_file;
use gateway_core::language::{Language, Words};
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;

/// Writes the texts that changed: everything to new files first, then their names are changed. `save_history` comes
/// in between.
///
/// # Errors
/// What could not be done; the old texts are in their places then, unless the message says otherwise.
pub(super) fn write(old: &Texts, new: &Texts, save_history: impl FnOnce() -> Result<(), Words>) -> Result<(), Words> {
    let stage = |path: &str, old: &str, new: &str| match old == new {
        true => Ok(None),
        false => Staged::write(path.as_ref(), new.as_bytes()).map(Some),
    };
    let overlay = stage(&new.overlay_path, &old.overlay, &new.overlay)?;
    let headers = stage(&new.headers_path, &old.headers, &new.headers)?;
    save_history()?;
    let is_overlay_new = overlay.is_some();
    overlay.map_or(Ok(()), Staged::commit)?;
    if let Err(error) = headers.map_or(Ok(()), Staged::commit) {
        if is_overlay_new {
            let back = Staged::write(new.overlay_path.as_ref(), old.overlay.as_bytes()).and_then(Staged::commit);
            back.map_err(|second| {
                let (path, zh) = (&new.overlay_path, Language::Chinese);
                Words::new(
                    format_args!("{error}; and {path} is the new one now: {second}"),
                    format_args!("{}；而 {path} 已是新的内容：{}", error.text(zh), second.text(zh)),
                )
            })?;
        }
        return Err(error);
    }
    Ok(())
}

/// The files that are read.
pub(super) fn files(texts: &Texts) -> Vec<PathBuf> {
    let paths = [&texts.path, &texts.overlay_path, &texts.headers_path].map(PathBuf::from);
    let price_list = Some(&texts.price_list_path).filter(|path| !path.is_empty()).map(PathBuf::from);
    paths.into_iter().chain(OTHER_FILES.iter().map(PathBuf::from)).chain(price_list).collect()
}

/// Stands for what they hold.
pub(super) fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for file in files {
        text_file::read_again_up_to(file, PRICE_LIST_BYTES).hash(&mut hasher);
    }
    hasher.finish()
}
