//! The rules that the gateway brings along: how New API, One API, AnyRouter, sub2api, claude-relay-service and the Anthropic
//! API word the errors that mean something else than their status says. docs/errors.md lists them.

use super::known::{BUILT_IN, BuiltIn, Says};
use super::rule::{ErrorRule, Which};
use super::then::{Of, Then};
use super::told::Told;
use crate::record::cause;
use std::sync::Arc;
use std::time::Duration;

/// All of them but those with these names, as rules.
pub fn rules(off: &[&'static str]) -> Vec<Arc<ErrorRule>> {
    ALL.iter().filter(|known| !off.contains(&known.name)).map(|known| Arc::new(rule(known))).collect()
}

fn rule(known: &'static BuiltIn) -> ErrorRule {
    ErrorRule {
        name: format!("{BUILT_IN}{}", known.name).into(),
        when: Which::BuiltIn(known),
        then: known.then,
        rest: known.rest.map(|(seconds, _)| Duration::from_secs(seconds)),
        of: known.rest.map(|(_, of)| of),
        disable_key: known.disables_key,
        answer: None,
    }
}

const fn built_in(name: &'static str, then: Then, words: &'static [&'static str]) -> BuiltIn {
    BuiltIn {
        name,
        then,
        rest: None,
        disables_key: false,
        says: Says::Nothing,
        is_of_request: false,
        statuses: &[],
        codes: &[],
        words,
        also: |_, _| false,
    }
}

impl BuiltIn {
    const fn rest(self, seconds: u64, of: Of) -> Self {
        Self { rest: Some((seconds, of)), ..self }
    }

    const fn says(self, says: Says) -> Self {
        Self { says, ..self }
    }

    const fn of_request(self) -> Self {
        Self { is_of_request: true, ..self }
    }

    const fn codes(self, codes: &'static [&'static str]) -> Self {
        Self { codes, ..self }
    }

    const fn within(self, statuses: &'static [u16]) -> Self {
        Self { statuses, ..self }
    }

    const fn disables_key(self) -> Self {
        Self { disables_key: true, ..self }
    }

    const fn also(self, also: fn(&Told<'_>, &str) -> bool) -> Self {
        Self { also, ..self }
    }
}

/// All of them, in the order in which they are asked: what is narrow comes before what is wide.
pub static ALL: [BuiltIn; 17] = [
    built_in(
        "prompt_too_long",
        Then::Pass,
        &["prompt is too long", "input length and `max_tokens` exceed context limit", "maximum context length is"],
    )
    .codes(&["context_length_exceeded"])
    .of_request(),
    built_in("blocked_content", Then::Pass, &["sensitive words detected", "包含敏感词", "检测到敏感词"])
        .codes(&["sensitive_words_detected", "prompt_blocked", "content_policy_violation"])
        .of_request(),
    built_in(
        "shape_refused",
        Then::Next,
        &[
            "invalid claude code request",
            "only allows claude code clients",
            "h.map is not a function",
            "cannot read properties of undefined (reading 'map')",
        ],
    )
    .also(|told, lower| {
        let is_of_load = ["负载", "限制", "saturated"].iter().any(|words| lower.contains(words));
        !is_of_load && cause::is_shape_429(told.status, told.kind == Some("new_api_error"), lower)
    }),
    // With status 429 too: the account has no share in it, which says nothing of what else the key may have.
    built_in(
        "long_context",
        Then::Next,
        &["context-1m-", "long context beta", "extra usage is required for long context", "out of extra usage"],
    )
    .of_request()
    .also(|_, lower| lower.contains("1m") && lower.contains("上下文")),
    built_in(
        "model_missing",
        Then::Next,
        &[
            "无可用渠道",
            "的可用渠道失败",
            "no available channel for model",
            "failed to get available channel",
            "support the requested model",
        ],
    )
    .codes(&["model_not_found", "get_channel_failed"])
    .of_request()
    .also(|told, lower| told.kind == Some("not_found_error") && lower.starts_with("model:")),
    built_in(
        "model_forbidden",
        Then::NextKey,
        &[
            "该令牌无权访问模型",
            "该令牌无权访问任何模型",
            "has no access to model",
            "has no access to any models",
            "无权访问该分组",
            "no permission to access this group",
        ],
    )
    .codes(&["group_not_allowed", "model_access_denied"])
    .of_request()
    .also(|told, lower| told.status == 403 && lower.contains("无权访问") && lower.contains("分组")),
    built_in(
        "country",
        Then::Next,
        &[
            "not available in your country",
            "not available in your region",
            "unsupported country",
            "country, region, or territory",
        ],
    )
    .codes(&["unsupported_country_region_territory"]),
    built_in("address_limited", Then::Next, &["too many requests from this ip"]).rest(60, Of::Upstream),
    built_in("concurrency", Then::NextKey, &["concurrency limit exceeded", "too many concurrent requests"])
        .codes(&["token_concurrency_limit_reached"])
        .rest(5, Of::Key)
        .says(Says::Limited),
    // A relay whose own account was refused passes its status on: that is not the key that it got.
    built_in(
        "relay_account",
        Then::Next,
        &["bad response status code 40", "oauth token has expired", "oauth token has been revoked"],
    )
    .within(&[401, 402, 403])
    // New API has a type of its own for what it says itself, and adds its number to what others said.
    .also(|told, lower| told.kind == Some("authentication_error") && lower.contains("(request id:")),
    // New API says so of keys that are well too, now and then.
    built_in("key_status", Then::NextKey, &["令牌状态不可用", "token status is unavailable"])
        .rest(600, Of::Key)
        .says(Says::Refused),
    // A relay says so of one of its many accounts: the key is well.
    built_in("organization_disabled", Then::NextKey, &["organization has been disabled", "account has been disabled"])
        .rest(600, Of::Key)
        .says(Says::Refused),
    built_in(
        "quota",
        Then::NextKey,
        &[
            "额度不足",
            "额度已用尽",
            "额度已用完",
            "预扣费额度失败",
            "余额不足",
            "欠费",
            "quota is not enough",
            "quota is exhausted",
            "quota is insufficient",
            "insufficient quota",
            "insufficient balance",
            "insufficient account balance",
            "insufficient credit",
            "credit balance is too low",
            "daily cost limit",
        ],
    )
    .codes(&[
        "insufficient_user_quota",
        "insufficient_quota",
        "pre_consume_token_quota_failed",
        "entitlement_daily_limit_exceeded",
        "entitlement_total_limit_exceeded",
        "insufficient_balance",
        "api_key_quota_exhausted",
        "usage_limit_exceeded",
        "subscription_not_found",
        "subscription_invalid",
        "billing_error",
    ])
    .rest(600, Of::Key)
    .says(Says::UsedUp),
    built_in(
        "key_disabled",
        Then::NextKey,
        &[
            "无效的令牌",
            "令牌已过期",
            "用户已被封禁",
            "用户已被禁用",
            "invalid token",
            "token has expired",
            "user has been banned",
            "user has been disabled",
            "api key is disabled",
            "api key 已过期",
            "invalid api key",
            "invalid x-api-key",
        ],
    )
    .codes(&[
        "invalid_api_key",
        "api_key_disabled",
        "api_key_inactive",
        "api_key_expired",
        "user_inactive",
        "user_not_found",
    ])
    .within(&[401, 403])
    .disables_key()
    .says(Says::Refused),
    built_in(
        "request_limit",
        Then::NextKey,
        &["请求数限制", "reached the request limit", "reached the total request limit"],
    )
    .rest(60, Of::Key)
    .says(Says::Limited),
    built_in(
        "saturated",
        Then::Next,
        &[
            "负载已饱和",
            "负载已经达到上限",
            "负载已达上限",
            "负载压力太大",
            "load is saturated",
            "upstream is saturated",
            "bad response status code 429",
        ],
    ),
    built_in(
        "pool_closed",
        Then::Next,
        &[
            "no available accounts",
            "no available claude accounts",
            "no valid upstream channel",
            "无有效上游渠道",
            "没有可用的渠道密钥",
            "no available channel keys",
            "该渠道已被禁用",
            "this channel has been disabled",
        ],
    )
    .codes(&["channel:no_available_key"])
    .also(|told, _| told.status == 503 && told.kind == Some("new_api_error")),
];
