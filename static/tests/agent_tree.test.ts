import { expect, it } from 'vitest';

import { agentTree } from '@/lib/agent_tree';

const agent = (name: string | null, parent: string | null, first_at_ms: number, cost_usd: number | null = 1) => ({ name, parent, first_at_ms, cost_usd });
const shape = (agents: ReturnType<typeof agent>[]): [string | null, number, number | null][] => agentTree(agents).map((node) => [node.agent.name, node.depth, node.wholeCost]);

it('puts each agent below its parent, with the cost of all below it', () => {
  expect(shape([agent('b', 'main', 5), agent('c', 'b', 6, 0.5), agent('a', null, 2, null), agent(null, null, 1)])).toEqual([
    [null, 0, 2.5], ['a', 1, null], ['b', 1, 1.5], ['c', 2, 0.5],
  ]);
});

it('loses nobody: neither in circles, nor without a main conversation', () => {
  expect(shape([agent(null, null, 1), agent('a', 'b', 2), agent('b', 'a', 3)]).map(([name]) => name)).toEqual([null, 'a', 'b']);
  expect(shape([agent('a', null, 1), agent('b', 'b', 2)])).toEqual([['a', 0, 1], ['b', 0, 1]]);
});
