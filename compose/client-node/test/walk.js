// A walk through all that a client meets, against a real server:
//
//   NEPHRITE_SERVER=127.0.0.1:7443 node test/walk.js FILE.json
//
// FILE.json, with paths as the server sees them:
//
//   pipeline        runs in seconds and keeps masks; needs all scans or some
//   long_pipeline   runs for a minute or longer on the same scans
//   scans           paths by phase: { "arterial": "scans/arterial.nii.gz", ... }
//   output          what names of result folders begin with; the folder above must be there: "results/walk"
//   dead_plugin     a second server on the same root that places an operation of `pipeline` where nobody listens:
//                   { "server": "127.0.0.1:7450", "message": "what the error must name, such as the place's address" }
//
// Prints one line per check; at the first failure, what was expected, and exits with 1.

import { readFileSync } from "node:fs";

import * as finished from "./walk/finished.js";
import * as refused from "./walk/refused.js";
import * as stopped from "./walk/stopped.js";
import { Scene } from "./walk/scene.js";

const CHECKS = [
  ["the server says that it serves", finished.health],
  ["an estimate says what would come out", finished.estimate],
  ["a run goes to its end, with progress and masks", finished.run],
  ["the record says what the events said", finished.record],
  ["masks come with the voxels of the record", finished.masks],
  ["a result folder that is there is refused", refused.existingOutput],
  ["a path that leads out is refused", refused.pathOutside],
  ["a scan without a phase is refused", refused.missingPhase],
  ["a phase that a step needs is missing", refused.missingScan],
  ["a method that is not there", refused.unknownMethod],
  ["a server that is not there", refused.nobodyListens],
  ["a plugin that is not there", refused.deadPlugin],
  ["a run is canceled, and the next one begins", stopped.canceled],
  ["a deadline ends a run", stopped.deadline],
  ["one run too many is refused", stopped.overload],
  ["the server serves on", finished.health],
];

async function main(file) {
  const scene = new Scene(JSON.parse(readFileSync(file, "utf8")), process.env.NEPHRITE_SERVER);
  for (const [name, check] of CHECKS) {
    const started = performance.now();
    try {
      const found = await check(scene);
      console.log(`ok: ${name}${found ? `: ${found}` : ""} (${((performance.now() - started) / 1000).toFixed(2)} s)`);
    } catch (error) {
      const isMistake = error.name !== "AssertionError" && !error.metadata; // of this program
      console.log(`FAILED: ${name}: ${isMistake ? error.stack : error.message}`);
      return 1;
    }
  }
  return 0;
}

if (process.env.NODE_TEST_CONTEXT === undefined) {
  const [file] = process.argv.slice(2);
  if (file && process.env.NEPHRITE_SERVER) process.exit(await main(file));
  console.error("NEPHRITE_SERVER=HOST:PORT node test/walk.js FILE.json");
  process.exit(2);
}
