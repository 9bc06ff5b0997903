import { Text } from '@radix-ui/themes';
import { type MouseEvent, useEffect, useRef, useState } from 'react';
import { useAppearance } from '../../app/appearance.tsx';
import { words } from '../../ui/fleet/status.tsx';

export type Cell = { id: string; state: string };
type Kind = 'waits' | 'busy' | 'good' | 'bad' | 'away';

/** A state's kind is a shape as well: a frame waits, a dot works, a full square is done, a cross failed, a dash is away. */
export const LEGEND: readonly { kind: Kind; word: string }[] = [
  { kind: 'waits', word: 'waits' },
  { kind: 'busy', word: 'at work' },
  { kind: 'good', word: 'succeeded' },
  { kind: 'bad', word: 'failed' },
  { kind: 'away', word: 'offline or gone' },
];
const KINDS: Record<string, Kind> = {
  ...{ waiting: 'waits', queued: 'waits', retrying: 'waits', superseded: 'waits', cancelled: 'waits' },
  ...{ delivering: 'busy', applying: 'busy', confirming: 'busy' },
  succeeded: 'good',
  ...{ failed: 'bad', rolled_back: 'bad', timed_out: 'bad', quarantined: 'bad' },
  ...{ offline: 'away', gone: 'away' },
};
const TOKENS: Record<Kind, string> = { waits: '--gray-8', busy: '--accent-9', good: '--green-9', bad: '--red-9', away: '--gray-9' };

/** Thousands of cells on one canvas. The pointer names a cell and opens its device; the table of the tab "Devices" says the same as text. */
export function CellCanvas({ cells, onOpen }: { cells: readonly Cell[]; onOpen: (id: string) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<Cell>();
  const { shown } = useAppearance();
  const size = cells.length > 2_000 ? 8 : cells.length > 300 ? 12 : 18;
  const columns = Math.max(1, Math.floor(width / size));
  const rows = Math.ceil(cells.length / columns);
  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (element == null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current !== null && width > 0) draw(canvas.current, cells, { size, columns, rows, width, appearance: shown });
  }, [cells, size, columns, rows, width, shown]);
  const cellAt = ({ nativeEvent: { offsetX, offsetY } }: MouseEvent) =>
    cells[Math.floor(offsetY / size) * columns + Math.floor(offsetX / size)];
  return (
    <div className="cells">
      <canvas
        ref={canvas}
        aria-hidden
        onMouseMove={(event) => setPointed(cellAt(event))}
        onMouseLeave={() => setPointed(undefined)}
        onClick={(event) => {
          const cell = cellAt(event);
          if (cell !== undefined) onOpen(cell.id);
        }}
      />
      <Text as="div" size="1" color="gray" className="cell-name">
        {pointed === undefined ? ' ' : `${pointed.id}: ${words(pointed.state).toLowerCase()}`}
      </Text>
    </div>
  );
}

type Layout = { size: number; columns: number; rows: number; width: number; appearance: string };

function draw(canvas: HTMLCanvasElement, cells: readonly Cell[], { size, columns, rows, width }: Layout): void {
  const scale = window.devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = rows * size * scale;
  canvas.style.height = `${rows * size}px`;
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const colours = Object.fromEntries(Object.entries(TOKENS).map(([kind, token]) => [kind, style.getPropertyValue(token).trim()]));
  for (const [index, { state }] of cells.entries()) {
    const kind = KINDS[state] ?? 'waits';
    drawCell(context, kind, colours[kind] ?? 'gray', (index % columns) * size, Math.floor(index / columns) * size, size - 2);
  }
}

function drawCell(context: CanvasRenderingContext2D, kind: Kind, colour: string, x: number, y: number, size: number): void {
  context.fillStyle = colour;
  context.strokeStyle = colour;
  context.lineWidth = 1.2;
  const half = size / 2;
  if (kind === 'good') context.fillRect(x, y, size, size);
  else if (kind === 'waits') context.strokeRect(x + 0.6, y + 0.6, size - 1.2, size - 1.2);
  else if (kind === 'away') context.fillRect(x + 1, y + half - 1, size - 2, 2);
  else if (kind === 'busy') {
    context.beginPath();
    context.arc(x + half, y + half, half, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x + 1, y + 1);
    context.lineTo(x + size - 1, y + size - 1);
    context.moveTo(x + size - 1, y + 1);
    context.lineTo(x + 1, y + size - 1);
    context.stroke();
  }
}
