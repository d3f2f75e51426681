// All that the panel can show: pages, what opens above them, and what they show when there is nothing. Each is a path, with what
// is done there before it is looked at. What the log has of requests and sessions is given to it; a path that is false says that there
// is nothing to see. No name in any language is used: the same is done in all of them.

const dialog = (page, inside = '.content') => page.locator(`dialog[open] ${inside}`).last().waitFor();
/** A time before all requests. */
const NEVER = 'range=custom&from=1000000000000&to=1000003600000';

/** Opens what the last of these buttons opens. */
const pressing = (selector) => async (page) => {
  await page.locator(selector).last().click();
  await dialog(page);
};
const typed = () => (page) => page.locator('.cm-content').first().waitFor();
/** Sections of the configuration that differ in what they are made of; the whole has the others too. */
const SECTIONS = ['upstreams', 'log', 'internals'];
const OTHER_SECTIONS = [
  'headers', 'proxy', 'dashboard', 'timeouts', 'failover', 'health', 'affinity', 'thinking', 'limits', 'metrics', 'notify', 'addresses', 'dns', 'drain',
];
const section = (name) => [`config-${name}`, { path: () => `/config?section=${name}` }];

export const VIEWS = {
  dashboard: { path: () => '/?range=24h' },
  requests: { path: () => '/requests' },
  'requests-filters': { path: () => '/requests?range=7d&outcome=completed&model=claude-sonnet-5-5&request_class=main' },
  'requests-none': { path: () => '/requests?session=none' },
  request: { path: ({ good }) => `/requests?id=${good}`, act: (page) => dialog(page, '.timeline') },
  'request-failed': { path: ({ failed }) => `/requests?outcome=upstream_error&id=${failed}`, act: (page) => dialog(page, '.timeline') },
  'request-running': { path: ({ running }) => running && `/requests?id=${running}`, act: (page) => dialog(page) },
  'key-name': {
    path: ({ good }) => `/requests?id=${good}`,
    act: async (page) => {
      await dialog(page, '.timeline');
      await page.locator('dialog .key-name button').first().click();
      await dialog(page, 'input');
    },
  },
  costs: { path: () => '/costs?range=7d' },
  'costs-session': { path: () => '/costs?range=1h&by=session' },
  'costs-none': { path: () => `/costs?${NEVER}` },
  sessions: { path: () => '/sessions?range=24h' },
  'sessions-none': { path: () => `/sessions?${NEVER}` },
  session: { path: ({ session }) => `/sessions/${session}` },
  waste: { path: () => '/waste?range=7d' },
  'waste-none': { path: () => `/waste?${NEVER}` },
  errors: { path: () => '/errors?range=7d' },
  'errors-none': { path: () => `/errors?${NEVER}` },
  upstreams: { path: () => '/upstreams' },
  'upstream-order': { path: ({ upstreams }) => upstreams > 1 && '/upstreams', act: pressing('.page-header .actions > :first-child') },
  'upstream-form': { path: () => '/upstreams', act: pressing('.page-header .actions > :last-child') },
  notify: { path: () => '/notify' },
  team: { path: () => '/team' },
  'team-limits': { path: ({ token }) => token && '/team', act: pressing('main tbody td:last-child button:first-child') },
  token: { path: ({ token }) => token && `/team/tokens/${token}` },
  'token-change': { path: ({ token }) => token && `/team/tokens/${token}`, act: pressing('.page-header .actions > button:first-of-type') },
  audit: { path: () => '/audit' },
  rules: { path: () => '/rules' },
  'rule-form': { path: () => '/rules', act: pressing('main .card-head button.compact') },
  'rules-try': { path: () => '/rules?view=try' },
  config: { path: () => '/config' },
  ...Object.fromEntries((process.env.PANEL_LOOKS === 'all' ? [...SECTIONS, ...OTHER_SECTIONS] : SECTIONS).map(section)),
  'config-yaml': { path: () => '/config?view=yaml', act: typed() },
  'config-headers': { path: () => '/config?view=headers', act: typed() },
  'config-history': { path: () => '/config?view=history' },
  connect: { path: () => '/connect' },
  'connect-team': { path: () => '/connect?client=team' },
  palette: {
    path: () => '/?range=24h',
    act: async (page) => {
      await page.keyboard.press('Control+k');
      await page.locator('dialog [role=combobox]').waitFor();
    },
  },
  keys: {
    path: () => '/requests',
    act: async (page) => {
      await page.locator('h1').click();
      await page.keyboard.press('?');
      await dialog(page);
    },
  },
  login: { path: () => '/login' },
  missing: { path: () => '/no-such-page' },
};
