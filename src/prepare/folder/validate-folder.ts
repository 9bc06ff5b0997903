import { syntaxOf } from '../../document/document.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { Work } from '../folder-work.ts';
import { inFolderTime, inRepository, isInside, readFile } from '../folder-work.ts';
import { type DeviceConfig, defaultDeviceConfig } from '../manifest/device-config.ts';
import { IGNORE_HINT, selects } from '../manifest/left-out.ts';
import { matchesNothing } from '../manifest/near-miss.ts';
import type { ManifestPlace, SelectedFile } from '../manifest/select.ts';
import type { CompiledSchema } from '../schema/compile.ts';
import { isQuick, validateFile } from './validate.ts';

/** Every file that a rule of the manifest names against its schemas, and the syntax of the others that are selected. */
export async function validateFiles(
  work: Work,
  available: TreeFile[],
  selected: SelectedFile[],
  config: DeviceConfig,
  place: ManifestPlace,
): Promise<void> {
  const schemas = await schemasByFile(work, available, config, place);
  if (config.checkSyntax) {
    for (const { from } of selected) if (syntaxOf(from) !== null && !schemas.has(from)) schemas.set(from, []);
  }
  const { limits } = work.context;
  for (const { path, oid } of available) {
    const compiled = schemas.get(path);
    if (compiled === undefined) continue;
    const file = inRepository(work.folder, path);
    if (readsTooMuch(work, file)) return;
    const stored = await readFile(work, oid, file, limits.maxFileBytes, 'maxFileBytes');
    // Data without a schema may be larger than what is parsed here.
    if (stored === null || (compiled.length === 0 && stored.bytes.length > limits.maxDocumentBytes)) continue;
    const step = { file, doing: 'be validated', isQuick: isQuick(stored.bytes, compiled) };
    const verdict = inFolderTime(work, step, (msLeft) =>
      validateFile(stored.bytes, file, compiled, limits, msLeft, work.documents.get(oid)),
    );
    if (verdict === null) return;
    const isChosen = compiled.length > 0 || config !== defaultDeviceConfig;
    work.errors.push(...verdict.errors.map((error) => (isChosen ? error : { ...error, message: `${error.message}; ${IGNORE_HINT}` })));
    if (verdict.secrets.length === 0) continue;
    for (const { from, to } of selected) if (from === path) work.secrets.set(to, verdict.secrets);
  }
}

async function schemasByFile(
  work: Work,
  available: TreeFile[],
  config: DeviceConfig,
  place: ManifestPlace,
): Promise<Map<string, CompiledSchema[]>> {
  const schemas = new Map<string, CompiledSchema[]>();
  const folders = schemaFolders(work);
  for (const [index, rule] of config.validate.entries()) {
    const at = ['validate', String(index)];
    const patterns = [rule.files].flat();
    for (const [position, pattern] of patterns.entries()) {
      if (available.some((file) => selects(pattern, file.path))) continue;
      const path = Array.isArray(rule.files) ? [...at, 'files', String(position)] : [...at, 'files'];
      const detail = matchesNothing(pattern, available);
      work.errors.push(
        configError({ code: 'manifest', file: place.file, line: place.lineOf(path), pointer: `/${path.join('/')}`, rule: 'files', detail }),
      );
    }
    const { schema, errors, dependencies } = await work.context.schemas.find(rule.schema, folders);
    for (const path of dependencies) if (!isInside(work.folder, path)) work.dependencies.add(path);
    const named: ManifestPlace & { pointer: string } = { ...place, pointer: `/${at.join('/')}/schema` };
    work.errors.push(...errors.map((error) => atRule(error, rule.schema, named, [...at, 'schema'])));
    if (schema === null) continue;
    for (const { path } of available) {
      if (patterns.some((pattern) => selects(pattern, path))) schemas.set(path, [...(schemas.get(path) ?? []), schema]);
    }
  }
  return schemas;
}

/** The device's own folder before those of its layers, the last first, and the fleet's folder of schemas. */
function schemaFolders({ folder, composition, context: { schemaFolder } }: Work): string[] {
  const layers = (composition?.layers ?? []).map((layer) => layer.path);
  return [folder.path, ...layers.reverse(), ...(schemaFolder === null ? [] : [schemaFolder])];
}

/** A schema that is nowhere is the manifest's error: that is where its name stands. */
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

/** All of a revision's files stand in memory together: one folder must not use up the room of the others by files that no device gets. */
function readsTooMuch(work: Work, file: string): boolean {
  const limit = 3 * work.context.limits.maxBundleBytes;
  if (work.readBytes <= limit) return false;
  const detail = `is not validated: the folder's files before it have more than ${limit} bytes`;
  work.errors.push(configError({ code: 'too_large', file, rule: 'maxBundleBytes', limit, detail }));
  return true;
}
