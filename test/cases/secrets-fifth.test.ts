import { expect, test } from 'vitest';
import { redactConfig } from '../../src/revision/secret/redact.ts';

const f = (kind: string, file: string, text: string, secret: string, stays = '') => ({ kind, file, text, secret, stays });
/** What a device fills in from its environment. */
const reference = (inner: string) => `\${${inner}}`;
const HEX = '8baf473f2f8fd09487cccbd7097c6862'.repeat(4);

test.each([
  f('PIN of a SIM in a chat script', 'a.txt', 'OK AT+CPIN="48213907"\nOK ATD*99#\n', '48213907', 'ATD*99#'),
  f('PIN of a SIM in a command', 'a.sh', "echo 'AT+CPIN=4821' > /dev/ttyUSB2\nsleep 3\n", '4821', 'sleep 3'),
  f('lock of a SIM', 'a.txt', '"" AT+CLCK="SC",1,"4821"\nOK AT+CSQ\n', '4821', 'AT+CSQ'),
  f('PIN of a SIM in a value', 'a.yaml', 'init: \'AT+CPIN="4821"\'\nread: AT+CPIN?\n', '4821', 'AT+CPIN?'),
  f('key of NTP', 'a.txt', '# id type key\n7 SHA1 hafenwort\nminpoll 6\n', 'hafenwort', 'minpoll 6'),
  f('key of chrony', 'a.conf', '12 AES128 HEX:8BAF473F2F8F\nmakestep 1 3\n', '8BAF473F', 'makestep 1 3'),
  f('private identity of ZeroTier', 'a.txt', `b4a04f96d0:0:${HEX}:${HEX.slice(0, 96)}77\n`, `${HEX.slice(0, 64)}`),
  f(
    'setting among others',
    'a.ini',
    'till4 ansible_user=hans ansible_ssh_pass=hafenwort ansible_port=2222\n',
    'hafenwort',
    'ansible_port=2222',
  ),
  f('quoted setting among others', 'a.rsc', '/ppp secret add name=t3 password="hafen wort" profile=depot\n', 'hafen', 'profile=depot'),
  f('second secret among settings', 'a.ini', 'till4 user=hans pass=tor9 port=22 token=hafenwort tz=UTC\n', 'hafenwort', 'port=22'),
  f(
    'setting after a method',
    'a.rsc',
    'add mode=dynamic-keys types=wpa2-psk wpa2-pre-shared-key=hafenwort\n',
    'hafenwort',
    'types=wpa2-psk',
  ),
  f('password with an equals sign', 'a.conf', 'password=hafen tor=wort\n', 'wort'),
  f('URL in a column', 'a.csv', 'name,url,fps\nyard,rtsp://hans:hafenwort@10.3.0.13/ch1,8\n', 'hafenwort', '@10.3.0.13/ch1,8'),
  f('two secrets of a cell', 'a.csv', 'name,url\nyard,"rtsp://hans:tor99@h.example/ password=hafenwort"\n', 'hafenwort', 'yard'),
  f(
    'setting of a charging point',
    'a.json',
    '{"configurationKey":[{"key":"AuthorizationKey","value":"hafenwort"},{"key":"Beat","value":"300"}]}',
    'hafenwort',
    '300',
  ),
  f('key that opens a configuration', 'a.yaml', 'config_key: Zk4qW8nT2x\ntz: UTC\n', 'Zk4qW8nT2x', 'tz: UTC'),
  f('sentence that begins with a switch', 'a.conf', 'enable password no hafenwort\n', 'hafenwort'),
  f('default of a reference', 'a.env', `PASSWORD=${reference('DB_PASSWORD:-hafenwort')}\n`, 'hafenwort'),
  f('text with a reference', 'a.yaml', `password: "hafenwort${reference('X')}"\n`, 'hafenwort'),
])('a secret that nobody marked is hidden: $kind', ({ file, text, secret, stays }) => {
  expect(text).toContain(secret);
  const shown = redactConfig(Buffer.from(text), file);
  expect(shown).not.toContain(secret);
  expect(shown).toContain(stays);
});

test.each([
  ['a switch of SSH', 'sshd_config', 'PasswordAuthentication no\nPermitEmptyPasswords no\n'],
  ['a switch of nginx', 'a.conf', 'server_tokens off;\n'],
  ['a switch in an INI file', 'a.ini', '[login]\npassword_required = true\ntoken=null\n'],
  ['a switch below a secret section', 'a.ini', '[password]\nrequired = yes\n'],
  ['a switch of an element', 'a.xml', '<login passwordRequired="true"><useToken>off</useToken></login>\n'],
  ['the identity of a PSK', 'a.yaml', 'psk-id: till-4@depot\npskId: till-5\n'],
  ['a reference to a variable', 'a.env', `PASSWORD=${reference('DB_PASSWORD')}\n`],
  ['a reference in YAML', 'a.yaml', `password: ${reference('DB_PASSWORD')}\n`],
  ['a public identity of ZeroTier', 'a.txt', `b4a04f96d0:0:${HEX}\n`],
  ['lists of settings', 'a.json', '{"configurationKey":[{"key":"HeartbeatInterval","value":"300"}]}'],
  ['a number of hashes', 'a.txt', '256 SHA256 in 3 s\n'],
])('%s stays', (_what, file, text) => {
  expect(redactConfig(Buffer.from(text), file)).toBe(text);
});
