import { test } from 'vitest';
import { expectHidden, expectUnchanged, secretCase as f } from '../support/secret-cases.ts';

const HEX = '8baf473f2f8fd09487cccbd7097c6862';

test.each([
  f(
    'key of a section of UCI',
    'a.sh',
    "uci set wireless.@wifi-iface[0].key='tor-riegel'\nuci set a.b.hostname='ap-3'\n",
    'tor-riegel',
    'ap-3',
  ),
  f('key of the last section of UCI', 'a.sh', 'uci -q set wireless.@wifi-iface[-1].key=tor-riegel\n', 'tor-riegel'),
  f('weak name below an index', 'a.conf', 'wifi[0].key = hafenwort\npeer[1].name = hans\n', 'hafenwort', 'hans'),
  f('array of C', 'a.h', 'uint8_t APPKEY[16] = { 0x4A, 0x91 };\nuint8_t APPEUI[8] = { 0x70 };\n', '0x4A', '0x70'),
  f('array of C in lines', 'a.h', 'uint8_t PROGMEM NWKSKEY[16] = {\n  0x4A,\n  0x91 };\nint port = 8883;\n', '0x91', 'port = 8883'),
  f('array of C with a weak name', 'a.h', 'uint8_t key[16] PROGMEM = {\n  0x4A };\nuint8_t key_codes[2] = { 17, 18 };\n', '0x4A', '17, 18'),
  f('text in an array of C', 'a.c', 'const char wifiPass[] = "hafenwort";\nconst char host[] = "mq.example";\n', 'hafenwort', 'mq.example'),
  f('member of PHP', 'a.php', "$cfg['db']['password'] = 'hafenwort';\n$cfg['db']['host'] = 'pg.example';\n", 'hafenwort', 'pg.example'),
  f('variable of Python', 'a.py', 'os.environ["API_TOKEN"] = "hafenwort"\nos.environ["TZ"] = "UTC"\n', 'hafenwort', 'UTC'),
  f(
    'signed query without its address',
    'a.yaml',
    'a: "SharedAccessSignature sr=hub%2Ft&sig=hafenwort%3D&se=1893"\n',
    'hafenwort',
    'se=1893',
  ),
  f('signed query in a script', 'a.sh', 'export A="SharedAccessSignature sr=hub&sig=hafenwort&se=1893"\n', 'hafenwort', 'se=1893'),
  f('secret of Stripe', 'a.env', 'HOOK_SIGNING=whsec_d41jJx_0sPqTTnB2vX7\nTZ=UTC\n', 'd41jJx', 'UTC'),
  f('password of a login file', 'a.txt', 'db:5432:pos:pos:hafenwort\n', 'hafenwort', 'db:5432'),
  f(
    'header before other settings',
    'a.sh',
    'curl -H "X-Api-Key: hafenwort" https://h.example/v2 --max-time 12\n',
    'hafenwort',
    '--max-time 12',
  ),
  f(
    'second header of a command',
    'a.sh',
    'curl -H "X-Auth: tor9" -H "X-Signature: hafenwort" https://h.example --retry 3\n',
    'hafenwort',
    '--retry 3',
  ),
  f('quoted password of a command', 'a.sh', 'sshpass -p "hafen+wort" scp a.log till@h.example:/in/\n', 'hafen+wort', 'h.example:/in/'),
  f('key of a peer', 'a.cfg', 'crypto isakmp key 6 hafenwort address 203.0.113.77\n', 'hafenwort', 'address 203.0.113.77'),
  f(
    'key of a Wi-Fi profile',
    'a.xml',
    '<sharedKey><keyType>passPhrase</keyType><keyMaterial>hafenwort</keyMaterial></sharedKey><a>1194</a>\n',
    'hafenwort',
    '1194',
  ),
  f('key of a SIM in a column', 'a.csv', `imsi,ki,sha1\n262011234567890,${HEX},${HEX.slice(0, 30)}ff\n`, HEX, `${HEX.slice(0, 30)}ff`),
  f('code in a column', 'a.csv', 'lane,pairing_code,area_code\n7,482913,49000\n', '482913', '49000'),
  f('code that pairs', 'a.yaml', 'pairing_code: 482913\nerror_code: 40417\n', '482913', '40417'),
  f('password of a share', 'a.bat', 'net use z: \\\\srv\\x /user:till hafenwort\necho ready\n', 'hafenwort', 'echo ready'),
  f('password on standard input', 'a.sh', 'kinit till <<< hafenwort\ndate -u\n', 'hafenwort', 'date -u'),
])('a secret that nobody marked is hidden: $kind', expectHidden);

test.each([
  ['a MAC address', 'a.yaml', 'mac: 3c:52:82:aa:0f:1e\n'],
  ['a MAC address in a text', 'a.txt', '3c:52:82:aa:0f:1e till-7\n'],
  ['an IPv6 address', 'a.json', '{"gateway":"fd00:10:20:30::1"}'],
  ['a network of IPv6', 'a.yaml', 'prefix: fd00:10:20:30::/64\n'],
  ['a fingerprint', 'a.txt', '16:27:ac:a5:76:28:2d:36\n'],
])('%s stays', (_kind, file, text) => expectUnchanged(file, text));
