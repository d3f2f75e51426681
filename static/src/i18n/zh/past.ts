import type en from '../en/past';

const words: typeof en = {
  past: {
    label: '过去的请求',
    kind: { capture: '完整', shape: '结构' },
    usable: '可用于试运行的最近 {count} 个。',
    none: '还没有可用于试运行的请求；带提示词的请求到来后就会有。',
    others: '未列出的有：/v1/messages 以外的路径、请求体不是 JSON 或经过压缩的，以及超出 log.shapes 保留数量的旧请求。具体是哪一种，见请求的详情。',
    edit: '转为文本编辑',
    made: { shape: '按结构生成。', capture: '抓取的原请求。' },
    madeWhy: {
      shape: '请求头、成员、块和长度与原请求相同，文本全部换成了填充内容。',
      capture: '请求头和请求体与原请求相同，不含密钥。',
    },
    sure: '没有规则要看未保留的内容：每条规则的判断都与对原请求时相同。',
    unsure: '以下规则要看未保留的内容，对原请求的判断可能不同：',
    looksAt: {
      text: '要看提示词的文本',
      structure: '要看块内部的结构',
      header: '要看一个已打码的请求头的值',
      query: '要看一个已打码的查询参数的值',
    },
    leftOutMessages: '中间有 {count} 条消息没有逐条保留，以同样多的普通消息代替。',
    leftOutTools: '有 {count} 个工具没有逐个保留，以同样多的普通工具代替。',
    more: '请求的组成部分比保留的更多。',
    kept: { shape: '按其结构；没有保留提示词文本', capture: '用抓取的原请求' },
    notHere: '无法用这个请求试运行。{why}',
  },
};

export default words;
