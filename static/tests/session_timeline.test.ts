import { expect, it } from 'vitest';

import { shortSession } from '@/lib/session_text';
import { timelineLanes } from '@/lib/session_timeline';

const shape = { from_ms: 0, steps: 4, step_ms: 1000 };
type Step = [index: number, requests: number, failed: number];
const lane = (name: string | null, ...steps: Step[]) => ({ name, buckets: steps.map(([...step]): [...Step, null] => [...step, null]) });

it('gives the main conversation the first lane, and the others theirs in the order of the tree', () => {
  const lanes = timelineLanes({ ...shape, agents: [lane('b', [3, 1, 1]), lane(null, [0, 2, 0]), lane('a', [1, 1, 0])] }, [null, 'a', 'b'], 5);
  expect(lanes.map(({ name }) => name)).toEqual([null, 'a', 'b']);
  expect(lanes[2]?.buckets).toEqual([{ index: 3, requests: 1, failed: 1 }]);
});

it('shows the whole where there are more agents than lanes', () => {
  const agents = ['a', 'b', 'c', 'd'].map((name, index) => lane(name, [index % 2, 1, index === 3 ? 1 : 0]));
  const lanes = timelineLanes({ ...shape, agents: [lane(null, [0, 1, 0]), ...agents] }, [null, 'a', 'b', 'c', 'd'], 3);
  expect(lanes.map(({ name, agents: count }) => [name, count])).toEqual([[null, 1], ['a', 1], [null, 3]]);
  expect(lanes[2]?.buckets).toEqual([{ index: 0, requests: 1, failed: 0 }, { index: 1, requests: 2, failed: 1 }]);
});

it('shortens ids of sessions', () => {
  expect(shortSession('0f1e2d3c-4b5a-6978-8796-000000000001')).toBe('0f1e2d3c');
  expect(shortSession('my-session')).toBe('my-session');
  expect(shortSession('a-session-with-a-very-long-name')).toBe('a-session-with-a-ve…');
});
