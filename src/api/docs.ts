import { Hono } from 'hono';
import type { Env } from './env.ts';

/** Everything comes from our own origin, and nothing inline. */
const SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** `/docs`: a small viewer of `/openapi.json`, for people. Its addresses are relative, so that it works below any base path. */
export function docsRoutes(): Hono<Env> {
  const app = new Hono<Env>();
  const asset = (path: string, type: string, content: string) =>
    app.get(path, (c) =>
      c.body(content, 200, { 'content-type': type, 'content-security-policy': SECURITY_POLICY, 'cache-control': 'no-cache' }),
    );
  asset('/', 'text/html; charset=utf-8', PAGE);
  asset('/app.js', 'text/javascript; charset=utf-8', SCRIPT);
  asset('/style.css', 'text/css; charset=utf-8', STYLE);
  return app;
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bellwether API</title>
<link rel="stylesheet" href="docs/style.css">
</head>
<body>
<header>
<h1 id="title">Bellwether API</h1>
<p><a href="openapi.json">openapi.json</a></p>
<input id="filter" type="search" placeholder="Filter by path or word" aria-label="Filter operations">
</header>
<main id="operations"><p>Loading …</p></main>
<script src="docs/app.js"></script>
</body>
</html>
`;

const STYLE = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .4rem .6rem; }
details { border: 1px solid #8884; border-radius: .4rem; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
code, pre { font: .875rem/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: .3rem; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 600; text-transform: uppercase; }
.note { color: #777; margin-left: .6rem; }
th, td { text-align: left; padding-right: 1rem; vertical-align: top; font-weight: inherit; }
`;

/** Writes text only, never markup, so that nothing in the document can become any. */
const SCRIPT = `'use strict';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

function element(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

function resolved(schema, all) {
  const name = schema && schema.$ref && schema.$ref.split('/').pop();
  return name ? all[name] || {} : schema || {};
}

/* An example in the shape of the schema; "seen" ends what contains itself. */
function outline(schema, all, seen) {
  const name = schema && schema.$ref;
  if (name && seen.includes(name)) return '…';
  const inner = name ? [...seen, name] : seen;
  const it = resolved(schema, all);
  if (it.example !== undefined) return it.example;
  const options = it.oneOf || it.anyOf;
  if (options) return outline(options[0], all, inner);
  if (it.allOf) return Object.assign({}, ...it.allOf.map((part) => outline(part, all, inner)));
  if (it.enum) return it.enum.join(' | ');
  if (it.properties) return Object.fromEntries(Object.entries(it.properties).map(([key, value]) => [key, outline(value, all, inner)]));
  if (it.items) return [outline(it.items, all, inner)];
  const type = Array.isArray(it.type) ? it.type.join(' | ') : it.type || 'any';
  return it.format ? type + ' (' + it.format + ')' : type;
}

function block(title, content, all) {
  const schema = content && (content['application/json'] || {}).schema;
  if (!schema) return [];
  return [element('h4', { textContent: title }), element('pre', { textContent: JSON.stringify(outline(schema, all, []), null, 2) })];
}

function parameterTable(parameters) {
  if (parameters.length === 0) return [];
  const rows = parameters.map((parameter) =>
    element('tr', {}, element('td', {}, element('code', { textContent: parameter.name })),
      element('td', { textContent: parameter.in + (parameter.required ? ', required' : '') }),
      element('td', { textContent: parameter.description || (parameter.schema && (parameter.schema.description || parameter.schema.type)) || '' })));
  return [element('h4', { textContent: 'Parameters' }), element('table', {}, ...rows)];
}

function operationOf(path, method, operation, all) {
  const success = Object.entries(operation.responses || {}).filter(([status]) => status < '300');
  const description = operation.summary || operation.description || success.map(([, response]) => response.description).join('; ');
  const node = element('details', {},
    element('summary', {}, element('span', { className: 'method', textContent: method }), element('code', { textContent: path }),
      element('span', { className: 'note', textContent: description })),
    ...parameterTable(operation.parameters || []),
    ...block('Request', operation.requestBody && operation.requestBody.content, all),
    ...success.flatMap(([status, response]) => block('Answer ' + status, response.content, all)));
  node.dataset.words = (method + ' ' + path + ' ' + description).toLowerCase();
  return node;
}

function show(description) {
  const all = (description.components && description.components.schemas) || {};
  const groups = new Map();
  for (const [path, item] of Object.entries(description.paths))
    for (const method of METHODS.filter((name) => item[name])) {
      const group = (item[method].tags || ['Other'])[0];
      groups.set(group, [...(groups.get(group) || []), operationOf(path, method, item[method], all)]);
    }
  const sections = [...groups].map(([name, nodes]) => element('section', {}, element('h2', { textContent: name }), ...nodes));
  document.getElementById('operations').replaceChildren(...sections);
}

document.getElementById('filter').addEventListener('input', (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const node of document.querySelectorAll('details')) node.hidden = !node.dataset.words.includes(wanted);
  for (const section of document.querySelectorAll('section')) section.hidden = !section.querySelector('details:not([hidden])');
});

fetch('openapi.json')
  .then((response) => (response.ok ? response.json() : Promise.reject(new Error('status ' + response.status))))
  .then(show)
  .catch((error) => document.getElementById('operations').replaceChildren('Cannot load openapi.json: ' + error.message));
`;
