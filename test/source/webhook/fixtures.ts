import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { HookRequest } from '../../../src/crypto/signature.ts';

export const NOW = new Date('2026-03-02T12:30:00Z');
export const BEFORE = '95790bf891e76fee5e1747ab589903a6a1f80f22';
export const AFTER = 'da1560886d4f094c3e6c9ef40349f7d38b5d27d7';

export function fixture(name: string): Buffer {
  return readFileSync(new URL(`../../../fixtures/webhooks/${name}.json`, import.meta.url));
}

export function hook(headers: Record<string, string>, body: Uint8Array | string): HookRequest {
  return { headers: new Headers(headers), rawBody: Buffer.from(body) };
}

export function githubSignature(secret: string, body: Uint8Array | string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** The headers of Standard Webhooks, computed independently of the code under test. */
export function standardHeaders(secret: string, body: Uint8Array | string, { id = 'msg-1', at = NOW }: { id?: string; at?: Date } = {}) {
  const seconds = String(Math.floor(at.getTime() / 1000));
  const signed = Buffer.concat([Buffer.from(`${id}.${seconds}.`), Buffer.from(body)]);
  const digest = createHmac('sha256', Buffer.from(secret.replace('whsec_', ''), 'base64'))
    .update(signed)
    .digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': `v1,${digest}` };
}

/** Returns `body` with the byte at `index` changed by `mask`. Testing all variants of every byte would be too many. */
export function flipByte(bytes: Uint8Array, index: number, mask: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[index % changed.length]! ^= mask;
  return changed;
}
