import { toJsxRuntime } from 'hast-util-to-jsx-runtime';
import bash from 'highlight.js/lib/languages/bash';
import ini from 'highlight.js/lib/languages/ini';
import json from 'highlight.js/lib/languages/json';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import { createLowlight } from 'lowlight';
import { Fragment, type ReactNode, useMemo } from 'react';
import { jsx, jsxs } from 'react/jsx-runtime';

const lowlight = createLowlight({ bash, ini, json, xml, yaml });
const LANGUAGES: Record<string, string> = {
  json: 'json',
  yaml: 'yaml',
  yml: 'yaml',
  toml: 'ini',
  ini: 'ini',
  conf: 'ini',
  cfg: 'ini',
  xml: 'xml',
  sh: 'bash',
};
/** Longer lines and texts are shown without colours: highlighting them would hold up the page. */
const MAX_LINE = 2_000;
const MAX_HIGHLIGHTED = 200_000;

export function languageOf(path: string): string | undefined {
  return LANGUAGES[path.split('.').at(-1)?.toLowerCase() ?? ''];
}

/** One line as React elements: text of a repository never becomes markup. */
export function highlightLine(line: string, language: string | undefined): ReactNode {
  if (language === undefined || line.length > MAX_LINE) return line;
  return toJsxRuntime(lowlight.highlight(language, line), { Fragment, jsx, jsxs });
}

type Mark = { line: number; note: string };

/** A text file with line numbers. `marks` are errors that stand below their line. `first` is the number of the first line. */
export function Code({
  text,
  path,
  marks = [],
  first = 1,
  beside,
}: {
  text: string;
  path: string;
  marks?: readonly Mark[];
  first?: number;
  beside?: (line: number) => ReactNode;
}) {
  const language = text.length > MAX_HIGHLIGHTED ? undefined : languageOf(path);
  const lines = useMemo(() => text.replace(/\n$/, '').split('\n'), [text]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
    <section className="code" tabIndex={0} aria-label={path}>
      {lines.map((line, index) => {
        const number = first + index;
        const notes = marks.filter((mark) => mark.line === number);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is known by its number
          <Fragment key={index}>
            <div className="line" id={`L${number}`} {...(notes.length > 0 ? { 'data-mark': 'error' } : {})}>
              <span className="no">{number}</span>
              <span className="text">
                {highlightLine(line, language)}
                {beside?.(number)}
              </span>
            </div>
            {notes.map(({ note }) => (
              <div key={note} className="line" data-mark="error">
                <span className="no" aria-hidden />
                <span className="text note">{note}</span>
              </div>
            ))}
          </Fragment>
        );
      })}
    </section>
  );
}
