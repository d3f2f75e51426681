/** What tokens cost, by model; some have no price. */

import type { Tokens } from '../../src/api/types.ts';

const PRICES: Record<string, [input: number, output: number] | undefined> = {
  'claude-sonnet-4-5': [3, 15], 'claude-opus-4-8': [5, 25], 'claude-haiku-4-5': [1, 5],
};

export function costOf(model: string, tokens: Tokens): number | null {
  const price = PRICES[model];
  if (!price) return null;
  const [input, output] = price;
  return (tokens.input * input + tokens.cache_write * input * 1.25 + tokens.cache_read * input * 0.1 + tokens.output * output) / 1e6;
}
