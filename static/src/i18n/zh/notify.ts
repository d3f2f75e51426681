import type en from '../en/notify';

const words: typeof en = {
  notify: {
    title: '通知',
    about: '出问题时通知谁，以及是否送达',
    toConfig: '编辑配置',
    none: '还没有通知目标',
    noneHow: '目标可以是飞书、钉钉、企业微信、Telegram、Slack 的机器人，也可以是 ntfy 主题、邮箱或 webhook。其中的密钥请写在 env/.env 中。',
    kind: { webhook: 'Webhook', feishu: '飞书', dingtalk: '钉钉', wecom: '企业微信', telegram: 'Telegram', slack: 'Slack', ntfy: 'ntfy', email: '邮件' },
    state: { ok: '能送达', bad: '未送达', quiet: '尚未发送' },
    sent: '已发送的消息',
    failed: '未送达的消息',
    dropped: '丢弃的事件',
    waiting: '等待发送的事件',
    language: '语言',
    told: '通知的事件',
    test: '发送测试消息',
    testing: '发送中…',
    arrived: '测试消息已送达，用时 {time}。',
    notArrived: '测试消息未送达：{why}',
    lastOk: '最近一条消息：{ago}，已送达',
    lastBad: '最近一次发送：{ago}，失败',
    code: {
      ok: '已送达', not_connected: '无法连接', timed_out: '超时未响应', no_answer: '没有响应，连接就被关闭', status: '返回了意外的状态码',
      strange_answer: '返回的内容不符合该类型目标的格式', refused: '被目标拒绝', mail_refused: '被邮件服务器拒绝', unsendable: '无法发送',
    },
    recent: '最近的事件',
    recentNone: '启动以来没有事件。',
    event: {
      upstream_down: '上游不可用', upstream_up: '上游恢复', all_down: '全部上游不可用', all_up: '有上游恢复', key_down: '密钥停用', key_up: '密钥恢复',
      balance_low: '余额偏低', cost_above: '一天的费用过高', cache_fell: '缓存命中率下降', config_refused: '配置被拒绝', log_failing: '日志无法写入', log_back: '日志恢复写入',
      certificate_ending: '证书即将到期', limit_spent: '限额用量',
    },
  },
};

export default words;
