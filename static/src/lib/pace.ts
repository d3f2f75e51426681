/** How often what the live feed tells is shown: a busy feed in larger pieces, because nobody reads hundreds of rows a second. */

const SOON_MS = 200;
const BUSY_MS = 1_000;
/** Rows in a piece from which on a feed counts as busy. */
const BUSY_ROWS = 10;

/** After how long the next piece may be shown, by the rows of the last one. */
export function paceMs(rows: number): number {
  return rows > BUSY_ROWS ? BUSY_MS : SOON_MS;
}
