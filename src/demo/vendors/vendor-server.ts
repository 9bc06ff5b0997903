import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { pause } from '../../async/pause.ts';
import type { Json } from '../../wire/text/json.ts';

/** Plays the cloud of a vendor, with its faults: for tests, benchmarks and the demonstration. */
export type VendorServer = {
  /** Address without a path. */
  url: string;
  /** Settings and credentials with which the provider reaches it. */
  settings: Record<string, Json>;
  credentials: Record<string, string>;
  /** Adds a device in the vendor's console. @returns its id there */
  addDevice(device: { name: string; values?: Record<string, Json>; state?: Json; online?: boolean }): string;
  removeDevice(externalId: string): void;
  /** Changes fields in the vendor's console. */
  change(externalId: string, values: Record<string, Json>): void;
  /** Fields as the vendor's console shows them; undefined for a device that is gone. */
  shown(externalId: string): Record<string, Json> | undefined;
  /** Decides how the device takes configuration and commands; by default it does everything at once. */
  behave(externalId: string, behaviour: DeviceBehaviour): void;
  /** Requests so far, the newest last. */
  requests: VendorRequest[];
  /** Faults are used up in their order by the requests that they match. */
  faults: Fault[];
  close(): Promise<void>;
};

/** `refuses`: keys that the device rejects. `offline`: it takes nothing until it is online again. */
export type DeviceBehaviour = { offline?: boolean; refuses?: readonly string[]; fails?: boolean };

export type VendorRequest = {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Json | undefined;
};
export type VendorResponse = { status: number; headers?: Record<string, string>; body?: Json | string | undefined };

export type Fault = {
  /** Requests that it hits; default: all. */
  path?: RegExp;
  method?: string;
  /** How many requests it hits; default 1. */
  times?: number;
  do:
    | { is: 'answer'; response: VendorResponse }
    /** The request is carried out, and its answer never comes. */
    | { is: 'lost_answer' }
    /** No answer until the client gives up. */
    | { is: 'hang' }
    /** The connection breaks before the answer. */
    | { is: 'drop' }
    /** Runs before the request is answered, such as a device that vanishes between two pages. */
    | { is: 'run'; what(): void };
};

export type Answering = {
  url: string;
  requests: VendorRequest[];
  faults: Fault[];
  close(): Promise<void>;
};

/** Serves a vendor's API on 127.0.0.1. @param answer throws nothing: a wrong request gets the vendor's own answer for it */
export async function serveVendor(
  answer: (request: VendorRequest) => VendorResponse,
  options: { port?: number | undefined; latencyMs?: number | undefined } = {},
): Promise<Answering> {
  const requests: VendorRequest[] = [];
  const faults: Fault[] = [];
  const server = createServer((message, response) => {
    void read(message).then(async (request) => {
      requests.push(request);
      if (options.latencyMs !== undefined) await pause(options.latencyMs);
      const fault = takeFault(faults, request);
      if (fault?.is === 'hang') return;
      if (fault?.is === 'drop') return void response.destroy();
      if (fault?.is === 'run') fault.what();
      const own = fault?.is === 'answer' ? fault.response : answer(request);
      if (fault?.is === 'lost_answer') return void response.destroy();
      send(response, own);
    });
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    requests,
    faults,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function read(message: IncomingMessage): Promise<VendorRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  const url = new URL(message.url ?? '/', 'http://vendor');
  return {
    method: message.method ?? 'GET',
    path: decodeURIComponent(url.pathname),
    query: url.searchParams,
    headers: message.headers,
    body: text === '' ? undefined : parsed(text),
  };
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function takeFault(faults: Fault[], { path, method }: VendorRequest): Fault['do'] | undefined {
  const index = faults.findIndex((fault) => (fault.path?.test(path) ?? true) && (fault.method ?? method) === method);
  const fault = faults[index];
  if (fault === undefined) return undefined;
  const left = (fault.times ?? 1) - 1;
  if (left <= 0) faults.splice(index, 1);
  else fault.times = left;
  return fault.do;
}

function send(response: ServerResponse, { status, headers, body }: VendorResponse): void {
  const isJson = typeof body !== 'string';
  const text = body === undefined ? '' : isJson ? JSON.stringify(body) : body;
  response.writeHead(status, { ...(text === '' ? {} : { 'content-type': isJson ? 'application/json' : 'text/plain' }), ...headers });
  response.end(text);
}
