// Runs that end before their end, and those that find no place.

import assert from "node:assert/strict";

import { fails } from "./fails.js";
import { all, PATIENCE } from "./scene.js";

const MAX_RUNS = 64;

/** A run that can be canceled; `position` is its place in the queue. */
async function begun(scene, output) {
  const controller = new AbortController();
  const events = scene.server.run(scene.longRequest(output), { ...PATIENCE, signal: controller.signal });
  const { value } = await events.next();
  assert.equal(value.event, "accepted");
  return { position: value.accepted.position, events, cancel: () => controller.abort() };
}

async function firstTile(events) {
  for (;;) {
    const { value, done } = await events.next();
    assert.ok(!done && value.event !== "done", "expected a long run");
    if (value.progress?.tiles_done > 0) return;
  }
}

/** Cancels a run, and waits until this client sees it end. */
async function cancel(run) {
  run.cancel();
  await fails(all(run.events), { code: "CANCELLED", nephriteCode: null, retry: false });
}

export async function canceled(scene) {
  const run = await begun(scene, "canceled");
  await firstTile(run.events);
  await cancel(run);
  return `the next one after ${(await untilNextBegins(scene)).toFixed(0)} ms`;
}

/**
 * Milliseconds until a run begins at once. Its result folder is that of the canceled one, of which nothing may be left.
 */
async function untilNextBegins(scene) {
  const started = performance.now();
  for (;;) {
    const run = await begun(scene, "canceled");
    const waited = performance.now() - started;
    if (run.position === 0) await firstTile(run.events);
    await cancel(run);
    if (run.position === 0) return waited;
    assert.ok(waited < 30_000, "expected a run that begins at once after a canceled one");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function deadline(scene) {
  const seconds = 1;
  const started = performance.now();
  const events = scene.server.run(scene.longRequest("late"), { timeout: seconds });
  const { nephriteCode } = await fails(all(events), { code: "DEADLINE_EXCEEDED", retry: false });
  assert.ok([null, "deadline_exceeded"].includes(nephriteCode), nephriteCode);
  const waited = (performance.now() - started) / 1000;
  assert.ok(waited > 0.9 * seconds && waited < 20 * seconds, `expected ${seconds} s, found ${waited} s`);
}

export async function overload(scene) {
  const runs = [];
  let refused = null;
  while (refused === null && runs.length < MAX_RUNS) {
    await begun(scene, `overload-${runs.length}`).then(
      (run) => runs.push(run),
      (error) => (refused = error),
    );
  }
  assert.ok(refused, `expected a refusal, but ${runs.length} runs were taken`);
  await fails(Promise.reject(refused), { code: "RESOURCE_EXHAUSTED", nephriteCode: "overloaded", retry: true });
  const places = runs.map(({ position }) => position);
  assert.deepEqual(places, [...places].sort((a, b) => a - b), "expected that places rise");
  await Promise.all(runs.map(cancel));
  return `${runs.length} were taken, at ${places.join(", ")}`;
}
