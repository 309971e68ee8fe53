'use strict';
// Another stock client: the AI SDK, with its provider for servers that are compatible with OpenAI's.
const test = require('node:test');
const { createOpenAICompatible } = require('@ai-sdk/openai-compatible');
const { APICallError, Output, generateText, stepCountIs, streamText, tool } = require('ai');
const { z } = require('zod');
const { assert, base, command } = require('./clients.js');

const provider = createOpenAICompatible({
  name: 'shoal',
  baseURL: base,
  includeUsage: true,
  supportsStructuredOutputs: true,
  metadataExtractor: {
    extractMetadata: async ({ parsedBody }) => ({ shoal: parsedBody.shoal ?? {} }),
    createStreamExtractor: () => {
      let shoal = {};
      return { processChunk: (chunk) => (shoal = chunk.shoal ?? shoal), buildMetadata: () => ({ shoal }) };
    },
  },
});
const model = provider('auto');
const ask = { model, prompt: command, temperature: 0, maxRetries: 0 };

test('AI SDK: a text, whole and streamed', async () => {
  const whole = await generateText(ask);
  assert.ok(whole.text.startsWith('{"actions":[{"service":"light.turn_off","area":"kitchen"}]}'), whole.text);
  assert.deepEqual([whole.finishReason, whole.providerMetadata.shoal.target.length > 0], ['stop', true]);
  const stream = streamText({ ...ask, onError: () => {} });
  let text = '';
  for await (const delta of stream.textStream) text += delta;
  assert.equal(text, whole.text);
  const { inputTokens, outputTokens } = await stream.usage;
  assert.deepEqual([inputTokens, outputTokens], [whole.usage.inputTokens, whole.usage.outputTokens]);
  assert.equal(await stream.finishReason, 'stop');
  assert.equal((await stream.providerMetadata).shoal.target, whole.providerMetadata.shoal.target);
});

test('AI SDK: wishes', async () => {
  for (const [quality, target] of [[0, 'small'], [1, 'large']]) {
    const answer = await generateText({ ...ask, providerOptions: { shoal: { shoal: { quality } } } });
    assert.equal(answer.providerMetadata.shoal.target, target);
  }
});

test('AI SDK: an object', async () => {
  const schema = z.object({ area: z.enum(['kitchen', 'hall']), on: z.boolean() });
  const { output } = await generateText({ ...ask, output: Output.object({ schema }) });
  assert.equal(output.area, 'kitchen');
});

test('AI SDK: tools', async () => {
  const look = tool({
    description: 'Looks for something',
    inputSchema: z.object({ about: z.string() }),
    execute: async ({ about }) => 'seen: ' + about,
  });
  const request = { ...ask, model: provider('auto:cloud'), tools: { look }, stopWhen: stepCountIs(3) };
  const whole = await generateText({ ...request, prompt: 'look for the dog' });
  assert.match(whole.text, /^It says: .*seen: look for the dog/);
  const stream = streamText({ ...request, prompt: 'look for a dog' });
  await stream.consumeStream();
  assert.match(await stream.text, /^It says: .*seen: look for a dog/);
  assert.equal((await stream.steps).length, 2);
});

test('AI SDK: errors', async () => {
  const error = await generateText({ ...ask, model: provider('gpt-4o') }).catch((e) => e);
  assert.ok(APICallError.isInstance(error), String(error));
  assert.deepEqual([error.statusCode, error.isRetryable], [404, false]);
  assert.match(error.message, /'gpt-4o' is not served here/);
});
