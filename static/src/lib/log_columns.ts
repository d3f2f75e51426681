/**
 * Columns of the request log that are plain texts. Each is declared once: the fact in the drawer, the chip in the list and the
 * filter follow from it.
 */

import type { RequestRow } from '@/api/types';
import type { Locale } from '@/i18n';

export type Words = Record<Locale, string>;
type TextColumn = { [Name in keyof RequestRow]-?: RequestRow[Name] extends string | null ? Name : never }[keyof RequestRow];

export interface LogColumn {
  label: Words;
  /** What the usual values are called; others are shown as they are. They can be chosen before a row has them. */
  values: Record<string, Words>;
  /** Whether the list shows this value beside the model. */
  isInList: (value: string) => boolean;
}

const declared = <Name extends TextColumn>(columns: Record<Name, LogColumn>): Record<Name, LogColumn> => columns;

/** What began a compaction. */
const COMPACTIONS: Record<string, Words> = {
  auto: { en: 'automatic', 'zh-CN': '自动' },
  manual: { en: 'by /compact', 'zh-CN': '手动（/compact）' },
  reactive: { en: 'context was full', 'zh-CN': '上下文已满' },
};

export const LOG_COLUMNS = declared({
  request_class: {
    label: { en: 'Request class', 'zh-CN': '请求类别' },
    values: {
      main: { en: 'main', 'zh-CN': '主对话' },
      subagent: { en: 'sub-agent', 'zh-CN': '子代理' },
      workflow: { en: 'workflow', 'zh-CN': '工作流' },
      compaction: { en: 'compaction', 'zh-CN': '压缩上下文' },
      auxiliary: { en: 'auxiliary', 'zh-CN': '辅助请求' },
      side_reply: { en: 'side reply', 'zh-CN': '旁支回复' },
    },
    // The list says already which requests are a sub-agent's.
    isInList: (value) => value !== 'main' && value !== 'subagent',
  },
  moved: {
    label: { en: 'Thinking moved', 'zh-CN': '思考块易位' },
    values: {
      rules: { en: 'other rules', 'zh-CN': '规则变了' },
      upstream: { en: 'other upstream', 'zh-CN': '换了上游' },
      account: { en: 'other account', 'zh-CN': '换了账号' },
      earlier: { en: 'moved earlier', 'zh-CN': '此前易位' },
      unseen: { en: 'origin unknown', 'zh-CN': '来源不明' },
      client: { en: 'changed by the client', 'zh-CN': '客户端自行更改' },
    },
    isInList: (value) => value !== 'earlier' && value !== 'client',
  },
  error_rule: { label: { en: 'Error rule', 'zh-CN': '错误规则' }, values: {}, isInList: () => false },
  error_code: { label: { en: 'Error code', 'zh-CN': '错误码' }, values: {}, isInList: () => false },
  client: { label: { en: 'Client', 'zh-CN': '客户端' }, values: {}, isInList: () => false },
  user: { label: { en: 'User', 'zh-CN': '用户' }, values: {}, isInList: () => true },
  group: { label: { en: 'User group', 'zh-CN': '用户组' }, values: {}, isInList: () => false },
  token: { label: { en: 'Client token', 'zh-CN': '客户端令牌' }, values: {}, isInList: () => false },
  upstream_key: { label: { en: 'Upstream key', 'zh-CN': '上游密钥' }, values: {}, isInList: () => false },
  moved_by: { label: { en: 'Moved by', 'zh-CN': '易位原因' }, values: {}, isInList: () => false },
  agent_type: { label: { en: 'Agent type', 'zh-CN': '代理类型' }, values: {}, isInList: () => true },
  compaction: { label: { en: 'Compaction', 'zh-CN': '压缩方式' }, values: COMPACTIONS, isInList: () => true },
  context_compacted: { label: { en: 'Just compacted', 'zh-CN': '刚压缩过' }, values: COMPACTIONS, isInList: () => false },
  thinking_action: {
    label: { en: 'Thinking sent back', 'zh-CN': '带回的思考' },
    values: {
      asked_to_drop: { en: 'API asked to drop what does not fit', 'zh-CN': '已请 API 丢弃不匹配的块' },
      repaired: { en: 'refused, served without it', 'zh-CN': '被拒绝，去掉后成功' },
      not_repaired: { en: 'refused, failed without it too', 'zh-CN': '被拒绝，去掉后仍失败' },
      refused: { en: 'refused', 'zh-CN': '被拒绝' },
    },
    isInList: (value) => value !== 'asked_to_drop',
  },
});

export type LogColumnName = keyof typeof LOG_COLUMNS;
export const LOG_COLUMN_NAMES = Object.keys(LOG_COLUMNS) as LogColumnName[];

export function valueText(name: LogColumnName, value: string, locale: Locale): string {
  const values = LOG_COLUMNS[name].values;
  return Object.hasOwn(values, value) ? (values[value]?.[locale] ?? value) : value;
}

/** The values that a filter offers: the usual ones, and those that were seen. */
export function choicesOf(name: LogColumnName, seen: ReadonlySet<string>, locale: Locale): { value: string; text: string }[] {
  const others = [...seen].filter((value) => !Object.hasOwn(LOG_COLUMNS[name].values, value)).sort();
  return [...Object.keys(LOG_COLUMNS[name].values), ...others].map((value) => ({ value, text: valueText(name, value, locale) }));
}
