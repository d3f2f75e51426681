import type en from '../en/audit';

const words: typeof en = {
  audit: {
    title: '审计日志',
    about: '用户、用户组、令牌和限额的变更记录，涵盖面板、API 和命令行',
    none: '还没有变更记录',
    noneHow: '新建用户、签发令牌等操作会记录在这里。',
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
    },
    field: {
      name: '名称', user: '用户', email: '邮箱', group: '用户组', time_zone: '时区', role: '角色', state: '状态', models: '模型', upstreams: '上游', addresses: '来源地址',
      expires_at_ms: '到期时间', old_until_ms: '旧令牌可用到', hint: '令牌首尾', limit: '限额',
    },
  },
};

export default words;
