'use strict';
// What the tests with stock clients share. Two daemons with the models that come with Shoal: one without keys, whose
// cloud is an agent; one with keys, a single place and no queue, whose cloud says a few bytes a second.
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const OpenAI = require('openai');

const command = 'turn off the lights in the kitchen';
const user = (content) => [{ role: 'user', content }];
const keyed = (options) =>
  new OpenAI({ baseURL: process.env.KEYED_URL, apiKey: 'sk-one', maxRetries: 0, ...options });

// An error of the SDK's own class, with what the daemon says of itself in it.
async function refused(promise, Class, code, words) {
  const error = await promise.then(
    (answer) => assert.fail('an answer instead of ' + Class.name + ': ' + JSON.stringify(answer)),
    (error) => error,
  );
  assert.equal(error.constructor.name, Class.name, String(error));
  assert.equal(error.code, code, String(error));
  assert.match(error.message, words);
  assert.match(error.requestID, /^req_/);
  return error;
}

async function until(what, holds, ms) {
  for (const end = Date.now() + ms; !holds(); await new Promise((done) => setTimeout(done, 10)))
    assert.ok(Date.now() < end, what + ' not within ' + ms + ' ms');
}

// The slow cloud's connections: all that there were, and those that are over.
const files = (ending) => fs.readdirSync(process.env.SLOW_RECORDS).filter((f) => f.endsWith('.end') === ending);
const calls = () => files(false).length;
const ended = () => files(true).length;

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

module.exports = {
  OpenAI,
  assert,
  base: process.env.OPEN_URL,
  calls,
  collect,
  command,
  ended,
  keyed,
  open: new OpenAI({ baseURL: process.env.OPEN_URL, apiKey: 'any', maxRetries: 0 }),
  refused,
  until,
  user,
};
