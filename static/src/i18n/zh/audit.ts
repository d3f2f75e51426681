import type en from '../en/audit';

const words: typeof en = {
  audit: {
    title: '审计日志',
    about: '团队、配置、上游和密钥的变更记录，涵盖面板、API、命令和信号',
    none: '还没有变更记录',
    noneHow: '新建用户、签发令牌、修改配置等操作会记录在这里。',
    noMatch: '没有符合条件的记录',
    noMatchHow: '请减少筛选条件，或选择更长的时间范围。',
    noMatchYet: '最近 {count} 条记录中没有符合条件的。',
    search: '搜索名称、ID、地址',
    who: '操作者',
    what: '操作',
    clear: '清除筛选',
    more: '更早的记录',
    count: '{count} 条记录',
    before: '变更前',
    after: '变更后',
    unset: '未设置',
    actor: { panel: '面板', key: '面板密钥', shell: '命令行（系统用户 {user}）' },
    action: {
      group: { create: '新建用户组' },
      user: { create: '新建用户', change: '修改用户', suspend: '停用用户', resume: '恢复用户' },
      token: { create: '签发令牌', change: '修改令牌', rotate: '轮换令牌', revoke: '吊销令牌' },
      limit: { add: '设置限额', remove: '取消限额' },
      config: { change: '修改配置', reload: '重新加载配置' },
      upstream: { drain: '摘除上游', enable: '启用上游', test: '测试上游' },
      key: { rest: '暂停使用密钥', wake: '恢复使用密钥' },
      panel: { key: '更换面板密钥' },
      capture: { begin: '抓取请求', end: '结束抓取' },
      recost: { begin: '重新计算费用', stop: '停止重新计算' },
      notify: { test: '发送测试通知' },
    },
    field: {
      name: '名称', user: '用户', email: '邮箱', group: '用户组', time_zone: '时区', role: '角色', state: '状态', models: '模型', upstreams: '上游', addresses: '来源地址',
      expires_at_ms: '到期时间', old_until_ms: '旧令牌可用到', hint: '令牌首尾', limit: '限额', version: '版本', changed: '变更', for: '时长', from_ms: '起', to_ms: '止',
    },
  },
};

export default words;
