/** Longest pause that a host may request, unless the caller allows a longer one. */
const MAX_SECONDS = 3_600;

/** Seconds that a Retry-After header requests, as a number or as a date (RFC 9110), at most `maxSeconds`; undefined without a valid value. */
export function retryAfter(header: string | string[] | undefined, nowMs = Date.now(), maxSeconds = MAX_SECONDS): number | undefined {
  if (typeof header !== 'string' || header.trim() === '') return undefined;
  const text = header.trim();
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : (Date.parse(text) - nowMs) / 1000;
  // Date.parse reads "-5" as a year.
  if (Number.isNaN(seconds) || /^[-+.\d]+$/.test(text) !== /^\d+(?:\.\d+)?$/.test(text)) return undefined;
  return Math.min(Math.max(0, Math.ceil(seconds)), maxSeconds);
}

/** Seconds until a rate limit resets. Hosts give seconds from now or, as GitHub and GitLab do, since 1970. undefined without a valid value. */
export function untilReset(header: string | string[] | undefined, nowMs = Date.now()): number | undefined {
  if (typeof header !== 'string' || !/^\d+$/.test(header)) return undefined;
  const seconds = Number(header) > 1_000_000_000 ? Number(header) - nowMs / 1000 : Number(header);
  return Math.min(Math.max(0, Math.ceil(seconds)), MAX_SECONDS);
}
