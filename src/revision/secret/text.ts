import { gearEnd } from './gear.ts';
import { bare, isOpenMember, isOpenValue, isSwitch, isValueOfSetting, startsWithSwitch } from './open.ts';
import { isOpenRandom, isRandom, isSecretName, isSecretValue, looksSecret, REDACTED } from './secret.ts';
import { isToken, shapeStart, withoutUrlSecrets } from './shapes.ts';
import { wordsOf } from './words.ts';

/** Secrets in text that is neither JSON nor YAML as a whole. All expressions are linear in the length of a line. */

/** `name = value`, `name: value` and `name value`, keys in PEM form, tokens, URLs with passwords, elements of XML. Lines stay. */
export function redactLines(text: string): string {
  const state: State = { until: null, valueOf: 0, section: false, sectionName: '', namesCommunities: false, passwordsBelow: -1 };
  return text
    .split('\n')
    .map((line) => nextLine(line, state))
    .join('\n');
}

/** `until`: what ends a value of several lines. `valueOf`: how many lines on the value of a named secret may stand. `section`: all below it is secret. `namesCommunities`: names are secret in this menu of RouterOS. `passwordsBelow`: the indentation of `chpasswd:` of cloud-init; -1 outside of it. */
type State = {
  until: ((line: string) => boolean) | null;
  valueOf: number;
  section: boolean;
  sectionName: string;
  namesCommunities: boolean;
  passwordsBelow: number;
};

function nextLine(line: string, state: State): string {
  if (state.until !== null) {
    if (state.until(line)) state.until = null;
    return line.trim() === '' ? line : REDACTED;
  }
  const block = blockEnd(line);
  if (block !== null) {
    state.until = block(line) ? null : block;
    return REDACTED;
  }
  const section = /^\s{0,64}\[{1,2}\s{0,9}["']?([^\]"']{1,200})["']?\s{0,9}\]{1,2}\s{0,64}(?:[#;].*)?$/.exec(line);
  if (section !== null) {
    state.sectionName = section[1] ?? '';
    state.section = state.sectionName.split(/[.:\s/]/).some(isSecretName);
    return line;
  }
  const pair = state.section ? /^\s{0,64}(?![#;])[^\s=:][^=:]{0,128}\s{0,32}[=:]\s{0,32}(?=\S)/.exec(line)?.[0] : undefined;
  if (pair !== undefined && pair.length < line.length && !isOpenPair(pair, line)) return pair + REDACTED;
  const listed = listedPasswordEnd(line, state);
  if (listed !== undefined) return line.slice(0, listed) + REDACTED;
  const community = communityEnd(line, state);
  if (community !== undefined) return line.slice(0, community) + REDACTED;
  state.valueOf -= 1;
  if (state.valueOf > 0 && OPENS_VALUE.test(line)) {
    state.until = (next) => next.includes('<');
    return line;
  }
  const value = state.valueOf > 0 ? VALUE_LINE.exec(line) : null;
  const shown = value === null ? redactLine(line, state.sectionName) : (value[1] ?? '') + REDACTED;
  const name = NAME_LINE.exec(line);
  if (isSecretName(name?.[1] ?? '')) state.valueOf = 4;
  if (value !== null && line.includes('<')) state.valueOf = 0;
  // `redactMarkup` hides the value in the tag of the name.
  if (name?.[0].includes('=') && /^[^<>]{0,512}\/>/.test(line.slice(name.index + name[0].length))) state.valueOf = 0;
  const sameLine = name === null || state.valueOf < 4 ? null : VALUE_LINE.exec(line.slice(name.index + name[0].length));
  if (sameLine !== null) state.valueOf = 0;
  if (name !== null && sameLine !== null)
    return redactLine(line.slice(0, name.index + name[0].length), state.sectionName) + (sameLine[1] ?? '') + REDACTED;
  if (shown !== line || opensElement(line) || READS_PASSWORDS.test(line)) state.until = valueEnd(line);
  return shown;
}

/** `token_endpoint = …` below `[tokens]`. */
function isOpenPair(pair: string, line: string): boolean {
  const name = /[\p{L}\p{N}_.-]+/u.exec(pair)?.[0] ?? '';
  const value = line.slice(pair.length);
  return isSwitch(bare(value)) || (isSecretName(name) ? isOpenValue(name, value) : isOpenMember(name, value));
}

/** `root:hafenwort` in the list below `chpasswd:` of cloud-init. */
function listedPasswordEnd(line: string, state: State): number | undefined {
  const depth = line.search(/\S/);
  if (depth !== -1 && depth <= state.passwordsBelow) state.passwordsBelow = -1;
  if (/^\s{0,64}chpasswd:\s{0,9}$/.test(line)) state.passwordsBelow = depth;
  else if (state.passwordsBelow !== -1) return /^\s{1,64}(?:-\s{1,9})?["']?[\w.-]{1,64}:(?=\S)/.exec(line)?.[0].length;
  return undefined;
}

/** The name of a community of SNMP in RouterOS is the community itself. */
function communityEnd(line: string, state: State): number | undefined {
  if (line.startsWith('/')) state.namesCommunities = /^\/snmp[ /]community\b/.test(line);
  return state.namesCommunities ? /\bname=(?=\S)/.exec(line)?.index : undefined;
}

/** `- name: DB_PASSWORD`, and the value follows. */
const NAME_LINE =
  /(?:^|[\s{,;<"'])(?:name|key|option|variable|setting|param|parameter|id|field|label)["']?\s{0,9}[:=>]\s{0,9}["']?([\w.-]{2,128})["']?/i;
const VALUE_LINE = /^(.{0,200}?(?:value|val|content|default|text|string|data)["']?\s{0,9}[:=>]\s{0,9})\S/i;

/** `<value>` at the end of a line. */
const OPENS_VALUE = /<(?:value|val|string|data|content|text)>\s{0,9}$/i;

/** Keys that take several lines. null: none begins here. */
function blockEnd(line: string): ((line: string) => boolean) | null {
  if (!/BEGIN|PuTTY-User-Key|Private-Lines|<(?:tls-auth|tls-crypt(?:-v2)?|secret|key|auth-user-pass|pkcs12)>/.test(line)) return null;
  if (/BEGIN[^-]{0,64}(?:PRIVATE KEY|Static key)/i.test(line)) return (next) => /-----?\s?END/i.test(next);
  if (line.includes('PuTTY-User-Key') || line.includes('Private-Lines')) return (next) => next.startsWith('Private-MAC');
  const tag = /<(tls-auth|tls-crypt(?:-v2)?|secret|key|auth-user-pass|pkcs12)>\s*$/.exec(line)?.[1];
  return tag === undefined ? null : (next) => next.includes(`</${tag}>`);
}

/** Returns the test for the last line of a secret value that continues after its first line; null for a value of one line. */
function valueEnd(line: string): ((line: string) => boolean) | null {
  const triple = ['"""', "'''"].find((quotes) => line.split(quotes).length === 2);
  if (triple !== undefined) return (next) => next.includes(triple);
  if (/\\\s*$/.test(line)) return (next) => !/\\\s*$/.test(next);
  const heredoc = /(?<!<)<<-?~?\s{0,9}["']?(\w{1,64})["']?\s*(?:\|.{0,200})?$/.exec(line)?.[1];
  if (heredoc !== undefined) return (next) => next.trim() === heredoc;
  const tag = /^<([\w:.-]{1,128})(?:\s[^<>]{0,512})?(?<!\/)>[^<]*$/.exec(line.slice(Math.max(line.lastIndexOf('<'), 0)))?.[1];
  if (tag !== undefined) return (next) => next.includes('<');
  if (/^[^=:]{0,200}(?:=\(|[=:]\s{0,20}[[{])[^\]})]*$/.test(line)) return (next) => /[\]})]/.test(next);
  const [begin, open] = /^\s{0,64}["']?[^=:"']{0,200}["']?\s{0,9}[=:]\s{0,20}(["'])/.exec(line) ?? [];
  if (begin !== undefined && open !== undefined && !line.slice(begin.length).includes(open)) return (next) => next.includes(open);
  return /^[\s\w."'-]{1,128}[:=]\s*[|>][+-]?\d?\s*$/.test(line) ? indentedBelow(line) : null;
}

/** `cat <<END | chpasswd`, and lines of passwords follow. */
const READS_PASSWORDS = /<<.{0,64}\|\s{0,9}(?:sudo\s{1,9})?chpasswd\b/;

/** `<password>` at the end of a line. */
function opensElement(line: string): boolean {
  const begin = line.lastIndexOf('<');
  const tag = begin === -1 ? null : /^<([\w:.-]{1,128})(?:\s[^<>]{0,512})?>\s*$/.exec(line.slice(begin));
  return tag !== null && isSecretName(tag[1] ?? '');
}

/** A block of YAML inside of a text. */
function indentedBelow(line: string): (next: string) => boolean {
  const depth = line.search(/\S/);
  return (next) => next.trim() !== '' && next.search(/\S/) <= depth;
}

const NAMED_VALUE =
  /^([^\p{L}\p{N}_]{0,64}(?:uci\s{1,9}(?:-\w\s{1,9})?)?(?:(?:export|set|add_list|option|let|var|const|env|arg)\s{1,32})?["']?((?:[\p{L}\p{N}_.-]|(?<=\.)@|\[-?\d{1,4}\]\.){1,128})(?:\[\w{0,32}\]|\])?\\{0,4}["']?\]?(?:\s{0,32}(?:[:=]+>?|,|\()\s{0,32}|\s{1,32}))\S/iu;
const LATER_VALUE =
  /(?<![\p{L}\p{N}_.-])([\p{L}\p{N}_.-]{1,256})(?:\[\w{0,32}\]|\])?\\{0,4}["']?\]?(?:\s{0,64}(?:[:=]+>?|,|\()\s{0,64}|\s{1,64})(?=\S)/gu;

/**
 * @param section the heading above the line, which says what its names are about.
 * @param rounds how many secrets of one line are hidden each for itself. Behind the last one the rest of the line is hidden as well.
 */
export function redactLine(text: string, section = '', rounds = 4): string {
  const line = withoutUrlSecrets(text, REDACTED, isSecretName);
  if (looksSecret(line)) return beforeShape(line, section);
  const menu = MENU.exec(line)?.[0];
  if (menu !== undefined) return menu + redactLine(line.slice(menu.length), section);
  const element = redactMarkup(line);
  if (element !== line) return element;
  const [, head = '', name = ''] = NAMED_VALUE.exec(line) ?? [];
  const value = bare(line.slice(head.length));
  const isHidden = line.startsWith(REDACTED, head.length);
  if (isSecretName(name) && !isHidden)
    return isSwitch(value) || isOpenValue(name, value) ? line : withoutSecretAt(head.length, line, section, rounds);
  const isSecret = /^\S{4,}$/.test(value) && ((value.length <= 128 && isSecretValue([section, name], value)) || looksSecret(value));
  if (isSecret && /[=:]/.test(head)) return head + REDACTED;
  // `user admin password hunter2`: from the secret word on, all is hidden.
  const ends = [namedEnd(line, LATER_VALUE), gearEnd(line), namedEnd(line, DESCRIBED), tokenEnd(line)];
  const found = ends.filter((end) => end !== undefined);
  return found.length === 0 ? line : withoutSecretAt(Math.min(...found), line, section, rounds);
}

function withoutSecretAt(start: number, line: string, section: string, rounds: number): string {
  const head = line.slice(0, start);
  const end = rounds === 0 || line.startsWith(REDACTED, start) ? undefined : knownEnd(head, line.slice(start));
  return end === undefined ? head + REDACTED : redactLine(head + REDACTED + line.slice(start + end), section, rounds - 1);
}

/** Where a secret ends for certain: `--token x --interval 30s`, `-u user:x https://…`, `"A_TOKEN=x" "B=y"`, `-H "X-Token: x" …`, `;Password=x;Encrypt=true`, `a=1 password=x b=2`. */
function knownEnd(head: string, rest: string): number | undefined {
  const before = head.slice(-100);
  if (/(?:^|\s)-{1,2}[\w.-]{1,64}[= ](?:[a-z._-]{2,20}:)?$/.test(before)) {
    const quoted = /^(?:"[^"\\$`]{1,512}"|'[^']{1,512}')(?=\s)/.exec(rest)?.[0].length;
    if (quoted !== undefined) return quoted;
    return /^[\w.!#%+,/:=?@^~-]{1,512}(?=\s(?:-{1,2}[A-Za-z]|https?:))/.exec(rest)?.[0].length;
  }
  if (/\bisakmp key (?:\d )?$/.test(before)) return /^(?:\d )?[^\s"']{1,128}(?=\s(?:address|hostname)\s)/.exec(rest)?.[0].length;
  if (/;\s?[\w .-]{1,40}[= ]$/.test(before)) return /^[^;"'\s]{1,512}(?=;\s?[A-Za-z][\w .-]{0,40}[= ])/.exec(rest)?.[0].length;
  if (/[\w.-]=\S.*\s[\w.-]{1,64}=$/.test(before))
    return /^(?:"[^"\\$`]{1,512}"|'[^']{1,512}'|[^\s"']{1,512})(?=\s[\w.-]{1,64}=\S)/.exec(rest)?.[0].length;
  const quote = /(?:^|[\s=])(["'])[\w.-]{2,64}(?:=|:\s{0,2})$/.exec(before)?.[1];
  const value = quote === undefined ? undefined : /^[^"'\\]{1,512}/.exec(rest)?.[0];
  return value !== undefined && rest[value.length] === quote && /^.(?:\s|$)/.test(rest.slice(value.length)) ? value.length : undefined;
}

/** `/ppp secret` is a menu of RouterOS, whose settings follow. */
const MENU = /^\/[a-z][a-z0-9 /-]{1,80}?\s(?=(?:add|set|remove|edit)\s)/;

/** A line up to a token, a hash or the like. */
function beforeShape(line: string, section: string): string {
  const head = line.slice(0, shapeStart(line));
  if (head.trim() === '') return REDACTED;
  const shown = redactLine(head, section);
  return shown.endsWith(REDACTED) ? shown : shown + REDACTED;
}

const JDBC = /^[a-z\d]{2,20}:\/\/[\w.,-]{1,200}(?::\d{1,5})?(?:[/;?][^@]{0,512})?$/i;

/** Where the first value with a secret name begins. */
function namedEnd(line: string, names: RegExp): number | undefined {
  for (const { 0: match, 1: name = '', index } of line.matchAll(names)) {
    if (!isSecretName(name)) continue;
    const end = index + match.length;
    if (line.startsWith(REDACTED, end) || isValueOfSetting(line, index, name)) continue;
    const rest = line.slice(end, end + 512);
    // The password of such an address has a name of its own.
    if (/jdbc$/i.test(name) && JDBC.test(rest)) continue;
    if (!startsWithSwitch(rest) && !isOpenValue(name, rest) && !isOpenValue(name, /^\S+/.exec(rest)?.[0] ?? '')) return end;
  }
  return undefined;
}

const WORD = /(?<=[\s"'=:,(])[\w-]{20,256}(?=$|[\s"',;)])/g;

/** Where a token stands whose name does not say that everybody may see it. */
function tokenEnd(line: string): number | undefined {
  for (const { 0: word, index } of line.matchAll(WORD)) {
    if (!isToken(word) || word.startsWith('AAAA')) continue;
    const name = /([\w.-]{1,64})["']?\s{0,9}[=:\s]\s{0,9}["']?$/.exec(line.slice(Math.max(index - 80, 0), index))?.[1] ?? '';
    if (!isOpenRandom(wordsOf(name))) return index;
  }
  return undefined;
}

/** `Password (admin): x`, `pin for the safe = 1234`: words between the name and its value. */
const DESCRIBED = /(?<![\p{L}\p{N}_.-])([\p{L}\p{N}_.-]{2,64})(?:\s[^\n:=]{0,60})?[:=](?!\/\/)\s{0,9}(?=\S)/gu;

const ATTRIBUTE = /([\w:.-]{1,128})(\s{0,9}=\s{0,9})("[^"]{0,4000}"?|'[^']{0,4000}'?)/g;
const ELEMENT = /<([\w:.-]{1,128})((?:\s[^<>]{0,2000})?)>((?:<!\[CDATA\[)?[^<]{1,8000})/g;
/** `<name>DB_PASSWORD</name><value>x`. */
const NAMED_ELEMENT =
  /(<(?:name|key|option|setting|param|property)>\s{0,9}([\w.-]{2,128})\s{0,9}<\/\w{1,16}>\s{0,20}<[\w:.-]{1,64}>)[^<]{1,4000}/gi;
/** `<pre-shared-key><key>x`. */
const INNER_ELEMENT = /(<([\w:.-]{1,128})>\s{0,20}<[\w:.-]{1,64}>)[^<\s][^<]{0,4000}/g;
const NAMING_ATTRIBUTE = /(?:name|key|id|property|field|option|param|type|class)\s{0,9}=\s{0,9}["']([^"']{1,128})["']/gi;

/** `<password>x</password>`, `<user password="x"/>`, `<add key="ApiKey" value="x"/>`, `<property name="password">x</property>`. */
function redactMarkup(line: string): string {
  if (!line.includes('<')) return line;
  return line
    .replace(/<[\w:.-]{1,128}\s[^<>]{0,4000}>?/g, (tag) => {
      const isNamed = [...tag.matchAll(NAMING_ATTRIBUTE)].some(([, name = '']) => isSecretName(name));
      return tag.replace(ATTRIBUTE, (whole, name: string, sign: string, value: string) => {
        const isSecret = isSecretName(name) || (isNamed && /^(?:value|val|content|default|data)$/i.test(name));
        return isSecret && value.length > 2 && !isSwitch(bare(value)) ? `${name}${sign}"${REDACTED}"` : whole;
      });
    })
    .replace(NAMED_ELEMENT, (whole, head: string, name: string) => (isSecretName(name) ? `${head}${REDACTED}` : whole))
    .replace(INNER_ELEMENT, (whole, head: string, name: string) => (isSecretName(name) ? `${head}${REDACTED}` : whole))
    .replace(ELEMENT, (whole, name: string, attributes: string, text: string) => {
      const isNamed = [...attributes.matchAll(NAMING_ATTRIBUTE)].some(([, given = '']) => isSecretName(given));
      const hasValue = text.trim() !== '' && !isSwitch(text.trim());
      return hasValue && (isNamed || isSecretName(name) || looksSecret(text.trim())) ? `<${name}${attributes}>${REDACTED}` : whole;
    });
}

/** Words after a secret's name in a sentence about it. */
const PROSE = new Set(
  'a an the of is are was be been for from to in on at by and or nor not no must may can cannot should shall will would has have with without as it its this that these those which when where if then than until after before policy policies length rule rules reset change changes changed login prompt field fields file files required optional expired expires rotation manager protected hash hashes protocol server auth authentication mode only too here there per via every each any all never always stays you your we our they their users scheme header'.split(
    ' ',
  ),
);

/** Whether a text that is one value of a document holds a secret: a setting, a command line, an element, a document of its own. */
export function holdsSecret(value: unknown): boolean {
  if (typeof value !== 'string' || value.length < MIN_TEXT_CHARS) return false;
  if (looksSecret(value)) return true;
  if (!/[\s=:<,({]/.test(value)) return false;
  if (redactMarkup(value) !== value || (value.includes('chpasswd') && redactLines(value) !== value)) return true;
  return value.split('\n').some(lineHolds);
}

const MIN_TEXT_CHARS = 6;
const ASSIGNED = /([\p{L}\p{N}_.-]{2,128})(?:\[\w{0,32}\]|\])?\\{0,4}["']?\]?\s{0,32}(?:[:=]+>?)\s{0,32}(?=(\S{1,256}))/gu;

function lineHolds(line: string): boolean {
  if (gearEnd(line) !== undefined || tokenEnd(line) !== undefined) return true;
  if (
    [...line.matchAll(ASSIGNED)].some(
      ([, name = '', value = '']) => isSecretName(name) && !/^["']?(?:true|false|null|[,;)}\]])/i.test(value) && !isOpenValue(name, value),
    )
  )
    return true;
  const words = line.split(/\s+/);
  return words.some((word, index) => {
    const name = word.replace(/^-{1,2}|["',;:]+$/g, '');
    const next = words[index + 1];
    if (next === undefined || !isSecretName(name)) return false;
    if (!PROSE.has(next.toLowerCase().replace(/[.,;:!?]+$/, ''))) return true;
    return words.slice(index + 2, index + 5).some((later) => isRandom(later));
  });
}
