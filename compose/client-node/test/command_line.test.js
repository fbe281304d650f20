// The command line: what it takes, prints and writes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { npy } from "../npy.js";
import { caseWords, parse } from "../options.js";
import { json, progressLine } from "../words.js";

const CLIENT = fileURLToPath(new URL("../client.js", import.meta.url));

function client(...words) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLIENT, ...words], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("options may stand before and behind the command", () => {
  const words = ["--timeout", "1.5", "run", "--scan", "arterial=a=b.nii.gz", "--model", "m", "--model", "delayed=d"];
  const { command, options } = parse([...words, "--server", "here:1", "--steps", "a,b"]);
  assert.deepEqual([command, options.timeout, options.server], ["run", 1.5, "here:1"]);
  const { models, scans, steps } = caseWords(options);
  assert.deepEqual([models, scans, steps], [[["", "m"], ["delayed", "d"]], [["arterial", "a=b.nii.gz"]], ["a", "b"]]);
});

test("options that a command does not have are refused", () => {
  for (const words of [["health", "--save", "x"], ["mask", "--scan", "a=b"], ["nothing"], ["run", "run"]]) {
    assert.throws(() => parse(words), Error, words.join(" "));
  }
  assert.throws(() => parse(["run", "--timeout", "soon"]), /soon/);
});

test("a failed call is one line and exit code 1, a wrong word exit code 2", () => {
  const refused = client("health", "--server", "127.0.0.1:9");
  assert.match(refused.stderr, /^UNAVAILABLE: .+\n$/);
  assert.deepEqual([refused.status, refused.stdout], [1, ""]);
  assert.match(client("run", "--scan", "arteriel=a").stderr, /^error: arteriel: expected one of .+\n$/);
  assert.equal(client("run", "--scan", "arteriel=a").status, 2);
  assert.equal(client("--help").status, 0);
});

test("progress is one line", () => {
  const place = { kind: "PLACE_KIND_SERVICE", name: "merge", address: "http://merge:7444" };
  const progress = { step: "all", state: "STEP_STATE_RUNNING", tiles_done: 1, tiles_total: 2, seconds_left: 0.25, place };
  const line = "all: running 1 of 2 tiles 0.3 s left (at merge, http://merge:7444)";
  assert.equal(progressLine(progress), line);
  assert.equal(json({ ...progress, place: null, _stage: "stage" }).includes("_stage"), false);
});

test("a file of numpy has a padded header and little-endian ids", () => {
  const file = npy(Uint16Array.of(1, 258), [1, 1, 2]);
  assert.equal(file.length, 128 + 4);
  assert.equal(file.readUInt16LE(8), 118);
  assert.match(file.toString("latin1", 10, 128), /^\{'descr': '<u2', 'fortran_order': False, 'shape': \(1, 1, 2\), \} +\n$/);
  assert.deepEqual([...file.subarray(128)], [1, 0, 2, 1]);
});
