import { expect, test } from 'vitest';
import { redactConfig } from '../../src/revision/secret/redact.ts';

const f = (kind: string, file: string, text: string, secret: string, stays = '') => ({ kind, file, text, secret, stays });
const HEX = '000102030405060708090a0b0c0d0e0f';
const RANDOM = 'x7Fq2Zx9Lm4Wp8Rt1Vb6';

test.each([
  f('password in Polish', 'a.json', '{"hasło":"brama-17"}', 'brama-17'),
  f('password in Czech', 'a.yaml', 'heslo: zelena-vez-4\n', 'zelena-vez-4'),
  f('password in Russian', 'a.ini', 'пароль=мост-восемь-9\n', 'мост-восемь-9'),
  f('password in Japanese', 'a.yaml', 'パスワード: hashi-99-ao\n', 'hashi-99-ao'),
  f('password in Korean', 'a.yaml', '비밀번호: dari-77\n', 'dari-77'),
  f('key of Wi-Fi in Spanish', 'a.json', '{"clave_wifi":"puerta 9 sur","clavePais":"Peru"}', 'puerta 9 sur', 'Peru'),
  f('code of a door in German', 'a.yaml', 'türcode: 55192\n', '55192'),
  f('code of a printer', 'a.ini', '[hp-lager]\nrelease_code=20485\nppm=43\n', '20485', 'ppm=43'),
  f('code of an alarm', 'a.yaml', 'duress_code: 7734\nerror_code: 40417\n', '7734', '40417'),
  f('card of a door', 'a.toml', '[door]\nmaster_card = "04A1B2C3D4E5"\nmodel = "TX-900"\n', '04A1B2C3D4E5', 'TX-900'),
  f('PINs by place', 'a.yaml', 'pins: { front: 7091 }\ngpio_pins: { led: 17 }\n', '7091', '17'),
  f('weak name below a section', 'a.ini', '[hmac]\nsalt=salz-korn-12\nalgorithm=sha512\n', 'salz-korn-12', 'sha512'),
  f(
    'key in hexadecimal in a text',
    'a.env',
    `PAGER_AUTH=7c3e9a1f5b8d2046e1c3a5f7092b4d68\nBUILD_COMMIT=${HEX}\n`,
    '7c3e9a1f5b8d2046e1c3a5f7092b4d68',
    HEX,
  ),
  f(
    'webhook of chat',
    'a.yaml',
    `chat_hook: https://chat.example/hooks/${RANDOM}\nhook: https://ops.example/hooks/config-changed\n`,
    RANDOM,
    'config-changed',
  ),
  f(
    'community of RouterOS',
    'a.rsc',
    '/snmp community\nset [ find default=yes ] name=tikLesen5\n/ip pool\nadd name=pool-gast\n',
    'tikLesen5',
    'pool-gast',
  ),
  f('community of RouterOS in one line', 'a.rsc', '/snmp community add name=tik-Schreib-5\n', 'tik-Schreib-5'),
  f('token of TerminAttr', 'a.cfg', 'exec /usr/bin/TerminAttr -cvaddr=10.2.2.2:9910 -cvauth=key,cvStern83\n', 'cvStern83', '10.2.2.2:9910'),
  f('key of fast roaming', 'a.uci', `\toption r0kh '02:11:22:33:44:55,r0,${HEX}'\n`, HEX, '02:11:22:33:44:55'),
  f(
    'user of curl with its path',
    'a.service',
    'ExecStart=/usr/bin/curl -s -u sync:Umlauf33 https://f.example\n',
    'Umlauf33',
    '/usr/bin/curl',
  ),
  f('users of statistics of HAProxy', 'haproxy.cfg', 'stats auth admin:statsBlick5\nbind :8080\n', 'statsBlick5', ':8080'),
  f('word of secure links', 'nginx.conf', 'secure_link_md5 "$uri linkSalz73";\nlisten 8443;\n', 'linkSalz73', 'listen 8443'),
  f('relay of mail', 'relay.txt', '[smtp.example]:587 till:mailRelais7\n', 'mailRelais7', 'smtp.example'),
  f('relay of mail by its file', 'sasl_passwd', 'smtp.example till:mailRelais7\n', 'mailRelais7'),
  f('line of PPP', 'ppp.txt', 'filiale12 * "chapWort12" *\n5 * * * /usr/bin/backup\n', 'chapWort12', '/usr/bin/backup'),
  f('argument of a list', 'a.yaml', 'test: ["CMD", "redis-cli", "-a", "redisWanne8", "ping"]\n', 'redisWanne8', 'ping'),
  f('argument of a list in JSON', 'a.json', '["snmpwalk","-v2c","-c","lese-Netz-6","10.0.0.1"]', 'lese-Netz-6', '-v2c'),
  f(
    'name below tokens',
    'a.json',
    '{"tokens":{"tokKey-4417-azur":"till-1"},"deviceTokens":{"till-0042":"x1"}}',
    'tokKey-4417-azur',
    'till-0042',
  ),
  f('password of a URL', 'a.ini', 'dburl=mysql://a:pw/with@at@10.1.1.1:3306/x\n', 'pw/with@at', '10.1.1.1:3306'),
  f('password of a URL in YAML', 'a.yaml', 'db: postgres://kasse:a/b@c:d@db1:5432/shop\n', 'a/b@c:d', 'db1:5432/shop'),
  f('second secret of a URL', 'a.yaml', 'db: https://a:one77@h.example/?access_token=two88\n', 'two88'),
  f('password under a name of a path', 'a.ini', 'password_file=hunter22xyz\n', 'hunter22xyz'),
  f('password under a name of a mode', 'a.yaml', 'secret_mode: Tiger77!\n', 'Tiger77!'),
  f('password in Italian', 'a.ini', '[accesso]\nparola_chiave = Mole-Torre\nlingua = it\n', 'Mole-Torre', 'lingua = it'),
  f('password in French', 'a.yaml', 'mdp_admin: riviere-bleue\ndelai_expiration_mdp: 180\n', 'riviere-bleue', '180'),
  f('code of a gate in Dutch', 'a.ini', 'toegangscode = 490217\n', '490217'),
  f('word for key in a section', 'a.ini', '[netwerk]\nsleutel = domtoren-rood\nvlan = 3142\n', 'domtoren-rood', '3142'),
  f('failover key of ASA', 'a.cfg', 'failover key asaEins9\nfailover lan unit primary\n', 'asaEins9', 'unit primary'),
  f('login in a note', 'a.md', 'Login: admin / fieldKauz22\n', 'fieldKauz22', 'admin'),
  f('secret of RouterOS', 'a.rsc', '/ppp secret add name=lte-backup password=Wiesel-4\n', 'Wiesel-4', 'lte-backup'),
  f('flag of a command', 'a.yaml', 'command: agent --token iFx-7qLm --org depot-org\n', 'iFx-7qLm', 'depot-org'),
  f('setting of systemd', 'a.service', 'Environment="MQTT_PASSWORD=dohle" "MQTT_HOST=mq.example"\n', 'dohle', 'mq.example'),
  f('hash of a user', 'a.cfg', 'username netops secret 5 $1$wPq2$3kL0c8yE1u7v5Q9mZrTfB/\n', 'wPq2', 'username netops'),
  f('signature of a URL', 'a.toml', 'url = "https://h.example/in?sig=Zx81kqLm&site=depot-9"\n', 'Zx81kqLm', 'site=depot-9'),
  f('address of a monitor', 'a.env', 'SENTRY_DSN=https://4c1fe2a09b7d@sentry.example/12\n', '4c1fe2a09b7d', 'sentry.example'),
  f('PIN of a person named Max', 'a.yaml', 'pins: { max_mustermann: 4711 }\n', '4711'),
  f('PIN of an administrator', 'a.yaml', 'pin_admin: 4711\npin_led: 17\n', '4711', 'pin_led: 17'),
  f('PIN of a garage', 'a.ini', 'pin_garage = 4712\npin_length = 6\n', '4712', 'pin_length = 6'),
  f('password under a name of an address', 'a.yaml', 'password_server: sommer.2024\n', 'sommer.2024'),
  f('password of a user', 'a.yaml', 'password_user: tiger\n', 'tiger'),
  f('item of a secret', 'a.json', '{"secret":{"items":[{"key":"a","value":"tiger"}]}}', 'tiger'),
  f('token in French', 'a.yaml', 'jeton: pont-7741\nidentifiant: pont-3\n', 'pont-7741', 'pont-3'),
  f('token of access in Italian', 'a.json', '{"tokenAccesso":"lanterna-9","codiceErrore":"E4021"}', 'lanterna-9', 'E4021'),
  f('key in an element of a key', 'a.xml', '<pre-shared-key><key>hafen-7</key></pre-shared-key><mode>main</mode>\n', 'hafen-7'),
  f('hash of a user of Aruba', 'a.cfg', 'mgmt-user helpdesk root a7f3c9d2e1b4865f\n', 'a7f3c9d2e1b4865f', 'helpdesk'),
  f('list of cards', 'a.json', '{"rfid":{"whitelist":["04A2B3C4D5"],"reader":"TX-900"}}', '04A2B3C4D5', 'TX-900'),
  f('dataset of Thread', 'a.json', `{"threadDataset":"${HEX.repeat(7)}","channel":15}`, HEX.repeat(7), '15'),
  f('network in a note', 'a.txt', 'WLAN: Depot-Gast / gastWort2024\n', 'gastWort2024', 'Depot-Gast'),
  f('arrow in a note', 'a.txt', 'Router admin -> hafenwort\n', 'hafenwort', 'Router admin'),
  f('code in a note', 'a.txt', 'Master code alarm panel: 4455\nError code: 404\n', '4455', 'Error code: 404'),
  f('header of a command', 'a.sh', 'curl -H "X-Auth: hafenwort" https://api.example/v1\n', 'hafenwort'),
  f('phrase of a new key', 'a.sh', 'ssh-keygen -t ed25519 -N hafenwort -f /root/k\n', 'hafenwort', 'ed25519'),
  f('user of FTP', 'a.sh', 'ftp -u till:hafenwort host\n', 'hafenwort', 'till:'),
  f('mailbox of Asterisk', 'a.conf', '[voicemail]\n4712 => 6611,Anna\n', '6611', '4712'),
  f('communities in columns', 'a.csv', 'device,snmp_ro,snmp_rw,os\nsw1,lesewort,hafenwort,15.2\n', 'lesewort', '15.2'),
  f('key of Lancom', 'a.lcs', '/Setup/WLAN/Encryption Ifc:WLAN-1 Key:"hafenwort"\n', 'hafenwort', 'WLAN-1'),
  f('encoded key of an account', 'a.yaml', 'eab: { kid: kid-7, hmacEncoded: Lm2QxVtYw9ZkPq }\n', 'Lm2QxVtYw9ZkPq', 'kid-7'),
  f(
    'key in base64 in an element',
    'a.xml',
    `<tls>${btoa('-----BEGIN PRIVATE KEY-----')}</tls><port>1194</port>\n`,
    btoa('-----BEGIN PRIVATE KEY-----'),
    '1194',
  ),
  f('commands between semicolons', 'a.txt', 'Backlog SSID1 Depot; Password1 hafenwort; MqttHost mq.example\n', 'hafenwort', 'mq.example'),
  f('settings between semicolons', 'a.yaml', 'a: Server=sql;Uid=u;Password=hafenwort;Encrypt=true\n', 'hafenwort', 'Server=sql;Uid=u'),
  f('parameters in one line', 'a.xml', '<p name="LockPin" value="2580"/><p name="Brightness" value="70"/>\n', '2580', '"70"'),
  f('name and value in one line', 'a.xml', '<a password="x11x"/><name>DB_PASSWORD</name><value>y22y</value>\n', 'y22y'),
  f('attribute before a name and a value', 'a.xml', '<a password="x11x"/><name>DB_PASSWORD</name><value>y22y</value>\n', 'x11x'),
  f('value in its own line', 'a.xml', '<name>DB_PASSWORD</name>\n<value>\n y22y\n</value>\n<port>1194</port>\n', 'y22y', '1194'),
  f(
    'property list',
    'a.plist',
    '<key>SharedSecret</key>\n<string>hafenwort</string>\n<key>UserName</key>\n<string>till</string>\n',
    'hafenwort',
    'till',
  ),
  f(
    'settings of a database',
    'a.ini',
    'url=jdbc:sqlserver://sql1:1433;user=till;password=two hafenwort;encrypt=true\n',
    'hafenwort',
    'sql1:1433',
  ),
  f('secret with the ending of a file', 'a.yaml', 'secret: hafen.key\nkey: leaf.key\n', 'hafen.key', 'leaf.key'),
])('a secret that nobody marked is hidden: $kind', ({ file, text, secret, stays }) => {
  expect(text).toContain(secret);
  const shown = redactConfig(Buffer.from(text), file);
  expect(shown).not.toContain(secret);
  expect(shown).toContain(stays);
});

const KEY = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABFakeFakeFake root@till';

test.each([
  ['the path of a password', 'a.conf', 'password_file /etc/mosquitto/passwd\n'],
  ['the path of a key', 'a.ini', 'ansible_ssh_private_key_file=~/.ssh/till\n'],
  ['the path of a key below a section', 'a.ini', '[vpn]\nkey=/etc/openvpn/client.key\n'],
  ['a directive of nginx', 'a.conf', 'ssl_password_file /etc/nginx/pass.list;\nproxy_pass http://10.4.4.5:3000/path;\n'],
  ['the rules of passwords', 'a.json', '{"passwordMinLength":12,"passwordPolicy":"strict","password_max_age":"90d"}'],
  ['a public key', 'a.yaml', `host_key: ${KEY}\n`],
  ['a public key in a text', 'a.toml', `host_key = "${KEY}"\n`],
  ['a reference of Kubernetes', 'a.yaml', 'valueFrom: { secretKeyRef: { name: till-db, key: password-of-db } }\n'],
  ['a volume of Kubernetes', 'a.yaml', 'secret: { secretName: till-tls-bundle }\n'],
  ['a command without secrets', 'a.json', '["curl","-s","-o","/tmp/out.bin","https://files.example/fw.bin"]'],
  ['numbers of cards of a machine', 'a.yaml', 'sound: { card: "hw:CARD=0" }\ncountry_code: 49000\n'],
  ['a server of TACACS', 'a.cfg', 'auth tacacs 10.3.3.3:49\nproxy 10.4.4.4:8080\n'],
  ['a line of cron', 'crontab', '0 3 * * sun /opt/clean.sh\n'],
  ['the user of a bridge', 'a.conf', 'TLSPSKIdentity=PSK 001\nbridge_identity depot-2\n'],
  ['the address of tokens', 'a.toml', '[tokens]\ntoken_endpoint = "https://id.example/oauth/token"\nmax_tokens = 4096\n'],
  ['the rules of a schema', 'a.yaml', 'tokens_per_minute: 60000\npasswords: { minLength: 8 }\npsk_rotation_days: 90\n'],
  ['the file of a secret of Compose', 'a.yaml', 'secrets: { db: { file: ./db.txt } }\n'],
  ['a credential of systemd', 'a.service', 'LoadCredential=tls:/etc/agent/tls.pem\n'],
  ['secrets of images', 'a.yaml', 'imagePullSecrets:\n  - name: registry-pull\n'],
  ['the file of keys of stunnel', 'a.conf', 'PSKsecrets = /etc/stunnel/psk.txt\n'],
  ['an address of a database', 'a.properties', 'spring.datasource.url=jdbc:postgresql://pg.example/app\n'],
])('%s stays', (_kind, file, text) => {
  expect(redactConfig(Buffer.from(text), file)).toBe(text);
});

test.each([
  ['in quotes', 'a.conf', 'secret "ZGRuc0Zha2VTZWNyZXQ==";\n};\nzone "depot.example" { type master; };\n', 'depot.example'],
  [
    'in an element of its own',
    'a.xml',
    '<P name="KeyPassphrase" value="cpeFunk 77"/>\n<P name="SerialNumber" value="SN-77-20931"/>\n',
    'SN-77-20931',
  ],
])('a secret %s hides no line below', (_kind, file, text, stays) => {
  expect(redactConfig(Buffer.from(text), file)).toContain(stays);
});
