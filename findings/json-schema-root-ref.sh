#!/usr/bin/env bash
# Expected: a validator that follows the standard accepts a draft-07 schema whose root is a "$ref" into its own "definitions".
#   Generators of schemas write exactly that: {"$ref": "#/definitions/Till", "definitions": {…}}.
# Observed: @hyperjump/json-schema 1.18.0 drops "definitions" beside "$ref" before it resolves the reference, and throws
#   TypeError "Value at '/definitions' is undefined and does not have property 'till'". The same reference within "allOf" works.
# Relevance: the library was a candidate for the schemas of device repositories, where such generated schemas are frequent.
# Measured on 2026-11-30 with @hyperjump/json-schema 1.18.0 and @hyperjump/browser 1.5.0 on Node 20 and 24.
# Exits non-zero when the behaviour changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --save-exact @hyperjump/json-schema@1.18.0 @hyperjump/browser@1.5.0
cat >try.mjs <<'JS'
import { registerSchema, validate } from '@hyperjump/json-schema';
import '@hyperjump/json-schema/draft-07';

const definitions = { till: { type: 'object', properties: { id: { type: 'string' } } } };
const $schema = 'http://json-schema.org/draft-07/schema#';
const outcomeOf = async (name, schema) => {
  registerSchema(schema, `https://example.com/${name}`);
  try {
    return String((await validate(`https://example.com/${name}`, { id: 'T-1' })).valid);
  } catch (error) {
    return String(error);
  }
};
const root = await outcomeOf('root', { $schema, $ref: '#/definitions/till', definitions });
const within = await outcomeOf('within', { $schema, allOf: [{ $ref: '#/definitions/till' }], definitions });
console.log(`"$ref" at the root: ${root}`);
console.log(`"$ref" in "allOf": ${within}`);
process.exit(root.includes("'/definitions' is undefined") && within === 'true' ? 0 : 1);
JS
echo "node $(node --version)"
npm ls --depth=0 | tail -n +2
node try.mjs
