import type { FaultCode, RequestDetail } from '@/api/types';

/** Faults of upstreams to which nothing was sent: there was no connection, or no room for the request. */
const NOTHING_SENT: readonly (FaultCode | undefined)[] = [
  'resolve', 'connect_refused', 'connect_timeout', 'connect', 'tls', 'proxy', 'proxy_timeout', 'queue_full', 'queue_timeout',
  'keys_rest', 'keys_out',
];

/** Whether an upstream got the request. One that closed its connection or fell silent may have read it, so that it is unknown. */
export function wasSent(row: Pick<RequestDetail, 'outcome' | 'connect_ms' | 'first_byte_ms' | 'tried'>): 'yes' | 'no' | 'unknown' {
  if (row.outcome === 'completed' || row.connect_ms !== null || row.first_byte_ms !== null) return 'yes';
  return row.tried.every(({ code }) => NOTHING_SENT.includes(code)) ? 'no' : 'unknown';
}
