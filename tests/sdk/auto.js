'use strict';
// The words for the router, the object `shoal` and the X-Shoal headers, as far as OpenAI's client lets a program reach
// them: both ways, in bodies, in streams and in headers.
const test = require('node:test');
const { OpenAI, assert, base, collect, command, open, refused, user } = require('./clients.js');

const { BadRequestError, PermissionDeniedError, UnprocessableEntityError } = OpenAI;
const ask = (model, content, more, options) =>
  open.chat.completions.create({ model, messages: user(content), temperature: 0, ...more }, options);
const target = async (...request) => (await ask(...request)).shoal.target;
const places = {
  'auto:local': ['small', 'hearth-small'],
  'auto:home': ['large', 'hearth'],
  'auto:cloud': ['cloud', 'sky'],
};

test('who answers', async () => {
  for (const [word, [who, model]] of Object.entries(places)) {
    const { shoal, ...answer } = await ask(word, 'look at the lamp');
    assert.deepEqual([shoal.target, shoal.model, shoal.reason, answer.model], [who, model, 'asked', model]);
  }
  const chosen = await ask('auto', command);
  assert.ok(['small', 'large'].includes(chosen.shoal.target));
  assert.equal(chosen.shoal.attempts.at(-1).end, 'answered');
  assert.equal((await ask('hearth', command)).shoal, undefined);
});

test('wishes in the body', async () => {
  assert.equal(await target('auto', command, { shoal: { quality: 0 } }), 'small');
  assert.equal(await target('auto', command, { shoal: { quality: 1 } }), 'large');
  const both = await ask('auto', command, { shoal: { mode: 'token' } });
  assert.equal(both.shoal.reason, 'by_token');
  assert.ok(both.usage.completion_tokens_details.small_tokens > 0);
  const explained = await ask('auto:cloud', 'look out', { shoal: { explain: true } });
  assert.match(explained.shoal.preview.bytes, /"look out"/);
  const private_one = ask('auto:cloud', 'a secret', { shoal: { privacy: 'home' } });
  await refused(private_one, PermissionDeniedError, 'privacy', /sky/);
  const much = ask('auto', command, { shoal: { quality: 2 } });
  const error = await refused(much, BadRequestError, 'invalid_value', /0 to 1/);
  assert.equal(error.param, 'shoal.quality');
});

test('wishes in headers', async () => {
  const wish = (headers) => ({ headers });
  assert.equal(await target('auto', command, {}, wish({ 'X-Shoal-Quality': '0' })), 'small');
  assert.equal(await target('auto', command, {}, wish({ 'X-Shoal-Quality': '1' })), 'large');
  const strict = new OpenAI({ baseURL: base, apiKey: 'any', defaultHeaders: { 'X-Shoal-Privacy': 'home' } });
  const asked = strict.chat.completions.create({ model: 'auto:cloud', messages: user('one more secret') });
  await refused(asked, PermissionDeniedError, 'privacy', /sky/);
  const senseless = ask('auto', command, {}, wish({ 'X-Shoal-Privacy': 'x' }));
  await refused(senseless, BadRequestError, 'invalid_value', /device, home/);
});

test('who answered, in the headers', async () => {
  const { data, response, request_id } = await ask('auto', command).withResponse();
  for (const key of ['target', 'model', 'reason'])
    assert.equal(response.headers.get('x-shoal-' + key), data.shoal[key]);
  assert.equal(request_id, response.headers.get('x-request-id'));
});

test('who answered, in a stream', async () => {
  const chunks = await collect(await ask('auto:cloud', 'look at the door', { stream: true }));
  const told = chunks.filter((c) => c.shoal !== undefined);
  assert.equal(told.length, 1);
  assert.equal(told[0], chunks.at(-1));
  assert.deepEqual([told[0].shoal.target, told[0].model, told[0].choices[0].finish_reason], ['cloud', 'sky', 'stop']);
  assert.ok(told[0].shoal.bytes_out > 0 && told[0].shoal.cost > 0);
});

test('an answer that is asked for again', async () => {
  const again = { headers: { 'Idempotency-Key': 'one-of-the-test' } };
  const first = await ask('hearth', command, {}, again);
  assert.equal((await ask('hearth', command, {}, again)).id, first.id);
  const other = ask('hearth', 'another', {}, again);
  await refused(other, UnprocessableEntityError, 'idempotency_key_reused', /another request/);
});
