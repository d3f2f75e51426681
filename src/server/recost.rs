//! Costs made anew: with the prices in force, for the panel and the command line; and by the command itself where no
//! gateway runs.

use crate::config::Loaded;
use crate::config::log_store::LogStore;
use crate::gateway::Shared;
use crate::language::{say, told as in_words};
use crate::operate::control::Recost;
use crate::operate::recost::{Recosting, Told};
use crate::store::costs::Tariff;
use crate::store::{NotBegun, Progress, Recosts, State, Watch};
use gateway_core::both;
use gateway_core::language::{Language, Words};
use humantime::format_rfc3339_seconds;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// What no run can be without.
fn no_log() -> Words {
    both!(
        "there is no request log: it is switched off (GATEWAY_DB, gateway.database)",
        "没有请求日志：它已关闭（GATEWAY_DB、gateway.database）"
    )
}

struct InForce(Arc<Shared>);

impl Watch for InForce {
    fn tariff(&self) -> Tariff {
        Tariff::of(&self.0.snapshot.load().config)
    }

    fn is_ending(&self) -> bool {
        self.0.drain.is_on()
    }
}

/// For this request log, with the prices that requests see.
pub(super) fn of(store: &LogStore, shared: &Arc<Shared>) -> Recosts {
    Recosts::new(store, Arc::new(InForce(Arc::clone(shared))))
}

/// What the control socket offers.
pub(super) fn for_commands(recosts: Option<Recosts>) -> Recosting {
    Arc::new(move |wish| {
        let recosts = recosts.as_ref().ok_or_else(no_log)?;
        let progress = match wish {
            Recost::Begin { from_ms, to_ms } => Some(recosts.begin(from_ms, to_ms).map_err(not_begun)?),
            Recost::Look => recosts.progress(),
            Recost::Stop => recosts.stop(),
        };
        progress.as_ref().map(told).ok_or_else(|| {
            both!(
                "this process makes no costs anew: one that it replaced may have begun to; rows and sums agree, and the \
                 same command does the rest",
                "此进程没有在重新计算费用：可能是它接替的进程开始的；记录与总计一致，再次执行同一命令会完成其余部分"
            )
        })
    })
}

/// A gateway's prices, where none runs.
struct Configured(Tariff);

impl Watch for Configured {
    fn tariff(&self) -> Tariff {
        self.0.clone()
    }

    fn is_ending(&self) -> bool {
        false
    }
}

/// Does it in this process, for a command where no gateway runs.
///
/// # Errors
/// When there is no request log, or it cannot be written.
pub(crate) fn here(loaded: &Loaded, wish: Recost) -> Result<String, String> {
    let log = loaded.startup.log.store.as_ref().ok_or_else(|| in_words(&no_log()))?;
    if !log.may_be_there() {
        return Err(say!("there is no request log: {log} does not exist", "没有请求日志：{log} 不存在"));
    }
    let Recost::Begin { from_ms, to_ms } = wish else {
        return Err(say!("no gateway runs here: there is nothing to stop", "这里没有正在运行的网关，没有什么可停止的"));
    };
    log.file().map_or(Ok(()), own)?;
    let recosts = Recosts::new(log, Arc::new(Configured(Tariff::of(&loaded.config))));
    let told = told(&recosts.run(from_ms, to_ms));
    let text = in_words(&told.text);
    if told.is_done { Ok(format!("{log}: {text}")) } else { Err(text) }
}

/// Whether the request log is this user's own: what is written beside it would be this user's, and keep the gateway out.
///
/// # Errors
/// When it is somebody else's.
fn own(path: &Path) -> Result<(), String> {
    let owner = path
        .metadata()
        .map_err(|error| say!("{path} cannot be read: {error}", "无法读取 {path}：{error}", path = path.display()))?
        .uid();
    let this = rustix::process::geteuid().as_raw();
    if owner == this {
        return Ok(());
    }
    Err(say!(
        "no gateway runs here, and {path} belongs to user {owner}, not to {this}: run this as that user (`sudo -u \
         '#{owner}'`), or start the gateway, which does it then",
        "这里没有正在运行的网关，而 {path} 属于用户 {owner}，不属于 {this}：请以该用户执行（`sudo -u '#{owner}'`），\
         或启动网关，由它来计算",
        path = path.display()
    ))
}

fn not_begun(why: NotBegun) -> Words {
    match why {
        NotBegun::Running => both!("costs are being made anew already", "费用正在重新计算：请等它结束，或先停止"),
        NotBegun::Failed(why) => both!("the work cannot begin: {why}", "无法开始：{why}"),
    }
}

fn told(progress: &Progress) -> Told {
    let Progress { state, percent, rows, changed, unpriced, left, left_upstreams, .. } = progress;
    let at = |ms: i64| format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs()));
    let left = match left {
        0 => Words::said(""),
        _ => both!(
            ", {left} are as they were, because no upstream of the configuration has their upstream's name ({names})",
            "，{left} 条保持不变，因为配置中没有它们的上游（{names}）",
            names = left_upstreams.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    };
    let covered = match progress.oldest_ms.zip(progress.newest_ms) {
        Some((oldest, newest)) => {
            let (from, to) = (at(oldest), at(newest));
            let (english, chinese) = (left.text(Language::English), left.text(Language::Chinese));
            Words::new(
                format_args!(
                    "{rows} rows with known usage, from {from} to {to}: {changed} have another cost now, {unpriced} have no \
                     price{english}"
                ),
                format_args!(
                    "{from} 至 {to} 共 {rows} 条用量已知的记录：{changed} 条的费用有变化，{unpriced} 条没有价格{chinese}"
                ),
            )
        }
        None => both!("no rows with known usage yet", "还没有用量已知的记录"),
    };
    let (english, chinese) = (covered.text(Language::English), covered.text(Language::Chinese));
    let text = match state {
        State::Running => Words::new(format_args!("{percent} %: {english}"), format_args!("{percent} %：{chinese}")),
        State::Done if progress.oldest_ms.is_none() => {
            both!("there are no rows with known usage in that time", "这段时间里没有用量已知的记录")
        }
        State::Done => Words::new(
            format_args!("{english}; sums of before the oldest row are as they were"),
            format_args!("{chinese}；最早一条记录之前的总计保持不变"),
        ),
        State::Stopped => Words::new(
            format_args!("stopped at {percent} %: {english}; rows and sums agree, and the same command does the rest"),
            format_args!("停在 {percent} %：{chinese}；记录与总计一致，再次执行同一命令会完成其余部分"),
        ),
        State::Failed => {
            let why = progress.error.as_deref().unwrap_or_default();
            Words::new(
                format_args!("the costs cannot be made anew: {why}; at {percent} %: {english}; rows and sums agree"),
                format_args!("费用无法重新计算：{why}；已完成 {percent} %：{chinese}；记录与总计一致"),
            )
        }
    };
    Told { text, is_running: *state == State::Running, is_done: *state == State::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_log_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log.db");
        std::fs::write(&path, "").expect("written");
        assert_eq!(own(&path), Ok(()));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12345), None).expect("given away");
            let why = own(&path).expect_err("refused");
            assert!(why.contains("belongs to user 12345") && why.contains("sudo -u '#12345'"), "{why}");
        }
    }
}
