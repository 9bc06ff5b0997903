#!/usr/bin/env bash
# Expected: check-jsonschema's engine, Python's jsonschema, checks values against every schema that its metaschema accepts.
# Observed: up to 2019-09, jsonschema 4.26.0 raises TypeError "object of type 'bool' has no len()" for a list of devices when
#   "items": true stands beside "additionalItems". The draft ignores "additionalItems" there; with "items": {} the same value is valid.
# Relevance: one pipeline may run check-jsonschema and Bellwether. They disagree, and the crash looks like an error in the data.
# Measured on 2026-11-30 with jsonschema 4.26.0 on Python 3.11. Exits non-zero when the behaviour changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check jsonschema==4.26.0
"$dir/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version
import jsonschema

print("python", sys.version.split()[0], "jsonschema", version("jsonschema"))


def outcome(items):
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": items, "additionalItems": False}
    jsonschema.Draft7Validator.check_schema(schema)
    try:
        return str(jsonschema.Draft7Validator(schema).is_valid(["till-1"]))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


results = {str(items): outcome(items) for items in ({}, True)}
for items, result in results.items():
    print(f'"items": {items}: {result}')
sys.exit(0 if results == {"{}": "True", "True": "TypeError: object of type 'bool' has no len()"} else 1)
PY
