import { expect, it } from 'vitest';

import { toolsText } from '@/lib/tools_text';

it('tools are named with their counts, those that were used most first', () => {
  expect(toolsText({ Read: 1, Bash: 3, Edit: 1 })).toBe('Bash ×3, Edit, Read');
  expect(toolsText({})).toBe('');
  expect(toolsText(null)).toBe('');
});
