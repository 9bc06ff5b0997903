import { hash } from 'node:crypto';
import { z } from 'zod';
import { DIGEST_RULE, FILE_MODE_RULE, HOOK_NAME_RULE, matching } from './names.ts';

/** SHA-256 as 64 lower-case hex digits: of a file's bytes, or of a bundle's manifest bytes. */
export const Digest = z.string().regex(...matching(DIGEST_RULE));

/** Name of a hook that somebody installed on the device. A name only: no command line ever comes from Git. */
export const HookName = z.string().regex(...matching(HOOK_NAME_RULE));

/** How a device applies a bundle and finds out whether it is well afterwards. */
export const ApplySpec = z.strictObject({
  hooks: z.strictObject({ before: HookName.optional(), after: HookName.optional() }).default({}),
  health: z
    .strictObject({
      hook: HookName,
      /** For each attempt; the hook's whole process group is killed after it. */
      timeoutSeconds: z.number().int().min(1).max(3600).default(30),
      attempts: z.number().int().min(1).max(20).default(1),
      intervalSeconds: z.number().min(0).max(300).default(1),
    })
    .optional(),
  /** From the swap of the files to the server's confirmation over a fresh connection; past it the device goes back by itself. */
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

/** First entry of the archive, named `bundle.json`. Its bytes are those of `manifestBytes`, their SHA-256 is the bundle's digest. */
export const BundleManifest = z.strictObject({
  apiVersion: z.literal('bellwether/v1'),
  kind: z.literal('Bundle'),
  /** Sorted by path, in code-unit order. */
  files: z.array(BundleFile).max(100_000),
  apply: ApplySpec,
});
export type BundleManifest = z.infer<typeof BundleManifest>;

export const BUNDLE_MANIFEST_NAME = 'bundle.json';
/** Archive entries of the files stand below this folder, so that no file can be taken for the manifest. */
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
