#!/usr/bin/env node
// Runs a case on a nephrite server, follows it, and prints what was found.

import { writeFileSync } from "node:fs";

import { decode, MaskError, voxelMl } from "./mask.js";
import { caseRequest, connect, failure } from "./nephrite.js";
import { npy } from "./npy.js";
import { caseWords, parse } from "./options.js";
import { json, labelLines, progressLine, resultLines } from "./words.js";

const HELP = `client.js run --pipeline FILE --scan PHASE=FILE [--scan ...] --output DIR    run a case, follow it
client.js estimate --pipeline FILE --scan PHASE=FILE [--scan ...]           what it would cost
client.js mask --output DIR --step NAME [--save FILE.npy]                   a mask of a case that is done
client.js health                                                            whether the server serves
client.js models                                                            model folders, and models in memory

  --server HOST:PORT     default: NEPHRITE_SERVER, then 127.0.0.1:7443
  --timeout SECONDS      give the call up then
  --json                 print messages as they come
  --model [PHASE=]DIR    instead of a pipeline, once per model
  --steps A,B            only these and what they need
  --profile full|quick   how thoroughly

Paths are those of the server's shared volume, relative to its root; FILE.npy is written here.`;

const print = (lines) => console.log([lines].flat().join("\n"));

async function run(server, options, call) {
  for await (const event of server.run(caseRequest(caseWords(options)), call)) {
    if (options.json) print(json(event));
    else if (event.progress) print(progressLine(event.progress));
    else if (event.warning) print(`warning: ${event.warning.message}`);
    else if (event.done) print(resultLines(event.done));
  }
}

async function estimate(server, options, call) {
  print(json(await server.estimate(caseRequest(caseWords(options)), call), 2));
}

async function mask(server, { output = "", step = "", save, json: asJson }, call) {
  if (save && !save.endsWith(".npy")) throw new RangeError(`--save ${save}: expected a name that ends in .npy`);
  const { mask: encoded, file } = await server.getMask(output, step, call);
  const { ids, shape, found } = decode(encoded);
  if (save) writeFileSync(save, npy(ids, shape));
  const labels = encoded.labels.map((label) => counted(label, encoded.geometry, found.get(label.id)));
  if (asJson) print(json({ file, geometry: encoded.geometry, labels }));
  else print([`${output}/${file}, ${shape.join(" x ")} voxels (z, y, x)`, ...labelLines(labels)]);
}

function counted(label, geometry, { voxels } = { voxels: 0 }) {
  return { ...label, voxels, volume_ml: voxels * voxelMl(geometry) };
}

async function health(server, { json: asJson }, call) {
  const status = await server.health("", call);
  print(asJson ? json({ status }) : status);
  if (status !== "SERVING") process.exitCode = 1;
}

async function models(server, options, call) {
  const { models, resident } = await server.models("", call);
  if (options.json) print(json({ models, resident }));
  else {
    for (const { folder, folds } of models) print(`${folder} (${folds.join(", ")})`);
    for (const { folder, memory_bytes } of resident) print(`in memory: ${folder}, ${memory_bytes} bytes`);
  }
}

const COMMANDS = { run, estimate, mask, health, models };

/** A signal of Ctrl-C; a second one ends the program. */
function interrupt() {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  return controller.signal;
}

async function main(words) {
  const { command, options } = parse(words);
  if (command === "help") return print(HELP);
  const signal = interrupt();
  const server = connect(options.server);
  try {
    await COMMANDS[command](server, options, { signal, timeout: options.timeout });
  } catch (error) {
    report(error, signal);
  } finally {
    server.close();
  }
}

/** One line, and the exit code: 130 after Ctrl-C, 1 otherwise. */
function report(error, signal) {
  process.exitCode = signal.aborted ? 130 : 1;
  if (error instanceof MaskError) return console.error(`error: ${error.message}`);
  const { code, nephriteCode, message } = failure(error);
  const name = nephriteCode ? `${code} (${nephriteCode})` : code;
  console.error(`${name}: ${signal.aborted && code === "CANCELLED" ? "by Ctrl-C; the server stops the work" : message}`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
});
