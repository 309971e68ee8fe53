'use strict';
// Models, chats and completions of OpenAI's client, whole and streamed.
const test = require('node:test');
const { OpenAI, assert, collect, command, open, refused, user } = require('./clients.js');

const names = ['hearth', 'hearth-small', 'auto', 'auto:local', 'auto:home', 'auto:cloud'];
const greedy = { model: 'hearth', messages: user(command), temperature: 0 };
const create = (more) => open.chat.completions.create({ ...greedy, ...more });
const text = (answer) => answer.choices[0].message.content;
// How many tokens were guessed ahead depends on what steps take at the moment.
const counts = ({ completion_tokens_details, ...others }) => others;

test('models', async () => {
  const listed = await collect(open.models.list());
  assert.deepEqual(listed.map((m) => m.id), names);
  for (const m of listed) assert.deepEqual(await open.models.retrieve(m.id), m);
  await refused(open.models.retrieve('org/gpt'), OpenAI.NotFoundError, 'model_not_found', /'org\/gpt'/);
});

test('a whole answer', async () => {
  const answer = await create();
  assert.match(answer.id, /^chatcmpl-./);
  assert.match(answer._request_id, /^req_./);
  assert.equal(answer.object, 'chat.completion');
  assert.ok(Math.abs(answer.created - Date.now() / 1000) < 60);
  assert.equal(answer.model, 'hearth');
  assert.equal(answer.choices.length, 1);
  const { index, message, finish_reason, logprobs } = answer.choices[0];
  assert.deepEqual([index, finish_reason, logprobs], [0, 'stop', null]);
  assert.deepEqual([message.role, message.refusal, message.tool_calls], ['assistant', null, undefined]);
  assert.ok(message.content.startsWith('{"actions":[{"service":"light.turn_off","area":"kitchen"}]}'), message.content);
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

for (const model of ['hearth', 'auto'])
  test('a streamed answer of ' + model, async () => {
    const whole = await create({ model });
    const chunks = await collect(await create({ model, stream: true, stream_options: { include_usage: true } }));
    const [said, last] = [chunks.slice(0, -1), chunks.at(-1)];
    assert.deepEqual(last.choices, []);
    assert.deepEqual(counts(last.usage), counts(whole.usage));
    assert.equal(new Set(chunks.map((c) => c.id + c.created + c.object)).size, 1);
    assert.equal(last.object, 'chat.completion.chunk');
    assert.deepEqual(said[0].choices[0].delta, { role: 'assistant', content: '' });
    assert.equal(said.map((c) => c.choices[0].delta.content ?? '').join(''), text(whole));
    assert.deepEqual(said.map((c) => c.choices[0].finish_reason), [...said.slice(1).map(() => null), 'stop']);
    assert.equal(said.at(-1).model, whole.model);
    for (const chunk of await collect(await create({ model, stream: true }))) {
      assert.equal(chunk.choices.length, 1); // programs look at the first without a look
      assert.equal(chunk.usage, undefined);
    }
  });

test('how probable its tokens were', async () => {
  const asked = { logprobs: true, top_logprobs: 3 };
  const { message, logprobs } = (await create(asked)).choices[0];
  assert.equal(logprobs.refusal, null);
  assert.equal(logprobs.content.map((t) => t.token).join(''), message.content);
  for (const t of logprobs.content) {
    assert.equal(Buffer.from(t.bytes).toString(), t.token);
    assert.equal(t.top_logprobs.length, 3);
    assert.ok(t.top_logprobs.reduce((sum, o) => sum + Math.exp(o.logprob), 0) <= 1.00001);
  }
  const chunks = await collect(await create({ ...asked, stream: true }));
  const streamed = chunks.flatMap((c) => c.choices[0].logprobs?.content ?? []);
  assert.deepEqual(streamed.map((t) => t.token), logprobs.content.map((t) => t.token));
});

test('a stream on the wire', async () => {
  const response = await create({ stream: true }).asResponse();
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const events = (await response.text()).split('\n\n').filter((e) => !e.startsWith(':'));
  assert.deepEqual(events.slice(-2), ['data: [DONE]', '']);
  for (const event of events.slice(0, -2)) assert.equal(JSON.parse(event.replace(/^data: /, '')).choices.length, 1);
});

test('the stream helper', async () => {
  const deltas = [];
  const stream = open.chat.completions.stream({ ...greedy, model: 'auto', stream_options: { include_usage: true } });
  stream.on('content', (delta) => deltas.push(delta));
  const answer = await stream.finalChatCompletion();
  const whole = await create({ model: 'auto' });
  assert.equal(deltas.join(''), text(whole));
  assert.equal(await stream.finalContent(), text(whole));
  assert.deepEqual(counts(answer.usage), counts(whole.usage));
  assert.deepEqual([answer.model, answer.shoal.target], [whole.model, whole.shoal.target]);
});

test('completions', async () => {
  const ask = { model: 'hearth', prompt: 'turn', max_tokens: 5, temperature: 0 };
  const whole = await open.completions.create(ask);
  assert.match(whole.id, /^cmpl-./);
  assert.deepEqual([whole.object, whole.choices[0].finish_reason], ['text_completion', 'length']);
  assert.equal(whole.usage.completion_tokens, 5);
  const chunks = await collect(
    await open.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } }),
  );
  assert.equal(chunks.map((c) => c.choices[0]?.text ?? '').join(''), whole.choices[0].text);
  assert.deepEqual(counts(chunks.at(-1).usage), counts(whole.usage));
  assert.equal((await open.completions.create({ ...ask, echo: true })).choices[0].text, 'turn' + whole.choices[0].text);
  assert.equal((await open.completions.create({ ...ask, model: 'auto' })).choices[0].finish_reason, 'length');
});

test('settings', async () => {
  const whole = text(await create());
  const stopped = await create({ stop: ['"area"', 'never'] });
  assert.equal(text(stopped), whole.slice(0, whole.indexOf('"area"')));
  assert.equal(stopped.choices[0].finish_reason, 'stop');
  const short = await create({ max_completion_tokens: 5 });
  assert.deepEqual([short.usage.completion_tokens, short.choices[0].finish_reason], [5, 'length']);
  assert.equal(text(await create({ messages: user([{ type: 'text', text: command }]) })), whole);
  const told = (role) => create({ messages: [{ role, content: 'rooms: hall' }, ...user(command)] });
  assert.equal(text(await told('developer')), text(await told('system')));
  const drawn = async (seed) => text(await create({ seed, temperature: 2, messages: user('why'), max_tokens: 30 }));
  assert.equal(await drawn(7), await drawn(7));
  assert.notEqual(await drawn(7), await drawn(8));
  await create({ n: 1, user: 'me', store: false, metadata: { a: 'b' }, logprobs: false, presence_penalty: 0.5 });
});

// As programs do: all of it is sent again with each turn, until it is too long.
for (const model of ['hearth', 'auto:home'])
  test('a conversation with ' + model, async () => {
    const messages = [];
    for (let before = 0; ; ) {
      messages.push({ role: 'user', content: command });
      const asked = create({ model, messages, max_tokens: 40 });
      const answer = await asked.catch(() => null);
      if (answer === null) {
        const error = await refused(asked, OpenAI.BadRequestError, 'context_length_exceeded', /./);
        assert.equal(error.param, 'messages');
        break;
      }
      assert.ok(answer.usage.prompt_tokens > before);
      before = answer.usage.prompt_tokens;
      messages.push(answer.choices[0].message);
    }
    assert.ok(messages.length > 10, messages.length + ' messages');
  });

test('what is not there says so', async () => {
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
  const bad = [
    [{ n: 2 }, 'unsupported_value', 'n'],
    [{ top_logprobs: 2 }, 'invalid_value', 'top_logprobs'],
    [{ logprobs: true, top_logprobs: 21 }, 'invalid_value', 'top_logprobs'],
    [{ logit_bias: { 5: 3 } }, 'unsupported_parameter', 'logit_bias'],
    [{ reasoning_effort: 'high' }, 'unsupported_parameter', 'reasoning_effort'],
    [{ temperature: 9 }, 'invalid_value', 'temperature'],
    [{ messages: user([{ type: 'text', text: 'see' }, image]) }, 'unsupported_value', 'messages'],
    [{ messages: [] }, 'invalid_value', 'messages'],
  ];
  for (const [more, code, param] of bad)
    for (const stream of [false, true]) {
      const error = await refused(create({ ...more, stream }), OpenAI.BadRequestError, code, /./);
      assert.deepEqual([error.status, error.param, error.type], [400, param, 'invalid_request_error']);
    }
  await refused(create({ model: 'gpt-4o' }), OpenAI.NotFoundError, 'model_not_found', /'gpt-4o'.*'hearth'/);
  const other = [
    () => open.embeddings.create({ model: 'auto', input: 'x' }),
    () => open.responses.create({ model: 'auto', input: 'x' }),
    () => open.moderations.create({ input: 'x' }),
    () => open.images.generate({ model: 'auto', prompt: 'x' }),
  ];
  for (const ask of other) await refused(ask(), OpenAI.NotFoundError, 'unknown_url', /has POST \/v1\/chat/);
});
