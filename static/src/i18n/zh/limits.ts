import type en from '../en/limits';

const words: typeof en = {
  limits: {
    measure: { usd: '费用', tokens: 'Token', requests: '请求数', sessions: '会话数' },
    amount: {
      usd: '{count}',
      tokens: '{count} 个 token',
      requests: '{count} 个请求',
      sessions: '{count} 个会话',
    },
    in: {
      minute: '每分钟 {amount}',
      '5h': '每 5 小时 {amount}',
      day: '每天 {amount}',
      week: '每周 {amount}',
      month: '每月 {amount}',
      total: '总共 {amount}',
      now: '同时 {amount}',
    },
  },
};

export default words;
