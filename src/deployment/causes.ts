import { hash } from 'node:crypto';

/** A reported failure of one device. */
export type Failure = { code: string; detail: string; deviceId?: string | undefined };

/** Longer details differ only in what follows this many characters. */
const MAX_CHARACTERS = 400;
/** The part of a detail that is read at all. Its patterns take linear time. */
const MAX_READ = 4_000;

const OCTET = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)';
/** In this order: a later pattern would cut the values of an earlier one into pieces. */
const VARYING: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)?/g, '<time>'],
  [/\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?![\w:])/g, '<time>'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<id>'],
  [/\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b/gi, '<address>'],
  [new RegExp(`\\b${OCTET}(?:\\.${OCTET}){3}(?:/\\d{1,2})?(?::\\d{1,5})?\\b`, 'g'), '<address>'],
  [/\[?(?<![\w:])(?=[0-9a-f:]{0,40}\d)(?:[0-9a-f]{0,4}:){2,8}[0-9a-f]{0,4}(?![\w:])(?:\](?::\d{1,5})?)?/gi, '<address>'],
  [/\b0x[0-9a-f]{1,64}\b/gi, '<id>'],
  [/\b(?=[a-f]{0,64}\d)(?=\d{0,64}[a-f])[0-9a-f]{7,64}\b/gi, '<id>'],
  [/(?:(?<![\w>])[+-])?\d+(?:[.,]\d+)*/g, '<n>'],
];

/**
 * The detail without what differs from device to device: its id, numbers, ids, addresses and times. Pure; a normal text stays the same, and no digit is
 * left.
 */
export function normalDetail({ detail, deviceId }: Pick<Failure, 'detail' | 'deviceId'>): string {
  const text = detail.slice(0, MAX_READ).normalize('NFC');
  const unnamed = deviceId === undefined ? text : withoutName(text, deviceId);
  const replaced = VARYING.reduce((shown, [pattern, instead]) => shown.replace(pattern, instead), unnamed);
  const clean = replaced.replace(/[\p{Cc}\p{Nd}\s]+/gu, ' ').trim();
  return clean.slice(0, MAX_CHARACTERS).toWellFormed().trim();
}

/** Only whole words: a device may be named "a". */
function withoutName(text: string, deviceId: string): string {
  const escaped = deviceId.replace(/[^\w]/g, '\\$&');
  return text.replace(new RegExp(`(?<![\\w.-])${escaped}(?![\\w-])`, 'gi'), '<device>');
}

/** The key of a failure's cause: 16 hex digits. Failures with the same code and the same normal detail have the same one. */
export function causeOf(failure: Failure): string {
  return hash('sha256', `${failure.code}\n${normalDetail(failure)}`, 'hex').slice(0, 16);
}
