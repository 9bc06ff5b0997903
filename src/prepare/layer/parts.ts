import type { Document, Syntax } from '../../document/document.ts';
import { decodeText, toPointer } from '../../document/document.ts';
import { parseDocument } from '../../document/parse.ts';
import { configError } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { ConfigErrorCode } from '../../wire/errors.ts';
import { MAX_QUICK_BYTES, TookTooLong } from '../meter/cpu-limit.ts';
import type { Allowance, Meter } from '../meter/meter.ts';
import { readFile } from '../read-file.ts';
import type { Stage } from '../stage.ts';
import { found, refused } from '../stage.ts';
import type { LayerDeps, Part, PartDocument, ReadDocument, ReadTemplate, TemplateScope } from './layer.ts';
import type { UsableTemplate } from './render/template.ts';
import { parseTemplate, renderTemplate } from './render/template.ts';
import { hideSecretVariables, withoutSecrets } from './secrets.ts';

/** The file that a part becomes, by its path if it stood in the device's folder, and its syntax. */
export type Target = { file: string; syntax: Syntax };

/** The text of a template for the device. `secrets`: see `HiddenSecrets`. */
export type RenderedPart = { bytes: Uint8Array; template: UsableTemplate; secrets: readonly string[] };

/** A part of a file that is merged, as a document. An empty file changes nothing. */
export async function documentOf(
  deps: LayerDeps,
  meter: Meter,
  part: Part,
  target: Target,
  scope: TemplateScope,
): Promise<Stage<PartDocument>> {
  if (part.isTemplate) return await documentOfTemplate(deps, meter, part, target, scope);
  const key = `${target.syntax} ${part.oid}`;
  const known = deps.documents.get(key);
  const read = known === undefined ? await readDocument(deps, meter, part, target) : found(known);
  if (read.value === null) return read;
  deps.documents.set(key, read.value);
  const accepted = acceptedDocument(deps.limits, part, target, read.value);
  return accepted.value === null ? accepted : found({ document: accepted.value, template: null, secrets: [] });
}

async function readDocument(deps: LayerDeps, meter: Meter, part: Part, target: Target): Promise<Stage<ReadDocument>> {
  const stored = await readFile(deps, meter, { oid: part.oid, file: part.file, rule: 'maxFileBytes' });
  return stored.value === null ? stored : parsePart(deps.limits, meter, part, target, stored.value.bytes);
}

async function documentOfTemplate(
  deps: LayerDeps,
  meter: Meter,
  part: Part,
  target: Target,
  scope: TemplateScope,
): Promise<Stage<PartDocument>> {
  const rendered = await renderPart(deps, meter, part, target.file, scope);
  if (rendered.value === null) return rendered;
  const { bytes, template, secrets } = rendered.value;
  const read = parsePart(deps.limits, meter, part, target, bytes);
  const accepted = read.value === null ? read : acceptedDocument(deps.limits, part, target, read.value);
  if (accepted.value !== null) return found({ document: accepted.value, template, secrets });
  const places = new Set(secrets);
  return { ...accepted, errors: accepted.errors.map((error) => withoutSecrets(error, places)) };
}

function parsePart(limits: RevisionLimits, meter: Meter, part: Part, { file, syntax }: Target, bytes: Uint8Array): Stage<ReadDocument> {
  const { maxDocumentBytes } = limits;
  if (bytes.length > maxDocumentBytes) {
    const detail = `has ${bytes.length} bytes, must have <= ${maxDocumentBytes} to be merged`;
    return refused(refusal(part, file, { code: 'too_large', rule: 'maxDocumentBytes', limit: maxDocumentBytes, detail }));
  }
  const step = { file: part.file, doing: 'be merged', isQuick: bytes.length <= MAX_QUICK_BYTES };
  return meter.step<ReadDocument>(step, (allowance) => onceWithin(limits, allowance, () => parseDocument(bytes, syntax, limits)));
}

function acceptedDocument(limits: RevisionLimits, part: Part, { file }: Target, read: ReadDocument): Stage<Document> {
  const refuse = (fault: Fault) => refused(refusal(part, file, fault));
  if (read === 'timeout') return refuse(tooSlow(limits));
  if (!read.ok) {
    const { code, rule, detail, line, path } = read.fault;
    const pointer = toPointer(path);
    // The line is that of the rendered text, not of the template.
    if (!part.isTemplate) return refuse({ code, pointer, rule, detail, line });
    return refused(refusal(part, line === undefined ? file : `${file}:${line}`, { code, pointer, rule, detail }));
  }
  const { document } = read;
  if (document.parts === 1) return found(document);
  const line = part.isTemplate ? undefined : document.lineOf(['1']);
  return refuse({ code: 'syntax', rule: 'documents', line, detail: `has ${document.parts} YAML documents, must have one to be merged` });
}

/** Renders a template for the device. @param file that it becomes, see `Target` */
export async function renderPart(
  deps: LayerDeps,
  meter: Meter,
  part: Part,
  file: string,
  scope: TemplateScope,
): Promise<Stage<RenderedPart>> {
  const { limits } = deps;
  const refuse = (fault: Fault) => refused(refusal(part, file, fault));
  const read = await readTemplate(deps, meter, part, file);
  if (read.value === null) return read;
  const template = read.value;
  const render = (names: TemplateScope['names'], maxMs: number) =>
    renderTemplate(template.nodes, names, { maxChars: limits.maxTemplateChars, maxMs });
  const step = { file: part.file, doing: 'be rendered', isQuick: false };
  const own = meter.step(step, ({ msLeft }) => render(scope.names, msLeft));
  if (own.value === null) return own;
  const { rendered, secrets } = hideSecretVariables(limits, meter, { file, template, rendered: own.value, render }, scope);
  if (rendered.ok) return found({ bytes: Buffer.from(rendered.text), template, secrets });
  const { variable, ...fault } = rendered.fault;
  const place = variable === undefined ? null : scope.placeOf(variable);
  return refuse({ code: 'template', ...fault, detail: place === null ? fault.detail : `${fault.detail}: quote it in ${place}` });
}

/** Each template is parsed once, however many devices render it. */
async function readTemplate(deps: LayerDeps, meter: Meter, part: Part, file: string): Promise<Stage<UsableTemplate>> {
  const { limits, templates } = deps;
  const stored = await readFile(deps, meter, { oid: part.oid, file: part.file, rule: 'maxTemplateBytes' });
  if (stored.value === null) return stored;
  const { bytes } = stored.value;
  const text = decodeText(bytes);
  const refuse = (fault: Fault) => refused(refusal(part, file, fault));
  if (text === null) return refuse({ code: 'syntax', rule: 'utf8', detail: 'is not UTF-8 text' });
  const step = { file: part.file, doing: 'be rendered', isQuick: bytes.length <= MAX_QUICK_BYTES };
  const parse = (allowance: Allowance): ReadTemplate => onceWithin(limits, allowance, () => parseTemplate(text));
  const known = templates.get(part.oid);
  const template = known === undefined ? meter.step(step, parse) : found(known);
  if (template.value === null) return template;
  templates.set(part.oid, template.value);
  if (template.value === 'timeout') return refuse(tooSlow(limits));
  return template.value.ok ? found(template.value) : refuse({ code: 'template', ...template.value.fault });
}

type Fault = { code: ConfigErrorCode; rule: string; detail: string; pointer?: string; line?: number | undefined; limit?: unknown };

function refusal(part: Part, rendered: string, fault: Fault): ConfigError {
  return configError({ file: part.file, ...(rendered === part.file ? {} : { rendered }), ...fault });
}

function tooSlow(limits: RevisionLimits): Fault {
  const limit = limits.maxValidationMs * SHARED_PART;
  return { code: 'validation_timeout', rule: 'maxValidationMs', limit, detail: `takes longer than ${limit} ms to be read` };
}

/** A shared file that takes longer than this part of a folder's time is refused for all. */
const SHARED_PART = 1 / 2;

/** A shared file that takes too long does so once, not again for each device. @throws TookTooLong where the folder had less time for it */
function onceWithin<T>(limits: RevisionLimits, { msLeft, within }: Allowance, parse: () => T): T | 'timeout' {
  try {
    return within(parse);
  } catch (error) {
    if (!(error instanceof TookTooLong) || msLeft < limits.maxValidationMs * SHARED_PART) throw error;
    return 'timeout';
  }
}
