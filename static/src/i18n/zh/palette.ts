import type en from '../en/palette';

const words: typeof en = {
  palette: {
    title: '搜索与命令',
    open: '搜索…',
    ask: '页面、上游、规则、配置项、ID、命令…',
    results: '搜索结果',
    count: '{count} 项结果',
    looking: '正在按 ID 查找…',
    none: '没有找到',
    noneHow: '会话和请求可按 ID 的一部分查找，至少四个字符。',
    incomplete: '有些内容没有加载成功，结果可能不全：{message}',
    hint: '↑ ↓ 选择，回车打开，Esc 关闭',
    of: '{what}：{value}',
    isNow: '当前',
    kind: { saved: '已存筛选', page: '页面', upstream: '上游', rule: '规则', setting: '配置项', action: '命令', session: '会话', request: '请求' },
  },
  keys: {
    title: '键盘快捷键',
    palette: '搜索与命令，任何页面、任何输入框中都可用',
    search: '跳到本页的搜索框；没有搜索框时打开搜索与命令',
    list: '打开本快捷键列表',
    close: '关闭当前打开的窗口',
    choose: '在结果列表中选择并打开',
    newer: '请求详情中：较新的一个',
    older: '请求详情中：较早的一个',
    typing: '在输入框中输入时，/ 和 ? 只是普通字符。',
    or: '或',
  },
  copyLink: { copy: '复制当前视图的链接', copied: '链接已复制', failed: '浏览器不允许在此处复制，请手动复制地址栏中的链接。' },
};

export default words;
