/** The table as a file of the viewer's machine. */

import { useI18n } from 'vue-i18n';

import type { CostDimension } from '@/lib/cost_links';
import type { CostRow } from '@/lib/cost_table';
import { csvOf } from '@/lib/csv';
import { toLocalInput } from '@/lib/local_input';
import type { Bounds } from '@/lib/time_range';
import { exportText } from '@/pages/config/transfer';

import { useGroupName } from './group_name';

const TOKEN_COLUMNS = ['input', 'cacheWrite', 'cacheRead', 'output'] as const;

export function useCostFile(): (by: CostDimension, rows: readonly CostRow[], bounds: Bounds) => void {
  const { t } = useI18n();
  const groupName = useGroupName();
  return (by, rows, { from, to }) => {
    const head = [
      t(`costs.dimension.${by}`), t('costs.csv.name'), t('costs.csv.cost'), t('costs.csv.unpriced'), t('costs.csv.share'), t('costs.column.requests'), t('costs.csv.each'),
      t('costs.csv.cached'), ...TOKEN_COLUMNS.map((key) => t('costs.csv.tokens', { kind: t(`costs.column.${key}`) })),
    ];
    const lines = rows.map((row) => [
      row.group.name, groupName(by, row.group), row.cost, row.group.unpriced_requests, row.share, row.requests, row.each, row.cached, ...TOKEN_COLUMNS.map((key) => row[key]),
    ]);
    const day = (atMs: number): string => toLocalInput(atMs).replace('T', ' ').replace(':', '-');
    const name = t('costs.exported', { by: t(`costs.dimension.${by}`), from: day(from), to: day(to) });
    exportText(`${name}.csv`, csvOf(head, lines));
  };
}
