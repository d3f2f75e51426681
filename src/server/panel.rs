//! The panel's key: put in force at the start and by each reload, given to who may have it.

use crate::config::log_store::LogStore;
use crate::config::{Arguments, Startup, panel_key};
use crate::gateway::{PanelKey, Shared, ticket};
use crate::language::say;
use crate::operate::control::Wish;
use crate::operate::panel::{advice_here, command, container, link};
use crate::operate::systemd;
use gateway_core::both;
use gateway_core::language::{Language, Words};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Variables with which a command finds the folder of the gateway that runs.
const WHEREABOUTS: [&str; 2] = ["GATEWAY_CONFIG", "GATEWAY_RUNTIME_DIR"];

/// The state folder, the runtime folder and the request log, as they are now.
fn look(startup: &Startup) -> [Seen; 3] {
    let places = [
        Some(startup.state_dir.as_path()),
        Some(startup.runtime_dir.as_path()),
        startup.log.store.as_ref().and_then(LogStore::file),
    ];
    let seen = |path: &Path| path.metadata().ok().map(|there| (there.dev(), there.ino()));
    places.map(|place| place.and_then(seen))
}

/// What opens the panel.
pub(super) struct Panel {
    shared: Arc<Shared>,
    startup: Startup,
    turn: Mutex<()>,
    /// What was last seen of the state folder, and of what else is in it.
    seen: Mutex<[Seen; 3]>,
}

/// Which file or folder is at a path: its device and its number.
type Seen = Option<(u64, u64)>;

impl Panel {
    /// The panel of this gateway.
    pub(super) fn new(shared: Arc<Shared>, startup: Startup) -> Self {
        Self { seen: Mutex::new(look(&startup)), shared, startup, turn: Mutex::default() }
    }

    /// Puts the key of the configuration in force, or else the file's. Without either the panel is closed, and the log says
    /// why.
    pub(super) fn open(&self) {
        if let Err(why) = self.try_open() {
            log::error!("{why}");
        }
    }

    /// Writes the key in force into its file again if somebody deleted the state folder, or all that was in it: with another
    /// one all sessions would be over. Who deletes that file alone wants another one.
    pub(super) fn keep(&self) {
        // A new key may be on its way there.
        let Ok(_one) = self.turn.try_lock() else { return };
        self.put_back();
    }

    fn put_back(&self) {
        let now = look(&self.startup);
        let before = std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), now);
        if !before.iter().zip(now).any(|(before, now)| before.is_some() && *before != now) {
            return;
        }
        let Some(key) = self.shared.panel.key().filter(|key| !key.is_configured) else { return };
        match panel_key::put_back(&self.startup.state_dir, key.secret()) {
            Ok(false) => {}
            Ok(true) => log::warn!(
                "{} was deleted: the panel's key is there again. `{}anyrouter-gateway panel --new-key` makes another one",
                panel_key::path(&self.startup.state_dir).display(),
                sudo()
            ),
            Err(why) => log::debug!("the panel's key: {why}"),
        }
    }

    fn try_open(&self) -> Result<(), Words> {
        self.put_back();
        let configured = self.shared.snapshot.load().config.dashboard_key.clone();
        let is_configured = configured.is_some();
        match configured.map_or_else(|| panel_key::read_or_make(&self.startup.state_dir), Ok) {
            Ok(key) => {
                self.shared.panel.set(Some(PanelKey::new(key, is_configured)));
                Ok(())
            }
            Err(why) => {
                self.shared.panel.set(None);
                let advice = both!(
                    "`{sudo}anyrouter-gateway panel --new-key` writes a new one, where gateway.state_dir can be written; or \
                     set DASHBOARD_API_KEY, and type `{sudo}anyrouter-gateway reload`",
                    "如果 gateway.state_dir 可写，请执行 `{sudo}anyrouter-gateway panel --new-key` 生成新密钥；也可以设置 \
                     DASHBOARD_API_KEY，再执行 `{sudo}anyrouter-gateway reload`",
                    sudo = sudo()
                );
                let (why_zh, advice_zh) = (why.text(Language::Chinese), advice.text(Language::Chinese));
                Err(Words::new(
                    format_args!("the panel is closed, because it has no key: {why}. {advice}"),
                    format_args!("面板没有密钥，已关闭：{why_zh}。{advice_zh}"),
                ))
            }
        }
    }

    /// A link for who may have one.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub(super) fn let_in(&self, wish: Wish) -> Result<String, Words> {
        // One after another: the key in force must be the one in the file.
        let _one = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if wish == Wish::NewKey {
            self.renew()?;
        } else if self.shared.panel.key().is_none() {
            self.try_open()?;
        }
        self.link()
    }

    fn renew(&self) -> Result<(), Words> {
        if self.shared.snapshot.load().config.dashboard_key.is_some() {
            return Err(both!(
                "the panel's key comes from the configuration (DASHBOARD_API_KEY, gateway.dashboard.api_key): change it \
                 there, then type `{sudo}anyrouter-gateway reload`; or take it out there, and the gateway makes one",
                "面板密钥来自配置（DASHBOARD_API_KEY、gateway.dashboard.api_key）：请在那里修改，然后执行 \
                 `{sudo}anyrouter-gateway reload`；也可以删去这一项，由网关生成密钥",
                sudo = sudo()
            ));
        }
        let key = panel_key::replace(&self.startup.state_dir)?;
        self.shared.panel.set(Some(PanelKey::new(key, false)));
        log::warn!("the panel has a new key: the old one, and all sessions, are over");
        Ok(())
    }

    fn link(&self) -> Result<String, Words> {
        let ticket = ticket(&panel_key::random()?);
        self.shared.panel.issue(ticket.expose());
        Ok(link(&self.startup, self.shared.snapshot.load().config.dashboard_enabled, ticket.expose()))
    }

    /// Tells somebody who sits at a terminal the link, and others how to get it.
    pub(super) fn tell(&self, arguments: &Arguments) {
        if self.shared.panel.key().is_none() {
            return;
        }
        let env = |name: &str| std::env::var(name).ok();
        let host = env("HOSTNAME");
        // Docker puts this file into each container.
        let container = container(Path::new("/.dockerenv").exists(), host.as_deref());
        if !std::io::stdout().is_terminal() {
            // Who has its variables, in a container say, has no need to be told, and others cannot use them.
            log::info!(
                "to open the panel, type `{}{}`: it prints a link that logs in",
                sudo(),
                command(arguments, &[], &env, container)
            );
            return;
        }
        let Ok(link) = self.link() else { return };
        let again = command(arguments, &WHEREABOUTS, &env, container);
        let mut text = say!(
            "\nOpen the panel with this link, which logs in once (`{again}` prints another):\n\n  {link}\n\n",
            "\n用下面的链接打开面板，可登录一次（`{again}` 会给出新的链接）：\n\n  {link}\n\n"
        );
        if let Some(advice) = advice_here(&link, &env) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{advice}\n");
        }
        // There may be nobody who reads.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

/// What stands before a command to this gateway: a service obeys root alone.
fn sudo() -> &'static str {
    if systemd::is_supervisor() { "sudo " } else { "" }
}
