import type { Document, Syntax } from '../../document/document.ts';
import { decodeText, toPointer } from '../../document/document.ts';
import { parseDocument } from '../../document/parse.ts';
import { configError } from '../../revision/config-error.ts';
import type { FleetContext, Work } from '../folder-work.ts';
import { inFolderTime, readFile } from '../folder-work.ts';
import { MAX_QUICK_BYTES, TookTooLong, withinTimeUnless } from '../time-limit.ts';
import type { Part, ReadDocument, ReadTemplate, Scope } from './layer.ts';
import { parseTemplate, renderTemplate } from './render/template.ts';
import { hideSecretVariables } from './secrets.ts';

/** What becomes of a part: the file's path if it stood in the device's folder, and how it is written. */
export type Target = { file: string; syntax: Syntax };

/** What a part says of a file that is merged; null after an error. A file that says nothing at all changes nothing. */
export async function documentOf(work: Work, fleet: FleetContext, part: Part, target: Target, scope: Scope): Promise<Document | null> {
  const key = `${target.syntax} ${part.oid}`;
  const known = part.isTemplate ? undefined : fleet.documents.get(key);
  const read = known ?? (await parsePart(work, fleet, part, target, scope));
  if (read === null) return null;
  if (!part.isTemplate) fleet.documents.set(key, read);
  return accepted(work, part, target, read);
}

async function parsePart(
  work: Work,
  fleet: FleetContext,
  part: Part,
  { file, syntax }: Target,
  scope: Scope,
): Promise<ReadDocument | null> {
  const { limits } = work.context;
  const { maxFileBytes, maxDocumentBytes } = limits;
  const bytes = part.isTemplate
    ? await renderPart(work, fleet, part, file, scope)
    : (await readFile(work, part.oid, part.file, maxFileBytes, 'maxFileBytes'))?.bytes;
  if (bytes === null || bytes === undefined) return null;
  if (bytes.length > maxDocumentBytes) {
    const detail = `has ${bytes.length} bytes, must have <= ${maxDocumentBytes} to be merged`;
    work.errors.push(refusal(part, file, { code: 'too_large', rule: 'maxDocumentBytes', limit: maxDocumentBytes, detail }));
    return null;
  }
  const step = { file: part.file, doing: 'be merged', isQuick: bytes.length <= MAX_QUICK_BYTES };
  return inFolderTime(work, step, (msLeft) => onceWithin(work, step.isQuick, msLeft, () => parseDocument(bytes, syntax, limits)));
}

function accepted(work: Work, part: Part, { file }: Target, read: ReadDocument): Document | null {
  const refuse = (fault: Fault): null => {
    work.errors.push(refusal(part, file, fault));
    return null;
  };
  if (read === 'timeout') return refuse(tooSlow(work));
  if (!read.ok) {
    const { code, rule, detail, line, path } = read.fault;
    const pointer = toPointer(path);
    // Of a template, the line is that of the text which it gave.
    if (!part.isTemplate) return refuse({ code, pointer, rule, detail, line });
    work.errors.push(refusal(part, line === undefined ? file : `${file}:${line}`, { code, pointer, rule, detail }));
    return null;
  }
  if (read.document.parts > 1) {
    const line = part.isTemplate ? undefined : read.document.lineOf(['1']);
    return refuse({
      code: 'syntax',
      rule: 'documents',
      line,
      detail: `has ${read.document.parts} YAML documents, must have one to be merged`,
    });
  }
  return read.document;
}

/** The text that a template gives for the device; null after an error. @param file what it becomes, see `Target` */
export async function renderPart(work: Work, fleet: FleetContext, part: Part, file: string, scope: Scope): Promise<Uint8Array | null> {
  const { maxTemplateBytes, maxTemplateChars } = work.context.limits;
  const refuse = (fault: Fault): null => {
    work.errors.push(refusal(part, file, fault));
    return null;
  };
  const stored = await readFile(work, part.oid, part.file, maxTemplateBytes, 'maxTemplateBytes');
  if (stored === null) return null;
  const text = decodeText(stored.bytes);
  if (text === null) return refuse({ code: 'syntax', rule: 'utf8', detail: 'is not UTF-8 text' });
  const step = { file: part.file, doing: 'be rendered', isQuick: stored.bytes.length <= MAX_QUICK_BYTES };
  const read = (msLeft: number): ReadTemplate => onceWithin(work, step.isQuick, msLeft, () => parseTemplate(text));
  const template = fleet.templates.get(part.oid) ?? inFolderTime(work, step, read);
  if (template === null) return null;
  fleet.templates.set(part.oid, template);
  if (template === 'timeout') return refuse(tooSlow(work));
  if (!template.ok) return refuse({ code: 'template', ...template.fault });
  scope.used.set(part.oid, template);
  const render = (names: Scope['names'], msLeft: number) =>
    renderTemplate(template.nodes, names, { maxChars: maxTemplateChars, maxMs: msLeft });
  const own = inFolderTime(work, { ...step, isQuick: false }, (msLeft) => render(scope.names, msLeft));
  if (own === null) return null;
  const rendered = hideSecretVariables(work, file, template, scope, own, render);
  if (rendered.ok) return Buffer.from(rendered.text);
  const { variable, ...fault } = rendered.fault;
  const place = variable === undefined ? null : scope.placeOf(variable);
  return refuse({ code: 'template', ...fault, detail: place === null ? fault.detail : `${fault.detail}: quote it in ${place}` });
}

type Fault = { code: string; rule: string; detail: string; pointer?: string; line?: number | undefined; limit?: unknown };

function refusal(part: Part, rendered: string, fault: Fault) {
  return configError({ file: part.file, ...(rendered === part.file ? {} : { rendered }), ...fault });
}

function tooSlow({ context: { limits } }: Work): Fault {
  const limit = limits.maxValidationMs * SHARED_PART;
  return { code: 'validation_timeout', rule: 'maxValidationMs', limit, detail: `takes longer than ${limit} ms to be read` };
}

/** A shared file that takes longer than this part of a folder's time is refused for all. */
const SHARED_PART = 1 / 2;

/** A shared file that takes too long does so once, not again for each device. @throws TookTooLong where the folder had less time for it */
function onceWithin<T>({ context }: Work, isQuick: boolean, msLeft: number, parse: () => T): T | 'timeout' {
  try {
    return withinTimeUnless(isQuick, msLeft, parse);
  } catch (error) {
    if (!(error instanceof TookTooLong) || msLeft < context.limits.maxValidationMs * SHARED_PART) throw error;
    return 'timeout';
  }
}
