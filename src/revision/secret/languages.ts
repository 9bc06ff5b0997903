/** Words for passwords and keys in languages other than English, in names of settings. */

/** Lower case without accents, in one way of writing. */
export function plainLetters(text: string): string {
  const lower = text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
  return /[łøæßđı]/.test(lower) ? lower.replace(/[łøæßđı]/g, (letter) => LETTERS[letter] ?? letter) : lower;
}

/** Letters that Unicode does not take apart. */
const LETTERS: Readonly<Record<string, string>> = { ł: 'l', ø: 'o', æ: 'ae', ß: 'ss', đ: 'd', ı: 'i' };

/** Anywhere in a name whose words are joined. */
const WORDS = plainLetters(
  [
    // German and Dutch. Compounds with the word for "key" name one for a network or an account.
    'passwort|kennwort|losungswort|zugangswort|zugangsdaten|geheimzahl|geheimnis|(?:zugangs|zutritts|turoffner|tuer|tur|sicherheits|freischalt|entsperr)code',
    '(?:netzwerk|netz|wlan|wifi|funk|sicherheits|zugangs|verschlusselungs|verschluesselungs|sitzungs|haupt|master|krypto)schlu?e?ssel',
    'wachtwoord|paswoord|toegangscode|deurcode|(?:netwerk|wifi|beveiligings|toegangs|versleutelings)sleutel|geheimwoord',
    // Romance languages.
    'motdepasse|motpasse|jeton$|token(?:de|d)?ac(?:c?eso|cesso|ces)$|codesecret|codedacces|codeacces|codeporte|cle(?:f)?(?:secrete|privee|dacces|partagee|wifi|wpa|reseau)|phrasesecrete',
    'contrasena|contrasenya|clave(?:de)?(?:acceso|wifi|red|secreta|privada|compartida)|palabra(?:de)?paso|codigo(?:de)?(?:acceso|seguridad|puerta|secreto)',
    'paroladordine|parolachiave|parolasegreta|segret[oa](?!ri)|codice(?:di)?(?:accesso|sblocco|porta|segreto|sicurezza)|chiave(?:di)?(?:accesso|rete|wifi|privata|segreta|condivisa)|chiavedaccesso|codicedaccesso',
    'palavrapasse|palavrachave|senha|segredo|codigo(?:de)?acesso|chave(?:de)?(?:acesso|secreta|privada|rede|wifi)|parola',
    // Nordic and Baltic languages.
    'losenord|^losen$|passord|adgangskode|adgangskod|kodeord|kodord|salasana|tunnussana|parool|salasona|slaptazod|parolei?s?$|lykilord',
    // Slavic languages, Greek and Hungarian.
    'haslo|heslo|lozink|geslo$|sifra$|jelszo|пароль|парол|лозинк|шифра$|секрет|κωδικοςπροσβασης|συνθηματικο|κωδικοσπροσβασης',
    // Turkish, Vietnamese, Indonesian.
    'sifre$|sifresi$|parolasi|matkhau|katasandi|sandi$|katalaluan',
    // Chinese, Japanese, Korean.
    '密码|密碼|口令|密钥|密鑰|パスワード|暗証番号|合言葉|秘密鍵|비밀번호|암호|패스워드',
  ].join('|'),
);
const PASSWORD = new RegExp(WORDS);

/** @param name the words of a name, joined, in plain letters. */
export function isPasswordAbroad(name: string): boolean {
  return PASSWORD.test(name);
}

/** Words for "key", a weak name: together with a place of use, or with a random value, it is secret. */
export const KEYS: ReadonlySet<string> = new Set(
  plainLetters(
    'schlüssel schluessel clave llave clé clef chave chiave sleutel nyckel nøgle nøkkel avain klucz klíč ključ kľúč kulcs anahtar ключ κλειδί kunci kod kode',
  ).split(' '),
);

/** Places of use, beside those in English. */
export const PLACES_ABROAD: ReadonlySet<string> = new Set(
  plainLetters(
    'netz netzwerk funk zugang zutritt tür tuer tor netwerk toegang deur réseau accès porte red acceso puerta rete accesso porta acesso rede nätverk verkko sieć síť',
  ).split(' '),
);
