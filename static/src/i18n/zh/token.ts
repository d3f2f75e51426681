import type en from '../en/token';

const words: typeof en = {
  token: {
    title: '客户端令牌',
    about: '此令牌的可用范围、限额和使用情况',
    back: '返回团队',
    change: '修改',
    changeTitle: '修改 {token}',
    save: '保存',
    endless: '改为长期有效',
    created: '签发时间',
    hint: '令牌首尾',
    id: 'ID',
    limitsOf: { token: '此令牌', user: '用户 {name}（所有令牌合计）', group: '用户组 {name}（所有用户合计）' },
    statistics: '统计',
    requests: '请求数',
    succeeded: '成功率',
    input: '输入 token',
    output: '输出 token',
    cached: '缓存命中率',
    toRequests: '查看请求',
    toSessions: '查看会话',
    toCosts: '查看费用',
    toWaste: '查看缓存浪费',
    unused: '还没有请求',
    unusedHow: '客户端用此令牌发出请求后，这里会显示统计。',
    settings: '客户端设置',
    settingsAbout: '请把 {text} 换成该令牌（{hint}）。令牌只在签发时显示一次，网关不保存原文；如果丢失，请轮换令牌。',
  },
};

export default words;
