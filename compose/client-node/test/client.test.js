// The client against a server that stands in for nephrite: events, masks, cancel, deadlines and errors.

import assert from "node:assert/strict";
import test from "node:test";

import grpc from "@grpc/grpc-js";

import { PHASES, PROFILES } from "../case.js";
import { loadContract } from "../contract.js";
import { decode, encode } from "../mask.js";
import { caseRequest, connect, failure } from "../nephrite.js";
import { SCENES } from "./scene.js";

const contract = loadContract();
const REQUEST = caseRequest({ pipeline: "p.toml", scans: [["arterial", "a.nii.gz"]], output: "results/x" });
const SCENE = SCENES["boxes, noise and an empty plane"];

function overloaded() {
  const metadata = new grpc.Metadata();
  metadata.set("nephrite-error-code", "overloaded");
  return Object.assign(new Error(), { code: grpc.status.RESOURCE_EXHAUSTED, details: "9 wait already", metadata });
}

/** Calls `use` with a client of a server that answers so. */
async function serving({ cases = {}, health = {} }, use) {
  const server = new grpc.Server();
  server.addService(contract.nephrite.v1.CaseService.service, cases);
  server.addService(contract.grpc.health.v1.Health.service, health);
  const port = await new Promise((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const client = connect(`127.0.0.1:${port}`);
  try {
    await use(client);
  } finally {
    client.close();
    server.forceShutdown();
  }
}

const failureOf = (promise) => promise.then(() => assert.fail("no error"), failure);

async function all(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}

/** A run that goes on until it is cancelled; `stopped` becomes true then. */
function endless() {
  const calls = [];
  const Run = (call) => {
    call.write({ accepted: { request_id: "1", position: 0 } });
    const calling = { stopped: false };
    calls.push(calling);
    call.on("cancelled", () => (calling.stopped = true));
  };
  return { calls, cases: { Run } };
}

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("events come in order, as plain objects", async () => {
  const Run = (call) => {
    assert.equal(call.request.scans[0].phase, "PHASE_ARTERIAL");
    call.write({ accepted: { request_id: "1", position: 2 } });
    call.write({ progress: { step: "kidney", state: "STEP_STATE_RUNNING", stage: "STAGE_READ", tiles_total: 2 ** 40 } });
    call.write({ done: { output: "results/x", record: "{}" } });
    call.end();
  };
  await serving({ cases: { Run } }, async (client) => {
    const events = await all(client.run(REQUEST));
    assert.deepEqual(events.map(({ event }) => event), ["accepted", "progress", "done"]);
    assert.equal(events[0].accepted.position, 2);
    assert.equal(events[1].progress.tiles_total, 2 ** 40);
    assert.equal(events[1].progress.place, null);
    assert.equal(events[1].progress.seconds_left, undefined);
    assert.deepEqual(events[2].done.masks, []);
  });
});

test("a mask crosses and is decoded", async () => {
  const GetMask = (call, answer) => answer(null, { mask: encode(SCENE), file: `${call.request.step}.nii.gz` });
  await serving({ cases: { GetMask } }, async (client) => {
    const { mask, file } = await client.getMask("results/x", "kidney");
    assert.equal(file, "kidney.nii.gz");
    assert.deepEqual(decode(mask).ids, SCENE.ids);
  });
});

test("health is a word", async () => {
  const Check = (call, answer) => answer(null, { status: call.request.service ? "NOT_SERVING" : "SERVING" });
  await serving({ health: { Check } }, async (client) => {
    assert.equal(await client.health(), "SERVING");
    assert.equal(await client.health("x"), "NOT_SERVING");
  });
});

test("leaving the loop cancels the run", async () => {
  const { calls, cases } = endless();
  await serving({ cases }, async (client) => {
    for await (const event of client.run(REQUEST)) if (event.accepted) break;
    await until(() => calls[0].stopped);
  });
});

test("a signal cancels the run, and so does one that was given before", async () => {
  const { calls, cases } = endless();
  await serving({ cases }, async (client) => {
    const controller = new AbortController();
    const events = client.run(REQUEST, { signal: controller.signal });
    await events.next();
    controller.abort();
    const error = await failureOf(all(events));
    assert.deepEqual([error.code, error.nephriteCode, error.retry], ["CANCELLED", null, false]);
    await until(() => calls[0].stopped);
    assert.equal((await failureOf(all(client.run(REQUEST, { signal: controller.signal })))).code, "CANCELLED");
    assert.equal((await failureOf(client.estimate(REQUEST, { signal: controller.signal }))).code, "CANCELLED");
  });
});

test("a deadline ends the run", async () => {
  const { cases } = endless();
  await serving({ cases }, async (client) => {
    const error = await failureOf(all(client.run(REQUEST, { timeout: 0.1 })));
    assert.deepEqual([error.code, error.retry], ["DEADLINE_EXCEEDED", false]);
  });
});

test("the server's code is read, before the first event and for single answers", async () => {
  const cases = {
    Run: (call) => call.emit("error", overloaded()),
    Estimate: (call, answer) => answer(overloaded()),
  };
  const expected = { code: "RESOURCE_EXHAUSTED", nephriteCode: "overloaded", message: "9 wait already", retry: true };
  await serving({ cases }, async (client) => {
    assert.deepEqual(await failureOf(all(client.run(REQUEST))), expected);
    assert.deepEqual(await failureOf(client.estimate(REQUEST)), expected);
  });
});

test("nobody listens", async () => {
  const client = connect("127.0.0.1:9");
  const error = await failureOf(client.health());
  assert.deepEqual([error.code, error.nephriteCode, error.retry], ["UNAVAILABLE", null, true]);
  assert.match(error.message, /127\.0\.0\.1:9/);
  client.close();
});

test("what is no status of a call is thrown again", () => {
  assert.throws(() => failure(new TypeError("a mistake")), TypeError);
});

test("words of a case are those of the contract", () => {
  const names = (type) => type.type.value.map(({ name }) => name).slice(1);
  assert.deepEqual(PHASES.map((phase) => `PHASE_${phase.toUpperCase()}`), names(contract.nephrite.v1.Phase));
  assert.deepEqual(PROFILES.map((profile) => `PROFILE_${profile.toUpperCase()}`), names(contract.nephrite.v1.Profile));
  assert.throws(() => caseRequest({ scans: [["arteriel", "a.nii.gz"]] }), /expected one of/);
});
