/** What the form of an upstream asks for, in groups: the usual first, the rest folded. */

import type { UpstreamForm } from './upstream_form';

type TextField = Exclude<keyof UpstreamForm, 'enabled' | 'keys'>;

export interface Field {
  is: TextField;
  kind: 'text' | 'mono' | 'number' | 'lines' | 'choice';
  placeholder?: string;
  /** The first one, "", is what counts if nothing is said. */
  choices?: readonly string[];
}

const SWITCH = ['', 'true', 'false'];
export const USUAL: readonly Field[] = [
  { is: 'name', kind: 'text', placeholder: 'mirror' },
  { is: 'url', kind: 'mono', placeholder: 'https://relay.example' },
  { is: 'profile', kind: 'choice', choices: ['', 'anyrouter', 'none'] },
  { is: 'priority', kind: 'number', placeholder: '0' },
  { is: 'proxy', kind: 'mono', placeholder: 'http://127.0.0.1:7890' },
];

export const GROUPS = [
  { is: 'lines', fields: [{ is: 'lines', kind: 'lines', placeholder: 'cn.relay.example\nspare.example:8443' }] },
  { is: 'limits', fields: [{ is: 'most', kind: 'number' }, { is: 'weight', kind: 'number', placeholder: '1' }, { is: 'costFactor', kind: 'number', placeholder: '1' }] },
  {
    is: 'timeouts',
    fields: [
      { is: 'connectTimeout', kind: 'mono', placeholder: '10s' }, { is: 'firstByteTimeout', kind: 'mono', placeholder: '60s' },
      { is: 'firstEventTimeout', kind: 'mono', placeholder: '15s' }, { is: 'readTimeout', kind: 'mono', placeholder: '600s' },
    ],
  },
  {
    is: 'health',
    fields: [
      { is: 'probe', kind: 'mono', placeholder: '/v1/models' }, { is: 'testEvery', kind: 'mono', placeholder: '6h' },
      { is: 'testModel', kind: 'mono', placeholder: 'claude-haiku-4-5' }, { is: 'testKey', kind: 'text' },
    ],
  },
  {
    is: 'balance',
    fields: [
      { is: 'balanceKind', kind: 'choice', choices: ['', 'new-api', 'openai-billing', 'custom'] },
      { is: 'balanceInterval', kind: 'mono', placeholder: '10m' }, { is: 'balanceRestBelow', kind: 'number', placeholder: '1' },
    ],
  },
  { is: 'models', fields: [{ is: 'longContext', kind: 'lines', placeholder: '*opus*' }, { is: 'thinking', kind: 'choice', choices: ['', 'on', 'off', 'auto'] }] },
  {
    is: 'connection',
    fields: [
      { is: 'http', kind: 'choice', choices: ['', '1', '2', 'auto'] }, { is: 'preserveHost', kind: 'choice', choices: SWITCH },
      { is: 'sni', kind: 'mono', placeholder: 'relay.example' }, { is: 'insecure', kind: 'choice', choices: SWITCH },
    ],
  },
] as const satisfies readonly { is: string; fields: readonly Field[] }[];

/** How many of these have a value. */
export function countSet(fields: readonly Field[], form: UpstreamForm): number {
  return fields.filter(({ is }) => form[is].trim() !== '').length;
}
