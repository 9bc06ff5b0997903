import type { z } from 'zod';
import type { Log } from '../log.ts';
import { type SubscribeAnswer, SubscribeRequest, type UnsubscribeAnswer, UnsubscribeRequest } from '../wire/live.ts';
import { isTooDeepValue, MAX_JSON_DEPTH } from '../wire/text/json.ts';
import type { LiveSocket } from './sockets.ts';
import type { Subscription } from './subscription.ts';

/** At most this many requests of one socket wait for their turn. */
const MAX_WAITING = 20;

type Answer = SubscribeAnswer | UnsubscribeAnswer;

/** Answers the requests of one socket one after the other, each by its acknowledgement. No request can throw. They wait while the database is away. */
export function answerRequests(socket: LiveSocket, subscription: Subscription, ready: Promise<void>, log: Log): void {
  let waiting = 0;
  let tail = ready;
  const inTurn = (answer: (result: Answer) => void, work: () => Promise<void> | void): void => {
    if (waiting >= MAX_WAITING) {
      answer({ ok: false, code: 'busy', detail: `Cannot accept the request: ${waiting} earlier ones wait for their answer` });
      return;
    }
    waiting += 1;
    tail = tail
      .then(() => (socket.connected ? work() : undefined))
      .catch((error: unknown) => {
        log.warn({ err: error, socketId: socket.id }, 'failed to subscribe; the client may try again');
        answer({ ok: false, code: 'unavailable', detail: 'Cannot subscribe now: the database does not answer; try again' });
      })
      .finally(() => {
        waiting -= 1;
      });
  };
  socket.on('subscribe', (input, acknowledge) => {
    const answer = answerTo(acknowledge);
    if (isTooDeepValue(input)) return answer(TOO_DEEP);
    const request = SubscribeRequest.safeParse(input);
    if (request.success) inTurn(answer, () => subscription.subscribe(request.data, answer));
    else answer(refusal(request.error));
  });
  // Says at once that the service is there, so that a page can tell a quiet fleet from a lost connection.
  socket.on('heartbeat', (acknowledge) => {
    if (typeof acknowledge === 'function') acknowledge();
  });
  socket.on('unsubscribe', (input, acknowledge) => {
    const answer = answerTo(acknowledge);
    if (isTooDeepValue(input)) return answer(TOO_DEEP);
    const request = UnsubscribeRequest.safeParse(input);
    if (!request.success) return answer(refusal(request.error));
    inTurn(answer, () => {
      subscription.unsubscribe(request.data.topics);
      answer({ ok: true });
    });
  });
}

/** A client may leave the acknowledgement out, or send any value in its place. */
function answerTo(acknowledge: unknown): (answer: Answer) => void {
  return (answer) => {
    if (typeof acknowledge === 'function') acknowledge(answer);
  };
}

/** Validation of a deeper value could exhaust the stack. Nothing catches that error, and the process would end. */
const TOO_DEEP: Answer = {
  ok: false,
  code: 'invalid_request',
  detail: `Cannot accept the request: it is nested more than ${MAX_JSON_DEPTH} levels deep`,
};

function refusal(error: z.ZodError): Answer {
  const problems = error.issues.slice(0, 5).map((issue) => `/${issue.path.join('/')} ${issue.message}`);
  return { ok: false, code: 'invalid_request', detail: `Cannot accept the request: ${problems.join('; ')}` };
}
