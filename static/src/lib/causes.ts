/** What the cures of some causes of failure tell people to copy. */

import type { Cause } from '@/api/types';

export const CAUSE_SNIPPETS: Partial<Record<Cause, readonly string[]>> = {
  network: ['export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1'],
  country: ['{ "hasCompletedOnboarding": true }'],
  user_agent: ['{ "User-Agent": "claude-cli/2.1.330 (external, cli)" }'],
  thinking_off: ['{ "alwaysThinkingEnabled": true }'],
  proxy: ['anyrouter-gateway doctor'],
  unreachable: ['anyrouter-gateway doctor'],
};
