// The command line: a command and what may follow it.

import { parseArgs } from "node:util";

const text = { type: "string" };
const list = { type: "string", multiple: true, default: [] };
const flag = { type: "boolean" };

const SHARED = {
  server: { ...text, default: process.env.NEPHRITE_SERVER || "127.0.0.1:7443" },
  timeout: text,
  json: flag,
  help: flag,
};
const CASE = { pipeline: text, model: list, scan: list, steps: text, profile: text, output: text };
const COMMANDS = {
  run: CASE,
  estimate: CASE,
  mask: { output: text, step: text, save: text },
  health: {},
  models: {},
};

/** `command` and its `options`; throws an Error that says what is wrong. */
export function parse(words) {
  const { positionals: [command], values: { help } } = parseArgs({ args: words, options: every(), strict: false });
  if (help || command === undefined) return { command: "help", options: {} };
  if (!Object.hasOwn(COMMANDS, command)) throw new Error(`${command} is none of ${Object.keys(COMMANDS).join(", ")}`);
  const options = { ...SHARED, ...COMMANDS[command] };
  const { values, positionals } = parseArgs({ args: words, options, allowPositionals: true });
  if (positionals.length > 1) throw new Error(`${positionals[1]} was not expected`);
  return { command, options: { ...values, timeout: secondsOf(values.timeout) } };
}

function every() {
  return Object.assign({}, SHARED, ...Object.values(COMMANDS));
}

function secondsOf(timeout) {
  if (timeout === undefined) return undefined;
  const seconds = Number(timeout);
  if (!(seconds > 0)) throw new Error(`--timeout ${timeout}: expected a number above 0`);
  return seconds;
}

/** The words of a case, as caseRequest takes them. */
export function caseWords({ pipeline, model, scan, steps, profile, output }) {
  return {
    pipeline,
    models: model.map(splitModel),
    scans: scan.map(splitScan),
    steps: steps?.split(","),
    profile,
    output,
  };
}

/** `[PHASE=]DIR` */
function splitModel(word) {
  const at = word.lastIndexOf("=");
  return [word.slice(0, Math.max(at, 0)), word.slice(at + 1)];
}

/** `PHASE=FILE` */
function splitScan(word) {
  const at = word.indexOf("=");
  if (at < 1) throw new Error(`--scan ${word}: expected PHASE=FILE`);
  return [word.slice(0, at), word.slice(at + 1)];
}
