import { describe, expect, it } from 'vitest';

import { diffTexts, parseUnifiedDiff, unified, type SideBySideRow } from '@/lib/diff';

const short = (rows: SideBySideRow[]): string[] =>
  rows.map((row) => `${row.kind} ${row.left ? `${row.left.line}:${row.left.text}` : '-'} ${row.right ? `${row.right.line}:${row.right.text}` : '-'}`);

describe('diffTexts', () => {
  it('finds nothing in equal texts', () => {
    expect(diffTexts('a\nb\n', 'a\nb\n')).toEqual([]);
    expect(diffTexts('', '')).toEqual([]);
  });

  it('puts changed lines beside each other and keeps the numbers of both sides', () => {
    expect(short(diffTexts('a\nb\nc\n', 'a\nB\nx\nc\n'))).toEqual(['same 1:a 1:a', 'changed 2:b 2:B', 'added - 3:x', 'same 3:c 4:c']);
  });

  it('shows additions to and removals of a whole text', () => {
    expect(short(diffTexts('', 'a\n'))).toEqual(['added - 1:a']);
    expect(short(diffTexts('a\nb\n', ''))).toEqual(['removed 1:a -', 'removed 2:b -']);
  });

  it('leaves out what is far from any change', () => {
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index}`);
    const rows = diffTexts(lines.join('\n'), lines.with(10, 'other').join('\n'), 1);
    expect(rows.map((row) => row.kind)).toEqual(['gap', 'same', 'changed', 'same', 'gap']);
  });

  it('gives back both texts', () => {
    const before = 'a\nb\nc\nd\ne\nb\na';
    const after = 'b\na\nd\nd\nc\nb';
    const rows = diffTexts(before, after, 99);
    expect(rows.flatMap((row) => row.left?.text ?? []).join('\n')).toBe(before);
    expect(rows.flatMap((row) => row.right?.text ?? []).join('\n')).toBe(after);
  });
});

describe('parseUnifiedDiff', () => {
  it('reads hunks with their line numbers', () => {
    const text = '--- client\n+++ upstream\n@@ -1,2 +1,3 @@\n a\n-b\n+B\n+c\n@@ -9 +10 @@\n-x\n';
    expect(short(parseUnifiedDiff(text))).toEqual(['same 1:a 1:a', 'changed 2:b 2:B', 'added - 3:c', 'gap - -', 'removed 9:x -']);
  });

  it('takes lines that begin like a header within a hunk for contents', () => {
    const text = '--- client\n+++ upstream\n@@ -1 +1 @@\n--- was\n+++ is\n';
    expect(short(parseUnifiedDiff(text))).toEqual(['changed 1:-- was 1:++ is']);
  });

  it('is empty for no difference', () => {
    expect(parseUnifiedDiff('')).toEqual([]);
  });
});

describe('unified', () => {
  it('puts what is removed before what is added', () => {
    const rows = unified(diffTexts('a\nb\nc\nd\n', 'a\nB\nC\nx\nd\n'));
    expect(rows.map(({ kind, line, text }) => `${kind} ${line} ${text}`)).toEqual([
      'same 1 a', 'removed 2 b', 'removed 3 c', 'added 2 B', 'added 3 C', 'added 4 x', 'same 5 d',
    ]);
    expect(unified(diffTexts('', 'x\n'))).toEqual([{ kind: 'added', line: 1, text: 'x' }]);
    expect(unified([{ kind: 'gap', left: null, right: null }])).toEqual([{ kind: 'gap', line: null, text: '' }]);
  });
});
