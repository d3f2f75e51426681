import type en from '../en/running';

const words: typeof en = {
  running: {
    tokens: '≈ {count} token',
    rate: '{rate}/秒',
    estimated: '边转发边统计，结束前为估算值',
    silent: '已静默 {time}',
    silentNow: '上游已静默 {time}。',
    more: '另有 {n} 个请求进行中',
    now: '进行中',
    follows: '请求正在进行，显示内容随之更新。',
    phase: '阶段',
    elapsed: '已用时间',
    soFar: '已输出 token',
    speed: '当前速度',
    silence: '上游静默',
    bytes: '响应字节数',
  },
};

export default words;
