import type { RequestDetail } from '@/api/types';

/** What the gateway says of an upstream to which there was no connection. */
const NO_CONNECTION = /^(could not be connected to|could not be found|refused the connection)\b/;

/** Whether an upstream got the request. One that closed its connection or fell silent may have read it, so that it is unknown. */
export function wasSent(row: Pick<RequestDetail, 'outcome' | 'connect_ms' | 'first_byte_ms' | 'tried'>): 'yes' | 'no' | 'unknown' {
  if (row.outcome === 'completed' || row.connect_ms !== null || row.first_byte_ms !== null) return 'yes';
  return row.tried.every(({ what }) => NO_CONNECTION.test(what)) ? 'no' : 'unknown';
}
