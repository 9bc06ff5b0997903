import type { Emitter, Template } from 'liquidjs';
import { assert, Context, defaultOperators, Liquid, LiquidError, toValue } from 'liquidjs';
import { isRecord } from '../../../document/document.ts';
import type { ScalarNode } from '../../../document/node.ts';
import { messageOf } from '../../../errors.ts';
import { threadCpuMs } from '../../meter/cpu-limit.ts';
import { replaceFilters } from './filters.ts';
import { NoJsonNumber, uniqueValues, WrittenNumber, WrittenSwitch, writeJson } from './written.ts';

/**
 * Liquid templates, without anything that could reach outside of them or give another text tomorrow: no files, no includes, no dates, no chance.
 * Names are own properties only. A variable that is not there is an error, except in `if`, `unless` and before the filter `default`.
 */

export type RenderLimits = {
  /** Characters of the output and of everything on the way to it. */
  maxChars: number;
  /** Processor time. */
  maxMs: number;
};

export type TemplateFault = {
  rule: string;
  line?: number;
  /** End of a sentence that begins with the place: `uses the undefined variable "ntp" (column 14)`. */
  detail: string;
  /** The scalar of a variables file that is at fault. */
  variable?: ScalarNode;
};

/** `reads`: paths of the variables that it names; a name that another variable gives ends its path. */
export type UsableTemplate = { ok: true; nodes: Template[]; reads(): readonly (readonly string[])[] };

export type ParsedTemplate = UsableTemplate | { ok: false; fault: TemplateFault };

export type Rendered = { ok: true; text: string } | { ok: false; fault: TemplateFault };

const TAGS = new Set('# assign break capture case comment continue cycle decrement for if increment liquid raw unless'.split(' '));

const FILTERS = new Set(
  `abs append array_to_sentence_string at_least at_most base64_decode base64_encode capitalize ceil compact concat default divided_by downcase
  escape escape_once find find_index first floor group_by has hmac_sha256 join json last lstrip map minus modulo plus pop prepend push reject remove
  remove_first remove_last replace replace_first replace_last reverse round rstrip sha256 shift size slice slugify sort sort_natural split squish
  strip strip_newlines sum times to_integer truncate truncatewords uniq unshift upcase uri_escape url_decode url_encode where xml_escape`.split(
    /\s+/,
  ),
);

const engine = createEngine();

function createEngine(): Liquid {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    lenientIf: true,
    templates: {},
    operators: { ...defaultOperators, contains },
    outputEscape: printed,
  });
  for (const name of Object.keys(liquid.tags)) if (!TAGS.has(name)) delete liquid.tags[name];
  for (const name of Object.keys(liquid.filters)) if (!FILTERS.has(name)) liquid.unregisterFilter(name);
  liquid.registerFilter('json', json);
  liquid.registerFilter('uniq', uniq);
  replaceFilters(liquid);
  // Whatever is written, in loops and captures too, counts against the limit: the engine itself counts only what filters make.
  const { renderer } = liquid;
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  renderer.renderTemplates = (nodes, context, emitter = boundedEmitter(context)) => renderTemplates(nodes, context, emitter);
  return liquid;
}

/** A hash contains its names, as in Ruby, Python and Go. */
function* contains(left: unknown, right: unknown, context: Context): Generator<unknown, boolean, unknown> {
  const hash: unknown = toValue(left);
  if (!isRecord(hash)) return Boolean(yield defaultOperators.contains?.(left, right, context));
  const name = String(toValue(right));
  return Object.hasOwn(hash, name) && Reflect.get(hash, name) !== undefined;
}

function json(this: { context: Context }, value: unknown, space: unknown): string {
  return writeJson(value, space, (chars) => this.context.memoryLimit.use(chars));
}

function boundedEmitter(context: Context): Emitter {
  const emitter: Emitter = {
    buffer: '',
    write: (value: unknown) => {
      const text = printed(value);
      context.memoryLimit.use(text.length);
      emitter.buffer += text;
    },
  };
  return emitter;
}

function uniq(this: { context: Context }, values: unknown): unknown[] {
  const list = Array.isArray(values) ? values : values === null || values === undefined ? [] : [values];
  this.context.memoryLimit.use(list.length);
  return uniqueValues(list);
}

function printed(value: unknown): string {
  if (value instanceof WrittenNumber || value instanceof WrittenSwitch) return value.toString();
  const plain: unknown = toValue(value);
  if (plain === null || plain === undefined) return '';
  if (Array.isArray(plain)) throw new Error('prints a list: use "| json" or "| join"');
  if (typeof plain === 'object') throw new Error('prints an object: use "| json"');
  return String(plain);
}

export function parseTemplate(text: string): ParsedTemplate {
  try {
    const nodes = engine.parse(text);
    let reads: string[][] | undefined;
    return {
      ok: true,
      nodes,
      reads: () => {
        reads ??= variablesOf(nodes);
        return reads;
      },
    };
  } catch (error) {
    return { ok: false, fault: faultOf(error) };
  }
}

export function renderTemplate(nodes: Template[], scope: Readonly<Record<string, unknown>>, limits: RenderLimits): Rendered {
  try {
    // Counters stand in the scope: each text gets one of its own.
    const own: object = Object.create(null, Object.getOwnPropertyDescriptors(scope));
    const context = new Context(own, engine.options, { sync: true, memoryLimit: limits.maxChars }, { liquid: engine });
    context.renderLimit.check = cpuLimit(limits.maxMs);
    const text: unknown = engine.renderSync(nodes, context);
    return { ok: true, text: String(text) };
  } catch (error) {
    return { ok: false, fault: faultOf(error) };
  }
}

/** The engine checks before each tag. It would measure wall time, which a busy machine stretches. */
function cpuLimit(maxMs: number): (now: number) => void {
  const started = threadCpuMs();
  // A thread uses no more processor time than wall time: until then, reading the wall clock is enough.
  let nextAt = performance.now() + maxMs;
  return (now) => {
    if (now <= nextAt) return;
    const leftMs = maxMs - (threadCpuMs() - started);
    assert(leftMs > 0, 'template render limit exceeded');
    nextAt = now + leftMs;
  };
}

function variablesOf(nodes: Template[]): string[][] {
  return engine.globalVariableSegmentsSync(nodes, { partials: false }).map((segments) => {
    const end = segments.findIndex((segment) => typeof segment === 'object');
    return segments.slice(0, end === -1 ? undefined : end).map(String);
  });
}

/** The engine's message, without what it quotes of a text that it cannot read: that may be a secret. */
function faultOf(error: unknown): TemplateFault {
  const [line, column] = (LiquidError.is(error) ? error.token?.getPosition() : undefined) ?? [];
  const fault = (rule: string, detail: string): TemplateFault => ({
    rule,
    detail: column === undefined ? detail : `${detail} (column ${column})`,
    ...(line === undefined ? {} : { line }),
  });
  const cause = LiquidError.is(error) ? error.originalError : error;
  if (cause instanceof NoJsonNumber) return { ...fault('json', `cannot be rendered: ${cause.message}`), variable: cause.node };
  const message = oneLine(LiquidError.is(error) ? (error.originalError?.message ?? unplaced(error.message)) : messageOf(error));
  const limit = LIMITS.find(({ words }) => message.startsWith(words));
  if (limit !== undefined) return fault(limit.rule, limit.detail);
  if (LiquidError.is(error) && error.name === 'UndefinedVariableError')
    return fault('undefined_variable', `uses the variable "${message.replace(/^undefined variable: /, '')}", which is not there`);
  return fault('template', `cannot be rendered: ${message}`);
}

const LIMITS = [
  { words: 'memory alloc limit', rule: 'maxTemplateChars', detail: 'makes more text than a template may' },
  { words: 'template render limit', rule: 'maxValidationMs', detail: 'takes longer to render than a folder may take in all' },
];

function unplaced(message: string): string {
  return message.replace(/, line:\d+, col:\d+$/, '').replace(/:? ".*"/s, '');
}

function oneLine(message: string): string {
  return message.replace(/\s+/g, ' ').slice(0, 200);
}
