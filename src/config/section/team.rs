//! The team: who needs a client token.

use crate::config::source::setting::{Setting, settings};
use crate::config::source::value;

settings! {
    REQUIRE_TOKEN: bool = Setting::one(
        "gateway.team.require_token",
        "false",
        value::boolean,
        "Serve only requests with a client token of the gateway's own (agw_...); all others are refused.",
        "只接受带有网关自己签发的客户端令牌（agw_...）的请求，其余一律拒绝。",
    )
    .env(&["REQUIRE_TOKEN"]);
}
