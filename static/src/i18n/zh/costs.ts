import type en from '../en/costs';

const words: typeof en = {
  costs: {
    title: '费用',
    about: '花了多少钱、谁花的、花在哪里，以及今天和本月预计会花多少',
    by: '维度',
    dimension: { model: '模型', key: '密钥', session: '会话', upstream: '上游', request_class: '请求类别', agent_type: '代理类型', client: '客户端' },
    column: {
      cost: '费用', share: '占比', requests: '请求数', each: '单次费用', cached: '缓存占比', input: '未缓存输入', cacheWrite: '缓存写入', cacheRead: '缓存读取',
      output: '输出',
    },
    sortBy: '按{column}排序',
    all: '合计',
    spent: '该时段费用',
    spentRequests: '共 {count} 个请求',
    each: '单次请求',
    cachedNote: '{share} 的输入来自缓存',
    day: '今日预测',
    month: '本月预测',
    soFar: '目前 {cost}',
    between: '目前 {cost}，通常最终为 {low} 至 {high}',
    betweenWhy: '目前已花的费用，加上最近 {days} 个完整日里同一时刻之后的平均费用。',
    monthWhy: '目前已花的费用，加上余下每一天按最近 {days} 个完整日里同一星期几的平均费用。',
    noForecast: '至少要有两个完整日的费用才能预测。',
    chart: '费用走势',
    chartBy: '按{by}的费用走势',
    table: '按{by}的费用',
    chartOthers: '其他',
    empty: '该时段没有请求',
    emptyHow: '请选择更长的时间范围。',
    unpricedTitle: '{count} 个请求未计入：其模型没有价格',
    unpricedOf: '{model}（{count} 个）',
    unpricedHas: '{model}（{count} 个）：已有价格，但不适用于这些请求',
    rowsFrom: '此维度按逐条请求统计，而日志只保留了 {at} 之后的请求：更早的未计入。',
    most: '仅显示前 {count} 项。',
    export: '导出 CSV',
    exported: '费用 {by} {from} 至 {to}',
    csv: { name: '名称', cost: '费用（美元）', unpriced: '没有价格的请求数', share: '费用占比', each: '单次费用（美元）', cached: '输入的缓存占比', tokens: '{kind}（token）' },
  },
};

export default words;
