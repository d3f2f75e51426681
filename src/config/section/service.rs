//! The gateway as a service: its end, its panel, its metrics.

use crate::config::source::setting::{Panel, Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use std::time::Duration;

settings! {
    DRAIN_UPGRADE: Duration = Setting::one(
        "gateway.drain.upgrade",
        "10m",
        value::duration,
        "How long the old process may go on with its requests after an upgrade; it ends as soon as the last one is \
         over.",
        "升级后，旧进程最多还有多久处理进行中的请求；最后一个请求结束后立即退出。",
    );
    DRAIN_STOP: Duration = Setting::one(
        "gateway.drain.stop",
        "10s",
        value::duration,
        "SIGTERM: how long running requests may go on; it ends with the last one. grace_period_seconds says the \
         same.",
        "收到 SIGTERM 后，进行中的请求最多还能继续多久；最后一个请求结束后立即退出。与 grace_period_seconds 含义相同。",
    );
    DASHBOARD_ENABLED: bool = Setting::one(
        "gateway.dashboard.enabled",
        "true",
        value::boolean,
        "Serve the panel at /admin of the gateway port.",
        "在网关端口的 /admin 提供面板。",
    )
    .env(&["ENABLE_DASHBOARD"]);
    DASHBOARD_KEY: String = Setting::one(
        "gateway.dashboard.api_key",
        "",
        value::key,
        "Key that the panel asks for; not set: one that the first start makes, dashboard.key in the state folder.",
        "面板的登录密钥；未设置时，网关在首次启动时自动生成，保存在 state_dir 下的 dashboard.key 中。",
    )
    .env(&["DASHBOARD_API_KEY"])
    .secret()
    .panel(Panel::Never);
    MODELS_BY_NAME: usize = Setting::one(
        "gateway.metrics.models",
        "50",
        |text| value::number(text, 1..=1000),
        "Most models that are counted by name in metrics and statistics; further ones are counted as other.",
        "指标与统计中，最多按名称区分多少个模型；其余计为 other。",
    );
}

/// How long a process that ends goes on with its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// After a new process took over.
    pub upgrade: Duration,
    /// After SIGTERM.
    pub stop: Duration,
}

impl Drain {
    /// Reads it; `grace` is Pingora's word for `stop`, if the operator used that.
    pub fn read(reader: &mut Reader<'_>, grace: Option<Duration>) -> Self {
        let is_stop_set = reader.source_of(&DRAIN_STOP).is_some();
        let (upgrade, stop) = (reader.get(&DRAIN_UPGRADE), reader.get(&DRAIN_STOP));
        Self { upgrade, stop: grace.filter(|_| !is_stop_set).unwrap_or(stop) }
    }
}
