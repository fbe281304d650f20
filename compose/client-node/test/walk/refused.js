// Requests that are refused, and servers that are not there.

import assert from "node:assert/strict";
import net from "node:net";

import grpc from "@grpc/grpc-js";

import { connect } from "../../nephrite.js";
import { fails } from "./fails.js";
import { all, PATIENCE } from "./scene.js";

const runs = (server, request) => all(server.run(request, PATIENCE));

export async function existingOutput(scene) {
  const expected = { code: "ALREADY_EXISTS", nephriteCode: "already_exists", retry: false };
  await fails(runs(scene.server, scene.request("run")), expected);
}

export async function pathOutside(scene) {
  const expected = { code: "PERMISSION_DENIED", nephriteCode: "permission_denied", retry: false };
  const scans = [{ phase: "PHASE_ARTERIAL", path: "../outside.nii.gz" }];
  await fails(runs(scene.server, scene.request("gone", { output: "../outside" })), expected);
  await fails(runs(scene.server, scene.request("gone", { pipeline: "../outside.toml" })), expected);
  await fails(scene.server.estimate(scene.request("gone", { scans }), PATIENCE), expected);
}

export async function missingPhase(scene) {
  const scans = Object.values(scene.config.scans).map((path) => ({ path }));
  const expected = { code: "INVALID_ARGUMENT", nephriteCode: "invalid_argument", retry: false };
  const { message } = await fails(runs(scene.server, scene.request("gone", { scans })), expected);
  assert.match(message, /phase/);
}

/** A step needs a scan of a phase that the request does not name: a fault of the request, not of a scan. */
export async function missingScan(scene) {
  const [[phase, path]] = Object.entries(scene.config.scans);
  const scans = [{ phase: "PHASE_NON_CONTRAST", path }];
  const expected = { code: "INVALID_ARGUMENT", nephriteCode: "invalid_argument", retry: false };
  const { message } = await fails(runs(scene.server, scene.request("gone", { scans })), expected);
  assert.match(message, /needs a scan of/, `with the scan of ${phase} as another phase`);
}

export async function unknownMethod({ address }) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const bytes = (message) => message;
  const asked = new Promise((resolve, reject) => {
    const answered = (error) => (error ? reject(error) : resolve());
    client.makeUnaryRequest("/nephrite.v1.CaseService/Nothing", bytes, bytes, Buffer.alloc(0), answered);
  });
  await fails(asked, { code: "UNIMPLEMENTED", nephriteCode: "invalid_argument", retry: false });
  client.close();
}

export async function nobodyListens() {
  const server = connect(`127.0.0.1:${await freePort()}`);
  await fails(server.health("", PATIENCE), { code: "UNAVAILABLE", nephriteCode: null, retry: true });
  server.close();
}

/** A port that was free a moment ago. */
function freePort() {
  return new Promise((resolve) => {
    const listener = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

export async function deadPlugin(scene) {
  const { server: address, message } = scene.config.dead_plugin;
  const server = connect(address);
  const expected = { code: "UNAVAILABLE", nephriteCode: "unavailable", retry: true };
  const found = await fails(runs(server, scene.request("dead-plugin")), expected);
  assert.ok(found.message.includes(message), `expected ${message} in: ${found.message}`);
  server.close();
}
