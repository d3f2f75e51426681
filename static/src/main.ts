import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/surfaces.css';
import './composables/theme';

import { createApp } from 'vue';

import App from './App.vue';
import { i18n, startI18n } from './i18n';
import { router } from './router';

await startI18n();
createApp(App).use(i18n).use(router).mount('#app');

if ('serviceWorker' in navigator && import.meta.env.PROD) {
  // The panel works as well without it; browsers want it for "install".
  navigator.serviceWorker.register(`${import.meta.env.BASE_URL}sw.js`).catch(() => undefined);
}
