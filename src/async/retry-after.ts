/** No host may ask for a longer pause than this. */
const MAX_SECONDS = 3_600;

/** Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110), at most an hour; undefined where it names none. */
export function retryAfter(header: string | string[] | undefined, nowMs = Date.now()): number | undefined {
  if (typeof header !== 'string' || header.trim() === '') return undefined;
  const text = header.trim();
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : (Date.parse(text) - nowMs) / 1000;
  // Date.parse takes "-5" for a year.
  if (Number.isNaN(seconds) || /^[-+.\d]+$/.test(text) !== /^\d+(?:\.\d+)?$/.test(text)) return undefined;
  return Math.min(Math.max(0, Math.ceil(seconds)), MAX_SECONDS);
}

/** Seconds until a reset that a host names as seconds from now or, as GitHub and GitLab do, since 1970; undefined where it names none. */
export function untilReset(header: string | string[] | undefined, nowMs = Date.now()): number | undefined {
  if (typeof header !== 'string' || !/^\d+$/.test(header)) return undefined;
  const seconds = Number(header) > 1_000_000_000 ? Number(header) - nowMs / 1000 : Number(header);
  return Math.min(Math.max(0, Math.ceil(seconds)), MAX_SECONDS);
}
