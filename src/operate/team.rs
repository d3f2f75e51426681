//! The team at the control socket: what a command wishes of the gateway that runs.

use super::RuntimeDir;
use super::ask::ask;
use super::control::{Answer, Question};
use crate::language::{joined, say};
use crate::team::{Told, Wish};
use gateway_core::language::Words;
use std::sync::Arc;

/// Fulfills a wish of this user of the machine.
pub(crate) type Acting = Arc<dyn Fn(&Wish, u32) -> Result<Told, Words> + Send + Sync>;

/// Has the gateway that runs fulfill it.
///
/// # Errors
/// When it refuses, or cannot be asked.
pub(crate) fn run(folder: &RuntimeDir, wish: Wish) -> Result<Told, String> {
    match ask(folder, Question::Team(Box::new(wish)))? {
        Answer::Team(told) => Ok(told),
        Answer::Refused(why) if why.iter().any(|why| why.to_string().starts_with("the question cannot be read")) => {
            Err(say!(
                "the gateway that runs is an older one, which knows no client tokens: upgrade it, or start it anew",
                "正在运行的网关版本较旧，不支持客户端令牌：请升级它，或重新启动"
            ))
        }
        Answer::Refused(why) => Err(joined(&why, "\n")),
        _ => Err(say!("the gateway gave another answer than one of the team", "网关的响应与令牌命令不符")),
    }
}
