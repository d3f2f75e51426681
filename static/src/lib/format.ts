/** Numbers, sizes and times as text, in the manner of a locale. Pure: the locale is always a parameter. */

const NONE = '–';

/** Formats take long to make. Options are told apart by their object, not by what they say: make each of them once. */
function made<Options extends object, Format>(make: (locale: string, options: Options) => Format): (locale: string, options: Options) => Format {
  const known = new Map<string, Map<Options, Format>>();
  return (locale, options) => {
    let ofLocale = known.get(locale);
    if (!ofLocale) known.set(locale, (ofLocale = new Map()));
    let format = ofLocale.get(options);
    if (!format) ofLocale.set(options, (format = make(locale, options)));
    return format;
  };
}
const numbers = made((locale, options: Intl.NumberFormatOptions) => new Intl.NumberFormat(locale, options));
const dates = made((locale, options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale, options));

/** Options by their digits, each made once. */
function byDigits(make: (digits: number) => Intl.NumberFormatOptions): (digits: number) => Intl.NumberFormatOptions {
  const known: Intl.NumberFormatOptions[] = [];
  return (digits) => (known[digits] ??= make(digits));
}
const atMost = byDigits((digits) => ({ maximumFractionDigits: digits }));
const exactly = byDigits((digits) => ({ minimumFractionDigits: digits, maximumFractionDigits: digits }));
const share = byDigits((digits) => ({ style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits }));
const dollars = byDigits((digits) => ({ style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol', minimumFractionDigits: digits, maximumFractionDigits: digits }));
const COMPACT: Intl.NumberFormatOptions = { notation: 'compact', maximumSignificantDigits: 3 };
const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
const DAY_AND_TIME: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric', ...TIME };
const MOMENT: Intl.DateTimeFormatOptions = { year: 'numeric', ...DAY_AND_TIME };
const ZONE: Intl.DateTimeFormatOptions = { timeZoneName: 'short' };
const MINUTE: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
const DAY_AND_MINUTE: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric', ...MINUTE };
const DAY: Intl.DateTimeFormatOptions = { month: 'numeric', day: 'numeric' };

type Maybe = number | null | undefined;

/** 12,345 */
export function formatNumber(locale: string, value: Maybe, digits = 0): string {
  return value == null ? NONE : numbers(locale, atMost(digits)).format(value);
}

/** 12.3K or 1.2万; exact below 10,000. */
export function formatCompact(locale: string, value: Maybe): string {
  if (value == null) return NONE;
  if (Math.abs(value) < 10_000) return formatNumber(locale, value);
  return numbers(locale, COMPACT).format(value);
}

/** 98.7%, with one digit behind the point for all but nothing and all; never 100% for what is not all, never 0% for what is not nothing. */
export function formatShare(locale: string, value: Maybe): string {
  if (value == null) return NONE;
  const floor = value < 1 ? Math.min(value, 0.9999) : value;
  if (floor > 0 && floor < 0.0005) return `<${numbers(locale, share(1)).format(0.001)}`;
  return numbers(locale, share(floor === 0 || floor === 1 ? 0 : floor > 0.999 && floor < 1 ? 2 : 1)).format(floor);
}

/** $1.25, $0.019, $0.0012: small amounts with more digits. */
export function formatCost(locale: string, value: Maybe): string {
  if (value == null) return NONE;
  const size = Math.abs(value);
  const digits = size === 0 || size >= 1 ? 2 : size >= 0.01 ? 3 : size >= 0.0001 ? 4 : 6;
  return numbers(locale, dollars(digits)).format(value);
}

/** What requests cost together: – where none has a price, ≥ where some have none. */
export function formatCosts(locale: string, { cost_usd, unpriced_requests }: { cost_usd: number | null; unpriced_requests: number }): string {
  const text = formatCost(locale, cost_usd);
  return cost_usd !== null && unpriced_requests > 0 ? `≥ ${text}` : text;
}

const DURATION_UNITS = {
  en: { ms: 'ms', s: 's', min: 'min', wholeMin: 'min', h: 'h', d: 'd' },
  zh: { ms: '毫秒', s: '秒', min: '分', wholeMin: '分钟', h: '小时', d: '天' },
};

/** Between a number and its unit: no line ends there. */
const GAP = '\u00a0';

/** 820 ms, 5.30 s, 27.1 s, 2 min 14 s, 3 h 2 min; in one piece. */
export function formatDuration(locale: string, ms: Maybe): string {
  if (ms == null) return NONE;
  const units = DURATION_UNITS[locale.startsWith('zh') ? 'zh' : 'en'];
  if (ms < 1000) return `${formatNumber(locale, ms)}${GAP}${units.ms}`;
  const seconds = ms / 1000;
  if (seconds < 59.95) {
    const digits = seconds < 9.995 ? 2 : 1;
    return `${numbers(locale, exactly(digits)).format(seconds)}${GAP}${units.s}`;
  }
  const whole = Math.round(seconds);
  const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
    `${large}${GAP}${largeUnit}` + (small > 0 ? `${GAP}${small}${GAP}${smallUnit}` : '');
  if (whole < 3600) return pair(Math.floor(whole / 60), whole % 60 > 0 ? units.min : units.wholeMin, whole % 60, units.s);
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), units.h, minutes % 60, units.wholeMin);
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), units.d, hours % 24, units.h);
}

/** 59 s: what goes on, in whole seconds, so that the text has no digits that flicker. */
export function formatElapsed(locale: string, ms: Maybe): string {
  if (ms == null || ms >= 60_000) return formatDuration(locale, ms == null ? ms : Math.floor(ms / 1000) * 1000);
  return `${Math.floor(Math.max(0, ms) / 1000)}${GAP}${DURATION_UNITS[locale.startsWith('zh') ? 'zh' : 'en'].s}`;
}

/** How long something has been so: in whole minutes, so that the text is not another one each second. */
export function formatLasting(locale: string, sinceMs: number, nowMs: number): string {
  const ms = Math.max(0, nowMs - sinceMs);
  return formatElapsed(locale, ms < 60_000 ? ms : Math.floor(ms / 60_000) * 60_000);
}

/** 512 B, 50.0 KiB, 1.2 MiB. */
export function formatBytes(locale: string, bytes: Maybe): string {
  if (bytes == null) return NONE;
  const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${formatNumber(locale, value, unit > 0 && value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** 14:03:22 today, with the date on other days. */
export function formatClock(locale: string, atMs: number, nowMs: number): string {
  const isToday = new Date(atMs).toDateString() === new Date(nowMs).toDateString();
  return dates(locale, isToday ? TIME : DAY_AND_TIME).format(atMs);
}

/** Date and time to the second, with the zone: for tooltips and details. */
export function formatMoment(locale: string, atMs: number): string {
  return `${dates(locale, MOMENT).format(atMs)} ${zoneAt(locale, atMs)}`.trim();
}

const zones = new Map<string, string>();
/** What the viewer's zone is called: other names for other hours, in summer. */
function zoneAt(locale: string, atMs: number): string {
  const key = `${locale} ${new Date(atMs).getTimezoneOffset()}`;
  let zone = zones.get(key);
  if (zone === undefined) {
    // Some languages would put the zone between date and time.
    zone = dates(locale, ZONE).formatToParts(atMs).find((part) => part.type === 'timeZoneName')?.value ?? '';
    zones.set(key, zone);
  }
  return zone;
}

/** Nov 3, 14:00 – 16:30: from one minute to another. */
export function formatSpan(locale: string, fromMs: number, toMs: number): string {
  return dates(locale, DAY_AND_MINUTE).formatRange(fromMs, toMs);
}

/** A moment to the minute, with its day. */
export function formatMinute(locale: string, atMs: number): string {
  return dates(locale, DAY_AND_MINUTE).format(atMs);
}

/** The same, without the day if that is today's. */
export function formatNearMinute(locale: string, atMs: number, nowMs: number): string {
  const isToday = new Date(atMs).toDateString() === new Date(nowMs).toDateString();
  return dates(locale, isToday ? MINUTE : DAY_AND_MINUTE).format(atMs);
}

/** A mark on a time axis, as fine as the axis' step. */
export function formatTick(locale: string, atMs: number, incrementMs: number): string {
  const DAY_MS = 86_400_000;
  if (incrementMs >= DAY_MS) return dates(locale, DAY).format(atMs);
  const at = new Date(atMs);
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0;
  if (isMidnight) return dates(locale, DAY).format(atMs);
  return dates(locale, MINUTE).format(atMs);
}

const agoFormats = new Map<string, Intl.RelativeTimeFormat>();
/** "3 minutes ago". */
export function formatAgo(locale: string, atMs: number, nowMs: number): string {
  let format = agoFormats.get(locale);
  if (!format) agoFormats.set(locale, (format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })));
  const seconds = Math.round((atMs - nowMs) / 1000);
  const size = Math.abs(seconds);
  const text = size < 60 ? format.format(seconds, 'second')
    : size < 3600 ? format.format(Math.round(seconds / 60), 'minute')
      : size < 86_400 ? format.format(Math.round(seconds / 3600), 'hour')
        : format.format(Math.round(seconds / 86_400), 'day');
  // As everywhere else, a figure stands apart from Chinese words.
  return text.replace(/(\d)(?=\p{Script=Han})/u, '$1 ');
}
