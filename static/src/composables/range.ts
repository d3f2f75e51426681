/** The time that is looked at: one for all pages, kept in the URL. */

import { computed, shallowRef, type ComputedRef, type WritableComputedRef } from 'vue';
import { useRoute, useRouter, type LocationQueryRaw, type RouteLocationNormalized } from 'vue-router';

import { DEFAULT_SPAN, isAllTime, refreshOf, spanBounds, spanFromQuery, spanToQuery, stepOf, type Bounds, type Span } from '@/lib/time_range';

declare module 'vue-router' {
  interface RouteMeta {
    /**
     * `always`: the page looks at a range, and without one in its URL gets the one that was looked at last. `carried`: it can
     * look at all time too, and the menu leads to it with the last range.
     */
    range?: 'always' | 'carried';
  }
}

/** What the last page looked at. */
const last = shallowRef<Span | null>(null);

const hasSpan = (query: Record<string, unknown>): boolean => !isAllTime(spanFromQuery(query));

/** The query of a page that looks at the same time. */
export const rangeQuery = computed(() => (last.value === null ? {} : spanToQuery(last.value)));

/** For the router's guard: the query with which a page is to be opened instead, if with another one. */
export function withRange({ meta, query }: Pick<RouteLocationNormalized, 'meta' | 'query'>): LocationQueryRaw | null {
  if (meta.range !== 'always' || hasSpan(query) || last.value === null) return null;
  return { ...query, ...rangeQuery.value };
}

/** For the router: notes what a page looks at. */
export function noteRange({ query }: Pick<RouteLocationNormalized, 'query'>): void {
  if (hasSpan(query)) last.value = spanFromQuery(query);
}

export interface RangeState {
  /** Setting it changes the URL. */
  span: WritableComputedRef<Span>;
  /** From one moment to another, in a way that "back" undoes. */
  zoom: (to: Bounds) => void;
  /** Shows the requests of a time. */
  toRequests: (of: Bounds, filters?: Record<string, string>) => void;
  /** What it is in a link to another page. */
  query: ComputedRef<Record<string, string>>;
  /** Its ends as they are now. */
  bounds: () => Bounds;
  /** The width of one point of a series over it. */
  stepMs: () => number;
  /** How often a page asks anew. */
  refreshMs: () => number;
}

/** The range of the page, for those whose route says so. */
export function useRange(): RangeState {
  const route = useRoute();
  const router = useRouter();
  const query = (span: Span): LocationQueryRaw => {
    const others = Object.entries(route.query).filter(([name]) => !['range', 'from', 'to'].includes(name));
    return { ...Object.fromEntries(others), ...spanToQuery(span) };
  };
  const span = computed<Span>({
    get: () => (hasSpan(route.query) ? spanFromQuery(route.query) : DEFAULT_SPAN),
    set: (chosen) => void router.replace({ query: query(chosen), hash: route.hash }),
  });
  const bounds = (): Bounds => spanBounds(span.value, Date.now());
  return {
    span,
    zoom: (to) => void router.push({ query: query({ range: null, ...to }), hash: route.hash }),
    toRequests: (of, filters = {}) => void router.push({ name: 'requests', query: { ...spanToQuery({ range: null, ...of }), ...filters } }),
    query: computed(() => spanToQuery(span.value)),
    bounds,
    stepMs: () => stepOf(bounds(), Date.now()),
    refreshMs: () => refreshOf(bounds()),
  };
}
