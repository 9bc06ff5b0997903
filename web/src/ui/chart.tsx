import 'uplot/dist/uPlot.min.css';
import { Text } from '@radix-ui/themes';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import { useAppearance } from '../app/appearance.tsx';

export type Series = { name: string; values: readonly (number | null)[] };
/** A moment worth a line, such as a commit that landed. */
export type Marker = { at: number; label: string };

type Props = {
  title: string /** Seconds since 1970, ascending. */;
  times: readonly number[];
  series: readonly Series[];
  markers?: readonly Marker[];
  unit?: string;
  height?: number;
};

/** Lines over time. The last values stand as text below, for those who do not see the canvas. */
export function Chart({ title, times, series, markers = [], unit = '', height = 180 }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const { shown, timeZone } = useAppearance();
  useEffect(() => {
    const element = holder.current;
    if (element === null) return undefined;
    const colours = coloursOf(element);
    const plot = new uPlot(
      optionsOf({ series, markers, unit, height, width: element.clientWidth, colours, utc: timeZone === 'utc', appearance: shown }),
      [[...times], ...series.map(({ values }) => [...values])],
      element,
    );
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [times, series, markers, unit, height, shown, timeZone]);
  return (
    <figure className="chart" aria-label={title}>
      <Text as="div" size="2" weight="medium">
        {title}
      </Text>
      <div ref={holder} aria-hidden />
      <figcaption>
        <Text size="1" color="gray">
          {series
            .map(({ name, values }) =>
              `${name} ${values.findLast((value) => value !== null)?.toLocaleString('en', { maximumFractionDigits: 1 }) ?? '–'} ${unit}`.trim(),
            )
            .join(' · ')}
        </Text>
      </figcaption>
    </figure>
  );
}

type Colours = { accent: string; soft: string; text: string; grid: string; marker: string };

function coloursOf(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(name).trim();
  return {
    accent: token('--accent-9'),
    soft: token('--gray-9'),
    text: token('--gray-11'),
    grid: token('--gray-a4'),
    marker: token('--amber-9'),
  };
}

type Options = {
  series: readonly Series[];
  markers: readonly Marker[];
  unit: string;
  height: number;
  width: number;
  colours: Colours;
  utc: boolean;
  appearance: string;
};

function optionsOf({ series, markers, unit, height, width, colours, utc }: Options): uPlot.Options {
  const axis = {
    stroke: colours.text,
    grid: { stroke: colours.grid, width: 1 },
    ticks: { show: false },
    font: '11px Inter Variable, sans-serif',
  };
  return {
    width,
    height,
    ...(utc ? { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1_000), 'UTC') } : {}),
    cursor: { drag: { x: false, y: false } },
    legend: { show: false },
    axes: [
      axis,
      { ...axis, size: 56, values: (_plot, ticks) => ticks.map((tick) => `${tick.toLocaleString('en')}${unit === '%' ? '%' : ''}`) },
    ],
    series: [
      {},
      ...series.map(({ name }, index) => ({
        label: name,
        stroke: index === 0 ? colours.accent : colours.soft,
        width: 1.5,
        spanGaps: false,
      })),
    ],
    hooks: { draw: [(plot) => drawMarkers(plot, markers, colours.marker)] },
  };
}

function drawMarkers(plot: uPlot, markers: readonly Marker[], colour: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.setLineDash([4, 4]);
  for (const { at } of markers) {
    const x = plot.valToPos(at, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
