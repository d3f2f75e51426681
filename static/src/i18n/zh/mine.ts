import type en from '../en/mine';

const words: typeof en = {
  mine: {
    title: '我的用量',
    about: '自己的令牌花费了多少、限额用了多少，以及哪些费用可以节省',
    allTokens: '我的所有令牌合计',
    which: '令牌',
    noLimits: '没有限额。',
    limitsOf: { token: '当前令牌', user: '我的所有令牌合计', group: '所在用户组（所有用户合计）' },
    spent: '费用',
    noSessions: '该时段没有会话。',
    more: '显示更多',
    wasted: '重复写入已有的缓存花费 {cost}，共 {tokens} token。',
    token: '我的令牌：{name}',
    settingsAbout: '请把 {text} 换成自己的令牌。令牌无法再次显示；如果丢失，请轮换。',
  },
};

export default words;
