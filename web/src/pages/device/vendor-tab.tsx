import { Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { read } from '../../api/query.ts';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';

/** The views of the platform that manages the device, read through the service; secrets are hidden there. */
export function VendorTab({ id }: { id: string }) {
  const { at } = useSearch({ from: '/signed-in/devices/$id' });
  const vendor = useQuery(read('GET /api/v1/devices/{id}/vendor', { path: { id } }));
  return (
    <Loaded result={vendor}>
      {({ integration, externalId, views }) => {
        const view = views.find(({ name }) => name === at) ?? views[0];
        return (
          <div className="stack">
            <Text size="2" color="gray">
              {integration.title}:{' '}
              <Link className="link" to="/integrations/$id" params={{ id: integration.slug }}>
                {integration.name}
              </Link>
              , there <span className="mono">{externalId}</span>
            </Text>
            <nav className="view-links" aria-label="Views of the platform">
              {views.map(({ name, title }) => (
                <Link
                  key={name}
                  to="/devices/$id"
                  params={{ id }}
                  search={{ tab: 'vendor', at: name }}
                  {...(name === view?.name ? { 'aria-current': true } : {})}
                >
                  {title}
                </Link>
              ))}
            </nav>
            {view === undefined ? <EmptyState title="The platform offers no view" /> : <View id={id} view={view.name} />}
          </div>
        );
      }}
    </Loaded>
  );
}

function View({ id, view }: { id: string; view: string }) {
  const result = useQuery(read('GET /api/v1/devices/{id}/vendor/{view}', { path: { id, view } }));
  return (
    <Loaded result={result}>
      {({ title, at, problem, data }) => (
        <section className="panel">
          <h2>
            {title}
            <Text size="1" color="gray" className="panel-more">
              as of <Time at={at} />
            </Text>
          </h2>
          <div className="panel-body">
            {problem !== null && (
              <Text size="2" color="red" as="p">
                {problem.detail}
              </Text>
            )}
            <Value value={data} />
          </div>
        </section>
      )}
    </Loaded>
  );
}

/** A list of objects as a table, an object as names and values, all else as text. */
function Value({ value }: { value: unknown }) {
  if (Array.isArray(value) && value.length > 0 && value.every(isRecord)) return <Table rows={value} />;
  if (isRecord(value)) return <Table rows={Object.entries(value).map(([name, each]) => ({ name, value: each }))} />;
  if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) return <Text size="2">Nothing</Text>;
  return <span className="mono wrap-anywhere">{textOf(value)}</span>;
}

const MAX_COLUMNS = 8;

function Table({ rows }: { rows: readonly Record<string, unknown>[] }) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].slice(0, MAX_COLUMNS);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
    <section className="scroll" tabIndex={0} aria-label="Table of the platform">
      <table className="plain">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows of a vendor have no key that all of them share
            <tr key={index}>
              {columns.map((column) => (
                <td key={column}>{textOf(row[column])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}
