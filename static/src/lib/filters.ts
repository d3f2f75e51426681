/** What the list of requests shows: kept in the page's URL, sent to the API, and applied to rows of the live feed. */

import { CAUSES, OUTCOMES, WASTE_CAUSES, type RequestRow } from '@/api/types';

import { COST_DIMENSIONS, type CostDimension } from './cost_links';
import { isKey } from './key_text';
import { LOG_COLUMN_NAMES } from './log_columns';
import { rangeBounds, spanFromQuery, spanToQuery, type Span } from './time_range';

/** Filters that take several values. */
export const LIST_FILTERS = ['outcome', 'status', 'model', 'upstream', 'key', 'cause', 'waste_cause', 'without', ...LOG_COLUMN_NAMES] as const;
export type ListFilter = (typeof LIST_FILTERS)[number];
/** Filters that are one text. */
export const TEXT_FILTERS = ['session', 'prompt_id', 'path', 'q'] as const;
export type TextFilter = (typeof TEXT_FILTERS)[number];

export type RequestFilters = Record<ListFilter, string[]> & Record<TextFilter, string> & Span;

export type Query = Record<string, unknown>;

export function noFilters(): RequestFilters {
  return {
    ...(Object.fromEntries(LIST_FILTERS.map((name) => [name, []])) as unknown as Record<ListFilter, string[]>),
    session: '', prompt_id: '', path: '', q: '',
    range: null, from: null, to: null,
  };
}

/** What a filter's values look like, if not any text will do. */
const isAllowed: Partial<Record<ListFilter, (value: string) => boolean>> = {
  outcome: (value) => OUTCOMES.some((outcome) => outcome === value),
  status: (value) => /^[1-5](\d\d|xx)$/.test(value),
  cause: (value) => CAUSES.some((cause) => cause === value),
  without: (value) => COST_DIMENSIONS.some((by) => by === value),
  waste_cause: (value) => WASTE_CAUSES.some((cause) => cause === value),
};

function text(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === 'string' ? first : '';
}

/** Reads a page's query; what makes no sense is left out. */
export function filtersFromQuery(query: Query): RequestFilters {
  const filters = noFilters();
  for (const name of LIST_FILTERS) {
    const values = text(query[name]).split(',').map((value) => value.trim());
    filters[name] = [...new Set(values.filter((value) => value !== '' && (isAllowed[name]?.(value) ?? true)))];
  }
  for (const name of TEXT_FILTERS) filters[name] = text(query[name]).trim();
  return { ...filters, ...spanFromQuery(query) };
}

/** The same as a page's query, without what is not set. */
export function filtersToQuery(filters: RequestFilters): Record<string, string> {
  const query = spanToQuery(filters);
  for (const name of LIST_FILTERS) if (filters[name].length > 0) query[name] = filters[name].join(',');
  for (const name of TEXT_FILTERS) if (filters[name] !== '') query[name] = filters[name];
  return query;
}

/** The same for the API, which knows moments only. What lasts until now stays open: rows that just began belong to it. */
export function filtersToParameters(filters: RequestFilters, nowMs: number): Record<string, string> {
  const parameters = filtersToQuery(filters);
  delete parameters['range'];
  if (filters.range === null) return parameters;
  const { from, to } = rangeBounds(filters.range, nowMs);
  return { from: String(from), ...(to < nowMs && { to: String(to) }), ...parameters };
}

/** How many filters are set, the time not counted. */
export function countFilters(filters: RequestFilters): number {
  const lists = LIST_FILTERS.reduce((sum, name) => sum + filters[name].length, 0);
  return lists + TEXT_FILTERS.filter((name) => filters[name] !== '').length;
}

/** Whether a row is in the group that has no name. */
function isWithout(row: RequestRow, by: CostDimension): boolean {
  if (by === 'model') return !row.model && !row.model_asked;
  // A key that nobody took may be any, and counts as none.
  if (by === 'key') return !row.key || row.attempts === 0 || row.status === 401 || row.status === 403;
  return !row[by];
}

/** Whether the API would list this row, which has just ended. */
export function matchesFilters(row: RequestRow, filters: RequestFilters): boolean {
  // It ended just now.
  const { from, to } = filters.range === null ? filters : rangeBounds(filters.range, row.started_at_ms + row.duration_ms + 1);
  if (to !== null && row.started_at_ms >= to) return false;
  if (from !== null && row.started_at_ms < from) return false;
  const among = (wanted: string[], ...values: (string | null)[]): boolean =>
    wanted.length === 0 || values.some((value) => value !== null && wanted.includes(value));
  const status = String(row.status);
  if (!among(filters.outcome, row.outcome)) return false;
  if (!among(filters.status, status, `${status.charAt(0)}xx`)) return false;
  if (!among(filters.model, row.model, row.model_asked)) return false;
  if (!among(filters.upstream, row.upstream)) return false;
  if (filters.key.length > 0 && !filters.key.some((key) => isKey(row.key, key))) return false;
  if (!among(filters.cause, row.cause)) return false;
  if (!among(filters.waste_cause, row.waste?.cause ?? null)) return false;
  if (!LOG_COLUMN_NAMES.every((name) => among(filters[name], row[name]))) return false;
  if (!COST_DIMENSIONS.every((by) => !filters.without.includes(by) || isWithout(row, by))) return false;
  if (filters.session !== '' && row.session !== filters.session) return false;
  if (filters.prompt_id !== '' && row.prompt_id !== filters.prompt_id) return false;
  if (filters.path !== '' && row.path !== filters.path) return false;
  if (filters.q === '') return true;
  const wanted = filters.q.toLowerCase();
  const texts = [row.id, row.path, row.model, row.model_asked, row.session, row.reason, row.error_message];
  return texts.some((value) => value?.toLowerCase().includes(wanted));
}
