/** Differences of two texts, line by line, and unified diffs laid out side by side. */

export interface SideBySideRow {
  kind: 'same' | 'changed' | 'removed' | 'added' | 'gap';
  left: { line: number; text: string } | null;
  right: { line: number; text: string } | null;
}

interface Edit {
  kind: 'same' | 'removed' | 'added';
  text: string;
}

/** Beyond this the middle is shown as replaced as a whole: the table below grows with the product. */
const MOST_CELLS = 4_000_000;

/** The longest common lines stay, the rest is removed or added. */
function edits(before: string[], after: string[]): Edit[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (
    tail < before.length - head && tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) tail += 1;

  const a = before.slice(head, before.length - tail);
  const b = after.slice(head, after.length - tail);
  const same = (lines: string[]): Edit[] => lines.map((text) => ({ kind: 'same', text }));
  return [
    ...same(before.slice(0, head)),
    ...middle(a, b),
    ...same(before.slice(before.length - tail)),
  ];
}

function middle(a: string[], b: string[]): Edit[] {
  const removed = (text: string): Edit => ({ kind: 'removed', text });
  const added = (text: string): Edit => ({ kind: 'added', text });
  const width = b.length + 1;
  if ((a.length + 1) * width > MOST_CELLS) return [...a.map(removed), ...b.map(added)];

  // common[i * width + j]: length of the longest common subsequence of a[i..] and b[j..].
  const common = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const result: Edit[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = a[i];
    const right = b[j];
    if (left !== undefined && left === right) {
      result.push({ kind: 'same', text: left });
      i += 1;
      j += 1;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      result.push(removed(left));
      i += 1;
    } else if (right !== undefined) {
      result.push(added(right));
      j += 1;
    }
  }
  return result;
}

/** Puts removed and added lines that follow one another beside each other. */
function layOut(all: Edit[], leftLine: number, rightLine: number): SideBySideRow[] {
  const rows: SideBySideRow[] = [];
  let left = leftLine;
  let right = rightLine;
  let removed: string[] = [];
  let added: string[] = [];
  const flush = (): void => {
    for (let index = 0; index < Math.max(removed.length, added.length); index += 1) {
      const from = removed[index];
      const to = added[index];
      rows.push({
        kind: from === undefined ? 'added' : to === undefined ? 'removed' : 'changed',
        left: from === undefined ? null : { line: left++, text: from },
        right: to === undefined ? null : { line: right++, text: to },
      });
    }
    removed = [];
    added = [];
  };
  for (const edit of all) {
    if (edit.kind === 'removed') removed.push(edit.text);
    else if (edit.kind === 'added') added.push(edit.text);
    else {
      flush();
      rows.push({ kind: 'same', left: { line: left++, text: edit.text }, right: { line: right++, text: edit.text } });
    }
  }
  flush();
  return rows;
}

function lines(text: string): string[] {
  const all = text.split('\n');
  if (all.at(-1) === '') all.pop();
  return all;
}

/** Two texts side by side; of long unchanged stretches only `context` lines around the changes. */
export function diffTexts(before: string, after: string, context = 3): SideBySideRow[] {
  const rows = layOut(edits(lines(before), lines(after)), 1, 1);
  const isNear = new Array<boolean>(rows.length).fill(false);
  rows.forEach((row, index) => {
    if (row.kind === 'same') return;
    for (let near = index - context; near <= index + context; near += 1) {
      if (near >= 0 && near < rows.length) isNear[near] = true;
    }
  });
  const result: SideBySideRow[] = [];
  rows.forEach((row, index) => {
    if (isNear[index]) result.push(row);
    else if (result.at(-1)?.kind !== 'gap') result.push({ kind: 'gap', left: null, right: null });
  });
  return result.length === 1 && result[0]?.kind === 'gap' ? [] : result;
}

/** A unified diff, as the API gives it, side by side. */
export function parseUnifiedDiff(diff: string): SideBySideRow[] {
  const rows: SideBySideRow[] = [];
  let hunk: Edit[] = [];
  let start: [number, number] = [1, 1];
  let isInHunk = false;
  const flush = (): void => {
    rows.push(...layOut(hunk, ...start));
    hunk = [];
  };
  for (const line of lines(diff)) {
    const header = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (header) {
      flush();
      isInHunk = true;
      start = [Number(header[1]), Number(header[2])];
      if (rows.length > 0 || start[0] > 1) rows.push({ kind: 'gap', left: null, right: null });
    } else if (!isInHunk) continue;
    else if (line.startsWith('-')) hunk.push({ kind: 'removed', text: line.slice(1) });
    else if (line.startsWith('+')) hunk.push({ kind: 'added', text: line.slice(1) });
    else if (line.startsWith(' ') || line === '') hunk.push({ kind: 'same', text: line.slice(1) });
  }
  flush();
  return rows;
}

export interface UnifiedRow {
  kind: 'same' | 'removed' | 'added' | 'gap';
  line: number | null;
  text: string;
}

/** The same under each other: of neighbouring changes first what is removed, then what is added. */
export function unified(rows: readonly SideBySideRow[]): UnifiedRow[] {
  const result: UnifiedRow[] = [];
  let added: UnifiedRow[] = [];
  for (const { kind, left, right } of rows) {
    if (kind === 'same' || kind === 'gap') {
      result.push(...added, { kind, line: right?.line ?? null, text: right?.text ?? '' });
      added = [];
      continue;
    }
    if (left) result.push({ kind: 'removed', ...left });
    if (right) added.push({ kind: 'added', ...right });
  }
  return [...result, ...added];
}
