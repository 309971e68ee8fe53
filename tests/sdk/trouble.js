'use strict';
// Errors, retries, time limits, and clients that leave.
const test = require('node:test');
const { OpenAI, assert, calls, collect, command, ended, keyed, refused, until, user } = require('./clients.js');

const slow = { model: 'auto:cloud', messages: user('tell me a story') };
// A place is taken for a while.
const long = { model: 'hearth', prompt: 'turn', max_tokens: 480, ignore_eos: true };

test('keys', async () => {
  const chat = (apiKey, model) => keyed({ apiKey }).chat.completions.create({ model, messages: user(command) });
  const error = await refused(chat('sk-other', 'auto'), OpenAI.AuthenticationError, 'invalid_api_key', /not one of/);
  assert.deepEqual([error.status, error.type], [401, 'authentication_error']);
  await refused(keyed({ apiKey: 'sk-other' }).models.list(), OpenAI.AuthenticationError, 'invalid_api_key', /./);
  assert.equal((await chat('sk-home', 'auto')).choices[0].finish_reason, 'stop');
  await refused(chat('sk-home', 'auto:cloud'), OpenAI.PermissionDeniedError, 'privacy', /slow/);
});

test('no place is free', async () => {
  const client = keyed();
  const all = await Promise.allSettled(Array.from({ length: 16 }, () => client.completions.create(long)));
  const errors = all.filter((a) => a.status === 'rejected').map((a) => a.reason);
  assert.ok(errors.length > 0 && errors.length < all.length, errors.length + ' of 16 were turned away');
  for (const error of errors) {
    assert.equal(error.constructor, OpenAI.RateLimitError, String(error));
    assert.deepEqual([error.status, error.type], [429, 'rate_limit_error']);
    assert.match(error.headers.get('retry-after'), /^\d+$/);
  }
});

test('the client tries again when it is told to', async () => {
  const tried = {}; // by a header that each request keeps: when, and what came of it
  const client = keyed({
    maxRetries: 1,
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      (tried[init.headers.get('x-number')] ??= []).push([response.status, Date.now()]);
      return response;
    },
  });
  const ask = (n) => client.completions.create(long, { headers: { 'x-number': String(n) } });
  await Promise.allSettled(Array.from({ length: 8 }, (_, n) => ask(n)));
  const helped = Object.values(tried).filter((t) => t.length === 2 && t[0][0] === 429 && t[1][0] === 200);
  assert.ok(helped.length > 0, JSON.stringify(tried));
  for (const [[, first], [, second]] of helped) assert.ok(second - first >= 1900, second - first + ' ms');
});

// The call to the cloud, which would speak for seconds, is over soon after its client has left.
for (const [how, leave] of Object.entries({
  'a time limit': async () => {
    const asked = keyed().chat.completions.create(slow, { timeout: 1000 });
    await assert.rejects(asked, OpenAI.APIConnectionTimeoutError);
  },
  'an abort': async () => {
    const abort = new AbortController();
    const asked = keyed().chat.completions.create({ ...slow, stream: true }, { signal: abort.signal });
    let seen = 0;
    for await (const _ of await asked) if (++seen === 3) abort.abort();
    assert.equal(seen, 3);
  },
  'an abort of the helper': async () => {
    const stream = keyed().chat.completions.stream(slow);
    stream.on('content', () => stream.abort());
    await assert.rejects(stream.finalContent(), OpenAI.APIUserAbortError);
  },
  'the end of a loop': async () => {
    for await (const chunk of await keyed().chat.completions.create({ ...slow, stream: true }))
      if (chunk.choices[0].delta.content) break;
  },
}))
  test(how + ' ends the work', async () => {
    const before = calls();
    await leave();
    assert.equal(calls(), before + 1);
    await until('the end of the call', () => ended() === calls(), 2500);
  });

test('a body that is too large', async () => {
  const huge = { model: 'auto', messages: user('x'.repeat(33 << 20)) };
  await refused(keyed().chat.completions.create(huge), OpenAI.APIError, 'body_too_large', /32 MiB/);
});

// The last one: it ends the daemon.
test('a daemon that stops', async () => {
  const client = keyed();
  const asked = await client.chat.completions.create({ ...slow, stream: true });
  let seen = 0;
  const read = async () => {
    for await (const _ of asked) if (++seen === 3) process.kill(Number(process.env.KEYED_PID), 'SIGTERM');
  };
  await assert.rejects(read(), (e) => e.constructor === OpenAI.APIError && /the daemon is stopping/.test(e.message));
  await assert.rejects(collect(client.models.list()), OpenAI.APIConnectionError);
});
