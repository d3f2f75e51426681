import type en from '../en/waste';

const words: typeof en = {
  waste: {
    title: '缓存浪费',
    about: '内容本已缓存、却又花钱重新写入缓存的请求：原因是什么，如何避免',
    lost: '该时段损失',
    lostShare: '占总费用的 {share}',
    tokens: '重复写入的 token',
    requests: '请求数',
    tokensCount: '{count} Token',
    requestsCount: '{count} 个请求',
    causes: '原因',
    happened: '发生了什么',
    prevent: '如何避免',
    sessions: '浪费最多的会话',
    session: '会话',
    mainCause: '主要原因',
    cause: '原因',
    detail: '变化之处',
    mark: '缓存失效：{cause}，{tokens} token，{cost}',
    markUnpriced: '缓存失效：{cause}，{tokens} token，其模型没有价格',
    lostHere: '重复写入 {tokens} token',
    ofSession: '该会话的全部缓存浪费',
    sorts: { cost: '费用', tokens: 'Token', requests: '请求数', last: '最近活动' },
    details: { idle: '闲置 {idle}，有效期 {lives}', settings: '请求设置' },
    none: '该时段没有浪费缓存',
    noneHow: '凡是能读取已有缓存的请求都读到了。只有网关开始记录提示词结构之后的请求才会被判断。',
    noPrice: '其模型没有价格',
    rest: '再显示 {count} 个',
    why: '为什么，以及如何避免',
  },
  wasteCause: {
    idle: {
      title: '闲置过久',
      what: '对话的间隔超过了缓存的有效期（5 分钟；客户端要求时为 1 小时），服务方已将其清除。',
      prevent: '在有效期内继续对话；常有停顿时让客户端使用 1 小时缓存；长时间停顿后与其接着很长的对话，不如用 /clear 新开一个。',
    },
    upstream_changed: {
      title: '换了上游',
      what: '会话被转到另一个上游，那里的缓存中没有这个对话。',
      prevent: '除非上游出错或已满，会话会留在原上游：请查看离开的原因。增大 max_in_flight，或减少同一优先级的上游，可让会话保持不动。',
    },
    key_changed: {
      title: '换了上游密钥',
      what: '会话改用了同一上游的另一个密钥，而缓存属于密钥所在的账号。',
      prevent: '在上游页查看原密钥停用的原因（额度、限流、休息）。同一账号的多个密钥共用缓存。',
    },
    model_changed: {
      title: '换了模型',
      what: '对话中途换了模型，而每个模型的缓存各自独立。',
      prevent: '请在对话开始时选好模型，不要中途更换。如果是规则或客户端的降级所致，请查看该请求应用的规则。',
    },
    rules_changed: {
      title: '网关规则变了',
      what: '对话进行中新增、修改或重新加载了规则，改变了提示词的开头（system 或 tools）。',
      prevent: '涉及 system 或 tools 的规则，请在没有长对话时修改；规则中不要写入时间等会变的内容。',
    },
    tools_changed: {
      title: '客户端改变了工具',
      what: '工具列表与上一个请求不同：有工具增加、减少或说明变了，其后的内容都要重新写入。',
      prevent: '请在对话开始前连接好 MCP 服务器，去掉时有时无的服务器。说明文字会变的服务器每次都会造成浪费。',
    },
    system_changed: {
      title: '客户端改变了系统提示词',
      what: '系统提示词与上一个请求不同，其后的内容都要重新写入。',
      prevent: '不要把会变的内容（时间、目录、git 状态）写入系统提示词。CLAUDE.md、输出风格与模式请在两个对话之间修改。',
    },
    history_changed: {
      title: '客户端改变了历史消息',
      what: '较早的消息被修改或删除，其后的缓存不再匹配。',
      prevent: '回退或编辑消息只会造成一次浪费。若经常发生，说明客户端在清理旧的工具结果：请让它少清理几次，每次多清理一些。',
    },
    compaction: {
      title: '压缩上下文',
      what: '对话被压缩：摘要取代了历史消息，需要首次写入缓存。',
      prevent: '这是压缩的一次性代价。请在任务结束时压缩，而不是中途；或用 /clear 新开对话。',
    },
    unexplained: {
      title: '原因不明',
      what: '提示词的开头与上一个请求相同，间隔未过期，路径也相同，上游却没有命中缓存。',
      prevent: '把一个会话分给多个账号的中转站会这样：请比较各上游的缓存占比，优先使用能让会话保持在一起的上游。',
    },
  },
};

export default words;
