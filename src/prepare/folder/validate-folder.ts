import { syntaxOf } from '../../document/document.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { Folder } from '../folders.ts';
import { inRepository, isInside } from '../folders.ts';
import type { ComposedFiles, Layered } from '../layer/layer.ts';
import { type DeviceConfig, defaultDeviceConfig } from '../manifest/device-config.ts';
import { IGNORE_HINT, selects } from '../manifest/left-out.ts';
import { matchesNothing } from '../manifest/near-miss.ts';
import type { ManifestPlace, SelectedFile } from '../manifest/select.ts';
import type { Meter } from '../meter/meter.ts';
import { readFile } from '../read-file.ts';
import type { CompiledSchema } from '../schema/compile.ts';
import type { Stage } from '../stage.ts';
import { Findings, found } from '../stage.ts';
import type { FolderSelection } from './bundle.ts';
import type { FolderDeps } from './deps.ts';
import { isQuick, validateFile } from './validate.ts';

type Validation = FolderSelection & { folder: Folder; layered: Layered; config: DeviceConfig; place: ManifestPlace };
type ValidationDeps = Pick<FolderDeps, 'objects' | 'limits' | 'schemas' | 'schemaFolder'>;
/** JSON pointers of the values that schemas mark as secret, by the file's path in the folder. */
type MarkedSecrets = ReadonlyMap<string, readonly string[]>;

/** The validate stage: every file that a rule of the manifest names against its schemas, and the syntax of the others that are selected. */
export async function validateFolder(input: Validation, deps: ValidationDeps, meter: Meter): Promise<Stage<MarkedSecrets>> {
  const { folder, layered, available, selected, config } = input;
  const { limits } = deps;
  const findings = new Findings();
  const secrets = new Map<string, readonly string[]>();
  const end = () => found(secrets, findings.errors, [...findings.dependencies]);
  const schemas = findings.take(await schemasByFile(input, deps)) ?? new Map<string, CompiledSchema[]>();
  if (config.checkSyntax) {
    for (const { from } of selected) if (syntaxOf(from) !== null && !schemas.has(from)) schemas.set(from, []);
  }
  for (const { path, oid } of available) {
    const compiled = schemas.get(path);
    if (compiled === undefined) continue;
    const file = inRepository(folder, path);
    const tooMuch = readsTooMuch(meter, limits, file);
    findings.errors.push(...tooMuch);
    if (tooMuch.length > 0) return end();
    const stored = findings.take(await readFile(deps, meter, { oid, file, rule: 'maxFileBytes' }));
    // Data without a schema may be larger than what is parsed here.
    if (stored === null || (compiled.length === 0 && stored.bytes.length > limits.maxDocumentBytes)) continue;
    const known = layered.composed.get(file)?.document ?? undefined;
    const step = { file, doing: 'be validated', isQuick: isQuick(stored.bytes, compiled) };
    const verdict = findings.take(
      meter.step(step, ({ within }) => within(() => validateFile(stored.bytes, file, compiled, limits, known))),
    );
    if (verdict === null) return end();
    const isChosen = compiled.length > 0 || config !== defaultDeviceConfig;
    findings.errors.push(...verdict.errors.map((error) => (isChosen ? error : { ...error, message: `${error.message}; ${IGNORE_HINT}` })));
    if (verdict.secrets.length > 0) secrets.set(path, verdict.secrets);
  }
  return end();
}

/** JSON pointers of all secrets of the bundle, by path on the device: what schemas mark, and what templates made of secret variables. */
export function secretPointers(
  folder: Folder,
  composed: ComposedFiles,
  selected: readonly SelectedFile[],
  marked: MarkedSecrets,
): Map<string, string[]> {
  const pointers = new Map<string, string[]>();
  for (const { from, to } of selected) {
    const secrets = new Set([...(marked.get(from) ?? []), ...(composed.get(inRepository(folder, from))?.secrets ?? [])]);
    if (secrets.size > 0) pointers.set(to, [...secrets].sort());
  }
  return pointers;
}

async function schemasByFile(
  { folder, layered, available, config, place }: Validation,
  deps: ValidationDeps,
): Promise<Stage<Map<string, CompiledSchema[]>>> {
  const findings = new Findings();
  const schemas = new Map<string, CompiledSchema[]>();
  const folders = schemaFolders(layered, deps);
  for (const [index, rule] of config.validate.entries()) {
    const at = ['validate', String(index)];
    const patterns = [rule.files].flat();
    for (const [position, pattern] of patterns.entries()) {
      if (available.some((file) => selects(pattern, file.path))) continue;
      const path = Array.isArray(rule.files) ? [...at, 'files', String(position)] : [...at, 'files'];
      findings.errors.push(unmatched(pattern, path, place, available));
    }
    const { schema, errors, dependencies } = await deps.schemas.find(rule.schema, folders);
    const named: ManifestPlace & { pointer: string } = { ...place, pointer: `/${at.join('/')}/schema` };
    findings.take({
      value: null,
      errors: errors.map((error) => atRule(error, rule.schema, named, [...at, 'schema'])),
      dependencies: dependencies.filter((path) => !isInside(folder, path)),
    });
    if (schema === null) continue;
    for (const { path } of available) {
      if (patterns.some((pattern) => selects(pattern, path))) schemas.set(path, [...(schemas.get(path) ?? []), schema]);
    }
  }
  return found(schemas, findings.errors, [...findings.dependencies]);
}

function unmatched(pattern: string, path: readonly string[], place: ManifestPlace, available: readonly TreeFile[]): ConfigError {
  const detail = matchesNothing(pattern, available);
  return configError({
    code: 'manifest',
    file: place.file,
    line: place.lineOf(path),
    pointer: `/${path.join('/')}`,
    rule: 'files',
    detail,
  });
}

/** The device's own folder before those of its layers, the last first, and the fleet's folder of schemas. */
function schemaFolders({ layers }: Layered, { schemaFolder }: ValidationDeps): string[] {
  return [...layers.map(({ path }) => path).reverse(), ...(schemaFolder === null ? [] : [schemaFolder])];
}

/** A schema that is missing everywhere is the manifest's error, at its name. */
function atRule(
  error: ConfigError,
  schema: string,
  { file, pointer, lineOf }: ManifestPlace & { pointer: string },
  path: string[],
): ConfigError {
  if (error.code !== 'schema_missing' || error.rule !== 'schema') return error;
  const detail = `is ${JSON.stringify(schema)}, which ${error.message.trim()}`;
  return configError({ code: 'schema_missing', file, line: lineOf(path), pointer, rule: 'schema', actual: schema, detail });
}

/** All files of a revision stand in memory together: a folder must not use up the room of the others by files that no device gets. */
function readsTooMuch({ readBytes }: Meter, { maxBundleBytes }: RevisionLimits, file: string): ConfigError[] {
  const limit = 3 * maxBundleBytes;
  if (readBytes <= limit) return [];
  const detail = `is not validated: the folder's files before it have more than ${limit} bytes`;
  return [configError({ code: 'too_large', file, rule: 'maxBundleBytes', limit, detail })];
}
