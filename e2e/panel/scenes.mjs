// What README shows of the panel: `make pictures` takes these pictures, and a test opens the same pages.

/** Each with the path that it is at, and what must be there to be seen. */
export const SCENES = [
  { name: 'dashboard', path: () => '/?range=24h', themes: ['light', 'dark'], height: 900, sees: ['.tiles', '.feed .entry', '.halves .card'] },
  { name: 'errors', path: () => '/errors?range=7d', themes: ['light'], height: 808, sees: ['.cause .upstream .code-block'] },
  { name: 'costs', path: () => '/costs?range=7d&by=model', themes: ['light'], height: 860, sees: ['.figure.month .value', '.chart canvas', '.table tfoot'] },
  { name: 'sessions', path: () => '/sessions?range=7d&sort=cost', themes: ['light'], height: 724, sees: ['.slot .title'] },
  { name: 'waste', path: () => '/waste?range=7d', themes: ['light'], height: 860, sees: ['.totals dd', '.cause .help', '.cause + .cause'] },
  { name: 'session', path: ({ session }) => `/sessions/${session}`, themes: ['light'], height: 724, sees: ['.lanes .track a', 'table'] },
];
export const LOCALES = { en: 'en-US', zh: 'zh-CN' };

/** Files below docs/images, with what they show. */
export const PICTURES = SCENES.flatMap((scene) =>
  scene.themes.flatMap((theme) =>
    Object.entries(LOCALES).map(([language, locale]) => ({ scene, theme, locale, file: `${scene.name}-${language}${theme === 'dark' ? '-dark' : ''}.png` })),
  ),
);

/** Opens the page of a picture and waits for all that it is to show. */
export async function openScene(bench, { scene, theme, locale }, more = {}) {
  const visit = await bench.visit({ locale, theme, width: 1280, height: scene.height, ...more });
  const { requests } = await visit.api('requests?limit=500');
  // A session whose work was shared with sub-agents.
  const session = requests.find((row) => row.session !== null && row.agent !== null)?.session;
  await visit.open(scene.path({ session }));
  for (const selector of scene.sees) await visit.page.locator(selector).first().waitFor();
  return visit;
}
