//! What can be wrong with a configuration: every message with its code, its parameters, and its words in both languages.
//! The panel has the words from here too: a test writes them to static/src/i18n/problems.

use super::words::{Near, messages};
use gateway_core::language::Words;

messages! {
    /// What is wrong, without the place and the key.
    pub Message:
    // --- one value ---
    NotAnAddress { text: String } = "not_an_address",
        "\"{text}\" is not host:port, such as 127.0.0.1:8088 or [::1]:8088",
        "“{text}”不是“主机:端口”，例如 127.0.0.1:8088 或 [::1]:8088";
    NotAPostgresUrl = "not_a_postgres_url",
        "this is not the URL of a PostgreSQL database: postgres://USER@HOST:PORT/DATABASE",
        "这不是 PostgreSQL 数据库的 URL：postgres://USER@HOST:PORT/DATABASE";
    UrlParameterUnknown { name: String } = "url_parameter_unknown",
        "the URL has a parameter that nobody would keep (\"{name}\"): remove it, and write special characters of a value percent-encoded",
        "URL 中的参数“{name}”不受支持，不会生效：请删除它；值中的特殊字符要做百分号编码";
    NotAPort { text: String } = "not_a_port",
        "\"{text}\" is not a port from 1 to 65535", "“{text}”不是 1 到 65535 之间的端口";
    NotABoolean { text: String } = "not_a_boolean",
        "\"{text}\" is neither true nor false", "“{text}”既不是 true 也不是 false";
    NotADuration { text: String } = "not_a_duration",
        "\"{text}\" is not a time with a unit, such as 500ms, 10s or 5m",
        "“{text}”不是带单位的时长，例如 500ms、10s 或 5m";
    NotADurationWithin { text: String, least: String, most: String } = "not_a_duration_within",
        "\"{text}\" is not a time from {least} to {most}", "“{text}”不是 {least} 到 {most} 之间的时长";
    NotWholeSeconds { text: String } = "not_whole_seconds",
        "\"{text}\" is not a whole number of seconds", "“{text}”不是整数秒";
    NotAPercentage { text: String, least: u64, most: u64 } = "not_a_percentage",
        "\"{text}\" is not a percentage from {least}% to {most}%", "“{text}”不是 {least}% 到 {most}% 之间的百分比";
    NotANameServer { text: String } = "not_a_name_server",
        "\"{text}\" is not the address of a name server, such as 1.1.1.1, 1.1.1.1:53 or [2606:4700::1]:53",
        "“{text}”不是 DNS 服务器的地址，例如 1.1.1.1、1.1.1.1:53 或 [2606:4700::1]:53";
    NotATimeZone { text: String } = "not_a_time_zone",
        "\"{text}\" is no time zone: Europe/Berlin and Asia/Shanghai are some",
        "“{text}”不是时区：应为 Asia/Shanghai、Europe/Berlin 一类的名称";
    NotASize { text: String } = "not_a_size",
        "\"{text}\" is not a size, such as 64KiB or 32MiB", "“{text}”不是带单位的大小，例如 64KiB 或 32MiB";
    NotBelowMib { text: String } = "not_below_mib",
        "\"{text}\" is not below 1 MiB", "“{text}”应小于 1 MiB";
    NotANumber { text: String, least: u64, most: u64 } = "not_a_number",
        "\"{text}\" is not a whole number from {least} to {most}", "“{text}”不是 {least} 到 {most} 之间的整数";
    NotBetween { number: u64, least: u64, most: u64 } = "not_between",
        "{number} is not between {least} and {most}", "{number} 不在 {least} 到 {most} 之间";
    NotAChoice { text: String, choices: String, near: Near } = "not_a_choice",
        "\"{text}\" is not one of {choices}{near}", "“{text}”不是 {choices} 之一{near}";
    NotStatuses { text: String, least: u64, most: u64 } = "not_statuses",
        "\"{text}\" is no status from {least} to {most} and no range of them; write them as 500, 520-524, or none",
        "“{text}”不是 {least} 到 {most} 之间的状态码或范围；写法如 500, 520-524，或 none";
    NotAPrice { text: String } = "not_a_price",
        "\"{text}\" is not a price in US dollars per million tokens, such as 3 or 0.25 (at most six decimals)",
        "“{text}”不是每百万 token 的美元价格，例如 3 或 0.25（最多六位小数）";
    NotADate { text: String } = "not_a_date",
        "\"{text}\" is not a date such as 2026-10-07", "“{text}”不是日期，例如 2026-10-07";
    NotAFactor { text: String, most: u64, places: u64 } = "not_a_factor",
        "\"{text}\" is not a number from 0 to {most} with at most {places} decimals, such as 0.5",
        "“{text}”不是 0 到 {most} 之间、最多 {places} 位小数的数，例如 0.5";
    NotANetwork { text: String } = "not_a_network",
        "\"{text}\" is not a network such as 192.168.0.0/16", "“{text}”不是网段，例如 192.168.0.0/16";
    NotAnOrigin { text: String } = "not_an_origin",
        "\"{text}\" is not an origin, such as https://chat.example or http://localhost:3000, or *",
        "“{text}”不是来源（origin），例如 https://chat.example、http://localhost:3000 或 *";
    NotAddresses { text: String } = "not_addresses",
        "\"{text}\" is not an address or a network, such as 127.0.0.1, 10.0.0.0/8 or fd00::/8",
        "“{text}”不是地址或网段，例如 127.0.0.1、10.0.0.0/8 或 fd00::/8";
    NullOrigin = "null_origin",
        "\"null\" is the origin of any page that hides its own: name it, or *",
        "凡是隐藏来源的页面，来源都是“null”：请写明具体来源，或写 *";
    NotAProbePath { text: String } = "not_a_probe_path",
        "\"{text}\" is neither off nor a path such as /v1/models?limit=1",
        "“{text}”既不是 off 也不是路径，例如 /v1/models?limit=1";
    LessThan { other: String } = "less_than", "this is less than {other}", "此值小于 {other}";
    ValueMissing = "value_missing", "the value is missing", "缺少值";
    OneValue = "one_value", "one value is expected here", "这里应为单个值";
    OneValueAlone = "one_value_alone",
        "one value is expected here, not a list or a mapping", "这里应为单个值，不能是列表或映射";
    OneValueOrList = "one_value_or_list",
        "one value or a list of values is expected here", "这里应为单个值，或由值组成的列表";
    Unsuitable { said: String } = "unsuitable", "{said}", "值不合适：{said}";

    // --- lists and mappings ---
    ListExpected = "list_expected", "a list is expected here", "这里应为列表";
    ListEmpty = "list_empty", "the list is empty", "列表是空的";
    MappingExpected { keys: String } = "mapping_expected",
        "a mapping with {keys} is expected here", "这里应为映射，可用的键：{keys}";
    MappingEmpty { keys: String } = "mapping_empty",
        "this is empty; {keys} is expected here", "这里是空的；可用的键：{keys}";
    NamesExpected = "names_expected",
        "a mapping of names and values is expected here", "这里应为由名称和值组成的映射";
    SettingsExpected = "settings_expected", "a mapping of settings is expected here", "这里应为由设置组成的映射";
    UnknownKey { name: String, near: Near } = "unknown_key", "unknown key \"{name}\"{near}", "没有“{name}”这个键{near}";
    MisplacedKey { name: String } = "misplaced_key",
        "unknown key \"{name}\"; it belongs under \"gateway:\" ({name})",
        "这里没有“{name}”这个键；它应放在“gateway:”之下（{name}）";
    TooMany { found: u64, most: u64 } = "too_many",
        "{found} are too many, {most} are the most", "有 {found} 个，超出了上限（{most} 个）";
    Twice { name: String } = "twice", "\"{name}\" is there twice", "“{name}”出现了两次";

    // --- texts and files ---
    TextTooLong { bytes: u64, most: u64 } = "text_too_long",
        "the text has {bytes} bytes, {most} are the most", "文本有 {bytes} 字节，上限为 {most} 字节";
    AliasesUnsupported = "aliases_unsupported",
        "aliases (*name) are not supported: write the value out", "不支持别名（*name）：请把值完整写出";
    NestedTooDeep { most: u64 } = "nested_too_deep", "this is nested more than {most} deep", "嵌套超过了 {most} 层";
    TooManyValues { most: u64 } = "too_many_values", "the text has more than {most} values", "文本中的值超过了 {most} 个";
    KeyTwice { name: String, first: u64 } = "key_twice",
        "\"{name}\" is there already, in line {first}: keep one of them, or put what stands under both below one of them",
        "第 {first} 行已经有“{name}”：请只保留一个，或把两处的内容合并到其中一处";
    GatewayTwice { first: u64 } = "gateway_twice",
        "a second \"gateway:\"; the first one is in line {first}. Put what stands under this one at the end of what stands \
         under the first, with the same indentation, then delete this line",
        "这里又有一个“gateway:”，第一个在第 {first} 行。请把这里下面的内容移到第一个“gateway:”内容的末尾，缩进保持一致，\
         再删去这一行";
    TypedWide { found: String, code: String, right: String } = "typed_wide",
        "{found} ({code}) stands here, as an input method for Chinese types it: type {right} instead",
        "这里的 {found}（{code}）是中文标点或全角字符，请改用半角的 {right}";
    TypedBlank { code: String } = "typed_blank",
        "here stands a blank that programs do not take for one ({code}): delete it, and type a plain one",
        "这里的空白不是普通空格（{code}）：请删去，改用普通空格";
    TypedUnseen { code: String } = "typed_unseen",
        "here stands a character that nobody sees ({code}): delete it, or delete the line and type it again",
        "这里有一个看不见的字符（{code}）：请删去它，或删去整行重新输入";
    BlankMissing { name: String } = "blank_missing",
        "a blank is missing behind \"{name}:\", as in \"{name}: value\"", "“{name}:”后面缺少空格，应写成“{name}: 值”";
    TabInIndentation = "tab_in_indentation",
        "a tab stands here, and YAML takes only blanks for indentation: put blanks in its place",
        "这里有制表符（Tab），而 YAML 只能用空格缩进：请把它换成空格";
    NotYaml { said: String } = "not_yaml", "{said}", "YAML 有误：{said}";
    CannotBeRead { said: String } = "cannot_be_read", "cannot be read: {said}", "无法读取：{said}";
    NotUtf8 = "not_utf8",
        "cannot be read: it is not valid UTF-8: save it as UTF-8", "无法读取：不是 UTF-8 编码（可能是 GBK），请另存为 UTF-8";
    Utf16 = "utf16", "cannot be read: it is UTF-16: save it as UTF-8", "无法读取：是 UTF-16 编码，请另存为 UTF-8";
    NotForThisUser { user: u64, path: String } = "not_for_this_user",
        "cannot be read by user {user}, who runs this: type `chown {user} {path}`, or let others read it",
        "运行本程序的用户 {user} 无权读取：请执行 `chown {user} {path}`，或放开读取权限";
    ConfigurationUnreadable { said: String } = "configuration_unreadable",
        "the configuration cannot be read: {said}", "无法读取配置：{said}";
    OverlayUnreadable { said: String } = "overlay_unreadable",
        "the panel's overlay cannot be read: {said}", "无法读取面板的覆盖层：{said}";
    FileUnreadable { path: String, said: String } = "file_unreadable",
        "\"{path}\" cannot be read: {said}", "无法读取“{path}”：{said}";
    NotPem { path: String, said: String } = "not_pem",
        "\"{path}\" cannot be read as a PEM file: {said}", "“{path}”不是可读的 PEM 文件：{said}";
    NoCertificate { path: String } = "no_certificate",
        "\"{path}\" holds no certificate in PEM form", "“{path}”中没有 PEM 格式的证书";
    NoAuthority { path: String, said: String } = "no_authority",
        "\"{path}\" holds a certificate that cannot be an authority: {said}",
        "“{path}”中有一个不能作为签发机构的证书：{said}";
    NotAPrivateKey { path: String, said: String } = "not_a_private_key",
        "\"{path}\" cannot be read as a private key in PEM form: {said}", "“{path}”不是可读的 PEM 格式私钥：{said}";
    KeyDoesNotFit { said: String } = "key_does_not_fit",
        "this is not the key of the certificate in gateway.tls.cert: {said}",
        "这不是 gateway.tls.cert 中证书的私钥：{said}";
    NoCryptography = "no_cryptography", "there is no provider of cryptography", "没有可用的加密组件";
    NotAVariable = "not_a_variable",
        "this is not NAME=value, or a quote is not closed, or something stands behind the closing one",
        "这不是 NAME=value，或者引号没有闭合，或者闭合的引号之后还有内容";
    VariableNotSet { name: String } = "variable_not_set", "the variable {name} is not set", "变量 {name} 没有设置";
    VariableNotForPanel { name: String } = "variable_not_for_panel",
        "the variable {name} is not set, or the panel may not use it: those in env/.env may be used, and those that the \
         configuration names already",
        "变量 {name} 没有设置，或面板不能使用它：面板只能使用 env/.env 中的变量，以及配置中已经出现过的变量";
    BraceMissing = "brace_missing", "a }} is missing after ${{", "${{ 之后缺少 }}";
    OnlyVariables = "only_variables", "only ${{env.NAME}} can stand in a key", "密钥中只能使用 ${{env.NAME}}";
    UnknownPlaceholder { name: String } = "unknown_placeholder",
        "${{{name}}} is unknown: header.NAME, env.NAME, client.ip and request.id are known",
        "没有 ${{{name}}}：可用的有 header.NAME、env.NAME、client.ip 和 request.id";
    SecretUnknown { mask: String } = "secret_unknown",
        "{mask} stands for a secret that is not known here: write it out",
        "无法得知 {mask} 在这里代表哪个密钥：请完整写出";

    // --- URLs and proxies ---
    UrlSchemeMissing = "url_scheme_missing",
        "https:// or http:// is missing in front of the host", "主机名前缺少 https:// 或 http://";
    NotAUrl { said: String } = "not_a_url",
        "this is not a URL such as https://host/prefix: {said}", "这不是 URL（例如 https://host/prefix）：{said}";
    UrlScheme { scheme: String } = "url_scheme",
        "the scheme must be http or https, not {scheme}", "协议必须是 http 或 https，不能是 {scheme}";
    UrlCredentials = "url_credentials",
        "user and password do not belong into the URL; set a header instead",
        "URL 中不能有用户名和密码；请改用请求头";
    UrlQuery = "url_query",
        "the URL may have a path, but no query and no fragment", "URL 可以有路径，但不能有查询参数和片段";
    UrlHost = "url_host", "the URL has no host", "URL 中没有主机名";
    UrlPort = "url_port", "the URL has no port", "URL 中没有端口";
    ProxySocks4 = "proxy_socks4",
        "SOCKS4 proxies are not supported; use socks5://, socks5h:// or http://",
        "不支持 SOCKS4 代理；请使用 socks5://、socks5h:// 或 http://";
    ProxyScheme = "proxy_scheme",
        "a proxy begins with http://, https://, socks5:// or socks5h://",
        "代理应以 http://、https://、socks5:// 或 socks5h:// 开头";
    ProxyUrl { said: String } = "proxy_url", "the proxy's URL: {said}", "代理的 URL 有误：{said}";
    ProxyRest = "proxy_rest",
        "the proxy's URL may have nothing after its port; percent-encode special characters in user and password",
        "代理的 URL 在端口之后不能有其他内容；用户名和密码中的特殊字符请用百分号编码";
    ProxyHost = "proxy_host", "the proxy's URL has no valid host", "代理的 URL 中没有有效的主机名";
    ProxyPort = "proxy_port", "the proxy's port is not one from 1 to 65535", "代理的端口不在 1 到 65535 之间";
    ProxyEncoding = "proxy_encoding",
        "user and password of the proxy must be UTF-8", "代理的用户名和密码必须是 UTF-8";
    ProxyColon = "proxy_colon",
        "the user of an HTTP proxy may have no colon", "HTTP 代理的用户名中不能有冒号";
    ProxyLong { most: u64 } = "proxy_long",
        "user and password of a SOCKS5 proxy have at most {most} bytes", "SOCKS5 代理的用户名和密码最多 {most} 字节";

    // --- who is told when something breaks ---
    NotifyKindMissing { kinds: String } = "notify_kind_missing",
        "kind is missing: one of {kinds}", "缺少 kind：应为 {kinds} 之一";
    NotifyKeyMissing { kind: String, key: String } = "notify_key_missing",
        "a target of the kind {kind} needs {key}", "{kind} 类型的目标需要 {key}";
    NotifyKeyUnused { kind: String, key: String } = "notify_key_unused",
        "a target of the kind {kind} has no {key}", "{kind} 类型的目标没有 {key}";
    NtfyTopic = "ntfy_topic",
        "the URL ends with the topic, such as https://ntfy.sh/my-topic", "URL 的末尾应为主题，例如 https://ntfy.sh/my-topic";
    MailUrl = "mail_url",
        "this is no mail server such as smtps://smtp.example.com (TLS, port 465) or smtp://smtp.example.com (STARTTLS, port \
         587)",
        "应为邮件服务器，例如 smtps://smtp.example.com（TLS，端口 465）或 smtp://smtp.example.com（STARTTLS，端口 587）";
    MailCredentials = "mail_credentials",
        "user and password do not belong into the URL: write them as user and password",
        "URL 中不能有用户名和密码：请分别写在 user 和 password 中";
    NotAMailbox { text: String } = "not_a_mailbox",
        "\"{text}\" is no address such as ops@example.com or Gateway <gateway@example.com>",
        "“{text}”不是邮件地址：请写成 ops@example.com 或 网关 <gateway@example.com> 这样";
    NotDollars { text: String, most: u64 } = "not_dollars",
        "\"{text}\" is no amount of US dollars above 0 and up to {most}, such as 20",
        "“{text}”不是大于 0、不超过 {most} 的美元金额：请写成 20 这样";

    // --- headers ---
    HeadersExpected { said: String } = "headers_expected",
        "a JSON object of header names and values is expected: {said}", "应为由请求头名称和值组成的 JSON 对象：{said}";
    NotAHeaderName { name: String } = "not_a_header_name",
        "\"{name}\" is not a header name", "“{name}”不是合法的请求头名称";
    HeaderRefused { name: String } = "header_refused",
        "\"{name}\" may not be set: it belongs to the framing or to one connection",
        "不能设置“{name}”：它决定消息的边界，或只属于单个连接";
    HeaderTwice { name: String } = "header_twice",
        "\"{name}\" is there twice (upper and lower case count as the same)", "“{name}”出现了两次（不区分大小写）";
    HeaderNotText { name: String } = "header_not_text",
        "the value of \"{name}\" must be a string", "“{name}”的值必须是字符串";
    HeaderControls { name: String } = "header_controls",
        "the value of \"{name}\" has control characters in it", "“{name}”的值中含有控制字符";
    ValueControls = "value_controls", "the value has control characters in it", "值中含有控制字符";
    KeyControls = "key_controls", "the key has control characters in it", "密钥中含有控制字符";
    HeaderHost = "header_host",
        "the value of \"Host\" is not a host name or address with an optional port",
        "“Host”的值不是主机名或地址（可带端口）";
    NotAHost = "not_a_host",
        "this is not a host name or address with an optional port", "这不是主机名或地址（可带端口）";
    HostOnlySet = "host_only_set",
        "Host can only be set: a request has one and no more", "Host 只能设置：一个请求有且只有一个";

    // --- upstreams, routes, prices ---
    UpstreamsEmpty = "upstreams_empty",
        "the list is empty; leave the key out to send to AnyRouter", "列表是空的；要发往 AnyRouter，请去掉这个键";
    UpstreamTwice { name: String } = "upstream_twice",
        "the upstream name \"{name}\" is there twice", "上游名称“{name}”出现了两次";
    BaseUrlMissing = "base_url_missing", "base_url is missing", "缺少 base_url";
    NotALine { text: String } = "not_a_line",
        "\"{text}\" is no host, such as api2.relay.example or api2.relay.example:8443: scheme and path are those of base_url",
        "“{text}”不是主机：请写成 api2.relay.example 或 api2.relay.example:8443 这样；协议和路径与 base_url 相同，不用写";
    ApiKeyMissing = "api_key_missing", "the entry has no key", "此项缺少 key";
    ApiKeyTwice = "api_key_twice",
        "this key is there already, in an entry above: each key is listed once", "这个密钥在上面已经出现过：每个密钥只写一次";
    ApiKeyAndKeys = "api_key_and_keys",
        "api_key and api_keys are both set: move the one key into the list", "api_key 和 api_keys 只能设置一个：请把单独的密钥移到列表中";
    BalanceWithoutKey = "balance_without_key",
        "a balance is a key's: the upstream needs an api_key or api_keys of its own",
        "余额按密钥查询：此上游需要自己的 api_key 或 api_keys";
    BalanceKeyMissing { key: String } = "balance_key_missing", "{key} is missing", "缺少 {key}";
    BalanceOnlyCustom { key: String } = "balance_only_custom",
        "{key} is for kind: custom; the gateway knows where the other kinds have it",
        "{key} 只用于 kind: custom；其他类型无需设置";
    NotABalancePath { text: String } = "not_a_balance_path",
        "\"{text}\" is not a path such as /api/balance?of=key", "“{text}”不是路径：请写成 /api/balance?of=key 这样";
    NotAnAmount { text: String } = "not_an_amount",
        "\"{text}\" is not an amount, such as 1.5", "“{text}”不是金额：请写成 1.5 这样";
    NotAUnit { text: String, most: u64 } = "not_a_unit",
        "\"{text}\" is neither a unit of at most {most} characters, such as USD, nor a pointer to one, such as /data/unit",
        "“{text}”既不是最多 {most} 个字符的单位（例如 USD），也不是指向单位的指针（例如 /data/unit）";
    BalancePointerRoot = "balance_pointer_root",
        "the whole response is no number; name a member, as in /data/balance",
        "整个响应不是数字；请指向其中的成员，例如 /data/balance";
    NotAModel { text: String } = "not_a_model", "\"{text}\" is no name of a model", "“{text}”不是模型名";
    NoApiKey { name: String } = "no_api_key",
        "the upstream has no key \"{name}\": its name or its fingerprint is expected", "上游没有名为“{name}”的密钥：应为密钥的名称或指纹";
    TestIncomplete = "test_incomplete", "a test needs every and model", "test 需要 every 和 model";
    TestWithoutKey = "test_without_key",
        "a test needs a key of the upstream's own: api_key, or one of api_keys that is enabled",
        "test 需要上游自己的密钥：api_key，或 api_keys 中启用的一个";
    NotAName = "not_a_name",
        "a name has up to 64 letters, digits, '-', '_' and '.'", "名称最多 64 个字符，只能用字母、数字、“-”、“_”和“.”";
    NoUpstream { name: String, near: Near } = "no_upstream",
        "there is no upstream \"{name}\"{near}", "没有名为“{name}”的上游{near}";
    NoProfileRule { name: String, near: Near } = "no_profile_rule",
        "\"{name}\" is no rule of this profile{near}", "此配置档中没有规则“{name}”{near}";
    ProfileBroken { said: String } = "profile_broken", "{said}", "内置的配置档有误：{said}";
    KeyOfAnotherRoute = "key_of_another_route", "another route has this key already", "另一条路由已经有这个密钥";
    KeysMissing = "keys_missing", "keys are missing", "缺少 keys";
    UpstreamMissing = "upstream_missing",
        "upstream is missing, or upstreams: [a, b]", "缺少 upstream，或 upstreams: [a, b]";
    NotSha256 = "not_sha256",
        "sha256: must be followed by 64 hexadecimal digits", "sha256: 之后应为 64 位十六进制数字";
    MappingsExpected = "mappings_expected",
        "{{\"mappings\":[{{\"target_url\":...,\"keys\":[...]}}]}} is expected",
        "应为 {{\"mappings\":[{{\"target_url\":...,\"keys\":[...]}}]}}";
    PriceIncomplete = "price_incomplete",
        "a price needs models, input and output", "每个价格都需要 models、input 和 output";
    PriceModels = "price_models", "a price needs models", "价格缺少 models";
    PriceListForm { path: String } = "price_list_form",
        "{path} is neither LiteLLM's model_prices_and_context_window.json nor api.json of models.dev",
        "{path} 既不是 LiteLLM 的 model_prices_and_context_window.json，也不是 models.dev 的 api.json";
    PriceListEmpty { path: String } = "price_list_empty",
        "{path} has no model with a price per token", "{path} 中没有任何按 token 计价的模型";
    PricesUnreadable { path: String, count: u64, models: String } = "prices_unreadable",
        "{path}: the prices of {count} models cannot be read, they have none: {models}",
        "{path}：有 {count} 个模型的价格无法读取，按没有价格处理：{models}";
    NameStar = "name_star",
        "a * in a new name stands for what the * of the pattern stands for: both have one",
        "新名称中的 * 代表模式中 * 匹配到的内容：两边都必须有且只有一个";
    LongContextNoProfile = "long_context_no_profile",
        "long_context is for profile: anyrouter", "long_context 只用于 profile: anyrouter";
    ModelIdMissing = "model_id_missing", "a model needs an id", "模型缺少 id";
    NotAFingerprint { text: String, least: u64, most: u64 } = "not_a_fingerprint",
        "\"{text}\" is not the beginning of a key's fingerprint: {least} to {most} hexadecimal digits",
        "“{text}”不是密钥指纹的开头：应为 {least} 到 {most} 位十六进制数字";
    NotAKeyName { most: u64 } = "not_a_key_name",
        "a name of 1 to {most} characters in one line is expected", "这里应为 1 到 {most} 个字符的名称，不能换行";
    ProbeNothing = "probe_nothing",
        "an upstream must be able to pass the probe", "这样写，上游永远无法通过健康检查";

    // --- rules ---
    RuleTwice { name: String } = "rule_twice", "the rule name \"{name}\" is there twice", "规则名称“{name}”出现了两次";
    RuleName = "rule_name", "the rule needs a name", "规则缺少名称";
    RuleNameTaken { name: String } = "rule_name_taken",
        "\"{name}\" is the name of a rule of the gateway's own", "“{name}”是网关自带规则的名称";
    ErrorRuleNeeds { key: String } = "error_rule_needs",
        "the rule needs {key}", "规则缺少 {key}";
    NoBuiltInError { name: String, near: Near } = "no_built_in_error",
        "\"{name}\" is no built-in rule for errors{near}", "没有名为“{name}”的内置错误规则{near}";
    RuleChangesNothing = "rule_changes_nothing",
        "the rule changes nothing; give it headers, query, body, ... or respond",
        "这条规则什么也不改；请加上 headers、query、body 等，或 respond";
    RespondBeforeUpstream = "respond_before_upstream",
        "respond answers before an upstream is chosen, so match cannot ask for one",
        "respond 在选定上游之前就会响应，因此 match 中不能指定上游";
    AbsentUnderNot = "absent_under_not",
        "for a field that is absent, write it under \"not:\"", "要匹配不存在的请求头或参数，请写在“not:”之下";
    TooManyTests { most: u64 } = "too_many_tests",
        "all rules together have more than {most} tests", "所有规则的匹配条件合计超过 {most} 个";
    NotARegex { said: String } = "not_a_regex",
        "this is not a regular expression: {said}", "这不是合法的正则表达式：{said}";
    RegexTooLong { bytes: u64, most: u64 } = "regex_too_long",
        "a regular expression has at most {most} bytes, this one {bytes}",
        "正则表达式最多 {most} 字节，这个有 {bytes} 字节";
    RegexTooLarge { mib: u64 } = "regex_too_large",
        "this regular expression takes more than {mib} MiB when it is compiled: use smaller classes (\\w and \\d stand for \
         those of all scripts; [0-9A-Za-z_] is small) or fewer repetitions",
        "这个正则表达式编译后超过 {mib} MiB：请改用更小的字符类（\\w 和 \\d 包含所有语言的文字，[0-9A-Za-z_] 则很小），或减少重复次数";
    RegexesTooLarge { mib: u64 } = "regexes_too_large",
        "all regular expressions together take more than {mib} MiB: use fewer or simpler ones",
        "所有正则表达式合计超过 {mib} MiB：请减少数量或简化";
    ApiKeyField { near: Near } = "api_key_field",
        "one of bearer, x-api-key, keep is expected here{near}; a key belongs to an upstream's api_key",
        "这里应为 bearer、x-api-key 或 keep{near}；密钥应写在上游的 api_key 中";
    NotJson { said: String } = "not_json", "{said}", "不是合法的 JSON：{said}";
    NotAPointer { said: String } = "not_a_pointer", "{said}", "不是合法的 JSON 指针：{said}";
    PointerRoot = "pointer_root",
        "the whole body cannot be meant here; name a member, as in /metadata",
        "这里不能指向整个请求体；请写明成员，例如 /metadata";
    ModeMissing = "mode_missing", "mode is missing", "缺少 mode";
    TextMissing = "text_missing", "text is missing", "缺少 text";
    NoBodyWithStatus { status: u64 } = "no_body_with_status",
        "an answer with status {status} has no body", "状态码为 {status} 的响应不能有正文";

    // --- the process ---
    OwnAddress { address: String } = "own_address",
        "{address} is the gateway's own address", "{address} 是网关自己的地址";
    TlsNeedsBoth = "tls_needs_both",
        "the listener needs cert and key, two readable PEM files", "TLS 监听需要 cert 和 key 两个可读的 PEM 文件";
    NotInBackground = "not_in_background",
        "the gateway does not go into the background by itself: use systemd, or nohup ... >>log 2>&1 &",
        "网关不会自行转入后台：请使用 systemd，或 nohup ... >>log 2>&1 &";
    PidFile = "pid_file", "gateway.runtime_dir says where gateway.pid is", "gateway.pid 的位置由 gateway.runtime_dir 决定";
    UpgradeSocket = "upgrade_socket",
        "gateway.runtime_dir says where control.sock is; a new process gets the sockets there",
        "control.sock 的位置由 gateway.runtime_dir 决定；新进程从那里接管套接字";
    AddressTaken { address: String, other: String } = "address_taken",
        "{address} is taken by {other}", "{address} 已被 {other} 使用";
    AddressInUse { address: String } = "address_in_use",
        "{address} is in use by another program", "{address} 正被另一个程序使用";
    CannotListen { address: String, said: String } = "cannot_listen",
        "cannot listen on {address}: {said}", "无法监听 {address}：{said}";
    CannotBeWritten { path: String, said: String } = "cannot_be_written",
        "{path} cannot be written: {said}", "无法写入 {path}：{said}";
    FolderIsFile { path: String } = "folder_is_file",
        "{path} cannot be a folder: there is a file of this name", "{path} 不能是文件夹：已有同名文件";
    FolderReadOnly { path: String } = "folder_read_only", "{path} cannot be written", "无法写入 {path}";
    FolderUnknown { path: String, said: String } = "folder_unknown",
        "{path} cannot be looked at: {said}", "无法查看 {path}：{said}";
    FolderCannotBeMade { path: String } = "folder_cannot_be_made", "{path} cannot be made", "无法创建 {path}";
    CannotBeUsed { said: Words } = "cannot_be_used", "{said}", "无法启用：{said}";

    // --- the panel ---
    NotFromPanel { path: String } = "not_from_panel",
        "this cannot be set from the panel, only where the gateway is run ({path})",
        "这一项不能在面板中设置，只能在运行网关的地方设置（{path}）";
    FileNotFromPanel { path: String } = "file_not_from_panel",
        "a file cannot be named from the panel, only where the gateway is run ({path})",
        "不能在面板中指定文件，只能在运行网关的地方指定（{path}）";
    NoMoreFromPanel { path: String } = "no_more_from_panel",
        "the panel cannot set this any more; it still counts: move it from here to {path}",
        "面板不再能设置这一项，但它仍然有效：请把它移到 {path}";

    // --- valid, but hardly what was meant ---
    UrlHasV1 { prefix: String, end: String, right: String } = "url_has_v1",
        "clients add /v1/messages to it, so requests go to {prefix}/v1/messages: leave {end} out, and write {right}",
        "客户端会在后面加上 /v1/messages，请求会发往 {prefix}/v1/messages：请去掉 {end}，写成 {right}";
    StoreInItsPlace = "store_in_its_place",
        "GATEWAY_STORE (gateway.store.url) is set: the request log is in PostgreSQL, and nothing is written to this file",
        "已设置 GATEWAY_STORE（gateway.store.url）：请求日志写到 PostgreSQL，不会写入这个文件";
    BlanksCut = "blanks_cut",
        "blanks or line ends around this value were cut off: remove them where it is written",
        "这个值前后的空格或换行已被去掉：请在原处删除";
    HeaderBlanksCut { name: String } = "header_blanks_cut",
        "blanks or line ends around the value of \"{name}\" were cut off: remove them",
        "“{name}”的值前后的空格或换行已被忽略：请去掉";
    NothingSubstituted { name: String } = "nothing_substituted",
        "nothing is substituted here: the ${{...}} in {name} stays as it is written; in single quotes it says that it is \
         meant so",
        "这里不做变量替换：{name} 中的 ${{...}} 按原样保留；如果本意如此，请用单引号";
    CertificateSelfSigned { path: String } = "certificate_self_signed",
        "this certificate is self-signed, so Claude Code refuses it by itself: copy it to each client, and set \
         NODE_EXTRA_CA_CERTS={path} there (with the path of the copy), in the environment or in \"env\" of settings.json",
        "这是自签名证书，Claude Code 默认不信任：请把它复制到各客户端，并在环境变量或 settings.json 的“env”中设置 \
         NODE_EXTRA_CA_CERTS={path}（改成副本的路径）";
    ProfileUnused { place: String } = "profile_unused",
        "this is for the upstreams of API_BASE_URL and API_BASE_URLS, but the upstreams come from {place}: set \"profile\" there",
        "此项只用于 API_BASE_URL 与 API_BASE_URLS 给出的上游，而上游来自 {place}：请在那里设置“profile”";
    NameAlone { name: String } = "name_alone",
        "{name} is not set by its name alone: write {name}=value, or remove the line",
        "只写名称不会设置 {name}：请写成 {name}=value，或删去这一行";
    UpstreamUnused { name: String } = "upstream_unused",
        "the upstream \"{name}\" gets no request but with client tokens (docs/team.md): its api_key is only for those, and for \
         clients whose keys gateway.routes sends to it, and no route does",
        "除带客户端令牌（见 docs/team.zh-CN.md）的请求外，上游“{name}”收不到任何请求：它的 api_key 只供令牌和 gateway.routes 中指向它的客户端使用，\
         而没有任何路由指向它";
    AttributionReplaced = "attribution_replaced",
        "Claude Code 2.1 has its attribution in system[0], which should stay: with the target first this text replaces it, \
         and its identity stays beside the text; SYSTEM_PROMPT_TARGET=identity (system_prompt.target) replaces the identity",
        "Claude Code 2.1 的 system[0] 是应当保留的归属块：target 为 first 时，此文本会替换归属块，而身份块仍留在其后；请设 SYSTEM_PROMPT_TARGET=identity（system_prompt.target），改为替换身份块";
    PrefixVaries { rule: String, condition: String } = "prefix_varies",
        "the rule \"{rule}\" changes system or tools, and depends on {condition}, which can differ between the turns of a \
         conversation: thinking that comes back is refused then (docs/thinking.md); let it depend on what stays the same, \
         such as path, model, user-agent or session",
        "规则“{rule}”会改动 system 或 tools，而它的条件 {condition} 在同一对话的各轮之间可能不同：届时带回的思考块会被拒绝（见 docs/thinking.zh-CN.md）；请改用不变的条件，例如路径、模型、User-Agent 或会话";
    AttributionDisturbed { rule: String } = "attribution_disturbed",
        "the rule \"{rule}\" takes the place of system[0], where Claude Code 2.1 has its attribution, which must stay first: \
         use target: identity, or insert_if_missing, which goes behind it",
        "规则“{rule}”会占用 system[0]，而 Claude Code 2.1 的归属块就在那里，必须留在最前：请用 target: identity，或用 insert_if_missing（插在归属块之后）";
    ProxiesTooWide { network: String } = "proxies_too_wide",
        "{network} is no network of proxies: whoever connects from there may say which address it has; name the addresses \
         of your own reverse proxies",
        "{network} 范围太大，不会是代理的网段：来自其中的任何人都可以冒充任意地址；请写明你自己的反向代理的地址";
    UpstreamInsecure { name: String } = "upstream_insecure",
        "the upstream \"{name}\" is trusted whoever it is (insecure: true): keys and prompts can be read on the way; name its \
         authority with ca_file instead",
        "上游“{name}”不验证证书（insecure: true）：密钥和提示词可能在途中被人读取；请改用 ca_file 指定签发机构";
    KeyWithoutTls { name: String } = "key_without_tls",
        "the api_key of the upstream \"{name}\" goes over the network without TLS (http://): everybody on the way can read it; \
         use https://",
        "上游“{name}”的 api_key 会不经 TLS（http://）在网络上传输，途中任何人都能读取；请使用 https://";
    FileOpen { path: String, mode: String } = "file_open",
        "there are keys in this file, and others than its owner can read it ({mode}): chmod 600 {path}",
        "此文件中有密钥，而其他用户也能读取（{mode}）：请执行 chmod 600 {path}";
    HeaderKeyForAll { name: String } = "header_key_for_all",
        "the key in {name} is sent with every request: whoever reaches the gateway spends it, with a key or without. Give it \
         to an upstream instead (api_key), and list in gateway.routes the keys of those who may use it",
        "{name} 中的密钥会随每个请求发出：能访问网关的任何人，无论有没有密钥，都在花它的钱。请改为写在上游的 api_key 中，并在 gateway.routes 中列出可以使用它的客户端密钥";
    RuleKeyForAll { rule: String, name: String } = "rule_key_for_all",
        "the rule \"{rule}\" sends a key in {name}: whoever reaches the gateway spends it, with a key or without. Give it to an \
         upstream instead (api_key), and list in gateway.routes the keys of those who may use it",
        "规则“{rule}”会在 {name} 中发送密钥：能访问网关的任何人，无论有没有密钥，都在花它的钱。请改为写在上游的 api_key 中，并在 gateway.routes 中列出可以使用它的客户端密钥";
    PanelKeyShort = "panel_key_short",
        "this key can be guessed (it is shorter than 16 characters), and who has it may change everything: take a long random \
         one, or leave it out, and the gateway makes one (`anyrouter-gateway panel` prints its link)",
        "这个密钥可能被猜到（不足 16 个字符），而持有它的人可以更改一切：请换成较长的随机密钥，或不设置，由网关生成（`anyrouter-gateway panel` 会给出登录链接）";
    PanelKeyPlain = "panel_key_plain",
        "this key can be guessed (it has few different characters), and who has it may change everything: take a long random \
         one, or leave it out, and the gateway makes one (`anyrouter-gateway panel` prints its link)",
        "这个密钥可能被猜到（不同的字符太少），而持有它的人可以更改一切：请换成较长的随机密钥，或不设置，由网关生成（`anyrouter-gateway panel` 会给出登录链接）";
    PanelKeySequence = "panel_key_sequence",
        "this key can be guessed (its characters follow one another as in the alphabet, or repeat), and who has it may change \
         everything: take a long random one, or leave it out, and the gateway makes one (`anyrouter-gateway panel` prints its \
         link)",
        "这个密钥可能被猜到（字符按顺序排列或重复），而持有它的人可以更改一切：请换成较长的随机密钥，或不设置，由网关生成（`anyrouter-gateway panel` 会给出登录链接）";
    PanelKeyWords = "panel_key_words",
        "this key can be guessed (it is made of well-known words), and who has it may change everything: take a long random \
         one, or leave it out, and the gateway makes one (`anyrouter-gateway panel` prints its link)",
        "这个密钥可能被猜到（由常见单词组成），而持有它的人可以更改一切：请换成较长的随机密钥，或不设置，由网关生成（`anyrouter-gateway panel` 会给出登录链接）";
    UpstreamIsGateway { authority: String } = "upstream_is_gateway",
        "{authority} is this gateway's own address, and requests would go round in circles: name the relay's address here \
         (ANTHROPIC_BASE_URL of the clients is the gateway's)",
        "{authority} 是网关自己的地址，请求会无限循环：这里应写中转站的地址（客户端的 ANTHROPIC_BASE_URL 才是网关的地址）";
    NotATokenId = "not_a_token_id",
        "a token itself does not belong here: name its id (tok_...), which `anyrouter-gateway token list` shows",
        "这里不能写令牌本身：请写它的 id（tok_...），`anyrouter-gateway token list` 会列出";
    UpstreamWithoutKey { name: String } = "upstream_without_key",
        "the upstream \"{name}\" has no api_key of its own: with gateway.team.require_token each one needs one, for client \
         tokens go to none",
        "上游“{name}”没有自己的 api_key：开启 gateway.team.require_token 后每个上游都要有，因为客户端令牌不会发给上游";
    ListHidden { file: String } = "list_hidden",
        "the panel's list hides the one at {file}: what is edited there has no effect",
        "面板的列表优先于 {file} 处的列表：在那里修改不起作用";
    ListReplaced { variable: String } = "list_replaced",
        "{variable} replaces this list, which has no effect", "{variable} 取代了这个列表，因此列表不起作用";
    VariableNotHere { name: String } = "variable_not_here",
        "{name} has no effect here, only in the environment of the process", "{name} 写在这里不起作用，只能在进程的环境变量中设置";
    FormerVariable { name: String, instead: String } = "former_variable",
        "{name} is a setting of anyrouter-transparent-proxy that has no effect here: {instead} takes its place \
         (docs/migrating.md)",
        "{name} 是 anyrouter-transparent-proxy 的设置，在这里不起作用：请改用 {instead}（见 docs/migrating.zh-CN.md）";
    FileElsewhere { path: String } = "file_elsewhere",
        "there are settings of the gateway in this file, which is not read: move it to {path}",
        "此文件中有网关的设置，但网关不读取它：请把它移到 {path}";
    LineLeftOut = "line_left_out",
        "systemd leaves this line out: it takes NAME=value, without export and control characters",
        "systemd 会忽略这一行：只接受 名称=值，不能带 export 或控制字符";
    ExportLeftOut { name: String, line: u64, path: String } = "export_left_out",
        "systemd leaves out lines with export, so that {name} would not be set. Type: sudo sed -i '{line}s/^ *export //' {path}; \
         then: sudo systemctl reload-or-restart anyrouter-gateway",
        "systemd 会忽略带 export 的行，{name} 不会生效。请执行：sudo sed -i '{line}s/^ *export //' {path}，\
         再执行：sudo systemctl reload-or-restart anyrouter-gateway";
    SettingLeftOut { name: String, path: String } = "setting_left_out",
        "systemd leaves this line out, so that {name} would not be set: it takes {name}=value, with nothing before it, an = \
         of ASCII, and no control characters. Type: sudoedit {path}; then: sudo systemctl reload-or-restart anyrouter-gateway",
        "systemd 会忽略这一行，{name} 不会生效：只接受 {name}=值，前面不能有其他字符，等号须为半角，不能有控制字符。\
         请执行：sudoedit {path}，再执行：sudo systemctl reload-or-restart anyrouter-gateway";
    UpstreamKeysOff { name: String } = "upstream_keys_off",
        "every key of the upstream \"{name}\" is switched off (enabled: false): it gets no requests",
        "上游“{name}”的所有密钥都已关闭（enabled: false）：它不会收到请求";
    VariableMisspelt { name: String, meant: String } = "variable_misspelt",
        "{name} is no setting; did you mean {meant}?", "没有 {name} 这个设置；是不是想写 {meant}？";
    AddressMisspelt { name: String, meant: String } = "address_misspelt",
        "{name} is no setting, and nothing else says where requests go: with their keys they would go to https://anyrouter.top, \
         the default. If you mean {meant}, write that instead of {name}; if not, delete this line",
        "没有 {name} 这个设置，也没有别处指定上游：请求会连同密钥发往默认的 https://anyrouter.top。如果想写 {meant}，请把 {name} 改成它；\
         否则请删去这一行";
    EnvironmentAddressMisspelt { name: String, meant: String } = "environment_address_misspelt",
        "it is not set, but {name} is, which is no setting, and nothing else says where requests go: with their keys they would go \
         to https://anyrouter.top, the default. Set {meant} instead of {name}; if {name} is for another program, set {meant} too",
        "没有设置它，但设置了 {name}（没有这个设置），也没有别处指定上游：请求会连同密钥发往默认的 https://anyrouter.top。\
         请把 {name} 改为 {meant}；如果 {name} 属于其他程序，请另外设置 {meant}";
    ServiceAddressMisspelt { name: String, meant: String, line: u64, path: String } = "service_address_misspelt",
        "{name} is no setting, and nothing else says where requests go: with their keys they would go to https://anyrouter.top, \
         the default. If you mean {meant}, type: sudo sed -i '{line}s/{name}/{meant}/' {path}; if not, delete this line; then: \
         sudo systemctl reload-or-restart anyrouter-gateway",
        "没有 {name} 这个设置，也没有别处指定上游：请求会连同密钥发往默认的 https://anyrouter.top。如果想写 {meant}，请执行：\
         sudo sed -i '{line}s/{name}/{meant}/' {path}；否则请删去这一行。然后执行：sudo systemctl reload-or-restart anyrouter-gateway";
}

#[cfg(test)]
mod tests;
