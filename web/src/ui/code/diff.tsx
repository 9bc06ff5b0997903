import { SegmentedControl } from '@radix-ui/themes';
import { parsePatch, type StructuredPatchHunk } from 'diff';
import { useMemo, useState } from 'react';
import { highlightLine, languageOf } from './code.tsx';

type Line = { change: 'added' | 'removed' | 'same'; text: string; before: number | undefined; after: number | undefined };
type View = 'unified' | 'split';

/** A unified patch of one file, in one column or side by side. */
export function Diff({ patch, path, view: fixed }: { patch: string; path: string; view?: View }) {
  const [chosen, setView] = useState<View>('unified');
  const view = fixed ?? chosen;
  const hunks = useMemo(() => parsePatch(patch).flatMap(({ hunks: all }) => all), [patch]);
  return (
    <div>
      {fixed === undefined && <DiffViewSwitch view={view} onView={setView} />}
      {hunks.map((hunk) => {
        const lines = linesOf(hunk);
        const key = `${hunk.oldStart}:${hunk.newStart}`;
        return view === 'unified' ? <Unified key={key} lines={lines} path={path} /> : <Split key={key} lines={lines} path={path} />;
      })}
    </div>
  );
}

export function DiffViewSwitch({ view, onView }: { view: View; onView: (view: View) => void }) {
  return (
    <SegmentedControl.Root
      size="1"
      value={view}
      onValueChange={(value) => onView(value === 'split' ? 'split' : 'unified')}
      aria-label="Layout of the diff"
    >
      <SegmentedControl.Item value="unified">Unified</SegmentedControl.Item>
      <SegmentedControl.Item value="split">Side by side</SegmentedControl.Item>
    </SegmentedControl.Root>
  );
}

function linesOf(hunk: StructuredPatchHunk): Line[] {
  let [before, after] = [hunk.oldStart, hunk.newStart];
  return hunk.lines
    .filter((line) => !line.startsWith('\\'))
    .map((line): Line => {
      const text = line.slice(1);
      if (line.startsWith('+')) return { change: 'added', text, before: undefined, after: after++ };
      if (line.startsWith('-')) return { change: 'removed', text, before: before++, after: undefined };
      return { change: 'same', text, before: before++, after: after++ };
    });
}

function Unified({ lines, path }: { lines: readonly Line[]; path: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
    <section className="code" tabIndex={0} aria-label={`Changes of ${path}`}>
      {lines.map((line) => (
        <DiffLine key={`${line.before} ${line.after}`} line={line} number={line.after ?? line.before} path={path} />
      ))}
    </section>
  );
}

/** Removed lines stand left of the added ones that follow them. */
function Split({ lines, path }: { lines: readonly Line[]; path: string }) {
  const rows = useMemo(() => pairs(lines), [lines]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
    <section className="code" tabIndex={0} aria-label={`Changes of ${path}`}>
      {rows.map(([left, right]) => (
        <div className="split" key={`${left?.before} ${right?.after}`}>
          {left === undefined ? <span /> : <DiffLine line={left} number={left.before} path={path} />}
          {right === undefined ? <span /> : <DiffLine line={right} number={right.after} path={path} />}
        </div>
      ))}
    </section>
  );
}

function pairs(lines: readonly Line[]): [Line | undefined, Line | undefined][] {
  const rows: [Line | undefined, Line | undefined][] = [];
  let [removed, added]: [Line[], Line[]] = [[], []];
  const flush = () => {
    for (let at = 0; at < Math.max(removed.length, added.length); at += 1) rows.push([removed[at], added[at]]);
    [removed, added] = [[], []];
  };
  for (const line of lines) {
    if (line.change === 'removed') removed.push(line);
    else if (line.change === 'added') added.push(line);
    else {
      flush();
      rows.push([line, line]);
    }
  }
  flush();
  return rows;
}

const SIGNS = { added: '+', removed: '−', same: ' ' };

function DiffLine({ line, number, path }: { line: Line; number: number | undefined; path: string }) {
  return (
    <div className="line" data-change={line.change}>
      <span className="no">{number}</span>
      <span className="text">
        <span className="sign">{SIGNS[line.change]}</span> {highlightLine(line.text, languageOf(path))}
      </span>
    </div>
  );
}
