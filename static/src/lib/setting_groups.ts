/** The groups of the settings, in the order in which people look for them; what is within them keeps the gateway's order. */

export const SETTING_GROUPS = [
  'upstreams', 'system_prompt', 'headers', 'proxy', 'dashboard', 'log', 'timeouts', 'failover', 'health', 'affinity', 'thinking', 'limits',
  'metrics', 'notify', 'addresses', 'dns', 'drain', 'internals',
] as const;

const GROUP_OF: Record<string, (typeof SETTING_GROUPS)[number] | undefined> = {
  routes: 'upstreams', models: 'upstreams',
  rules: 'system_prompt',
  headers_file: 'headers', preserve_host: 'headers', forwarded_for: 'headers', via: 'headers', hint_headers: 'headers', trusted_proxies: 'addresses',
  database: 'log', store: 'log', debug: 'log',
  prices: 'metrics', prices_file: 'metrics', key_names: 'dashboard', team: 'dashboard',
  listen: 'addresses', admin_listen: 'addresses', tls: 'addresses',
  state_dir: 'internals', runtime_dir: 'internals', watch: 'internals',
};

/** The group of a setting; one that is new to the panel is among the rest, or a group of its own. */
export function groupOf(key: string): string {
  const [, part = '', inner] = key.split('.');
  const name = part.replace(/\[\d+\]$/, '');
  const known = GROUP_OF[name] ?? SETTING_GROUPS.find((group) => group === name);
  return known ?? (inner === undefined ? 'internals' : name);
}

/** Groups that are new to the panel stand before the internals. */
export function groupOrder(group: string): number {
  const at = SETTING_GROUPS.findIndex((known) => known === group);
  return at < 0 ? SETTING_GROUPS.length - 1.5 : at;
}
