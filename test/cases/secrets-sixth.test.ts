import { expect, test } from 'vitest';
import { redactConfig } from '../../src/revision/secret/redact.ts';

const f = (kind: string, file: string, text: string, secret: string, stays = '') => ({ kind, file, text, secret, stays });
const TOKEN = 'qBx7Tn0WzL4sVd92KcPa';
const DATASET = '0e080000000000010000000300001035060004001fffe00208fe7bb701f5f1125d';

test.each([
  f(
    'list of cloud-init',
    'user-data',
    '#cloud-config\nchpasswd:\n  list: |\n    root:hafenwort\nhostname: a\n',
    'hafenwort',
    'hostname: a',
  ),
  f(
    'list of cloud-init in a block',
    'a.yaml',
    'user-data: |\n  chpasswd:\n    list: |\n      root:hafenwort\n  hostname: a\nx: 1\n',
    'hafenwort',
    'hostname: a',
  ),
  f('passwords behind a pipe', 'a.sh', 'cat <<END | chpasswd\nroot:hafenwort\nEND\nsleep 3\n', 'hafenwort', 'sleep 3'),
  f(
    'token in a path',
    'a.conf',
    `url = https://things.example/api/v1/${TOKEN}/telemetry\nfps = 3\n`,
    TOKEN,
    'https://things.example/api/v1/',
  ),
  f(
    'token in a path in JSON',
    'a.json',
    `{"url":"https://things.example/api/v1/${TOKEN}/rpc","fps":3}`,
    TOKEN,
    'https://things.example/api/v1/',
  ),
  f('address of a check', 'a.conf', 'ping = https://hc-ping.com/5b1f2c1e-77aa-4c0e-9f55-0d7c3a1b2c3d\nfps = 3\n', '5b1f2c1e', 'fps = 3'),
  f('token as a user', 'a.sh', `mosquitto_pub -h tb.example -u ${TOKEN}\nsleep 3\n`, TOKEN, 'tb.example'),
  f('token under any name', 'a.json', `{"enrolment":"${TOKEN}","fps":3}`, TOKEN, '"fps":3'),
  f('dataset of Thread', 'a.conf', `dataset=${DATASET}\nchannel=15\n`, DATASET, 'channel=15'),
  f('dataset of Thread in a command', 'a.sh', `ot-ctl dataset set active ${DATASET}\nsleep 3\n`, DATASET, 'dataset set active'),
  f('QR code of Matter', 'a.yaml', 'qr: MT:Y.K9042C00KA0648G00\nvendor: 65521\n', 'Y.K9042C00', '65521'),
  f('code of Matter', 'a.yaml', 'pairing_code: 3497-011-2332\nvendor: 65521\n', '011-2332', '65521'),
  f('code of HomeKit', 'a.yaml', 'homekit:\n  code: 031-45-154\nport: 51827\n', '031-45', '51827'),
  f('code of registration', 'a.json', '{"registration_code":"QW-ER-77","fps":3}', 'QW-ER', '"fps":3'),
  f('code of a kiosk', 'a.json', '{"kioskExitCode":"2580","exit_code_ok":0}', '2580', '"exit_code_ok":0'),
  f('pattern that unlocks', 'a.json', '{"unlock_pattern":"1478","pattern":"1478x"}', '"1478"', '1478x'),
  f('serial key', 'a.ini', 'license=AB12-CD34-EF56\nlicense_type=pro\n', 'AB12', 'license_type=pro'),
  f('password of MQTT in a modem', 'a.txt', 'AT+QMTCONN=0,"till-4","till","hafenwort"\nAT+CSQ\n', 'hafenwort', '"till-4"'),
  f('password of an access point', 'a.txt', 'AT+CSTT="internet","hans","hafenwort"\nAT+CSQ\n', 'hafenwort', '"internet"'),
  f('setting of a tracker', 'a.txt', 'setparam 2001:internet;2003:hafenwort\nreboot\n', 'hafenwort', '2001:internet'),
])('hides a $kind', ({ file, text, secret, stays }) => {
  const shown = redactConfig(Buffer.from(text), file);
  expect(shown).not.toContain(secret);
  expect(shown).toContain(stays);
});

test.each([
  ['a.conf', `device_id = ${TOKEN}\n`],
  ['a.json', `{"serialNumber":"${TOKEN}"}`],
  ['a.yaml', `fingerprint: SHA256:${TOKEN}aB3\n`],
  ['a.conf', 'url = https://host.example/firmware/GatewayFirmware2024Stable/edge-4.bin\n'],
  ['a.conf', 'url = https://host.example/commit/8baf473f2f8fd09487cccbd7097c68628baf473f\n'],
  ['a.conf', 'mode = AutomaticFailover2WithBackup\n'],
  ['a.pem', '-----BEGIN CERTIFICATE-----\nMIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn9dNuaTAKBggqhkjOPQQDAjASMRAw\n-----END CERTIFICATE-----\n'],
  ['a.yaml', 'country: { code: 49000 }\nlicense: Apache-2.0\n'],
  ['a.yaml', 'chpasswd: { expire: false }\nusers: [till]\n'],
  ['a.txt', 'AT+CGDCONT=1,"IP","internet"\nAT+UMQTTC=4\n'],
])('shows %s as it is: %j', (file, text) => {
  expect(redactConfig(Buffer.from(text), file)).toBe(text);
});
