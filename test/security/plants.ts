import { randomBytes } from 'node:crypto';

/** Secrets that can be told from everything else, and where they come to light. */
export type Plants = {
  /** A new secret to be planted; `name` says what it is. */
  plant(name: string): string;
  /** One that somebody else made. */
  add(name: string, value: string): string;
  /** Names of those that stand in it, in clear or in a usual encoding. */
  foundIn(output: string | Uint8Array): string[];
  names(): string[];
};

export function createPlants(): Plants {
  const secrets: { name: string; needles: string[] }[] = [];
  const add = (name: string, value: string): string => {
    secrets.push({ name, needles: encodingsOf(value) });
    return value;
  };
  return {
    add,
    plant: (name) => add(name, `planted-${name.replaceAll(' ', '-')}-${randomBytes(9).toString('hex')}`),
    foundIn: (output) => {
      const text = typeof output === 'string' ? output : Buffer.from(output).toString('latin1');
      return secrets.filter(({ needles }) => needles.some((needle) => text.includes(needle))).map(({ name }) => name);
    },
    names: () => secrets.map(({ name }) => name),
  };
}

/** As it is, in a URL, in JSON, in hexadecimal, and in base64 wherever it begins in the text that was encoded. */
function encodingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const inBase64 = [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and last characters depend on what stands around it.
    const inner = encoded.slice(offset === 0 ? 0 : 4, -2);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const plain = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex'), bytes.toString('latin1')];
  return [...new Set([...plain, ...inBase64])];
}

/** One secret in a file of a kind that people commit. `secret` stands in it as the text says. */
export type PlantedFile = { kind: string; file: string; secret: string; text: string };

/** No name of a token, no digit and no sign gives it away: only where it stands does. */
const WORD = 'mulberrywagon';
const at = (kind: string, file: string, text: string, secret = WORD): PlantedFile => ({
  kind,
  file,
  secret,
  text: text.replaceAll('@@', secret),
});
const letters = 'Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7dEf0hIj3kLm6nOp9q';

const NAMES: PlantedFile[] = [
  ...[
    'adminPass',
    'dbpass',
    'user_pass',
    'pass',
    'Pwd',
    'sudo_pwd',
    'passphrase',
    'wifi_psk',
    'rocommunity',
    'psk2',
    'password_old',
    'Kennwort',
  ].map((name) => at(`YAML name ${name}`, 'a.yaml', `device:\n  ${name}: @@\n`)),
  ...[
    'sharedsecret',
    'apikey',
    'x-api-key',
    'credential',
    'private',
    'bearerToken',
    'connectionString',
    'session_cookie',
    'wpa2_passphrase',
  ].map((name) => at(`JSON name ${name}`, 'a.json', `{"${name}": "@@"}`)),
];

const GEAR: PlantedFile[] = [
  at('gear enable secret', 'r.cfg', 'hostname r1\nenable secret 5 @@\n'),
  at('gear radius key', 'r.cfg', 'radius-server host 10.0.0.1 auth-port 1812 key 7 @@\n'),
  at('gear radius block', 'r.cfg', 'radius server A\n address ipv4 10.0.0.1\n key @@\n'),
  at('gear tacacs key', 'r.cfg', 'tacacs-server key @@\n'),
  at('gear ospf md5', 'r.cfg', 'ip ospf message-digest-key 1 md5 @@\n'),
  at('gear bgp neighbor', 'r.cfg', 'neighbor 10.0.0.2 password @@\n'),
  at('gear isakmp key', 'r.cfg', 'crypto isakmp key @@ address 0.0.0.0\n'),
  at('gear snmp community', 'r.cfg', 'snmp-server community @@ RO\n'),
  at('gear snmp v3', 'r.cfg', 'snmp-server user u g v3 auth sha @@ priv aes 128 otherword\n'),
  at('gear ntp key', 'r.cfg', 'ntp authentication-key 1 md5 @@\n'),
  at('gear hsrp', 'r.cfg', 'standby 1 authentication md5 key-string @@\n'),
  at('gear commands in YAML', 'a.yaml', 'commands:\n  - username admin secret @@\n  - wpa-psk ascii 0 otherword\n'),
  at('gear wireguard', 'wg.conf', '[Interface]\nPrivateKey = @@\n'),
  at('gear ipsec.secrets line', 'vpn.txt', '10.0.0.1 %any : PSK "@@"\n'),
  at('gear hostapd', 'hostapd.conf', 'ssid=x\nwpa_passphrase=@@\n'),
  at('gear wifi key in YAML', 'a.yaml', 'wifi:\n  ssid: x\n  key: @@\n'),
  at('gear ospf in YAML', 'a.yaml', 'ospf:\n  area0:\n    authentication: @@\n'),
  at('gear radius in JSON', 'a.json', '{"radius": {"server": "h", "key": "@@"}}'),
  at('gear juniper', 'j.conf', 'set system root-authentication encrypted-password "@@"\n'),
  at('gear routeros', 'm.rsc', '/ppp secret add name=u password=@@ service=l2tp\n'),
];

const EMBEDDED: PlantedFile[] = [
  at('ini in a YAML block', 'a.yaml', 'file: |\n  [db]\n  user = x\n  passwd = @@\nport: 1\n'),
  at('env in a folded YAML block', 'a.yaml', 'env: >\n  A=1\n  DB_PASS=@@\n'),
  at('XML in a YAML block', 'a.yaml', 'config: |\n  <a>\n    <password>@@</password>\n  </a>\n'),
  at('JSON in a JSON text', 'a.json', JSON.stringify({ body: '{"user":"x","password":"@@"}' })),
  at('JSON in JSON in JSON', 'a.json', JSON.stringify({ a: JSON.stringify({ b: '{"token":"@@"}' }) })),
  at('env lines in JSON', 'a.json', JSON.stringify({ env: ['A=1', 'MQTT_PASS=@@'] })),
  at('flags in JSON', 'a.json', JSON.stringify({ args: ['--user', 'x', '--password', '@@'] })),
  at('name and value in YAML', 'a.yaml', 'env:\n  - name: DB_PASSWORD\n    value: @@\n'),
  at('name and value in JSON', 'a.json', JSON.stringify([{ key: 'apiToken', value: '@@' }])),
  at('Kubernetes secret', 'a.yaml', 'apiVersion: v1\nkind: Secret\nstringData:\n  user: @@\n'),
  at('command in YAML', 'a.yaml', 'run: mysql -u root -p@@ db\n'),
  at('curl in YAML', 'a.yaml', 'run: curl -u admin:@@ https://x.example/\n'),
  at('authorization header in YAML', 'a.yaml', 'headers:\n  - "Authorization: Bearer @@"\n'),
  at(
    'base64 of a setting',
    'a.yaml',
    `blob: ${Buffer.from(`password=${WORD}\n`).toString('base64')}\n`,
    Buffer.from(`password=${WORD}\n`).toString('base64'),
  ),
  at('connection string in JSON', 'a.json', JSON.stringify({ db: 'Server=h;User Id=sa;Password=@@;' })),
  at('comment in YAML', 'a.yaml', 'a: 1\n# the old password was @@\n'),
  at('sentence in YAML', 'a.yaml', 'note: the wifi password: @@\n'),
];

const FILES: PlantedFile[] = [
  at('XML element', 'a.xml', '<c>\n  <dbPassword>@@</dbPassword>\n</c>\n'),
  at('XML element of several lines', 'a.xml', '<c>\n  <password>\n    @@\n  </password>\n</c>\n'),
  at('XML attribute', 'a.xml', '<user name="x" pwd="@@"/>\n'),
  at('XML add key', 'app.config', '<add key="SmtpPassword" value="@@" />\n'),
  at('XML property', 'a.xml', '<property name="admin.password">@@</property>\n'),
  at('XML name and value', 'a.xml', '<name>fs.secret</name>\n<value>@@</value>\n'),
  at('CSV column', 'a.csv', 'user,password,role\nx,@@,admin\n'),
  at('CSV with semicolons', 'a.csv', 'user;pin code;psk\nx;1;"@@"\n'),
  at('CSV of settings', 'a.csv', 'name,value\nhost,h\nsnmp_community,@@\n'),
  at('TOML', 'a.toml', '[db]\npassword = "@@"\n'),
  at('TOML multi-line', 'a.toml', 'passphrase = """\n@@\n"""\n'),
  at('TOML list', 'a.toml', 'tokens = [\n  "@@",\n]\n'),
  at('TOML section', 'a.toml', '[secrets]\nmqtt = "@@"\n'),
  at('INI', 'a.ini', '[wifi]\npass=@@\n'),
  at('env', '.env', 'export SMTP_PASS=@@\n'),
  at('env multi-line', '.env', 'APP_SECRET="first\n@@\nlast"\n'),
  at('properties continued', 'a.properties', 'db.password=first\\\n  @@\n'),
  at('chap-secrets', 'ppp/chap-secrets', 'user * "@@" *\n'),
  at('netrc', 'home/.netrc', 'machine h login u password @@\n'),
  at('HCL', 'a.tf', 'variable "x" {\n  secret_key = "@@"\n}\n'),
  at('PHP', 'a.php', "define('DB_PASS', '@@');\n"),
  at('nginx header', 'a.conf', 'proxy_set_header Authorization "Basic @@";\n'),
  at('SQL', 'a.sql', "CREATE USER x IDENTIFIED BY '@@';\n"),
];

const PEM = '-----BEGIN RSA PRIVATE KEY-----\n@@\n-----END RSA PRIVATE KEY-----';
const SHAPES: PlantedFile[] = [
  at('key block in YAML', 'a.yaml', `a: |\n${PEM.replace(/^/gm, '  ')}\n`),
  at('key block in comments', 'a.yaml', `a: 1\n${PEM.replace(/^/gm, '# ')}\nb: 2\n`),
  at('key block in comments of a script', 'a.sh', `${PEM.replace(/^/gm, '# ')}\n`),
  at('PGP key block', 'k.txt', '-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n@@\n-----END PGP PRIVATE KEY BLOCK-----\n'),
  at('PuTTY key', 'k.txt', 'PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n@@\nPrivate-MAC: 00\n'),
  at(
    'OpenVPN static key',
    'v.conf',
    '<tls-auth>\n-----BEGIN OpenVPN Static key V1-----\n@@\n-----END OpenVPN Static key V1-----\n</tls-auth>\n',
  ),
  at('password in a URL', 'a.yaml', 'broker: mqtts://u:@@@h:8883\n'),
  at('password with signs in a URL', 'a.yaml', 'db: "postgres://u:a/b@@@h/db"\n'),
  at('token in a URL', 'a.json', '{"remote": "https://@@@git.example/x.git"}'),
  at('parameter of a URL', 'a.yaml', 'feed: https://h.example/x?access_token=@@\n'),
  at('signature of a URL', 'a.yaml', 'feed: https://h.example/x?se=2026&sig=@@\n'),
  at('password without a scheme', 'a.yaml', 'dsn0: root:@@@tcp(h:3306)/db\n'),
  ...Object.entries({
    GitHub: `ghp_${letters.slice(0, 36)}`,
    'GitHub fine': `github_pat_${letters}`,
    GitLab: `glpat-${letters.slice(0, 20)}`,
    Slack: `xoxb-123456789012-${letters.slice(0, 24)}`,
    AWS: 'AKIAIOSFODNN7PLANTED',
    Google: `AIza${letters.slice(0, 35)}`,
    Stripe: `sk_live_${letters.slice(0, 24)}`,
    JWT: `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.${letters.slice(0, 43)}`,
    npm: `npm_${letters.slice(0, 36)}`,
    DigitalOcean: `dop_v1_${'0a1b2c3d'.repeat(8)}`,
    'Hugging Face': `hf_${letters.slice(0, 34)}`,
    'password hash': `$6$abcdefgh$${letters}`,
  }).map(([kind, secret]) => at(`token of ${kind}`, 'a.yaml', 'note: see @@ for more\n', secret)),
];

export const PLANTED_FILES: readonly PlantedFile[] = [...NAMES, ...GEAR, ...EMBEDDED, ...FILES, ...SHAPES];

/** A template that makes something of `net.psk`, and how that reads afterwards. */
export type PlantedTemplate = { kind: string; template: string; shows: string };

const PSK = 'mulberrywagon';
/** The secret variable of `PLANTED_TEMPLATES`. */
export const PLANTED_VARIABLES = `net: { psk: ${PSK}, pin: 48151 }\nfree: open\nmap: { a: 1 }\n`;
const made = (kind: string, filter: string, shows: string): PlantedTemplate => ({
  kind,
  template: `a: "{{ net.psk }}"\nb: "{{ ${filter} }}"\nc: "{{ free }}"\n`,
  shows,
});

export const PLANTED_TEMPLATES: readonly PlantedTemplate[] = [
  made('upper case', 'net.psk | upcase', 'MULBERRYWAGON'),
  made('a slice', 'net.psk | slice: 2, 6', 'lberry'),
  made('base64', 'net.psk | base64_encode', Buffer.from(PSK).toString('base64')),
  made('reversed', 'net.psk | split: "" | reverse | join', 'n o g a w'),
  made('split and joined', 'net.psk | split: "y" | join: "-"', 'mulberr-wagon'),
  made('replaced', 'net.psk | replace: "berry", "-"', 'mul-wagon'),
  made('appended', 'net.psk | append: "@x" | prepend: "u:"', PSK),
  made('truncated', 'net.psk | truncate: 8, ""', 'mulberry'),
  made('hashed', 'net.psk | sha256 | slice: 0, 12', '96d5e79a7b76'),
  made('arithmetic', 'net.pin | plus: 1', '48152'),
  made('a remainder', 'net.pin | modulo: 1000', '"151"'),
  made('a remainder of two', 'net.pin | times: 2', '96302'),
  {
    kind: 'a loop',
    template: '{% assign all = net.psk | split: "" %}a: {{ net.psk }}\nb:\n{% for one in all %}  - {{ one }}\n{% endfor %}',
    shows: '- m\n  - u',
  },
  {
    kind: 'a capture',
    template: 'a: {{ net.psk }}\n{% capture x %}{{ net.psk | capitalize }}{% endcapture %}b: {{ x }}\n',
    shows: 'Mulberrywagon',
  },
  {
    kind: 'a condition',
    template: 'a: {{ net.psk }}\nb: {% if net.psk contains "berry" %}fruit{% else %}other{% endif %}\n',
    shows: 'fruit',
  },
  { kind: 'a comment', template: 'a: {{ net.psk }}\n# {{ net.psk | upcase }}\n', shows: 'MULBERRYWAGON' },
  { kind: 'a name', template: 'a: {{ net.psk }}\n{{ net.psk | upcase }}: 1\n', shows: 'MULBERRYWAGON' },
  {
    kind: 'the whole object',
    template: 'a: {{ net.psk }}\nb: \'{{ net | json | replace: "psk", "x" | replace: "pin", "y" }}\'\n',
    shows: PSK,
  },
];
