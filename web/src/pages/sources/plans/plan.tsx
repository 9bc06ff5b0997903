import { Badge, Callout, Heading, Text } from '@radix-ui/themes';
import { queryOptions } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { TriangleAlert } from 'lucide-react';
import { call } from '../../../api/client.ts';
import type { Plan, PlanSummary } from '../../../generated/api.ts';
import { Diff } from '../../../ui/code/diff.tsx';
import { State, words } from '../../../ui/fleet/status.tsx';
import { type Column, DataTable } from '../../../ui/table/data-table.tsx';
import { duration } from '../../../ui/time.tsx';
import { ErrorGroups } from '../revisions/error-groups.tsx';

/** Planning reads the whole fleet: events of the source do not repeat it, only the person does. */
export function planQuery(sourceId: string, ref: string) {
  return queryOptions({
    queryKey: ['plan', sourceId, ref] as const,
    queryFn: ({ signal }) => call('POST /api/v1/sources/{id}/plan', { path: { id: sourceId }, query: { ref, format: 'json' } }, signal),
    retry: false,
  });
}

export function PlanSentence({ summary: { devices, changed, blocked, invalid } }: { summary: PlanSummary }) {
  const more = [
    blocked > 0 && `${blocked.toLocaleString('en')} cannot change now`,
    invalid > 0 && `${invalid.toLocaleString('en')} have errors`,
  ];
  return (
    <Text size="2" as="p" style={{ margin: 0 }}>
      <b>
        {changed.toLocaleString('en')} of {devices.toLocaleString('en')}
      </b>{' '}
      {devices === 1 ? 'device changes' : 'devices change'}
      {more.filter(Boolean).map((each) => `; ${each}`)}.
    </Text>
  );
}

/** The effect of a commit on the fleet if it were the head. */
export function PlanView({ plan }: { plan: Plan }) {
  return (
    <div className="stack">
      <PlanSentence summary={plan.summary} />
      <Notes plan={plan} />
      {plan.errors.length > 0 && <ErrorGroups errors={plan.errors} more={plan.moreErrors} />}
      <Waves plan={plan} />
      <Devices plan={plan} />
      <Diffs plan={plan} />
    </div>
  );
}

function Notes({ plan: { blockers, warnings = [], waves } }: { plan: Plan }) {
  const notes = [
    ...blockers.map(({ detail }) => detail),
    ...warnings.map(({ file, line, detail }) => `${file}${line === null ? '' : `:${line}`}: ${detail}`),
    ...waves.flatMap(({ name, stop }) => (stop == null ? [] : [`Wave ${name}: ${stop.detail}`])),
  ];
  if (notes.length === 0) return null;
  return (
    <Callout.Root color="amber">
      <Callout.Icon>
        <TriangleAlert size={16} />
      </Callout.Icon>
      <Callout.Text>
        {notes.map((note) => (
          <span key={note} style={{ display: 'block' }}>
            {note}
          </span>
        ))}
      </Callout.Text>
    </Callout.Root>
  );
}

function Waves({ plan: { waves } }: { plan: Plan }) {
  if (waves.length === 0) return null;
  return (
    <section aria-label="Waves">
      <Heading as="h3" size="2" mb="2">
        Waves
      </Heading>
      <ol className="waves">
        {waves.map(({ wave, name, devices, approval, bakeSeconds }) => (
          <li key={wave}>
            <Text size="2" weight="medium">
              {name}
            </Text>
            <Text size="2" color="gray">
              {devices.toLocaleString('en')} {devices === 1 ? 'device' : 'devices'}
              {approval && ', after an approval'}
              {bakeSeconds > 0 && `, then waits ${duration(bakeSeconds * 1_000)}`}
            </Text>
          </li>
        ))}
      </ol>
    </section>
  );
}

type PlannedDevice = Plan['devices'][number];

const COLUMNS: readonly Column<PlannedDevice>[] = [
  {
    id: 'id',
    title: 'Device',
    width: 'minmax(120px, 1fr)',
    cell: ({ id }) => (
      <Link to="/devices/$id" params={{ id }} className="link">
        {id}
      </Link>
    ),
  },
  { id: 'path', title: 'Folder', width: 'minmax(100px, 1fr)', cell: ({ path }) => path || '/' },
  { id: 'change', title: 'Change', width: '110px', cell: ({ change }) => words(change) },
  { id: 'verdict', title: 'Verdict', width: '100px', cell: ({ verdict }) => <State state={verdict} /> },
  { id: 'wave', title: 'Wave', width: '110px', cell: ({ waveName }) => waveName ?? '' },
  {
    id: 'blockers',
    title: 'Blocked by',
    width: 'minmax(90px, 1fr)',
    cell: ({ blockers }) =>
      blockers.map((blocker) => (
        <Badge key={blocker} color="amber" mr="1">
          {words(blocker)}
        </Badge>
      )),
  },
];

function Devices({ plan: { devices, moreDevices } }: { plan: Plan }) {
  if (devices.length === 0) return null;
  return (
    <section aria-label="Devices of the plan">
      <Heading as="h3" size="2" mb="2">
        Devices{moreDevices > 0 && <Text color="gray"> · {moreDevices.toLocaleString('en')} more are not listed</Text>}
      </Heading>
      <DataTable label="Devices of the plan" columns={COLUMNS} rows={devices} keyOf={({ id }) => id} height="320px" />
    </section>
  );
}

export function Diffs({ plan: { diffs, moreDiffs } }: { plan: Plan }) {
  return diffs.map(({ devices, files }, at) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: a difference is known by its place in the plan
    <section key={at} className="panel" aria-label={`Difference ${at + 1}`}>
      <h3 className="panel-head">
        {devices.toLocaleString('en')} {devices === 1 ? 'device gets' : 'devices get'} this
        {at === diffs.length - 1 && moreDiffs > 0 && <Text color="gray">{moreDiffs} more differences are not shown</Text>}
      </h3>
      {files.map(({ path, patch, note, change }) => (
        <div key={path}>
          <Text as="p" size="1" className="mono panel-body" style={{ margin: 0 }}>
            {path} {change !== 'changed' && `(${change})`} {note}
          </Text>
          {patch !== null && <Diff patch={patch} path={path} view="unified" />}
        </div>
      ))}
    </section>
  ));
}
