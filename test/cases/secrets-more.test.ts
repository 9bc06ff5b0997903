import { describe, expect, test } from 'vitest';
import { redactConfig } from '../../src/revision/secret/redact.ts';
import { messages, onlyPath, TEMPLATES } from '../revision/layered.ts';
import { expectHidden, secretCase } from '../support/secret-cases.ts';

/** Other kinds than those of the table in `plants.ts`. */
const WORD = 'orchardlantern';
const f = (kind: string, file: string, text: string, secret = WORD) => secretCase(kind, file, text.replaceAll('@@', secret), secret);

const FILES = [
  f('docker auth base64', 'config.json', `{"auths":{"r.example":{"auth":"@@"}}}`, Buffer.from('robot:orchardlantern').toString('base64')),
  f('home-assistant api_password', 'ha.yaml', 'http:\n  api_password: @@\n'),
  f('zigbee network key list', 'z.yaml', 'advanced:\n  network_key: [11, 22, 33, 9172]\n', '9172'),
  f('lorawan appkey', 'l.json', '{"lorawan":{"AppSKey":"@@","devEui":"00"}}'),
  f('helm set', 'a.yaml', 'cmd: helm upgrade x --set db.password=@@,a=b\n'),
  f('ansible inventory', 'hosts.ini', 'r1 ansible_host=10.0.0.1 ansible_ssh_pass=@@\n'),
  f('systemd Environment', 'x.service', '[Service]\nEnvironment="PGPASSWORD=@@" "A=1"\n'),
  f('sip secret', 'sip.conf', '[100]\nsecret=@@\n'),
  f('asterisk trunk register', 'sip.conf', 'register => user:@@@sip.example\n'),
  f('fritz encrypted', 'f.export', 'wlan_pass = "@@"\n'),
  f('cisco line vty', 'r.cfg', 'line vty 0 4\n password 7 @@\n login\n'),
  f('mikrotik wpa', 'm.rsc', '/interface wireless security-profiles\nset [ find default=yes ] wpa2-pre-shared-key=@@ mode=dynamic-keys\n'),
  f('nested list of pairs', 'a.json', '[["user","x"],["passwd","@@"]]'),
  f('vault token in env block', 'a.toml', "[env]\nVAULT_TOKEN = '@@'\n"),
  f('sip uri', 'a.yaml', 'sip: sip:alice:@@@pbx.example\n'),
  f('yaml comment block', 'a.yaml', 'a: 1\n# credentials:\n#   user: x\n#   pass: @@\n'),
  f('rsyslog/omqp in XML CDATA', 'a.xml', '<auth><password><![CDATA[@@]]></password></auth>\n'),
  f('XML attribute of text child', 'a.xml', '<param type="password" id="x">@@</param>\n'),
  f('query of MQTT ws', 'a.json', '{"url":"wss://h/mqtt?username=u&passwd=@@"}'),
  f('otp seed', 'a.yaml', 'totp_seed: @@\n'),
  f('german', 'a.yaml', 'zugangsdaten:\n  benutzer: x\n  passwort: @@\n'),
  f('multi doc secret', 'a.yaml', 'a: 1\n---\nkind: Secret\ndata:\n  x: @@\n'),
  f('bash array', 'a.sh', 'PASSWORDS=(\n  "@@"\n)\n'),
  f('powershell', 'a.ps1', '$cred = ConvertTo-SecureString "@@" -AsPlainText -Force\n'),
  f('lua', 'a.lua', 'wifi.sta.config{ssid="x", pwd="@@"}\n'),
  f('grub', 'grub.cfg', 'password_pbkdf2 root grub.pbkdf2.sha512.10000.@@\n'),
  f('wifi qr', 'a.yaml', 'qr: "WIFI:T:WPA;S:net;P:@@;;"\n'),
  f('bgp yaml', 'a.yaml', 'bgp:\n  neighbors:\n    - peer: 10.0.0.1\n      auth-key: @@\n'),
  f('ios enc string', 'a.yaml', 'lines:\n  - "key-string 7 @@"\n'),
  f('csv no header', 'a.csv', 'password,@@\nhost,h\n'),
  f('rndc key', 'rndc.conf', 'key "rndc" {\n  algorithm hmac-sha256;\n  secret "@@";\n};\n'),
  f('Ansible vars become', 'a.yaml', 'ansible_become_pass: @@\n'),
  f('Terraform tfvars', 'x.tfvars', 'db_master_password = "@@"\n'),
  f('docker compose env list', 'a.yaml', 'environment:\n  - POSTGRES_PASSWORD=@@\n'),
  f('Prometheus basic auth', 'a.yaml', 'basic_auth_users:\n  alice: @@\n'),
  f('Huawei cipher', 'h.cfg', 'local-user admin password cipher @@\n'),
  f('Fortinet', 'f.cfg', 'config vpn ipsec phase1\n  set psksecret ENC @@\n'),
  f('plist', 'a.plist', '<dict>\n<key>WiFiPassword</key>\n<string>@@</string>\n</dict>\n'),
  f('SOAP in JSON', 'a.json', JSON.stringify({ xml: '<a><wsse:Password Type="x">@@</wsse:Password></a>' })),
  f('redis url', 'a.toml', 'broker = "redis://:@@@cache:6379/0"\n'),
  f('TOML inline', 'a.toml', 'wifi = { ssid = "x", passphrase = "@@" }\n'),
  f('TSV', 'a.tsv', 'id\tlogin\tcommunity string\n1\tx\t@@\n'),
  f('Mosquitto bridge', 'm.conf', 'remote_username u\nremote_password @@\n'),
  f('frigate rtsp', 'a.yaml', 'inputs:\n  - path: rtsp://admin:@@@10.0.0.3:554/stream\n'),
  f('YAML key code door', 'a.yaml', 'door:\n  code: @@\n'),
  f('YAML array under plural', 'a.yaml', 'api_keys:\n  - @@\n'),
  f('JSON with camel nesting', 'a.json', '{"smtp":{"auth":{"user":"x","pass":"@@"}}}'),
  f('XML comment', 'a.xml', '<!-- old pwd: @@ -->\n<a/>\n'),
  f('ini pppoe', 'a.ini', '[pppoe]\nuser = x\npw = @@\n'),
  f('SAS token', 'a.yaml', 'conn: "BlobEndpoint=https://x;SharedAccessSignature=sv=2020&sig=@@"\n'),
  f('snmpd.conf', 'snmpd.conf', 'rocommunity @@ 10.0.0.0/8\n'),
  f('cloud-init users', 'a.yaml', 'chpasswd:\n  list: |\n    root:@@\n'),
  f('kickstart', 'ks.cfg', 'rootpw --plaintext @@\n'),
  f('preseed', 'p.cfg', 'd-i passwd/user-password password @@\n'),
  f('hexdump of yaml binary', 'a.yaml', 'k: !!binary @@\n', Buffer.from('token=orchardlantern').toString('base64')),
  f('JSON lines', 'a.jsonl', '{"level":"info","password":"@@"}\n'),
  f('modem apn', 'a.yaml', 'apn: { name: internet, user: x, pwd: @@ }\n'),
  f('license', 'a.json', '{"licenseKey":"@@"}'),
  f('fstab cifs', 'fstab', '//h/s /m cifs username=x,password=@@ 0 0\n'),
  f('wpa_supplicant network', 'w.conf', 'network={\n  ssid="x"\n  #psk="@@"\n  psk=00ff\n}\n'),
  f('private JSON Web Key', 'a.json', '{"kty":"OKP","crv":"Ed25519","x":"abc","d":"@@"}'),
  f('lines of a pgpass file', 'pg.txt', 'db.example:5432:app:robot:@@\n'),
  f('uci option', 'wireless', "config wifi-iface\n\toption ssid 'x'\n\toption key '@@'\n"),
  f('squid login', 's.conf', 'cache_peer p.example parent 3128 0 login=bob:@@\n'),
  f('curl configuration', 'fetch.conf', 'user = "bob:@@"\n'),
  f('ntp keys', 'ntp.keys', '1 M @@\n'),
  f('chrony keys', 'chrony.keys', '1 SHA1 HEX:@@\n', '0102030405060708090A0B0C0D0E0F1011121314'),
  f('key of a payment terminal', 'p.json', '{"keys":{"kek":"@@","kcv":"A1B2C3"}}', '0123456789ABCDEF0123456789ABCDEF'),
  f('key of a reader in hexadecimal', 'b.yaml', 'reader:\n  base: @@\n', '0102030405060708090a0b0c0d0e0f10'),
  f('user name that is a key', 'h.json', '{"hue":{"username":"@@"}}', '83b7780291a6ceffbe0bd049104df'),
  f('combination of a safe', 's.yaml', 'safe: { combination: "@@" }\n', '12-34-56'),
  f('sssd', 'sssd.conf', 'ldap_default_authtok = @@\n'),
  f('RADIUS server of PAM', 'pam.conf', '10.0.0.1:1812 @@ 3\n'),
  f('Redis user', 'redis.conf', 'user bob on >@@ ~* +@all\n'),
  f('Nagios macro', 'nrpe.cfg', '$USER3$=@@\n'),
  f('token as a name', 'a.json', '{"@@": "alice"}', 'ghp_0123456789abcdefghijklmnopqrstuvwxyz'),
];

test.each(FILES)('a secret that nobody marked is hidden: $kind', expectHidden);

test.each([
  ['a checksum', 'sha256', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  ['a commit', 'commit', '1cf54e1c94b0748d74217d71a7061cf54e1c94b0'],
  ['an image', 'imageDigest', '9f86d081884c7d659a2feaa0c55ad015'],
  ['a fingerprint', 'hostFingerprint', '9f86d081884c7d659a2feaa0c55ad015'],
])('%s in hexadecimal stays, as its name says what it is', (_kind, name, value) => {
  expect(redactConfig(Buffer.from(JSON.stringify({ [name]: value })), 'a.json')).toContain(value);
});

const t = (kind: string, template: string, shows: string) => ({ kind, template, shows });
const VARIABLES = `wifi: { passphrase: orchardlantern, pin: 90817 }
list: [ { token: orchardlantern } ]
free: open
note: "use password orchardlantern"
snmp: { community: orchardlantern }
people: [ { name: a, pass: orchardlantern }, { name: b, pass: silverharbor } ]
ssid: cafe
`;

const MADE = [
  t('where/map', 'a: {{ list | map: "token" | first | slice: -7, 7 }}\n', 'lantern'),
  t('url encode in json', 'a: {{ wifi.passphrase | append: "&" | url_encode | json }}\n', 'orchardlantern%26'),
  t('dynamic name', '{% assign n = "passphrase" %}a: {{ wifi[n] | remove: "orchard" }}\n', 'lantern'),
  t('loop over object', '{% for p in wifi %}{{ p[0] }}x: {{ p[1] | upcase }}\n{% endfor %}', 'ORCHARD'),
  t('note variable', 'a: {{ note | split: " " | last | capitalize }}\n', 'Orchardlantern'),
  t('digits', 'a: {{ wifi.pin | divided_by: 100 | floor }}\n', '908'),
  t('default', 'a: {{ nope | default: wifi.passphrase | truncate: 10, ".." }}\n', 'orchardl'),
  t('case/when', 'a: {% case wifi.pin %}{% when 90817 %}ninety{% else %}x{% endcase %}\n', 'ninety'),
  t('block', 'a: |\n  ssid\n  {{ wifi.passphrase | upcase }}\n', 'ORCHARD'),
  t('anchor', 'a: &x {{ wifi.passphrase | upcase }}\nb: *x\n', 'ORCHARD'),
  t('join of map', 'a: {{ people | map: "pass" | join: "+" | upcase }}\n', 'SILVERHARBOR'),
  t('where', 'a: {% assign u = people | where: "name", "b" | first %}{{ u.pass | replace: "silver", "Silver" }}\n', 'Silverharbor'),
  t('find_index by secret', 'a: {% assign i = people | find_index: "pass", "silverharbor" %}x{{ i }}\n', 'x1'),
  t('url encoded', 'a: "snmp://{{ snmp.community | url_encode | upcase }}@h"\n', 'ORCHARDLANTERN'),
  t('json dump', 'a: {{ people | json | json }}\n', 'silverharbor'),
  t('slugify', 'a: {{ snmp.community | append: " X" | slugify }}\n', 'orchardlantern-x'),
];

describe('a secret variable is hidden', () => {
  test.each(MADE)('$kind', async ({ template, shows }) => {
    const files = { 'fleet.yaml': TEMPLATES, 'base/variables.yaml': VARIABLES, 'base/t.yaml.liquid': template };
    const path = await onlyPath(files);
    expect(messages(path)).toEqual([]);
    const text = path.texts['t.yaml'] ?? '';
    expect(text).toContain(shows);
    expect(redactConfig(Buffer.from(text), 't.yaml', path.secretPointers?.['t.yaml'])).not.toContain(shows);
  });
});
