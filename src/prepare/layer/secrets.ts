import type { Syntax } from '../../document/document.ts';
import { syntaxOf, toPointer } from '../../document/document.ts';
import { parseDocument } from '../../document/parse.ts';
import { withoutPointer, withoutValue } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { isBelow } from '../../revision/secret/secret.ts';
import type { Work } from '../folder-work.ts';
import { inRepository } from '../folder-work.ts';
import type { SelectedFile } from '../manifest/select.ts';
import { TookTooLong } from '../time-limit.ts';
import type { Scope } from './layer.ts';
import type { Rendered, TemplateFault, UsableTemplate } from './render/template.ts';

/** Renders a template once more, with other names in its scope. */
type Render = (names: Scope['names'], msLeft: number) => Rendered;

/**
 * Notes where in the file a template has put secret variables, and takes them from the fault of one that cannot be rendered. It renders the template with
 * the twins of the variables: all that differs comes from a secret. Only templates that read a secret variable take that time.
 * @returns what was rendered, with a fault that may be shown
 */
export function hideSecretVariables(
  work: Work,
  file: string,
  template: UsableTemplate,
  scope: Scope,
  rendered: Rendered,
  render: Render,
): Rendered {
  const { twins } = scope;
  if (twins?.concern(template.reads()) !== true) return rendered;
  try {
    return work.time.run(false, (msLeft) => {
      const end = performance.now() + msLeft;
      const others = twins.names().map((names) => render(names, Math.max(1, end - performance.now())));
      return compared(work, file, rendered, others);
    });
  } catch (error) {
    if (!(error instanceof TookTooLong)) throw error;
    // Without the time to find out what is secret, all of it is hidden.
    return compared(work, file, rendered, [{ ok: false, fault: { rule: 'maxValidationMs', detail: '' } }]);
  }
}

/** @param others what the template gives for other secrets */
function compared(work: Work, file: string, rendered: Rendered, others: readonly Rendered[]): Rendered {
  if (!rendered.ok) {
    const isSame =
      CONSTANT_FAULTS.has(rendered.fault.rule) || others.every((other) => !other.ok && other.fault.detail === rendered.fault.detail);
    return isSame ? rendered : { ok: false, fault: hiddenFault(rendered.fault) };
  }
  const texts = others.flatMap((other) => (other.ok ? [other.text] : []));
  const pointers = texts.length < others.length ? [''] : placesThatDiffer(rendered.text, texts, syntaxOf(file), work.context.limits);
  if (pointers.length > 0) work.templated.set(file, new Set([...(work.templated.get(file) ?? []), ...pointers]));
  return rendered;
}

/** What they say is the same for any value. */
const CONSTANT_FAULTS = new Set(['json', 'maxTemplateChars', 'maxValidationMs']);

function hiddenFault({ rule, line, detail }: TemplateFault): TemplateFault {
  const column = /\(column \d+\)$/.exec(detail)?.[0];
  const what =
    rule === 'undefined_variable'
      ? 'looks up a name that a secret variable gives, which is not there'
      : 'cannot be rendered: a secret variable has a part in why';
  return { rule, detail: column === undefined ? what : `${what} ${column}`, ...(line === undefined ? {} : { line }) };
}

/** JSON pointers of the values that are others in a twin; the whole file, where names, comments or the order differ, or where it has no values. */
function placesThatDiffer(text: string, twins: readonly string[], syntax: Syntax | null, limits: RevisionLimits): string[] {
  if (twins.every((twin) => twin === text)) return [];
  if (syntax === null || text.length > limits.maxDocumentBytes) return [''];
  const own = valuesIn(text, syntax, limits);
  const others = twins.map((twin) => valuesIn(twin, syntax, limits));
  const pointers = new Set<string>();
  for (const other of others) {
    if (own === null || other === null || own.around !== other.around) return [''];
    for (const [index, { pointer, raw }] of own.scalars.entries()) if (raw !== other.scalars[index]?.raw) pointers.add(pointer);
  }
  return [...pointers];
}

type Values = { scalars: { pointer: string; raw: string }[]; around: string };

/** The scalars of a document, and all that stands around them; null for a text that is none. */
function valuesIn(text: string, syntax: Syntax, limits: RevisionLimits): Values | null {
  const parsed = parseDocument(Buffer.from(text), syntax, limits);
  if (!parsed.ok) return null;
  const spans = parsed.document.spans().filter((span) => span.kind === 'scalar');
  const own = parsed.document.text;
  let around = '';
  let end = 0;
  for (const span of spans) {
    around += `${own.slice(end, span.start)}\0`;
    end = span.end;
  }
  return {
    scalars: spans.map((span) => ({ pointer: toPointer(span.path), raw: own.slice(span.start, span.end) })),
    around: around + own.slice(end),
  };
}

/** The places join the secrets of the files on the device. */
export function markSecretPlaces(work: Work, selected: readonly SelectedFile[]): void {
  for (const { from, to } of selected) {
    const places = work.templated.get(inRepository(work.folder, from));
    if (places !== undefined) work.secrets.set(to, [...new Set([...(work.secrets.get(to) ?? []), ...places])].sort());
  }
}

/** An error about a value that a template made of a secret variable, without the value, and without the name if that is one. */
export function withoutSecretVariables(error: ConfigError, { templated }: Pick<Work, 'templated'>): ConfigError {
  const places = templated.get(error.file) ?? templated.get((error.rendered ?? '').replace(/:\d+$/, ''));
  if (places === undefined || error.code === 'template' || !isBelow(error.pointer, places)) return error;
  const hidden = ['syntax', 'too_deep', 'too_large', 'validation_timeout'].includes(error.code) ? error : withoutValue(error);
  return places.has('') ? withoutPointer(hidden) : hidden;
}
