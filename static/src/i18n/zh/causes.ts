import type en from '../en/causes';

const words: typeof en = {
  cause: {
    waf_page: {
      title: '返回的是网页，而不是 API 响应',
      why: '中转站前面的防火墙返回了 HTML 页面，通常是给浏览器的人机验证。请求没有到达 API。',
      cure: '等几分钟再试；更换代理的出口节点，或换用中转站的其他地址。短时间内请求过多时更容易触发。',
    },
    context_1m: {
      title: '缺少 1m 上下文标志，或该模型不支持它',
      why: '中转站要求大多数模型带上 context-1m-2025-08-07 标志，而少数模型会拒绝它。',
      cure: '在“规则”页启用 anyrouter.beta-1m。哪些模型带上该标志由上游的 long_context 列表决定（check 会显示）：请在其中加入或去掉该模型。在 Claude Code 里选择带 [1m] 的模型也会带上。',
    },
    pool_closed: {
      title: '中转站关闭了该模型的号池',
      why: '返回 503：中转站此刻没有可用于该模型的账号。',
      cure: '换一个模型，或添加第二个上游作为备用。号池通常在几分钟到几小时内恢复。',
    },
    quota: {
      title: '额度已用完或请求过于频繁',
      why: '返回 429，或返回 403 并提到额度：账户余额不足，或短时间内请求过多。',
      cure: '到中转站查看余额。若余额充足，请按提示等待；减少同时运行的子代理也会有帮助。',
    },
    saturated: {
      title: '中转站负载已达上限',
      why: '中转站提示“负载已经达到上限”或“上游负载压力太大”，与你的账户无关。',
      cure: '稍后再试，或添加第二个上游作为备用。晚间通常最繁忙。',
    },
    network: {
      title: '中转站前面的网络故障（502、504、521 至 524）',
      why: '中转站的 CDN 连不上源站，或源站响应太慢。Claude Code 的附带请求最容易遇到这种情况。',
      cure: '用下面的环境变量关闭附带请求，然后重试，或换用中转站的其他地址。',
    },
    incomplete_request: {
      title: '请求缺少中转站要求的内容',
      why: '返回 500 new_api_error：中转站只接受看起来完整的请求，即 system 为列表、包含身份声明并带有 metadata.user_id。',
      cure: '为该上游使用 anyrouter 配置档（profile），并在“规则”页试运行，确认规则已生效。不发送 metadata.user_id 的客户端需要自行补上。',
    },
    shape_refused: {
      title: '中转站认为这不是 Claude Code 的请求',
      why: '中转站返回“invalid claude code request”，或返回 429 却没有提到任何限制：AnyRouter 会拒绝看起来不完整的请求，工具过少或多出一个工具都可能如此。',
      cure: '为该上游使用 anyrouter 配置档（profile），并用 Claude Code 本身作为客户端。如果仍然如此，请逐个关闭 MCP 服务器，以及改动 tools 或 system 的规则。',
    },
    origin_520: {
      title: 'CDN 后面的中转站中断了响应（520）',
      why: 'CDN 从中转站得到空的或异常的响应：中转站故障，或 beta 标志不适合该模型。',
      cure: '请重试，或换用中转站的其他地址。如果只有某个模型如此，请把它从上游的 long_context 中去掉（check 会显示该列表）。',
    },
    thinking_off: {
      title: '没有开启思考模式',
      why: "请求没有开启思考时，中转站会返回“Cannot read properties of undefined (reading 'map')”。",
      cure: '开启思考模式：在 Claude Code 中按 Tab，或在 ~/.claude/settings.json 中加入下面的设置。',
    },
    user_agent: {
      title: 'User-Agent 不被接受',
      why: '中转站不认识客户端的 User-Agent 时，会返回与 H.map 有关的错误。',
      cure: '改用 Claude Code 的 User-Agent：把下面这一行写入请求头文件（配置 → 请求头文件）。',
    },
    country: {
      title: '地区提示',
      why: 'Claude Code 的首次引导没有完成时，会显示支持地区的提示，与中转站无关。',
      cure: '把下面的内容写入 ~/.claude.json，然后重新启动 Claude Code。',
    },
    key_refused: {
      title: '密钥被拒绝',
      why: '返回 401 或 403：密钥错误、已过期，或无权使用该模型或分组。',
      cure: '从中转站重新复制密钥到 ANTHROPIC_AUTH_TOKEN，注意不要带空格。并确认该上游就是发放密钥的中转站。',
    },
    proxy: {
      title: '出站代理不可用',
      why: '网关无法通过代理连上上游：代理未运行、拒绝连接，或需要密码。',
      cure: '确认代理正在运行且地址正确（常见为 127.0.0.1:7890）。“上游”页的测试或下面的命令会指出失败的步骤。',
    },
    unreachable: {
      title: '无法连接上游',
      why: '没有建立连接：域名无法解析、连接被拒绝、超时，或 TLS 握手失败。',
      cure: '先检查地址有没有写错，再在“上游”页运行测试。地址没有错时，在中国大陆通常需要出站代理。',
    },
    too_slow: {
      title: '上游太慢',
      why: '上游静默的时间超过了限制，或没有及时开始响应。',
      cure: '请重试。如果经常发生，请换用其他上游，或放宽限制（timeouts.read、timeouts.first_byte、timeouts.first_event）。',
    },
    broke_off: {
      title: '响应中断',
      why: '流在 message_stop 之前就结束了：与中转站的连接被切断。',
      cure: 'Claude Code 会自动重试。如果经常发生，说明出站代理或途中的网络会切断长连接。',
    },
    overloaded: {
      title: '模型过载',
      why: '返回 529，或流中出现 overloaded_error：模型提供方的请求过多。',
      cure: '稍等再试，或换一个模型。添加第二个上游，只有在来源不同时才有帮助。',
    },
    bad_request: {
      title: '上游认为请求有误',
      why: '返回 400：某个字段有误、beta 标志与字段不匹配，或上下文过长。',
      cure: '请看原始信息，其中会指出字段。若自定义规则涉及它，请用试运行检查；上下文过长时可使用 /compact。',
    },
    not_found: {
      title: '上游没有这个路径',
      why: '上游返回 404。通常是 base_url 的路径有误，例如多写了 /v1（客户端会自行加上 /v1/messages）；也可能是中转站不提供该路径。',
      cure: '请对照中转站给出的 Claude Code 地址检查 base_url，并去掉末尾的 /v1。如果只有部分路径失败（例如 /v1/messages/count_tokens），说明中转站不提供这些路径。',
    },
    no_message: {
      title: '响应中没有消息',
      why: '上游表示成功，但返回的是空内容、重定向，或其他不是消息的内容。',
      cure: '请确认 base_url 是中转站给出的 Claude Code 地址。如果只是偶尔发生，说明中转站不稳定；添加第二个上游即可接替。',
    },
    rejected: {
      title: '网关拒绝了该请求',
      why: '请求不符合 HTTP 规范、超出限制，或其密钥没有可用的上游；没有向上游发送任何内容。',
      cure: '原始信息会指出是哪条规则或限制。限制可在“配置”页调整。',
    },
    gateway: {
      title: '网关自身故障',
      why: '网关内部出现了问题。',
      cure: '请在网关日志中查找该请求的 ID，并连同版本号一起反馈。',
    },
    other: {
      title: '其他失败',
      why: '与已知的原因都不符。',
      cure: '请看原始信息。示例中有尝试过程和错误正文。',
    },
  },
};

export default words;
