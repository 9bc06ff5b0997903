import { hash } from 'node:crypto';
import { z } from 'zod';
import { DIGEST_RULE, FILE_MODE_RULE, HOOK_NAME_RULE, matching } from './names.ts';

/** SHA-256 as 64 lower-case hex digits: of a file's bytes, or of a bundle's manifest bytes. */
export const Digest = z.string().regex(...matching(DIGEST_RULE));

/** Name of a hook that somebody installed on the device. Git can name a hook, but never a command line. */
export const HookName = z.string().regex(...matching(HOOK_NAME_RULE));

/** The hooks and the health check with which a device applies a bundle. */
export const ApplySpec = z.strictObject({
  hooks: z.strictObject({ before: HookName.optional(), after: HookName.optional() }).default({}),
  health: z
    .strictObject({
      hook: HookName,
      /** Time limit of each attempt. The agent then kills the hook's whole process group. */
      timeoutSeconds: z.number().int().min(1).max(3600).default(30),
      attempts: z.number().int().min(1).max(20).default(1),
      intervalSeconds: z.number().min(0).max(300).default(1),
    })
    .optional(),
  /** Time limit from the swap of the files to the server's confirmation over a new connection. After it, the device rolls back by itself. */
  confirmTimeoutSeconds: z.number().int().min(1).max(86_400).default(60),
});
export type ApplySpec = z.infer<typeof ApplySpec>;

export const BundleFile = z.strictObject({
  /** Relative, `/`-separated, normalised (no empty, `.` or `..` segment), unique in the bundle without regard to case. */
  path: z.string().min(1).max(1024),
  /** Octal permissions, for example "0644". */
  mode: z.string().regex(...matching(FILE_MODE_RULE)),
  /** Bytes. */
  size: z.number().int().nonnegative(),
  sha256: Digest,
});
export type BundleFile = z.infer<typeof BundleFile>;

/** First entry of the archive, named `bundle.json`. `manifestBytes` makes its bytes; their SHA-256 is the bundle's digest. */
export const BundleManifest = z.strictObject({
  apiVersion: z.literal('bellwether/v1'),
  kind: z.literal('Bundle'),
  /** Sorted by path, in code-unit order. */
  files: z.array(BundleFile).max(100_000),
  apply: ApplySpec,
});
export type BundleManifest = z.infer<typeof BundleManifest>;

export const BUNDLE_MANIFEST_NAME = 'bundle.json';
/** The archive holds the files below this folder, so that no file can have the manifest's name. */
export const BUNDLE_FILES_PREFIX = 'files/';

/** Canonical bytes of a manifest: JSON with sorted keys and no white space, so that equal content has one digest on every machine. */
export function manifestBytes(manifest: BundleManifest): Buffer {
  return Buffer.from(canonicalJson(manifest));
}

/** The bundle's digest: SHA-256 of its canonical manifest, which names every file's own SHA-256. */
export function bundleDigest(manifest: BundleManifest): string {
  return sha256Hex(manifestBytes(manifest));
}

export function sha256Hex(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex');
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
