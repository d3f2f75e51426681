//! The configuration in force: loaded anew as a whole, checked, swapped in, edited by the panel, with its history.
//!
//! What is done with a valid configuration is its owner's matter ([`Prepare`]); HTTP, signals and files that change
//! come from outside too. Every way of changing the configuration ends in one of the methods here.

mod difference;
mod edit;
mod files;
mod history;
mod refusals;
mod view;

use super::files::{Arguments, Texts};
use super::load::{Edits, Loaded, load_edited};
use super::lower::Config;
use super::mask;
use super::section::startup::RUNTIME_DIR;
use super::source::atomic_file::Staged;
use super::source::message::Message;
use super::source::problem::{Problem, Problems, Source};
use super::source::text_file;
use super::trial;
use arc_swap::ArcSwap;
use files::{files, fingerprint, write};
use gateway_core::language::Words;
use history::History;
use mask::{Hidden, Known, Present};
use refusals::Refusals;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;
use view::Shown;

use history::millis;

pub(crate) use difference::Difference;
pub(crate) use history::Version;
pub(crate) use view::{Current, ProblemView};

/// Looks up an environment variable, for as long as the process lives.
pub(crate) type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// Puts a prepared configuration in force; dropped without a call, nothing happens.
pub(crate) type Commit = Box<dyn FnOnce() + Send>;
/// Makes a valid configuration ready to be put in force, or says why that cannot be.
pub(crate) type Prepare = Box<dyn Fn(Config) -> Result<Commit, Words> + Send + Sync>;
/// Hears of every attempt to load the configuration: the version now in force, or that it was refused.
pub(crate) type Observer = Box<dyn Fn(Result<&str, &[Problem]>) + Send + Sync>;

/// The configuration in force, and all that is needed to load it again.
pub(crate) struct Live {
    arguments: Arguments,
    env: Environment,
    prepare: Prepare,
    observer: Observer,
    /// What the process was started with.
    started: Shown,
    /// Where it listens.
    listening: Vec<SocketAddr>,
    in_force: ArcSwap<InForce>,
    history: Mutex<History>,
    /// Hears of each configuration that comes into force: its files may be others.
    watcher: OnceLock<SyncSender<()>>,
    refusals: Refusals,
}

/// A configuration as it was loaded, without what requests use of it.
#[derive(Debug)]
struct InForce {
    texts: Texts,
    shown: Shown,
    warnings: Vec<Problem>,
    loaded_at: SystemTime,
    fingerprint: u64,
}

impl InForce {
    fn of(loaded: &Loaded) -> Self {
        Self {
            texts: loaded.texts.clone(),
            shown: Shown::of(loaded),
            warnings: loaded.warnings.clone(),
            loaded_at: SystemTime::now(),
            fingerprint: fingerprint(&files(&loaded.texts)),
        }
    }
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Reloaded {
    /// Names the texts that are in force now.
    pub version: String,
    /// The keys of settings that differ from those that the process was started with, and need a restart.
    pub pending_restart: Vec<String>,
    /// What is valid, but hardly what was meant.
    #[serde(serialize_with = "view::in_english")]
    pub warnings: Vec<Words>,
    /// What differs from what was in force, for the command line.
    #[serde(skip)]
    pub differences: Vec<Difference>,
    /// Whether an upgrade would fail at what is pending: only a stop and a start change it.
    #[serde(skip)]
    pub needs_stop: bool,
}

/// Why an edit was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The configuration is another one than the edit was made for.
    #[error("the configuration was changed in the meantime; load it again and repeat the edit")]
    Conflict {
        /// The version that is in force.
        present: String,
    },
    /// It is wrong.
    #[error("the configuration is not valid: {}", .0.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<ProblemView>),
    /// It could not be written; what was in force still is.
    #[error("{0}")]
    NotWritten(Words),
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("in_force", &self.in_force).finish_non_exhaustive()
    }
}

impl Live {
    /// Goes on from what was `loaded` at the start, which is in force already.
    pub(crate) fn new(
        arguments: Arguments,
        env: Environment,
        loaded: &Loaded,
        prepare: Prepare,
        observer: Observer,
    ) -> Self {
        let in_force = InForce::of(loaded);
        let started = in_force.shown.clone();
        Self {
            arguments,
            env,
            prepare,
            observer,
            history: Mutex::new(History::open(&loaded.startup.state_dir)),
            started,
            listening: trial::addresses(&loaded.startup).into_iter().map(|(_, address)| address).collect(),
            in_force: ArcSwap::from_pointee(in_force),
            watcher: OnceLock::new(),
            refusals: Refusals::default(),
        }
    }

    /// The configuration in force, for people: texts and values without secrets, and the headers file without its values
    /// unless they are asked for.
    pub(crate) fn current(&self, with_headers: bool) -> Current {
        let in_force = self.in_force.load_full();
        let (texts, shown) = (&in_force.texts, &in_force.shown);
        Current {
            version: texts.version(),
            path: texts.path.clone(),
            overlay_path: texts.overlay_path.clone(),
            settings: shown.settings(),
            yaml: mask::mask(&texts.yaml, Hidden::Secrets),
            overlay: mask::mask(&texts.overlay, Hidden::Secrets),
            headers_file: texts.headers_path.clone(),
            headers: if with_headers { texts.headers.clone() } else { mask::mask(&texts.headers, Hidden::Values) },
            pending_restart: self.pending_restart(shown),
            warnings: in_force.warnings.iter().map(|warning| ProblemView::of(warning, texts)).collect(),
            loaded_at_ms: millis(in_force.loaded_at),
        }
    }

    /// Path of the operator's file.
    pub(crate) fn path(&self) -> String {
        self.in_force.load().texts.path.clone()
    }

    /// Names the texts in force.
    pub(crate) fn version(&self) -> String {
        self.in_force.load().texts.version()
    }

    /// When what is in force was loaded.
    pub(crate) fn loaded_at(&self) -> SystemTime {
        self.in_force.load().loaded_at
    }

    /// Writes the panel's edits and their history again where somebody deleted the state folder, or all that was in it.
    pub(crate) fn keep_edits(&self) {
        // Who edits just now writes them.
        if let Ok(history) = self.history.try_lock() {
            self.put_back(&history);
        }
    }

    /// An overlay that alone was deleted stays so: that takes the edits back.
    fn put_back(&self, history: &History) {
        if !history.is_gone() {
            return;
        }
        let in_force = self.in_force.load();
        let Texts { overlay_path: path, overlay, .. } = &in_force.texts;
        let is_lost = !overlay.is_empty() && !Path::new(path).exists();
        let overlay = match is_lost {
            true => Staged::write(path.as_ref(), overlay.as_bytes()).and_then(Staged::commit_new).map(drop),
            false => Ok(()),
        };
        match overlay.and_then(|()| history.save()) {
            Ok(()) => log::warn!("{path} and its history were deleted: what was set in the panel is there again"),
            Err(why) => log::debug!("what was set in the panel: {why}"),
        }
    }

    /// Loads all files anew and puts them in force at once.
    ///
    /// # Errors
    /// Everything that is wrong with them; what was in force still is.
    pub(crate) fn reload(&self) -> Result<Reloaded, Problems> {
        let turn = self.turn();
        self.put_back(&turn);
        // What is written to the files from here on is not in force yet, whenever they are read.
        let seen = self.fingerprint_of_files();
        let loaded = self.load(Edits::default());
        loaded.and_then(|loaded| self.put_in_force(loaded, seen)).inspect_err(|problems| {
            self.refused(&problems.0);
            // Who makes an edit is told; of a file that was saved perhaps nobody hears.
            self.refusals.note(&problems.0);
        })
    }

    /// How many reloads were refused since a configuration came into force, if any, and what was wrong with the last one.
    pub(crate) fn last_refusal(&self) -> Option<(u64, Words)> {
        self.refusals.last()
    }

    /// As [`Live::reload`], with what is wrong as the panel shows it.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub(crate) fn reload_for_panel(&self) -> Result<Reloaded, Vec<ProblemView>> {
        self.reload().map_err(|problems| {
            let texts = &self.in_force.load().texts;
            problems.0.iter().map(|problem| ProblemView::of(problem, texts)).collect()
        })
    }

    /// Writes an edit of the overlay, the headers file, or both, and puts it in force at once; with what differs then.
    ///
    /// # Errors
    /// When `base_version` is not what is in force, when the edit is wrong, or cannot be written. Nothing has changed
    /// then.
    pub(crate) fn apply(
        &self,
        base_version: &str,
        overlay: Option<&str>,
        headers: Option<&str>,
    ) -> Result<(Current, Vec<Difference>), Refused> {
        let mut history = self.turn();
        let in_force = self.in_force.load_full();
        let texts = &in_force.texts;
        let present = texts.version();
        if base_version != present || !self.is_on_disk(texts) {
            return Err(Refused::Conflict { present });
        }
        let wrong = |problems: Problems| {
            self.refused(&problems.0);
            Refused::Wrong(problems.0.iter().map(|problem| ProblemView::of(problem, texts)).collect())
        };
        let (overlay, headers) = self.restore_with(&history, overlay, headers).map_err(wrong)?;
        let loaded = self.load_edit(overlay.as_deref(), headers.as_deref()).map_err(wrong)?;
        let edited = InForce::of(&loaded);
        let commit = self.prepared(loaded).map_err(wrong)?;

        let written = write(texts, &edited.texts, || {
            history.add(texts, in_force.loaded_at);
            history.add(&edited.texts, SystemTime::now());
            history.save()
        });
        if let Err(error) = written {
            history.forget(&edited.texts.version());
            log::error!("an edit of the configuration was not applied: {error}");
            return Err(Refused::NotWritten(error));
        }
        commit();
        let differences = self.in_force_is(edited, None);
        drop(history);
        Ok((self.current(false), differences))
    }

    /// The last versions, the newest first, without secrets. A secret that is still the same, or that another version
    /// of the history has at its place, is put in again when one of them is applied.
    pub(crate) fn history(&self) -> Vec<Version> {
        let in_force = self.in_force.load();
        let texts = &in_force.texts;
        let overlay = Present::of(&texts.overlay, Hidden::Secrets);
        let headers = Present::of(&texts.headers, Hidden::Values);
        // Edits need not wait for what takes time here.
        let versions: Vec<Version> = self.turn().versions().cloned().collect();
        let masked = |version: Version| Version {
            overlay: overlay.mask(Known { version: &version.version, text: &version.overlay }),
            headers: headers.mask(Known { version: &version.version, text: &version.headers }),
            ..version
        };
        versions.into_iter().map(masked).collect()
    }

    /// The files that a configuration is read from; changes of them are worth a reload.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files(&self.in_force.load().texts)
    }

    /// Tells `watcher` from now on that [`Live::files`] may be others; there is one.
    pub(crate) fn tell(&self, watcher: SyncSender<()>) {
        let _ = self.watcher.set(watcher);
    }

    /// Stands for what the files held when they were loaded into force.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.in_force.load().fingerprint
    }

    /// Stands for what they hold now.
    pub(crate) fn fingerprint_of_files(&self) -> u64 {
        fingerprint(&self.files())
    }

    fn load(&self, edits: Edits<'_>) -> Result<Loaded, Problems> {
        load_edited(&self.arguments, &*self.env, edits)
    }

    /// An edit from the panel. What it changes of what only a restart uses is tried: it must not break the next start.
    fn load_edit(&self, overlay: Option<&str>, headers: Option<&str>) -> Result<Loaded, Problems> {
        let loaded = self.load(Edits { overlay, headers })?;
        let problems = self.tried(&loaded);
        if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
    }

    /// What the next start would fail at, of what differs from this one's.
    fn tried(&self, loaded: &Loaded) -> Vec<Problem> {
        let changed = Shown::of(loaded).pending_restart(&self.started);
        trial::problems(&loaded.startup, &loaded.effective, &self.listening, &|key| changed.iter().any(|is| is == key))
    }

    fn prepared(&self, loaded: Loaded) -> Result<Commit, Problems> {
        (self.prepare)(loaded.config)
            .map_err(|said| Problems(vec![Problem::of_file(&loaded.path, Message::CannotBeUsed { said })]))
    }

    fn put_in_force(&self, mut loaded: Loaded, seen: u64) -> Result<Reloaded, Problems> {
        // The files are the operator's: they may be ahead of what the machine has.
        let tried = self.tried(&loaded);
        loaded.warnings.extend(tried);
        let new = InForce::of(&loaded);
        let pending_restart = self.pending_restart(&new.shown);
        let needs_stop = pending_restart.iter().any(|key| key == RUNTIME_DIR.about.key)
            || trial::addresses(&loaded.startup).iter().any(|(_, new)| self.keeps_from(*new));
        self.prepared(loaded)?();
        let version = new.texts.version();
        let warnings = new.warnings.iter().map(Problem::words).collect();
        let differences = self.in_force_is(new, Some(seen));
        Ok(Reloaded { version, pending_restart, warnings, differences, needs_stop })
    }

    /// Notes what is in force now, and what was `seen` of its files before they were read; an edit has just written them.
    /// Returns what differs from what was.
    fn in_force_is(&self, new: InForce, seen: Option<u64>) -> Vec<Difference> {
        let differences = self.in_force.load().shown.differences(&new.shown);
        let pending = self.pending_restart(&new.shown);
        let version = new.texts.version();
        for warning in &new.warnings {
            log::warn!("{warning}");
        }
        let read = files(&new.texts);
        let seen = seen.filter(|_| read == self.files());
        let fingerprint = seen.unwrap_or_else(|| fingerprint(&read));
        let new = InForce { fingerprint, loaded_at: SystemTime::now(), ..new };
        self.in_force.store(Arc::new(new));
        (self.observer)(Ok(&version));
        self.refusals.end();
        if let Some(watcher) = self.watcher.get() {
            // A full queue holds a word already.
            let _ = watcher.try_send(());
        }
        let told: Vec<String> = differences.iter().map(|found| found.words().to_string()).collect();
        let told = if told.is_empty() { "nothing changed".to_owned() } else { told.join("; ") };
        match pending.is_empty() {
            true => log::info!("the configuration was loaded anew: {told}"),
            false => log::warn!(
                "the configuration was loaded anew: {told}; only a restart or an upgrade changes {}",
                pending.join(", ")
            ),
        }
        differences
    }

    fn refused(&self, problems: &[Problem]) {
        for problem in problems {
            log::error!("the new configuration is refused: {problem}");
        }
        (self.observer)(Err(problems));
    }

    /// Whether a process that takes over could not listen there, because this one still listens.
    fn keeps_from(&self, address: SocketAddr) -> bool {
        let own = &self.listening;
        !own.contains(&address) && own.iter().any(|own| trial::is_in_the_way(*own, address))
    }

    fn pending_restart(&self, shown: &Shown) -> Vec<String> {
        shown.pending_restart(&self.started)
    }

    /// One change after the other.
    fn turn(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody else has edited what the panel writes.
    fn is_on_disk(&self, texts: &Texts) -> bool {
        let is_same = |path: &str, text: &str| text_file::read_again(path.as_ref()).unwrap_or_default() == text;
        is_same(&texts.overlay_path, &texts.overlay) && is_same(&texts.headers_path, &texts.headers)
    }

    fn restore(
        &self,
        overlay: Option<&str>,
        headers: Option<&str>,
    ) -> Result<(Option<String>, Option<String>), Problems> {
        self.restore_with(&self.turn(), overlay, headers)
    }

    /// Puts the secrets in again that are masked in edited texts.
    fn restore_with(
        &self,
        history: &History,
        overlay: Option<&str>,
        headers: Option<&str>,
    ) -> Result<(Option<String>, Option<String>), Problems> {
        let in_force = self.in_force.load();
        let texts = &in_force.texts;
        let old = |own: fn(&Version) -> &String| {
            history.versions().map(move |version| Known { version: &version.version, text: own(version) })
        };
        let present = |text| Known { version: "", text };
        let mut problems = Vec::new();
        let mut restored =
            |edited: Option<&str>, known: Vec<Known<'_>>, hidden: Hidden, place: &dyn Fn(usize, usize) -> Source| {
                let edited = edited?;
                match mask::restore(edited, &known, hidden) {
                    Ok(text) => Some(text),
                    Err(unknown) => {
                        problems.extend(unknown.into_iter().map(|(line, column)| Problem {
                            at: place(line, column),
                            key: String::new(),
                            what: Message::SecretUnknown { mask: mask::MASK.to_owned() },
                        }));
                        None
                    }
                }
            };
        // A secret may have moved here from the operator's file.
        let known = [present(&texts.overlay), present(&texts.yaml)].into_iter().chain(old(|version| &version.overlay));
        let overlay = restored(overlay, known.collect(), Hidden::Secrets, &|line, column| Source::Overlay {
            path: texts.overlay_path.clone(),
            line,
            column,
        });
        let known = [present(&texts.headers)].into_iter().chain(old(|version| &version.headers));
        let headers = restored(headers, known.collect(), Hidden::Values, &|line, column| Source::File {
            path: texts.headers_path.clone(),
            line,
            column,
        });
        if problems.is_empty() { Ok((overlay, headers)) } else { Err(Problems(problems)) }
    }
}

#[cfg(test)]
#[path = "live/tests.rs"]
mod tests;
