import { describe, expect, it } from 'vitest';

import en from '@/i18n/en';
import { groupOf, groupOrder, SETTING_GROUPS } from '@/lib/setting_groups';

describe('groups of settings', () => {
  it('have names, and stand in the order of what is looked for', () => {
    expect(Object.keys(en.config.group).sort()).toEqual([...SETTING_GROUPS].sort());
    expect(['internals', 'new', 'log', 'upstreams'].sort((a, b) => groupOrder(a) - groupOrder(b))).toEqual(['upstreams', 'log', 'new', 'internals']);
  });

  it('hold settings that belong together', () => {
    const groups = Object.fromEntries([
      'gateway.upstreams', 'gateway.upstreams[0].base_url', 'gateway.rules', 'gateway.system_prompt.replacement', 'gateway.tls.cert', 'gateway.state_dir', 'gateway.health.probe.path', 'gateway.store.url', 'gateway.novel',
      'gateway.novel.part',
    ].map((key) => [key, groupOf(key)]));
    expect(groups).toEqual({
      'gateway.upstreams': 'upstreams', 'gateway.upstreams[0].base_url': 'upstreams', 'gateway.rules': 'system_prompt', 'gateway.system_prompt.replacement': 'system_prompt',
      'gateway.tls.cert': 'addresses', 'gateway.state_dir': 'internals', 'gateway.health.probe.path': 'health', 'gateway.store.url': 'log', 'gateway.novel': 'internals', 'gateway.novel.part': 'novel',
    });
  });
});
