#!/usr/bin/env bash
# Expected: a JSONPath library selects the items of a list whatever its length, as "$[*]" of RFC 9535 does. A platform's API may answer all of its
#   devices in one list.
# Observed: json-p3 2.3.1 puts all items of a list on the call stack at once: jsonpath.query("$[*]", list) throws RangeError "Maximum call stack size
#   exceeded" for 150,000 short items, on the default stack of Node. Its lazy form, jsonpath.lazyQuery, selects all of them.
# Relevance: mappings of REST platforms select the devices of an answer by such a path. The lazy form is the one to use.
# Measured on 2026-12-01 with json-p3 2.3.1 on Node 20 and 24.
# Exits non-zero when the behaviour changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --save-exact json-p3@2.3.1
cat >try.mjs <<'JS'
import { jsonpath } from 'json-p3';

const listOf = (length) => Array.from({ length }, (_, id) => ({ id }));
const outcomeOf = (select) => {
  try {
    return String(select());
  } catch (error) {
    return String(error);
  }
};
const eager = (length) => outcomeOf(() => jsonpath.query('$[*]', listOf(length)).length);
const lazy = (length) => outcomeOf(() => [...jsonpath.lazyQuery('$[*]', listOf(length))].length);
const seen = [eager(1_000), eager(150_000), lazy(150_000)];
console.log(`query, 1,000 items: ${seen[0]}`);
console.log(`query, 150,000 items: ${seen[1]}`);
console.log(`lazyQuery, 150,000 items: ${seen[2]}`);
process.exit(seen[0] === '1000' && seen[1].startsWith('RangeError') && seen[2] === '150000' ? 0 : 1);
JS
echo "node $(node --version)"
npm ls --depth=0 | tail -n +2
node try.mjs
