import type en from '../en/past';

const words: typeof en = {
  past: {
    label: '过去的请求',
    kind: { capture: '完整', shape: '结构' },
    usable: '列出可用于试运行的最近 {count} 个请求。',
    none: '还没有可用于试运行的请求；带提示词的请求到来后就会有。',
    others: '以下请求不列出：路径不是 /v1/messages 的、请求体不是 JSON 或经过压缩的，以及超出 log.shapes 保留数量的较早请求。具体属于哪一种，见请求详情。',
    edit: '转为文本编辑',
    made: { shape: '按结构生成。', capture: '抓取的原请求。' },
    madeWhy: {
      shape: '请求头、请求体的成员、各块及其长度与原请求相同，文本全部换成了填充内容。',
      capture: '请求头和请求体与原请求相同，不含密钥。',
    },
    sure: '没有规则依赖未保留的内容：每条规则的判断都与对原请求的相同。',
    unsure: '以下规则依赖未保留的内容，对原请求的判断可能不同：',
    looksAt: {
      text: '取决于提示词的文本',
      structure: '取决于块内部的结构',
      header: '取决于某个已打码的请求头的值',
      query: '取决于某个已打码的查询参数的值',
    },
    leftOutMessages: '中间有 {count} 条消息没有逐条保留，以同样多的普通消息代替。',
    leftOutTools: '有 {count} 个工具没有逐个保留，以同样多的普通工具代替。',
    more: '请求还有一些组成部分没有保留。',
    kept: { shape: '使用请求的结构，没有保留提示词文本', capture: '使用抓取的原请求' },
    notHere: '无法用这个请求试运行。{why}',
  },
};

export default words;
