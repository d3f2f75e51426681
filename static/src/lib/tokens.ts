import type { Tokens } from '@/api/types';

/** All tokens that went in, read from a cache or not. */
export function inputTokens(tokens: Tokens): number {
  return tokens.input + tokens.cache_write + tokens.cache_read;
}

/** A figure that is estimated, or in which estimates are, is told as about so much. */
export function about(figure: string, isEstimated: boolean): string {
  return isEstimated ? `≈ ${figure}` : figure;
}
