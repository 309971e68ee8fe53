'use strict';
// Tools and promised forms: OpenAI's client puts calls together from a stream, runs functions and parses answers.
const test = require('node:test');
const { z } = require('zod');
const { LengthFinishReasonError } = require('openai/error');
const { zodFunction, zodResponseFormat } = require('openai/helpers/zod');
const { assert, collect, command, open, user } = require('./clients.js');

const Light = z.object({ area: z.enum(['kitchen', 'hall']), on: z.boolean() });
const parameters = {
  type: 'object',
  properties: { area: { type: 'string', enum: ['kitchen', 'hall'] }, on: { type: 'boolean' } },
  required: ['area', 'on'],
  additionalProperties: false,
};
const light = { type: 'function', function: { name: 'light', description: 'Switches a light', parameters } };
const at_home = { messages: user(command), temperature: 0, tools: [light] };

test('a call', async () => {
  for (const tool_choice of ['required', { type: 'function', function: { name: 'light' } }]) {
    const answer = await open.chat.completions.create({ ...at_home, model: 'auto', tool_choice });
    const { message, finish_reason } = answer.choices[0];
    assert.deepEqual([finish_reason, message.content, message.tool_calls.length], ['tool_calls', null, 1]);
    const [{ id, type, function: made }] = message.tool_calls;
    assert.match(id, /./);
    assert.deepEqual([type, made.name, JSON.parse(made.arguments).area], ['function', 'light', 'kitchen']);
    Light.parse(JSON.parse(made.arguments));
  }
  const none = await open.chat.completions.create({ ...at_home, model: 'hearth', tool_choice: 'none' });
  assert.deepEqual([none.choices[0].finish_reason, none.choices[0].message.tool_calls], ['stop', undefined]);
});

test('a call in a stream', async () => {
  const ask = { ...at_home, model: 'hearth', tool_choice: 'required', parallel_tool_calls: false };
  const chunks = await collect(await open.chat.completions.create({ ...ask, stream: true }));
  const deltas = chunks.flatMap((c) => c.choices[0].delta.tool_calls ?? []);
  const [first, ...rest] = deltas;
  assert.deepEqual([first.index, first.type, first.function.name], [0, 'function', 'light']);
  assert.ok(first.id && rest.length > 0 && rest.every((d) => d.index === 0 && d.id === undefined));
  Light.parse(JSON.parse(deltas.map((d) => d.function.arguments).join('')));
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');

  const stream = open.chat.completions.stream(ask);
  const done = [];
  stream.on('tool_calls.function.arguments.done', (call) => done.push(call));
  const made = (await stream.finalMessage()).tool_calls;
  assert.deepEqual(done.map((c) => [c.name, c.arguments]), made.map((c) => [c.function.name, c.function.arguments]));
  assert.equal(made.length, 1);
});

// The agent of the cloud calls the first tool with the user's words, and tells what came of it.
for (const stream of [false, true])
  test('functions are run' + (stream ? ', in a stream' : ''), async () => {
    const words = 'look for the cat' + (stream ? ' again' : '');
    const seen = [];
    const look = {
      name: 'look',
      description: 'Looks for something',
      parse: JSON.parse,
      function: ({ about }) => (seen.push(about), { found: about }),
      parameters: { type: 'object', properties: { about: { type: 'string' } } },
    };
    const run = open.chat.completions.runTools({
      ...{ model: 'auto:cloud', messages: user(words), stream },
      tools: [{ type: 'function', function: look }],
    });
    assert.equal(await run.finalContent(), 'It says: ' + JSON.stringify({ found: words }));
    assert.deepEqual(seen, [words]);
    assert.deepEqual(run.messages.map((m) => m.role), ['user', 'assistant', 'tool', 'assistant']);
    const answers = run.allChatCompletions();
    assert.deepEqual(answers.map((a) => a.choices[0].finish_reason), ['tool_calls', 'stop']);
    assert.deepEqual(answers.map((a) => a.shoal.target), ['cloud', 'cloud']);
  });

test('parsed answers', async () => {
  const schema = { type: 'json_schema', json_schema: { name: 'light', strict: true, schema: parameters } };
  const parse = (response_format, more) =>
    open.chat.completions.parse({ model: 'auto', messages: user(command), temperature: 0, response_format, ...more });
  for (const format of [schema, zodResponseFormat(Light, 'light')]) {
    const { parsed } = (await parse(format)).choices[0].message;
    assert.equal(Light.parse(parsed).area, 'kitchen');
  }
  await assert.rejects(parse(schema, { max_tokens: 2 }), LengthFinishReasonError);
  const loose = { ...at_home, tools: [], model: 'hearth', response_format: { type: 'json_object' }, max_tokens: 50 };
  assert.match((await open.chat.completions.create(loose)).choices[0].message.content, /^\s*\{/);
  const asked = { model: 'hearth', messages: user(command), response_format: zodResponseFormat(Light, 'light') };
  Light.parse((await open.chat.completions.stream(asked).finalChatCompletion()).choices[0].message.parsed);
});

test('parsed arguments', async () => {
  const tool = zodFunction({ name: 'light', description: 'Switches a light', parameters: Light });
  const asked = { model: 'hearth', messages: user(command), temperature: 0, tools: [tool], tool_choice: 'required' };
  const [call] = (await open.chat.completions.parse(asked)).choices[0].message.tool_calls;
  assert.equal(Light.parse(call.function.parsed_arguments).area, 'kitchen');
});
