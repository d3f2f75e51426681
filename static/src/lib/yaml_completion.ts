/** What may stand at a place of the YAML text, according to a JSON Schema. Pure; the editor only shows it. */

export interface Suggestion {
  label: string;
  insert: string;
  detail: string;
}

interface SchemaNode {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  enum?: unknown[];
  const?: unknown;
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
  allOf?: SchemaNode[];
  default?: unknown;
}

const ITEM = '[]';

/** The keys above a line, from the outermost: entries of lists appear as `[]`. */
export function pathAbove(lines: readonly string[], lineIndex: number, indent: number): string[] {
  const path: string[] = [];
  let limit = indent;
  for (let index = lineIndex - 1; index >= 0 && limit > 0; index -= 1) {
    const match = /^(\s*)((?:- +)*)([\w.-]+):/.exec(lines[index] ?? '');
    if (!match) continue;
    const [, blanks = '', dashes = '', key = ''] = match;
    const column = blanks.length + dashes.length;
    if (column < limit) {
      path.unshift(key);
      limit = column;
    }
    if (dashes !== '' && blanks.length < limit) {
      path.unshift(ITEM);
      limit = blanks.length;
      // A list may stand at its key's own indentation.
      limit += 1;
    }
  }
  return path;
}

function resolve(node: SchemaNode, root: SchemaNode): SchemaNode[] {
  if (node.$ref?.startsWith('#/')) {
    let at: unknown = root;
    for (const name of node.$ref.slice(2).split('/')) at = (at as Record<string, unknown> | undefined)?.[name];
    return at ? resolve(at as SchemaNode, root) : [];
  }
  const parts = [...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])];
  return [node, ...parts.flatMap((part) => resolve(part, root))];
}

function descend(root: SchemaNode, path: readonly string[]): SchemaNode[] {
  let nodes = resolve(root, root);
  for (const step of path) {
    nodes = nodes
      .flatMap((node) => {
        if (step === ITEM) return node.items ? [node.items] : [];
        const other = typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
        const next = node.properties?.[step] ?? other;
        return next ? [next] : [];
      })
      .flatMap((node) => resolve(node, root));
  }
  return nodes;
}

/** Keys that may stand below this path. */
export function suggestKeys(schema: unknown, path: readonly string[]): Suggestion[] {
  const root = schema as SchemaNode;
  const found = new Map<string, Suggestion>();
  for (const node of descend(root, path)) {
    for (const [label, property] of Object.entries(node.properties ?? {})) {
      const shapes = resolve(property, root);
      const hasInner = shapes.some((shape) => shape.properties !== undefined || shape.items !== undefined);
      const detail = shapes.find((shape) => shape.description)?.description ?? '';
      found.set(label, { label, insert: hasInner ? `${label}:` : `${label}: `, detail });
    }
  }
  return [...found.values()];
}

/** Values that may stand for the key at the end of this path. */
export function suggestValues(schema: unknown, path: readonly string[]): Suggestion[] {
  const values = descend(schema as SchemaNode, path).flatMap((node) => {
    if (node.enum) return node.enum;
    if (node.const !== undefined) return [node.const];
    const types = Array.isArray(node.type) ? node.type : [node.type];
    return types.includes('boolean') ? [true, false] : [];
  });
  return [...new Set(values.map(String))].map((label) => ({ label, insert: label, detail: '' }));
}
