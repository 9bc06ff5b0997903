import { REDACTED } from './secret.ts';

/** Lines of network gear, of commands and of daemons, whose secrets have no name. All expressions are linear in the length of a line. */

/** Where the secret of a line of network gear, or of a command, begins. The first group is what stays. */
const GEAR: readonly RegExp[] = [
  /^(.{0,300}\b(?:radius|tacacs|tacplus|aaa|ike|isakmp|crypto|ipsec|ospf|bgp|eigrp|isis|rip|hsrp|vrrp|glbp|ntp|wpa|snmp|macsec|ldp|wlan|wifi|wireless)[\w-]{0,32}\b.{0,200}?\b(?:key|md5|sha\d{0,3}|auth-key|hmac-\S{1,20})(?:\s{1,9}|:\s{0,4})(?:\d{1,3}\s{1,9}|address\s{1,9})?)\S/i,
  /^(\s{0,64}(?:(?:option|set|list)\s{1,9})?(?:key\d?|key-string|md5|wpa|wep|phrase|psk)\s{1,9}(?:\d{1,2}\s{1,9})?)\S{4,}\s*$/i,
  /^(.{0,200}\bauthentication\s{1,9}(?:(?:text|md5|key-string|simple|plain|cipher|hmac-\S{1,20})\s{1,9}){0,2}(?:\d\s{1,9})?)(?!(?:login|ppp|default|open|shared|eap|key|list|mode|mac|enable|network|password|none|local|order|retry|pre)\b)\S{4,}\s*$/i,
  /^(.{0,200}\b(?:auth|priv)\s{1,9}(?:md5|sha[\d-]{0,4}|des|3des|aes)\s{1,9}(?:\d{2,3}\s{1,9})?)\S/i,
  /^([^#\n]{0,200}:\s{0,9}(?:PSK|EAP|XAUTH|NTLM|RSA|ECDSA|PKCS8|P12|BLISS|PIN)\s{1,9})\S/,
  /^(.{0,300}?\bidentified\s{1,9}(?:with\s{1,9}\w{1,64}\s{1,9})?(?:by|as)\s{1,9})\S/i,
  /^(.{0,300}?(?:^|[\s/"'`(])(?:curl|wget|https?|l?ftp)\b.{0,300}?\s(?:-u|--user)[\s=]?(?:[a-z._-]{2,20}:(?=\S))?)\S/,
  /^(.{0,300}?\b(?:sshpass|mysql|mysqldump|mysqladmin|mariadb|redis-cli|ipmitool|smbclient|docker login|rabbitmqadmin|ldapsearch|ldapadd|plink|az login|mosquitto_(?:pub|sub)|openssl)\b.{0,300}?\s(?:-p|-a|-P|-w|-pw|-U\s\S{1,64}%)\s?)\S/,
  /^(.{0,300}?\bpass:)\S/,
  /^(.{0,200}?\bkey\[\w{0,32}\](?:\s{1,9}\w{1,32})?\s{0,9}=\s{0,9})\{/i,
  /^(\s{0,64}(?:acl\s{1,9}setuser|user)\s{1,9}\S{1,64}\s.{0,200}?\s?[>#])\S{3,}/i,
  /^(\s{0,64}[\w.:[\]-]{1,128}:(?:1812|1813|1645|1646)\s{1,9})\S/,
  /^(\s{0,9}\$USER(?:[2-9]|\d\d)\$\s{0,9}=\s{0,9})\S/,
  /^(.{0,200}?\b(?:login|user|username|userpwd|proxy-user|auth|credentials?)\s{0,9}=\s{0,9}["']?[\w.@-]{1,64}:)(?!\d{1,5}\b|\/\/)\S{3,}/i,
  /^(.{0,300}?\bConvertTo-SecureString\s{1,9}(?:-String\s{1,9})?)\S/i,
  /^(.{0,300}?\bnet\s{1,9}user\s{1,9}\S{1,64}\s{1,9})(?!\/)\S/i,
  /^(.{0,300}?\bsnmp(?:get|walk|set|bulkwalk|table|trap|inform|status|test)\b.{0,300}?\s-[AXcax]\s{0,9})\S/,
  /^(.{0,300}?\b(?:com2sec6?\s{1,9}(?:-Cn\s{1,9}\S{1,64}\s{1,9})?\S{1,64}\s{1,9}\S{1,64}|createUser\s{1,9}\S{1,64}|trap2?sink\s{1,9}\S{1,128}|informsink\s{1,9}\S{1,128})\s{1,9})\S/i,
  /^(.{0,300}?\bsnmp-server\s{1,9}host\s{1,9}\S{1,128}\s{1,9}(?:(?:traps|informs)\s{1,9})?(?:version\s{1,9}\S{1,3}\s{1,9}(?:(?:auth|noauth|priv)\s{1,9})?)?)\S/i,
  /^(.{0,300}?\b(?:zip|unzip|7z|7za|rar)\s.{0,200}?\s?-[pP]\s?)[^\s-]/,
  /^(.{0,300}?\b(?:useradd|usermod)\s.{0,200}?\s-p\s{1,9})\S/,
  /^(.{0,300}?\bgrub\.pbkdf2\.)\S/,
  // A MAC address, an IPv6 address or a fingerprint has the same form.
  /^(?![\da-f:]{2,128}(?:\/\d{1,3})?["']?[,;]?(?:\s|$))([\w.*-]{1,128}:(?:\d{1,5}|\*):[^:\s]{1,64}:[^:\s]{1,64}:)\S/i,
  /^(.{0,200}?\bmachine\s.{0,200}?\bpassword\s{1,9})\S/i,
  /^(.{0,300}?\bhtpasswd\s.{0,200}?-\w{0,6}b\w{0,6}\s{1,9})\S/,
  /^(.{0,300}?\bwpa_passphrase\s{1,9}\S{1,64}\s{1,9})\S/,
  /^(.{0,300}?\b(?:chpasswd|passwd|kinit|cryptsetup|sudo\s-S)\b.{0,100}?(?:<<<|\s--stdin)\s{0,9})\S/,
  /^(.{0,300}?\bnet\s{1,9}use\s.{0,200}?\s\/user:\S{1,128}\s{1,9})(?!\/)\S/i,
  /^(.{0,300}?\bvault\s{1,9}login\s{1,9})(?!-)\S/,
  /^(\s{0,9}(?:echo|printf)\s{1,9})\S.{0,300}\|\s{0,9}(?:sudo\s.{0,64})?(?:chpasswd|passwd|docker login|openssl|base64|sudo\s-S|cryptsetup|gpg|kinit)\b/,
  /^(.{0,300}?\bAT\+(?:CWJAP|QICSGP|CGAUTH|UAUTHREQ|CPIN|CWSAP|CLCK|CPWD)[^\s=]{0,20}=)\S/i,
  // Their last text is the password, behind the name of the user.
  /^(.{0,300}?\bAT\+(?:CSTT|QMTCONN|CMQTTCONNECT|UMQTT|MQTTUSERCFG|UPSD|KCNXCFG|MIPCALL|FTPCID|CFTPSLOGIN|QHTTPCFG|USECPRF|QCFTP|QFTPCFG|SMCONF)[^\s=]{0,8}=[^"]{0,64}(?:"[^"]{0,128}"[^"]{1,32}){1,4})"/i,
  // Settings of a tracker by number: the password of the access point.
  /^(.{0,300}?\bsetparam\s.{0,200}?\b2003:)\S/i,
  // The number, the kind and the key of a line of NTP or chrony.
  /^(\s{0,9}\d{1,5}\s{1,9}(?:MD5|SHA\d{0,3}(?:-\d{3})?|AES(?:128|256)(?:CMAC)?|RMD160)\s{1,9}(?:(?:HEX|ASCII):)?)\S{4,512}\s{0,64}(?:#.*)?$/,
];

/** Rules for lines with one of `RARE_WORDS`: daemons, commands, and notes of people. */
const RARE: readonly RegExp[] = [
  /^(.{0,300}?\bssh-keygen\b.{0,300}?\s-[NP]\s{1,9})(?!""|''|-)\S/,
  /^(.{0,300}?\bX-[\w-]{0,40}?(?:Auth|Key|Token|Secret|Signature)["']?\s{0,4}[:=]\s{0,4}["']?)\S/i,
  /^(\s{0,64}mgmt-user\s{1,9}\S{1,64}\s{1,9}\S{1,64}\s{1,9})\S/i,
  /^(\s{0,9}\d{2,8}\s{0,4}=>\s{0,4})\d{3,10},/,
  /^(.{0,200}?\b(?:wlan|wi-?fi|ssid)\s{0,4}:\s{0,4}[\w.@-]{1,64}\s{1,4}\/\s{1,4})(?=\S{0,63}\d)\S{8}/i,
  /^(.{0,200}?\b(?:admin|root|login|wlan|wi-?fi|pin)\b[^\n]{0,40}?\s{0,4}(?:->|\u2192)\s{0,4})\S{4}/i,
  /^(.{0,200}?\b(?:master|alarm|door|gate|safe|user|admin|installer|duress|unlock|entry|disarm)\s{1,4}code\b[^\n:=]{0,40}[:=]\s{0,4})\d{4}/i,
  /^(\s{0,64}failover\s{1,9}(?:ipsec\s{1,9}pre-shared-key|key)\s{1,9}(?:hex\s{1,9}|\d\s{1,9})?)\S/i,
  /^(.{0,200}?\b(?:login|zugang|anmeldung|credentials?|account|user)\s{0,4}:\s{0,4}[\w.@-]{1,64}\s{1,4}\/\s{1,4})\S{4}/i,
  /^(.{0,300}?\bauth\s{1,9}["']?[\w.@-]{1,64}:)(?!\d{1,5}\b|\/\/)\S{3,}/i,
  /^(.{0,300}?auth=(?:key|token|token-secure|basic|bearer),)\S/i,
  /^(.{0,100}\br[01]kh[\s='"]{1,9}[\da-f:*]{11,17}[\s,]{1,9}[^\s,]{1,64}[\s,]{1,9})\S/i,
  /^(\s{0,64}secure_link_md5\s{1,9})\S/,
  /^(\s{0,9}(?:"[^"]{1,64}"|[\w@.-]{1,64})\s{1,9}\*\s{1,9})(?:"[^"]|(?![*\d/"@])\S{4})/,
  /^(\s{0,9}\[?[\w.-]{1,128}\]?:(?:25|465|587|smtp|submissions?)\s{1,9}[\w.@+-]{1,128}:)\S/,
];

const RARE_WORDS =
  /auth[\s=]|r[01]kh|secure_link|\s\*\s|:(?:25|465|587|smtp|submissions?)\s|failover|\s\/\s|ssh-keygen|x-|mgmt-user|=>|->|\u2192|code/i;

/** One of these stands in each line that a rule of `GEAR` is for. */
const GEAR_WORDS =
  /<<<|:\d{1,5}:|:\*:|:1[68]\d\d\b|\$user|user|acl|key|md5|sha|aes\d|rmd|hmac|wpa|wep|phrase|psk|auth|priv|identified|curl|wget|http|:\s|sshpass|mysql|mariadb|redis|ipmi|smbclient|docker|login|user|credential|rabbit|ldap|plink|mosquitto|openssl|pass|machine|snmp|com2sec|createuser|sink|securestring|net|zip|7z|rar|useradd|usermod|grub|echo|printf|at\+|ftp|ssh-keygen|x-|=>|->|\u2192|wi-?fi|ssid|code|zugang|anmeldung|r[01]kh|secure_link|\s\*\s|\]:|:25|:465|:587|:s/i;

/** Stands for a hidden secret, so that a rule finds the next one of its kind. More blanks than any rule accepts before a value. */
const ALREADY_HIDDEN = ' '.repeat(REDACTED.length);

export function gearEnd(line: string): number | undefined {
  if (!GEAR_WORDS.test(line)) return undefined;
  const rules = RARE_WORDS.test(line) ? [...GEAR, ...RARE] : GEAR;
  const rest = line.replaceAll(REDACTED, ALREADY_HIDDEN);
  const ends = rules.flatMap((rule) => {
    const head = rule.exec(rest)?.[1];
    return head === undefined ? [] : [head.length];
  });
  return ends.length === 0 ? undefined : Math.min(...ends);
}
