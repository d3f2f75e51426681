//! Why the admin API has no result for a request: every reason with its code, its parameters, and its words in both
//! languages. The panel has the words from here too: a test writes them to static/src/i18n/faults.

use crate::config::words::messages;
use gateway_core::language::Words;

messages! {
    /// Why there is no result.
    pub(super) Fault:
    // --- who may do what ---
    KeyNeeded = "key_needed",
        "This needs the panel's key as a bearer token, or a login at /admin: `anyrouter-gateway panel` prints a link that \
         logs in",
        "需要面板密钥：放在 Authorization: Bearer 中，或在 /admin 登录；运行 anyrouter-gateway panel 可得到登录链接";
    AdminNeeded = "admin_needed",
        "This needs the panel's key, or a client token of a user who is an admin", "需要面板密钥，或角色为 admin 的用户的客户端令牌";
    WrongKey = "wrong_key",
        "This is neither the panel's key nor a client token of this gateway", "这既不是面板密钥，也不是此网关的客户端令牌";
    TokenRefused { said: Words } = "token_refused", "{said}", "令牌不能使用：{said}";
    LinkOver = "link_over",
        "This link is over: each logs in once, within a day, and those from before a restart, an upgrade or a new key do \
         not. Type `anyrouter-gateway panel` again",
        "登录链接已失效：每个链接一天内可登录一次；网关重启、升级或更换密钥后，之前的链接也会失效。请重新运行 anyrouter-gateway panel";
    NoPanelKey = "no_panel_key",
        "The panel is closed: the gateway has no key for it, since it could not make one. Its log says why; \
         `anyrouter-gateway panel` tries again, and DASHBOARD_API_KEY sets a key",
        "面板已关闭：网关未能生成面板密钥，原因见网关日志。运行 anyrouter-gateway panel 会再试一次，也可用 DASHBOARD_API_KEY 设置密钥";
    CrossSite = "cross_site", "This is not for pages of other sites", "网关不接受其他网站的页面发来的请求";
    NotSentAsJson = "not_sent_as_json",
        "This must have Content-Type: application/json", "请求必须带有 Content-Type: application/json";
    TooManyWrongKeys = "too_many_wrong_keys",
        "Too many wrong keys within a minute: wait a minute. The right key is taken at any time",
        "一分钟内输错密钥的次数过多：请等一分钟。正确的密钥随时可用";
    // --- what is asked for is not there ---
    NoPath = "no_path",
        "There is no such path in the admin API; docs/api.md lists them", "管理 API 没有这个路径；所有路径见 docs/api.zh-CN.md";
    NoPage = "no_page", "There is no such page", "没有这个页面";
    NoMethod { allowed: String } = "no_method", "This takes {allowed}", "此处只接受 {allowed}";
    NoUpstream { name: String } = "no_upstream", "There is no upstream \"{name}\"", "没有名为“{name}”的上游";
    NoKey { name: String, upstream: String } = "no_key",
        "The upstream \"{upstream}\" has no key \"{name}\": its name or its fingerprint is expected",
        "上游“{upstream}”没有名为“{name}”的密钥：应为密钥的名称或指纹";
    NoTarget { name: String } = "no_target",
        "There is no target \"{name}\" in gateway.notify.targets", "gateway.notify.targets 中没有名为“{name}”的目标";
    NoRequest = "no_request", "There is no such request in the request log", "请求日志里没有这个请求";
    NoSession = "no_session", "There is no such session in the request log", "请求日志里没有这个会话";
    NoLog = "no_log",
        "There is no request log: it is switched off (GATEWAY_DB, gateway.database)",
        "没有请求日志：它已关闭（GATEWAY_DB、gateway.database）";
    NotInTeam { said: Words } = "not_in_team", "{said}", "团队中没有：{said}";
    NotYours = "not_yours", "This is not a token of yours", "这不是你的令牌";
    TextReplaced = "text_replaced",
        "This token has been rotated: only who has its newest text may rotate it again. If that is lost, ask whoever runs the gateway",
        "该令牌已经轮换过，只有持有最新令牌文本的人可以再次轮换；如果最新的文本已丢失，请联系网关管理员";
    NoToken = "no_token",
        "This is for who has a client token: the panel's key has no requests and no limits of its own",
        "此处供客户端令牌的持有者使用：面板密钥没有自己的请求和限额";
    // --- what is asked for is not clear ---
    TooManyValues { name: String, count: u64, most: u64 } = "too_many_values",
        "{name}: {count} values are more than {most}", "{name}：共 {count} 个值，最多 {most} 个";
    NotANumber { name: String, text: String, least: u64, most: u64 } = "not_a_number",
        "{name}: \"{text}\" is not a whole number from {least} to {most}",
        "{name}：“{text}”不是 {least} 到 {most} 之间的整数";
    NotATime { name: String, text: String } = "not_a_time",
        "{name}: \"{text}\" is neither a number of milliseconds since 1970 nor a time such as 2026-11-24T12:00:00Z",
        "{name}：“{text}”既不是 1970 年以来的毫秒数，也不是 2026-11-24T12:00:00Z 这样的时间";
    NotAZone { text: String } = "not_a_zone",
        "zone: \"{text}\" is neither the name of a time zone, such as Asia/Shanghai, nor an offset such as +08:00",
        "zone：“{text}”既不是 Asia/Shanghai 这样的时区名，也不是 +08:00 这样的时差";
    TimesReversed = "times_reversed", "from is later than to", "from 晚于 to";
    NotAStatus { text: String } = "not_a_status",
        "status: \"{text}\" is neither a status nor a class such as 4xx", "status：“{text}”既不是状态码，也不是 4xx 这样的类别";
    NotAChoice { name: String, choices: String } = "not_a_choice",
        "{name}: one of {choices} is expected", "{name}：只能是 {choices} 之一";
    NotAStep { step: u64, most: u64 } = "not_a_step",
        "step: {step} ms is no whole number of minutes (of quarters of an hour, for times of more than three days ago), \
         or makes more than {most} points",
        "step：{step} 毫秒不是整数分钟（三天以前的时间须为整数刻钟），或数据点超过 {most} 个";
    NotARest { text: String } = "not_a_rest",
        "for: \"{text}\" is no time such as 10m or 2h, of 30 days at most", "for：“{text}”不是 10m、2h 这样的时间（最长 30 天）";
    NotAModel { text: String } = "not_a_model",
        "model: \"{text}\" is no name of a model", "model：“{text}”不是模型名";
    NotAKey = "not_a_key",
        "client_key: this has control characters in it, as no key has", "client_key：含有控制字符，不是密钥";
    KeysOfItsOwn { upstream: String } = "keys_of_its_own",
        "The upstream \"{upstream}\" has keys of its own, which go out in place of a client's: name one of them in key",
        "上游“{upstream}”有自己的密钥，它们会代替客户端的密钥：请用 key 指定其中一个";
    NoKeyToTest { upstream: String } = "no_key_to_test",
        "The upstream \"{upstream}\" has no key of its own: a message needs one in client_key",
        "上游“{upstream}”没有自己的密钥：发送消息需要在 client_key 中给出密钥";
    NotACursor = "not_a_cursor", "cursor: this is no cursor of a page", "cursor：不是分页游标";
    NoBaseVersion = "no_base_version",
        "base_version is missing: the version that the edit was made for", "缺少 base_version：这次修改所基于的版本";
    BodyTooLarge { most: u64 } = "body_too_large", "The body is larger than {most} bytes", "请求体超过 {most} 字节";
    CapturedTooLarge { most: u64 } = "captured_too_large",
        "The body is larger than {most} bytes; anyrouter-gateway explain reads larger ones",
        "请求体超过 {most} 字节；更大的请求可用 anyrouter-gateway explain 查看";
    BodyUnread { said: String } = "body_unread",
        "The body is not what is expected here: {said}", "请求体的内容不符合要求：{said}";
    NotARequest { said: Words } = "not_a_request", "{said}", "要试运行的请求有误：{said}";
    BodyOrRequest = "body_or_request",
        "Either body (and perhaps head) is expected, or request_id", "应给出 body（可附 head），或者只给出 request_id";
    NotOver = "not_over",
        "This request is still being served: a dry run can use it when it is over", "这个请求还在处理中：结束后才能用于试运行";
    NoPrompt = "no_prompt",
        "Rules are tried on past requests to /v1/messages and /v1/messages/count_tokens only; of others no more is kept than \
         their rows (log.capture keeps whole requests)",
        "只能用过去发往 /v1/messages 和 /v1/messages/count_tokens 的请求试运行规则；其他请求只留有记录（log.capture 可保留完整请求）";
    ShapesOff = "shapes_off",
        "What requests look like is not kept here (log.shapes is 0): there is nothing to try the rules on",
        "网关没有保留请求的结构（log.shapes 为 0）：没有可以试运行的内容";
    ShapeGone = "shape_gone",
        "This request is older than those of which head and shape are still kept (log.shapes)",
        "这个请求较早，它的请求头和结构已不再保留（log.shapes）";
    NoShape = "no_shape",
        "Nothing was kept of this request: its body was no JSON object or was compressed, it brought no key that was taken, requests came too fast, or too much waited for the disk",
        "没有保留这个请求的任何内容：它的请求体不是 JSON 对象或经过压缩、没有带被接受的密钥、请求来得太快，或当时等待写入磁盘的内容过多";
    CaptureIsCut = "capture_is_cut",
        "Only the beginning of this request was kept (log.capture_body): rules cannot be tried on it",
        "这个请求只保留了开头（log.capture_body）：无法用它试运行规则";
    DraftUnusable { said: Words } = "draft_unusable",
        "The draft cannot be used: {said}", "这份草稿无法使用：{said}";
    NotForTeam { said: Words } = "not_for_team", "{said}", "未执行：{said}";
    // --- it cannot be done ---
    NameTaken { said: Words } = "name_taken", "{said}", "名称已被占用：{said}";
    RotatedTooOften { said: Words, seconds: u64 } = "rotated_too_often", "{said} ({seconds} s)", "{said}（{seconds} 秒）";
    TeamUnusable { said: Words } = "team_unusable", "{said}", "用户与令牌的文件无法使用：{said}";
    Conflict { current: String } = "conflict",
        "The configuration was changed in the meantime (it is {current} now); load it again and repeat the edit",
        "在此期间，配置已被修改（当前版本 {current}）；请重新加载后再修改";
    RecostRuns = "recost_runs",
        "Costs are being recalculated already: wait for the end, or stop that first", "费用正在重新计算：请等它结束，或先停止";
    TooManyWishes { most: u64 } = "too_many_wishes",
        "The next request of {most} sessions is to be kept already: wait for one, or take one back",
        "已有 {most} 个会话在等待抓取下一个请求：请等其中一个完成，或取消一个";
    NotWritten { said: Words } = "not_written", "The edit could not be written: {said}", "修改未能写入文件：{said}";
    Waiting = "waiting",
        "Another one waits for the same work already: try again in some seconds", "已有另一个同样的操作在等待：请过几秒再试";
    TookTooLong { seconds: u64 } = "took_too_long", "The work took longer than {seconds} s", "操作用时超过 {seconds} 秒";
    LogUnread { said: String } = "log_unread",
        "The request log could not be read: {said}", "请求日志无法读取：{said}";
    Failed { said: String } = "failed", "The work failed: {said}", "操作失败：{said}";
}

impl Fault {
    /// The status of the response.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::KeyNeeded | Self::WrongKey | Self::TokenRefused { .. } | Self::LinkOver | Self::NoPanelKey => 401,
            Self::CrossSite | Self::AdminNeeded | Self::NotYours | Self::TextReplaced => 403,
            Self::NoPath | Self::NoPage | Self::NoUpstream { .. } | Self::NoKey { .. } => 404,
            Self::NotInTeam { .. } | Self::NoToken => 404,
            Self::NoTarget { .. } | Self::NoRequest | Self::NoSession | Self::NoLog => 404,
            Self::NoMethod { .. } => 405,
            Self::NameTaken { .. } => 409,
            Self::Conflict { .. } | Self::RecostRuns | Self::TooManyWishes { .. } => 409,
            Self::BodyTooLarge { .. } | Self::CapturedTooLarge { .. } => 413,
            Self::NotSentAsJson => 415,
            Self::TooManyWrongKeys | Self::RotatedTooOften { .. } => 429,
            Self::TeamUnusable { .. } | Self::NotWritten { .. } | Self::Failed { .. } => 500,
            Self::Waiting | Self::TookTooLong { .. } | Self::LogUnread { .. } => 503,
            _ => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TEMPLATES;
    use crate::config::words::tests::{check, check_panel};

    #[test]
    fn each_fault_has_a_code_and_words_in_both_languages() {
        check(TEMPLATES);
    }

    #[test]
    fn the_panel_has_these_words() {
        check_panel("faults", TEMPLATES);
    }
}
