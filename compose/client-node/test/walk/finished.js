// A case that runs to its end: what was promised before, told on the way, and is there afterwards.

import assert from "node:assert/strict";

import { decode } from "../../mask.js";
import { all, PATIENCE } from "./scene.js";

export async function health({ server }) {
  assert.equal(await server.health("", PATIENCE), "SERVING");
  assert.equal(await server.health("nephrite.v1.CaseService", PATIENCE), "SERVING");
}

export async function estimate(scene) {
  const { steps, scans } = await scene.server.estimate(scene.request("run"), PATIENCE);
  assert.equal(scans.length, Object.keys(scene.config.scans).length);
  const kinds = new Set(steps.map(({ kind }) => kind));
  assert.ok(kinds.has("STEP_KIND_MODEL") && kinds.has("STEP_KIND_MASK"), `expected both kinds, found ${[...kinds]}`);
  for (const step of steps) checkPromise(step);
  assert.ok(steps.some(({ files }) => files.length > 0), "expected files that would be saved");
  scene.promised = steps;
  return `${steps.length} steps`;
}

function checkPromise({ step, kind, place, model, operation, labels, skipped }) {
  assert.equal(Boolean(place), skipped === "", `${step}: expected a place, unless it would be skipped`);
  assert.equal(model !== "", kind === "STEP_KIND_MODEL", `${step}: expected the folder of a model, found "${model}"`);
  assert.equal(operation !== "", kind === "STEP_KIND_MASK", `${step}: expected an operation, found "${operation}"`);
  assert.equal(labels.length > 0, kind !== "STEP_KIND_SAMPLE", `${step}: expected labels, found ${labels}`);
}

export async function run(scene) {
  const events = await all(scene.server.run(scene.request("run"), PATIENCE));
  const kinds = events.map(({ event }) => event);
  assert.equal(kinds[0], "accepted");
  assert.equal(kinds.lastIndexOf("accepted"), 0);
  assert.equal(kinds.indexOf("done"), events.length - 1, "expected done at the end, once");
  const progress = events.filter(({ event }) => event === "progress").map((event) => event.progress);
  for (const step of scene.promised) checkProgress(step, progress.filter((told) => told.step === step.step));
  scene.done = events.at(-1).done;
  checkFiles(scene.promised, scene.done.files);
  checkMasks(scene, events.filter(({ event }) => event === "mask").map((event) => event.mask));
  return `${events.length} events`;
}

function checkProgress({ step, kind, skipped }, told) {
  assert.ok(told.length > 0, `expected progress of ${step}`);
  for (const progress of told) checkEvent(progress, kind);
  const { state } = told.at(-1);
  assert.equal(state, skipped ? "STEP_STATE_SKIPPED" : "STEP_STATE_DONE", `${step}: expected that it ends`);
  if (kind !== "STEP_KIND_MODEL" || skipped) return;
  const ends = [told[0], told.at(-1)].map(({ stage }) => stage);
  assert.deepEqual(ends, [undefined, undefined], `${step}: expected no stage in the first and the last event`);
  for (const { stage } of told.slice(1, -1)) assert.ok(stage !== undefined, `${step}: expected a stage while it runs`);
  const tiles = told.filter(({ tiles_total }) => tiles_total > 0);
  assert.ok(tiles.length > 0, `${step}: expected progress with tiles`);
}

function checkEvent(progress, kind) {
  const isLeftOut = progress.state === "STEP_STATE_SKIPPED";
  const words = JSON.stringify(progress);
  assert.equal(Boolean(progress.place), !isLeftOut, `expected a place, unless the step is left out: ${words}`);
  assert.ok(!isLeftOut || progress.reason !== "", `expected a reason: ${words}`);
  assert.ok(progress.stage === undefined || kind === "STEP_KIND_MODEL", `expected a stage of models only: ${words}`);
  assert.ok(progress.tiles_done <= progress.tiles_total, `expected as many tiles at most: ${words}`);
}

/** Files that were promised are there, and no others. */
function checkFiles(promised, files) {
  const paths = files.map(({ path }) => path);
  const names = promised.flatMap((step) => step.files);
  const isThere = (name) => paths.some((path) => (name.endsWith("/") ? path.startsWith(name) : path === name));
  for (const name of names) assert.ok(isThere(name), `expected ${name}, found ${paths}`);
  const isPromised = (path) => names.some((name) => path === name || (name.endsWith("/") && path.startsWith(name)));
  for (const path of paths.slice(0, -1)) assert.ok(isPromised(path), `${path} was not promised: ${names}`);
  assert.equal(paths.at(-1), "record.json");
}

function checkMasks({ promised, done }, told) {
  assert.ok(done.masks.length > 0, "expected masks that are kept");
  const labelsOf = new Map(promised.map(({ step, labels }) => [step, [...labels].sort()]));
  for (const { step, labels } of told) assert.deepEqual(labels.map(({ name }) => name).sort(), labelsOf.get(step));
  for (const mask of done.masks) {
    const before = told.find(({ step }) => step === mask.step);
    assert.deepEqual(before?.labels, mask.labels, `expected the labels of ${mask.step} in its event`);
  }
}

export function record({ done, config }) {
  const record = JSON.parse(done.record);
  const output = `${config.output}-run`;
  assert.equal(done.output, output);
  assert.ok(record.request.output.startsWith("/") && record.request.output.endsWith(output), record.request.output);
  assert.deepEqual(record.files.map(({ path }) => path), done.files.slice(0, -1).map(({ path }) => path));
  const short = (masks) => masks.map(({ step, file, labels }) => [step, file, labels.map(({ id, voxels }) => [id, voxels])]);
  assert.deepEqual(short(record.masks), short(done.masks));
  const nVoxels = record.masks.flatMap(({ labels }) => labels).reduce((sum, { voxels }) => sum + voxels, 0);
  assert.ok(nVoxels > 0, "expected masks with voxels");
}

export async function masks({ server, done }) {
  for (const { step, labels } of done.masks) {
    const { mask, file } = await server.getMask(done.output, step, PATIENCE);
    const files = done.masks.filter((kept) => kept.step === step).map((kept) => kept.file);
    assert.equal(file, files.sort()[0]);
    const { found } = decode(mask);
    const counted = mask.labels.map(({ id, name, status }) => [id, name, status, found.get(id)?.voxels ?? 0]);
    assert.deepEqual(counted, labels.map(({ id, name, status, voxels }) => [id, name, status, voxels]));
  }
  return `${done.masks.length} masks`;
}
