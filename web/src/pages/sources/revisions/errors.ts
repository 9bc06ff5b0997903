import type { ConfigError } from '../../../generated/api.ts';

export type Place = { file: string; line: number | undefined };

export type ErrorGroup = {
  key: string;
  /** Without the place, which differs. */
  message: string;
  error: ConfigError;
  /** Every file and line with this error, once. */
  places: Place[];
  /** Device folders that it blocks. */
  folders: string[];
};

type FolderErrors = { path: string; errors: readonly ConfigError[] };

/** The same rule broken in the same way is one error, in however many folders and files: those of most folders stand first. */
export function groupErrors(errors: readonly ConfigError[], folders: readonly FolderErrors[] = []): ErrorGroup[] {
  const groups = new Map<string, ErrorGroup>();
  const add = (error: ConfigError, folder: string | undefined) => {
    const message = plainMessage(error);
    const key = [error.code, error.rule, error.pointer, message].join('\n');
    const group = groups.get(key) ?? { key, message, error, places: [], folders: [] };
    groups.set(key, group);
    if (folder !== undefined && !group.folders.includes(folder)) group.folders.push(folder);
    if (!group.places.some(({ file, line }) => file === error.file && line === error.line))
      group.places.push({ file: error.file, line: error.line });
  };
  for (const error of errors) add(error, undefined);
  for (const { path, errors: own } of folders) for (const error of own) add(error, path);
  return [...groups.values()].sort((a, b) => b.folders.length - a.folders.length);
}

export function placeText({ file, line }: Place): string {
  return line === undefined ? file : `${file}:${line}`;
}

/** "config/till.json:3 /vlan is 5000, must be <= 4094" → "/vlan is 5000, must be <= 4094" */
function plainMessage({ message, file, rendered, line }: ConfigError): string {
  const places = [rendered, file].flatMap((name) => (name === undefined ? [] : [`${name}:${line} `, `${name} `, `${name}: `]));
  const place = places.find((each) => message.startsWith(each));
  return place === undefined ? message : message.slice(place.length);
}
