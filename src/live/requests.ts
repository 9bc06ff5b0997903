import type { z } from 'zod';
import type { Log } from '../log.ts';
import { type SubscribeAnswer, SubscribeRequest, type UnsubscribeAnswer, UnsubscribeRequest } from '../wire/live.ts';
import { isTooDeepValue, MAX_JSON_DEPTH } from '../wire/text/json.ts';
import type { LiveSocket } from './sockets.ts';
import type { Subscription } from './subscription.ts';

/** Requests of one socket that wait for their turn. */
const MAX_WAITING = 20;

type Answer = SubscribeAnswer | UnsubscribeAnswer;

/**
 * Requests of one socket are answered one after the other, each by its acknowledgement; none of them can throw. While the database is away
 * they wait for it, as many as may.
 */
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
        log.warn({ err: error, socketId: socket.id }, 'cannot subscribe');
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

/** Clients need not ask for an acknowledgement, and may send anything in its place. */
function answerTo(acknowledge: unknown): (answer: Answer) => void {
  return (answer) => {
    if (typeof acknowledge === 'function') acknowledge(answer);
  };
}

/** Nobody catches what is thrown here: validation that ran out of stack would end the process. */
const TOO_DEEP: Answer = {
  ok: false,
  code: 'invalid_request',
  detail: `Cannot accept the request: it is nested more than ${MAX_JSON_DEPTH} levels deep`,
};

function refusal(error: z.ZodError): Answer {
  const problems = error.issues.slice(0, 5).map((issue) => `/${issue.path.join('/')} ${issue.message}`);
  return { ok: false, code: 'invalid_request', detail: `Cannot accept the request: ${problems.join('; ')}` };
}
