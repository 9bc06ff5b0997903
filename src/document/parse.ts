import { type DocumentLimits, decodeText, type ParsedDocument, type Syntax } from './document.ts';
import { parseJson } from './json.ts';
import { parseYaml } from './yaml.ts';

export function parseDocument(bytes: Uint8Array, syntax: Syntax, limits: DocumentLimits): ParsedDocument {
  const text = decodeText(bytes);
  if (text === null) return { ok: false, fault: { code: 'syntax', rule: 'utf8', detail: 'is not UTF-8 text', path: [] } };
  const parsed = parseText(text, syntax, limits);
  if (parsed.ok) parsed.document.hasByteOrderMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return parsed;
}

export function parseText(text: string, syntax: Syntax, limits: DocumentLimits): ParsedDocument {
  return syntax === 'json' ? parseJson(text, limits) : parseYaml(text, limits);
}
