import { createRouter, createWebHistory, type RouteLocationNormalized, type RouteLocationRaw } from 'vue-router';

import { onRefused } from './api/api';
import { startLive, stopLive } from './api/live';
import { watchGateway } from './composables/gateway_down';
import { noteRange, withRange } from './composables/range';
import { hasToken, isMember, isSignedIn, loadSession, mayRead, session, signInByLink } from './composables/session';
import { withMoreWords } from './i18n';
import { onLinkKey, takeLinkKey, watchAddress } from './link_key';

// The router remembers the address that it finds, and writes it back.
watchAddress();

export const router = createRouter({
  history: createWebHistory(import.meta.env.BASE_URL),
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
  routes: [
    { path: '/', name: 'dashboard', component: () => import('./pages/dashboard/DashboardPage.vue'), meta: { range: 'always' } },
    { path: '/requests', name: 'requests', component: () => import('./pages/requests/RequestsPage.vue'), meta: { range: 'carried' } },
    { path: '/costs', name: 'costs', component: () => import('./pages/costs/CostsPage.vue'), meta: { range: 'always' } },
    { path: '/sessions', name: 'sessions', component: () => import('./pages/sessions/SessionsPage.vue'), meta: { range: 'always' } },
    { path: '/sessions/:id', name: 'session', component: () => import('./pages/session/SessionPage.vue'), props: true },
    { path: '/waste', name: 'waste', component: () => import('./pages/waste/WastePage.vue'), meta: { range: 'always' } },
    { path: '/errors', name: 'errors', component: () => import('./pages/errors/ErrorsPage.vue'), meta: { range: 'always' } },
    { path: '/upstreams', name: 'upstreams', component: () => withMoreWords(import('./pages/upstreams/UpstreamsPage.vue')) },
    { path: '/rules', name: 'rules', component: () => withMoreWords(import('./pages/rules/RulesPage.vue')) },
    { path: '/config', name: 'config', component: () => import('./pages/config/ConfigPage.vue') },
    { path: '/notify', name: 'notify', component: () => withMoreWords(import('./pages/notify/NotifyPage.vue')) },
    { path: '/team', name: 'team', component: () => withMoreWords(import('./pages/team/TeamPage.vue')) },
    { path: '/team/tokens/:id', name: 'token', component: () => withMoreWords(import('./pages/token/TokenPage.vue')), props: true, meta: { range: 'always' } },
    { path: '/audit', name: 'audit', component: () => withMoreWords(import('./pages/audit/AuditPage.vue')) },
    { path: '/me', name: 'mine', component: () => withMoreWords(import('./pages/mine/MinePage.vue')), meta: { range: 'always' } },
    { path: '/connect', name: 'connect', component: () => withMoreWords(import('./pages/connect/ConnectPage.vue')) },
    { path: '/login', name: 'login', component: () => import('./pages/login/LoginPage.vue'), meta: { isOpen: true } },
    { path: '/:rest(.*)*', name: 'missing', component: () => import('./pages/MissingPage.vue'), meta: { isOpen: true } },
  ],
});

/** Where the login page leads to. Only paths of the panel: the router knows no other places. */
export function behindLogin({ query: { to } }: Pick<RouteLocationNormalized, 'query'>): RouteLocationRaw {
  return typeof to === 'string' && to.startsWith('/') ? to : home();
}

/** The first page of who looks: a member has only one. */
function home(): RouteLocationRaw {
  return { name: isMember.value ? 'mine' : 'dashboard' };
}

router.beforeEach(async (to) => {
  const key = takeLinkKey();
  if (key !== null) {
    await signInByLink(key);
    if (isSignedIn.value && to.name === 'login') return behindLogin(to);
  } else if (session.value === null) {
    // Without an answer the page itself says what is wrong.
    await loadSession().catch(() => undefined);
  }
  if (to.meta['isOpen'] !== true && session.value !== null) {
    if (!isSignedIn.value) return { name: 'login', query: { to: to.fullPath } };
    if (to.name === 'mine' ? !hasToken.value : isMember.value) return home();
  }
  const query = withRange(to);
  return query === null || { path: to.path, query, hash: to.hash, replace: true };
});

router.afterEach((to) => {
  noteRange(to);
  if (mayRead.value && to.name !== 'login') startLive();
  else stopLive();
});

onLinkKey(() => {
  const key = takeLinkKey();
  if (key === null) return;
  void signInByLink(key).then(() => {
    const here = router.currentRoute.value;
    if (isSignedIn.value && here.name === 'login') void router.replace(behindLogin(here));
  });
});

watchGateway(router);

onRefused(() => {
  const { fullPath, meta } = router.currentRoute.value;
  void loadSession().then(() => {
    if (!isSignedIn.value && meta['isOpen'] !== true) void router.push({ name: 'login', query: { to: fullPath } });
  });
});
