/** Whose requests the page is about, kept in its URL; and what can be chosen of. */

import { computed, onMounted, shallowRef, type ComputedRef, type ShallowRef } from 'vue';
import { useRoute, useRouter } from 'vue-router';

import { api } from '@/api/api';
import { holderChoices, holdersFromQuery, holdersToQuery, NO_CHOICES, type HolderChoices, type HolderFilter, type Holders } from '@/lib/holders';

export interface HoldersState {
  chosen: ComputedRef<Holders>;
  /** The same in a link, and as parameters of the API. */
  query: ComputedRef<Record<string, string>>;
  choose: (name: HolderFilter, values: string[]) => void;
}

export function useHolders(): HoldersState {
  const route = useRoute();
  const router = useRouter();
  const chosen = computed(() => holdersFromQuery(route.query));
  return {
    chosen,
    query: computed(() => holdersToQuery(chosen.value)),
    choose: (name, values) => void router.replace({ query: { ...route.query, [name]: values.join() || undefined }, hash: route.hash }),
  };
}

/** Asked for once, for the page; without an answer there is nothing to choose of. */
export function useHolderChoices(): ShallowRef<HolderChoices> {
  const choices = shallowRef(NO_CHOICES);
  onMounted(async () => {
    const answer = await api.clientTokens().catch(() => null);
    if (answer) choices.value = holderChoices(answer.tokens);
  });
  return choices;
}
