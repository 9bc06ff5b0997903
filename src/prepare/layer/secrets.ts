import type { Syntax } from '../../document/document.ts';
import { syntaxOf, toPointer } from '../../document/document.ts';
import { parseDocument } from '../../document/parse.ts';
import { withoutPointer, withoutValue } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { isBelow } from '../../revision/secret/secret.ts';
import { TookTooLong, threadCpuMs } from '../meter/cpu-limit.ts';
import type { Meter } from '../meter/meter.ts';
import type { ComposedFiles, TemplateScope } from './layer.ts';
import type { Rendered, TemplateFault, UsableTemplate } from './render/template.ts';

/** Renders a template once more, with other names in its scope. */
type Render = (names: TemplateScope['names'], maxMs: number) => Rendered;

/** @param rendered what the template gives for the device. @param render gives what it gives for other names */
export type RenderedOnce = { file: string; template: UsableTemplate; rendered: Rendered; render: Render };

/** `secrets`: JSON pointers of what came from secret variables, '' for the file as a whole. A fault may be shown. */
export type HiddenSecrets = { rendered: Rendered; secrets: readonly string[] };

/**
 * Finds where in the file a template has put secret variables, and removes them from the fault of one that cannot be rendered. It renders the
 * template with the twins of the variables: everything that differs comes from a secret. Only templates that read a secret variable take that time.
 */
export function hideSecretVariables(
  limits: RevisionLimits,
  meter: Meter,
  { file, template, rendered, render }: RenderedOnce,
  { twins }: TemplateScope,
): HiddenSecrets {
  if (twins?.concern(template.reads()) !== true) return { rendered, secrets: [] };
  try {
    return meter.run(false, ({ msLeft }) => {
      const end = threadCpuMs() + msLeft;
      const others = twins.names().map((names) => render(names, Math.max(1, end - threadCpuMs())));
      return compared(limits, file, rendered, others);
    });
  } catch (error) {
    if (!(error instanceof TookTooLong)) throw error;
    // Without the time to find what is secret, everything is hidden.
    return compared(limits, file, rendered, [{ ok: false, fault: { rule: 'maxValidationMs', detail: '' } }]);
  }
}

/** @param others what the template gives for other secrets */
function compared(limits: RevisionLimits, file: string, rendered: Rendered, others: readonly Rendered[]): HiddenSecrets {
  if (!rendered.ok) {
    const isSame =
      CONSTANT_FAULTS.has(rendered.fault.rule) || others.every((other) => !other.ok && other.fault.detail === rendered.fault.detail);
    return { rendered: isSame ? rendered : { ok: false, fault: hiddenFault(rendered.fault) }, secrets: [] };
  }
  const texts = others.flatMap((other) => (other.ok ? [other.text] : []));
  const secrets = texts.length < others.length ? [''] : placesThatDiffer(rendered.text, texts, syntaxOf(file), limits);
  return { rendered, secrets };
}

/** Their text is the same for any value. */
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

/** An error about a value that a template made of a secret variable, without the value, and without the name if that is one. */
export function withoutSecretVariables(error: ConfigError, composed: ComposedFiles): ConfigError {
  const secretsOf = (file: string) => composed.get(file)?.secrets;
  return withoutSecrets(error, secretsOf(error.file) ?? secretsOf((error.rendered ?? '').replace(/:\d+$/, '')) ?? new Set());
}

/** @param secrets JSON pointers into the file that the error is about */
export function withoutSecrets(error: ConfigError, secrets: ReadonlySet<string>): ConfigError {
  if (secrets.size === 0 || error.code === 'template' || !isBelow(error.pointer, secrets)) return error;
  const hidden = ['syntax', 'too_deep', 'too_large', 'validation_timeout'].includes(error.code) ? error : withoutValue(error);
  return secrets.has('') ? withoutPointer(hidden) : hidden;
}
