/** What a canvas needs to know of the style sheet. */

/** A custom property's colour as it is in force: `light-dark()` means nothing to a canvas. */
export function resolveColor(property: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${property})`;
  probe.hidden = true;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

export function fontOf(sizePx: number): string {
  return `${sizePx}px ${getComputedStyle(document.body).fontFamily}`;
}
