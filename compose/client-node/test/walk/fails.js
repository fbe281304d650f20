// What a call that fails must say.

import assert from "node:assert/strict";

import { failure } from "../../nephrite.js";

/** Waits for the failure of a call; `expected` is some of what `failure` says. */
export async function fails(call, expected) {
  const error = await call.then(() => null, (error) => error);
  assert.ok(error, `expected ${JSON.stringify(expected)}, but the call succeeded`);
  const found = failure(error);
  const { message } = found;
  for (const [key, value] of Object.entries(expected)) {
    assert.deepEqual(found[key], value, `expected ${key} ${value}, found ${JSON.stringify(found)}`);
  }
  assert.ok(message.length > 0, `expected a message, found ${JSON.stringify(found)}`);
  const isOfServer = found.nephriteCode !== null;
  assert.ok(!isOfServer || error.details === message, `expected no blanks around ${JSON.stringify(error.details)}`);
  return found;
}
