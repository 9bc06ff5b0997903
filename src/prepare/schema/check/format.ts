import {
  isDate,
  isDateTime,
  isDuration,
  isEmail,
  isHostname,
  isIdnEmail,
  isIPv4,
  isIPv6,
  isIri,
  isIriReference,
  isJsonPointer,
  isRelativeJsonPointer,
  isUri,
  isUriReference,
  isUriTemplate,
  isUuid,
} from '@hyperjump/json-schema-formats';
import { isIdnHostname } from 'idn-hostname';
import { compilePattern } from './pattern.ts';

type Format = {
  test(text: string): boolean;
  /** After "must be". */
  asks: string;
  /** The reason why a text is wrong, where it is known. May quote characters of the text. */
  missing?(text: string): string | null;
};

/** The formats of the standard. They are checked in every draft, as most validators do; unknown ones are ignored. */
const FORMATS: ReadonlyMap<string, Format> = new Map(
  Object.entries<Format>({
    'date-time': {
      test: isDateTime,
      asks: 'a date and time with a zone (RFC 3339), such as "2026-11-30T02:00:00Z" or "2026-11-30T02:00:00+01:00"',
      missing: (text) => missingOfDateTime(text),
    },
    date: { test: isDate, asks: 'a date (RFC 3339), such as "2026-11-30"', missing: missingOfDate },
    time: { test: isTime, asks: 'a time with a zone (RFC 3339), such as "02:00:00Z" or "02:00:00+01:00"', missing: missingOfTime },
    duration: {
      test: isDuration,
      asks: 'a duration (ISO 8601), such as "PT15M" or "P1DT12H"',
      missing: (text) => (text.startsWith('P') ? null : '"P" at its start is missing'),
    },
    email: { test: quietly(isEmail), asks: 'an email address (RFC 5321), such as "ops@example.com"', missing: missingOfEmail },
    'idn-email': { test: isInternationalEmail, asks: 'an email address (RFC 6531), such as "ops@example.com"', missing: missingOfEmail },
    hostname: { test: isHost, asks: 'a host name (RFC 1123), such as "till-7.example.com"', missing: missingOfHost },
    'idn-hostname': { test: quietly(isIdn), asks: 'an internationalized host name (RFC 5890)', missing: missingOfIdnHost },
    ipv4: { test: isIPv4, asks: 'an IPv4 address, such as "192.0.2.7"', missing: missingOfIpv4 },
    ipv6: { test: isIPv6, asks: 'an IPv6 address, such as "2001:db8::7"', missing: missingOfIpv6 },
    uri: {
      test: isUri,
      asks: 'a URI with a scheme (RFC 3986), such as "https://example.com/"',
      missing: (text) => missingOfUri(text, true),
    },
    'uri-reference': {
      test: isUriReference,
      asks: 'a URI or a relative reference (RFC 3986)',
      missing: (text) => missingOfUri(text, false),
    },
    iri: { test: isIri, asks: 'an IRI with a scheme (RFC 3987), such as "https://example.com/"', missing: missingOfIri },
    'iri-reference': { test: isIriReference, asks: 'an IRI or a relative reference (RFC 3987)' },
    'uri-template': { test: isUriTemplate, asks: 'a URI template (RFC 6570), such as "/devices/{id}"' },
    uuid: {
      test: isUuid,
      asks: 'a UUID (RFC 4122), such as "2eb8aa08-aa98-11ea-b4aa-73b441d16380"',
      missing: (text) => (/^[0-9a-f]{32}$/i.test(text) ? 'the hyphens are missing' : 'it must have 8-4-4-4-12 hexadecimal digits'),
    },
    'json-pointer': {
      test: isJsonPointer,
      asks: 'a JSON pointer (RFC 6901), such as "/vlan/id"',
      missing: (text) => (text.startsWith('/') ? '"~" must be followed by 0 or 1' : '"/" at its start is missing'),
    },
    'relative-json-pointer': { test: isRelativeJsonPointer, asks: 'a relative JSON pointer, such as "1/vlan"' },
    regex: { test: (text) => compilePattern(text).ok, asks: 'a regular expression of ECMA-262', missing: missingOfPattern },
  }),
);

/** null for a format that the standard does not know. */
export function formatNamed(name: unknown): Format | null {
  return (typeof name === 'string' ? FORMATS.get(name) : undefined) ?? null;
}

/** Checks of some libraries throw for what they cannot judge. */
function quietly(test: (text: string) => boolean): (text: string) => boolean {
  return (text) => {
    try {
      return test(text);
    } catch {
      return false;
    }
  };
}

/** A dot at the end would name the root of the DNS, which no format of the standard allows. */
function isIdn(text: string): boolean {
  return !/[.\u3002\uff0e\uff61]$/.test(text) && isIdnHostname(text);
}

/** Labels in punycode must stand for something. */
function isHost(text: string): boolean {
  return isHostname(text) && (!/(?:^|\.)xn--|(?:^|\.)..--/i.test(text) || quietly(isIdn)(text));
}

/** The library prints why a domain is wrong: it gets only those that are right. */
function isInternationalEmail(text: string): boolean {
  const domain = text.slice(text.lastIndexOf('@') + 1);
  return (domain.startsWith('[') || quietly(isIdn)(domain)) && quietly(isIdnEmail)(text);
}

const TIME = /^([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.\d+)?(?:z|([+-])([01]\d|2[0-3]):([0-5]\d))$/i;
const DAY_MINUTES = 24 * 60;

/** A leap second comes at the end of a day in UTC alone. */
function isTime(text: string): boolean {
  const [whole, hour, minute, second, sign, offsetHour, offsetMinute] = TIME.exec(text) ?? [];
  if (whole === undefined || second !== '60') return whole !== undefined;
  const offset = (sign === '-' ? -1 : 1) * (Number(offsetHour ?? 0) * 60 + Number(offsetMinute ?? 0));
  const utc = (Number(hour) * 60 + Number(minute) - offset + DAY_MINUTES) % DAY_MINUTES;
  return utc === DAY_MINUTES - 1;
}

function missingOfDateTime(text: string): string | null {
  if (isDate(text)) return 'the time and the zone are missing';
  const [whole, date = '', between, time = ''] = /^(\d{4}-\d\d-\d\d)(.)(.*)$/.exec(text) ?? [];
  if (whole === undefined) return null;
  if (between !== 'T' && between !== 't') return '"T" between date and time is missing';
  return isDate(date) ? missingOfTime(time) : missingOfDate(date);
}

function missingOfDate(text: string): string | null {
  if (/^\d{4}-\d{1,2}-\d{1,2}$/.test(text)) {
    return /^\d{4}-\d\d-\d\d$/.test(text) ? 'there is no such day' : 'month and day have two digits each';
  }
  return isDateTime(text) ? 'it has a time as well' : null;
}

function missingOfTime(text: string): string | null {
  const [whole, seconds, rest = ''] = /^\d\d:\d\d(:\d\d(?:\.\d+)?)?(.*)$/.exec(text) ?? [];
  if (whole === undefined) return /^\d:/.test(text) ? 'the hour has two digits' : null;
  const lacks = [...(seconds === undefined ? ['the seconds'] : []), ...(rest === '' ? ['the zone'] : [])];
  if (lacks.length > 0) return `${lacks.join(' and ')} ${lacks.length > 1 || seconds === undefined ? 'are' : 'is'} missing`;
  if (!/^(?:z|[+-]\d\d:\d\d)$/i.test(rest)) return 'the zone must be "Z" or an offset such as "+01:00"';
  return 'there is no such time';
}

function missingOfEmail(text: string): string | null {
  const at = text.lastIndexOf('@');
  if (at === -1) return '"@" is missing';
  if (at === 0) return 'the name before "@" is missing';
  if (at === text.length - 1) return 'the domain after "@" is missing';
  const domain = text.slice(at + 1);
  const host = domain.startsWith('[') ? null : missingOfHost(domain);
  return host === null ? 'the name before "@" is not well formed' : `in its domain, ${host}`;
}

function missingOfHost(text: string): string | null {
  if (text === '') return 'it is empty';
  const wrong = /[^A-Za-z0-9.-]/u.exec(text)?.[0];
  if (wrong !== undefined) return `${JSON.stringify(wrong)} is not allowed`;
  if (text.endsWith('.')) return 'a dot at its end is not allowed';
  return missingOfLabels(text);
}

function missingOfLabels(text: string): string | null {
  const labels = text.split('.');
  if (labels.includes('')) return 'a name between two dots is missing';
  if (labels.some((label) => label.startsWith('-') || label.endsWith('-'))) return 'no name between dots begins or ends with "-"';
  if (labels.some((label) => label.length > 63)) return 'no name between dots has more than 63 characters';
  if (/(?:^|\.)xn--/i.test(text)) return 'what follows "xn--" stands for no international name';
  return text.length > 253 ? 'it has more than 253 characters' : null;
}

function missingOfIdnHost(text: string): string | null {
  const wrong = /[\s_/:@]/u.exec(text)?.[0];
  return wrong === undefined ? missingOfLabels(text) : `${JSON.stringify(wrong)} is not allowed`;
}

function missingOfIpv4(text: string): string | null {
  if (/^[\d.]+\/\d+$/.test(text)) return 'a prefix length is not part of it';
  if (!/^[\d.]+$/.test(text)) return null;
  const parts = text.split('.');
  if (parts.length !== 4) return `it has ${parts.length} numbers, must have 4`;
  if (parts.some((part) => Number(part) > 255)) return 'each number must be <= 255';
  return parts.some((part) => part.length > 1 && part.startsWith('0')) ? 'no number begins with 0' : null;
}

function missingOfIpv6(text: string): string | null {
  if (text.includes('/')) return 'a prefix length is not part of it';
  if (text.includes('%')) return 'a zone is not part of it';
  if (text.startsWith('[')) return 'brackets are not part of it';
  if (!text.includes(':')) return '":" is missing';
  const wrong = /[^0-9a-fA-F:.]/u.exec(text)?.[0];
  return wrong === undefined
    ? 'it must have 8 groups, of which "::" stands for those that are 0'
    : `${JSON.stringify(wrong)} is not allowed`;
}

function missingOfUri(text: string, needsScheme: boolean): string | null {
  const wrong = /[^\w\-.~:/?#[\]@!$&'()*+,;=%]/u.exec(text)?.[0];
  if (wrong !== undefined) return `${JSON.stringify(wrong)} must be percent-encoded`;
  return needsScheme ? missingScheme(text) : null;
}

function missingOfIri(text: string): string | null {
  return /\s/.test(text) ? '" " must be percent-encoded' : missingScheme(text);
}

function missingScheme(text: string): string | null {
  return /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) ? null : 'the scheme is missing, such as "https:"';
}

function missingOfPattern(text: string): string | null {
  const result = compilePattern(text);
  return result.ok ? null : `it ${result.detail}`;
}
