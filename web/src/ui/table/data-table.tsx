import { Button, Checkbox } from '@radix-ui/themes';
import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown, ArrowUp, ArrowUpDown } from 'lucide-react';
import { type KeyboardEvent, type ReactNode, useDeferredValue, useEffect, useRef } from 'react';

export type Column<Row> = {
  id: string;
  title: string;
  /** A track of CSS grid: `minmax(140px, 2fr)`, `96px`. */
  width: string;
  cell: (row: Row) => ReactNode;
  /** Name that the server sorts by; without one the column is not sorted. */
  sort?: string;
  numeric?: boolean;
};

export type Sort = { by: string; order: 'asc' | 'desc' };
/** Ids of the chosen rows; `all`: everything that the filter matches, shown or not. */
export type Selection = { ids: ReadonlySet<string>; all: boolean };

type Props<Row> = {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  onOpen?: (row: Row) => void;
  sort?: Sort;
  onSort?: (sort: Sort) => void;
  selection?: Selection;
  onSelect?: (selection: Selection) => void;
  /** More rows exist on the server. */
  hasMore?: boolean;
  isLoadingMore?: boolean;
  onMore?: () => void;
  /** Rows on the server, where known: assistive technology hears it. */
  total?: number | undefined;
  empty?: ReactNode;
  height?: string;
};

const ROW_PX = 41;

/**
 * The one table of the dashboard. Only rows in view are in the document; the next page is asked for when its rows come near. Keys: j, k or arrows
 * move, Enter opens, x selects.
 */
export function DataTable<Row>(given: Props<Row>) {
  // Rows are drawn when nothing else waits: a keystroke into the search goes first.
  const props = { ...given, rows: useDeferredValue(given.rows) };
  const {
    label,
    rows,
    keyOf,
    selection,
    onSelect,
    hasMore = false,
    isLoadingMore = false,
    onMore,
    empty,
    height = 'calc(100vh - 260px)',
  } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && !isLoadingMore && lastShown >= rows.length - 15) onMore?.();
  }, [hasMore, isLoadingMore, lastShown, rows.length, onMore]);
  const tracks = tracksOf(props);
  if (rows.length === 0 && empty !== undefined) return <div className="table">{empty}</div>;
  return (
    <div
      className="table"
      ref={scroller}
      style={{ maxHeight: height }}
      role="grid"
      aria-label={label}
      aria-rowcount={props.total ?? -1}
      aria-multiselectable={onSelect !== undefined}
    >
      <Head {...props} tracks={tracks} />
      <div
        className="body"
        role="rowgroup"
        style={{ height: virtual.getTotalSize(), position: 'relative' }}
        onKeyDown={(event) => onTableKey(event, props, (index) => virtual.scrollToIndex(index))}
      >
        {items.map(({ index, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          const isSelected = selection?.all === true || selection?.ids.has(keyOf(row)) === true;
          const place = { index, start, tracks, isSelected, isFirst: index === (items[0]?.index ?? 0) };
          return <TableRow key={keyOf(row)} {...props} {...place} row={row} />;
        })}
      </div>
      <More hasMore={hasMore} isLoadingMore={isLoadingMore} onMore={onMore} />
    </div>
  );
}

type Tracks = { gridTemplateColumns: string; minWidth: number };

const GAP_PX = 16;
const PADDING_PX = 2 * 16;

/** Each row is a grid of its own: they line up because their width never follows what stands in them. */
function tracksOf<Row>({ columns, onSelect }: Props<Row>): Tracks {
  const widths = [...(onSelect === undefined ? [] : ['20px']), ...columns.map(({ width }) => width)];
  const least = widths.map((width) => Number(/([\d.]+)px/.exec(width)?.[1] ?? 0));
  const minWidth = least.reduce((sum, width) => sum + width, PADDING_PX + GAP_PX * (widths.length - 1));
  return { gridTemplateColumns: widths.join(' '), minWidth };
}

function More({ hasMore, isLoadingMore, onMore }: { hasMore: boolean; isLoadingMore: boolean; onMore: (() => void) | undefined }) {
  if (!hasMore && !isLoadingMore) return null;
  // A grid holds rows and nothing else.
  return (
    <div role="row">
      <div role="gridcell" className="table-more">
        {isLoadingMore ? (
          <span role="status">Loading more rows …</span>
        ) : (
          <Button variant="ghost" size="1" onClick={onMore}>
            Load more rows
          </Button>
        )}
      </div>
    </div>
  );
}

function Head<Row>({ columns, tracks, sort, onSort, rows, keyOf, selection, onSelect }: Props<Row> & { tracks: Tracks }) {
  const shown = rows.map(keyOf);
  const isAll = selection !== undefined && (selection.all || (shown.length > 0 && shown.every((key) => selection.ids.has(key))));
  return (
    <div className="row head" role="row" style={tracks}>
      {onSelect !== undefined && (
        <span role="columnheader">
          <Checkbox
            size="1"
            aria-label="Select all shown rows"
            checked={isAll ? true : (selection?.ids.size ?? 0) > 0 ? 'indeterminate' : false}
            onCheckedChange={() => onSelect({ ids: new Set(isAll ? [] : shown), all: false })}
          />
        </span>
      )}
      {columns.map(({ id, title, sort: by, numeric }) => {
        const isSorted = by !== undefined && sort?.by === by;
        const Arrow = isSorted ? (sort.order === 'asc' ? ArrowUp : ArrowDown) : ArrowUpDown;
        return (
          <span
            key={id}
            role="columnheader"
            className={numeric ? 'cell num' : 'cell'}
            {...(isSorted ? { 'aria-sort': sort.order === 'asc' ? ('ascending' as const) : ('descending' as const) } : {})}
          >
            {by === undefined || onSort === undefined ? (
              title
            ) : (
              <button type="button" onClick={() => onSort({ by, order: isSorted && sort.order === 'asc' ? 'desc' : 'asc' })}>
                {title} <Arrow size={11} aria-hidden style={isSorted ? {} : { opacity: 0.4 }} />
              </button>
            )}
          </span>
        );
      })}
    </div>
  );
}

type RowProps<Row> = Props<Row> & { row: Row; index: number; start: number; tracks: Tracks; isSelected: boolean; isFirst: boolean };

function TableRow<Row>({ columns, row, keyOf, index, start, tracks, isSelected, isFirst, onOpen, selection, onSelect }: RowProps<Row>) {
  const toggle = () => onSelect?.(toggled(selection, keyOf(row)));
  return (
    <div
      role="row"
      className="row"
      data-index={index}
      data-key={keyOf(row)}
      aria-rowindex={index + 1}
      aria-selected={onSelect === undefined ? undefined : isSelected}
      tabIndex={isFirst ? 0 : -1}
      style={{ ...tracks, transform: `translateY(${start}px)` }}
      {...(onOpen === undefined ? {} : { 'data-openable': true, onClick: (event) => !isInteractive(event.target) && onOpen(row) })}
    >
      {onSelect !== undefined && (
        <span role="gridcell">
          <Checkbox size="1" aria-label={`Select ${keyOf(row)}`} checked={isSelected} onCheckedChange={toggle} tabIndex={-1} />
        </span>
      )}
      {columns.map(({ id, cell, numeric }) => (
        <span key={id} role="gridcell" className={numeric ? 'cell num' : 'cell'}>
          {cell(row)}
        </span>
      ))}
    </div>
  );
}

function toggled(selection: Selection | undefined, key: string): Selection {
  const ids = new Set(selection?.ids);
  if (!ids.delete(key)) ids.add(key);
  return { ids, all: false };
}

function isInteractive(target: EventTarget): boolean {
  return target instanceof Element && target.closest('a,button,input,[role=checkbox]') !== null;
}

function onTableKey<Row>(event: KeyboardEvent, props: Props<Row>, scrollTo: (index: number) => void): void {
  const { rows, keyOf, onOpen, selection, onSelect } = props;
  const focused = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-index]') : null;
  const index = Number(focused?.dataset.index ?? Number.NaN);
  const row = rows[index];
  if (focused === null || row === undefined || event.metaKey || event.ctrlKey) return;
  const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    const next = Math.min(rows.length - 1, Math.max(0, index + step));
    scrollTo(next);
    const body = event.currentTarget;
    requestAnimationFrame(() => body.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  } else if (event.key === 'Enter' && event.target === focused && onOpen !== undefined) onOpen(row);
  else if (onSelect === undefined) return;
  else if (event.key === 'x' || (event.key === ' ' && event.target === focused)) {
    // Space alone scrolls the page.
    event.preventDefault();
    onSelect(toggled(selection, keyOf(row)));
  } else if (event.key === 'Escape') onSelect({ ids: new Set(), all: false });
}
