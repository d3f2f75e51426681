/** Texts to and from files of the viewer's machine. */

export function exportText(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A JSON file holds headers, any other an overlay. */
export async function importFile(file: File): Promise<{ kind: 'overlay' | 'headers'; text: string }> {
  const text = await file.text();
  return { kind: file.name.endsWith('.json') ? 'headers' : 'overlay', text };
}
