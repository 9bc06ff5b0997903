import { afterEach, beforeEach, expect, test } from 'vitest';
import { signStandardWebhooks, verifyStandardWebhooks } from '../../src/crypto/signature.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { createSender, type Sender } from '../../src/notification/delivery/send.ts';
import { openReceiver, type Receiver } from './receiver.ts';

let receiver: Receiver;
let sender: Sender;
beforeEach(async () => {
  receiver = await openReceiver();
  sender = createSender(addressGuard({ allowPrivate: true }), 300);
});
afterEach(async () => {
  await sender.close();
  await receiver.close();
});

const post = (url = receiver.url, signal = new AbortController().signal) =>
  sender.post({ url, headers: { 'x-a': 'b' }, body: '{"a":"ä"}' }, signal);

test('the body arrives unchanged, and a 2xx is a success with the beginning of its response', async () => {
  receiver.next({ status: 202, body: 'x'.repeat(5000) });
  expect(await post()).toMatchObject({ status: 202, error: null, response: 'x'.repeat(1024), retryAfterSeconds: null });
  expect(receiver.posts).toMatchObject([{ path: '/hook', body: '{"a":"ä"}', headers: { 'x-a': 'b', 'user-agent': 'bellwether' } }]);
});

test('redirects are not followed', async () => {
  await using elsewhere = await openReceiver();
  receiver.next({ status: 307, headers: { location: elsewhere.url } });
  expect(await post()).toMatchObject({ status: 307, error: 'the answer is 307, redirects are not followed' });
  expect(elsewhere.posts).toEqual([]);
});

test('a receiver that hangs, disconnects or is missing gives a result within the time limit', async () => {
  receiver.next('hang', 'cut');
  expect(await post()).toMatchObject({ status: null, error: 'no answer within 300 ms', response: '' });
  expect(await post()).toMatchObject({ status: null, error: 'other side closed' });
  const gone = await openReceiver();
  await gone.close();
  expect(await post(gone.url)).toMatchObject({ status: null, error: expect.stringContaining('ECONNREFUSED') });
});

test('the head of a response decides, whatever its body', async () => {
  receiver.next('endless');
  expect(await post()).toMatchObject({ status: 200, error: null, response: 'beginning' });
});

test('Retry-After is read as seconds or as a date, up to a day', async () => {
  const asked = async (value: string) => {
    receiver.next({ status: 429, headers: { 'retry-after': value } });
    return (await post()).retryAfterSeconds;
  };
  expect(await asked('120')).toBe(120);
  expect(await asked('999999999')).toBe(86_400);
  expect(await asked('soon')).toBeNull();
  expect(await asked(new Date(0).toUTCString())).toBe(0);
  const inAnHour = await asked(new Date(Date.now() + 3_600_000).toUTCString());
  expect(inAnHour).toBeGreaterThan(3_500);
  expect(inAnHour).toBeLessThanOrEqual(3_600);
});

test('private addresses are refused, literal or resolved, unless they are allowed', async () => {
  const strict = createSender(addressGuard({ allowPrivate: false }));
  const { port } = new URL(receiver.url);
  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '169.254.169.254']) {
    const sent = await strict.post({ url: `http://${host}:${port}/`, headers: {}, body: '' }, new AbortController().signal);
    expect([host, sent.status]).toEqual([host, null]);
    expect(sent.error).toMatch(/Cannot connect to .*: its address .* is (private|reserved)/);
  }
  await strict.close();
  expect(receiver.posts).toEqual([]);
});

test("the caller's abort is thrown and is no fault of the receiver", async () => {
  receiver.next('hang');
  const stop = new AbortController();
  const sent = post(receiver.url, stop.signal);
  stop.abort(new Error('stopping'));
  await expect(sent).rejects.toThrow('stopping');
});

// The example that the Standard Webhooks libraries share.
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const AT = new Date(1_614_265_330_000);
const BODY = '{"test": 2432232314}';

test('messages are signed as Standard Webhooks specifies', () => {
  expect(signStandardWebhooks([SECRET], ID, AT, BODY)).toEqual({
    'webhook-id': ID,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

test('during a change of the secret, both secrets verify the message', () => {
  const other = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
  const headers = new Headers(signStandardWebhooks([other, SECRET], ID, AT, BODY));
  expect(headers.get('webhook-signature')?.split(' ')).toHaveLength(2);
  const verdict = (secret: string) => verifyStandardWebhooks({ headers, rawBody: Buffer.from(BODY) }, secret, AT).ok;
  expect([other, SECRET, `whsec_${Buffer.alloc(32, 8).toString('base64')}`].map(verdict)).toEqual([true, true, false]);
});

test('an invalid secret signs nothing', () => {
  expect(() => signStandardWebhooks(['topsecret'], ID, AT, BODY)).toThrow(expect.objectContaining({ code: 'hook_secret_invalid' }));
});
