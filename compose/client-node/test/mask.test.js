// Masks: what is encoded comes back, and what is broken is refused.

import assert from "node:assert/strict";
import test from "node:test";
import zlib from "node:zlib";

import { crc32, tableCrc32 } from "../crc32.js";
import { decode, encode, MaskError, voxelMl } from "../mask.js";
import { SCENES, scene } from "./scene.js";

const whole = encode(SCENES["boxes, noise and an empty plane"]);

/** The message with another payload, whose checksum is right. */
function withRaw(message, raw) {
  return { ...message, checksum: crc32(raw), payload: zlib.deflateRawSync(raw) };
}

/** One plane of one row of 4 voxels, from the parts of FORMAT.md; all of it is label 1. */
function row(parts, changes = {}) {
  const message = encode(scene([1, 1, 4], () => 1));
  return withRaw({ ...message, label_bytes: 1, ...changes }, Buffer.from(parts.flat()));
}

function refused(message, words) {
  assert.throws(() => decode(message), (error) => error instanceof MaskError && words.test(error.message));
}

for (const [name, input] of Object.entries(SCENES)) {
  test(`${name} come back`, () => {
    const message = encode(input);
    const { ids, shape, found } = decode(message);
    assert.deepEqual(ids, input.ids);
    assert.deepEqual(shape, [message.geometry.shape.z, message.geometry.shape.y, message.geometry.shape.x]);
    for (const { id, voxels, volume_ml } of message.labels) {
      const counted = input.ids.filter((other) => other === id).length;
      assert.equal(voxels, counted);
      assert.equal(volume_ml, counted * 0.0005);
      assert.equal(found.get(id)?.voxels ?? 0, counted);
    }
  });
}

test("boundaries that are kept move with their labels", () => {
  // two planes of 4 voxels: label 1 in the first two, then in the middle two
  const message = encode(scene([2, 1, 4], (z, _, x) => (x >= z && x < z + 2 ? 1 : 0)));
  const counts = [2, 0, 0, 0, 2, 0, 0, 0];
  const [cut, fresh, labels, moves] = [0b00000000, 0b11000000, [1, 0], [0, 4, 2, 2]];
  const raw = Buffer.from([counts, cut, fresh, labels, moves].flat());
  const { ids } = decode(withRaw({ ...message, label_bytes: 1, n_runs: 4, box: { ...message.box, x_end: 4 } }, raw));
  assert.deepEqual([...ids], [1, 1, 0, 0, 0, 1, 1, 0]);
});

test("the volume of a sheared voxel is that of its affine", () => {
  const spacing = { x: 2, y: Math.hypot(1, 3), z: 5 };
  assert.equal(voxelMl({ spacing, affine: [-2, 1, 0, 9, 0, 3, 0, 9, 0, 0, 5, 9, 0, 0, 0, 1] }), 0.03);
});

test("the table's checksum is that of zlib", () => {
  assert.equal(tableCrc32(Buffer.from("123456789")), 0xcbf43926);
  assert.equal(tableCrc32(whole.payload), crc32(whole.payload));
});

test("a flipped bit of the payload is refused, unless it pads the stream", () => {
  const nBits = 8 * whole.payload.length;
  let nRefused = 0;
  for (let bit = 0; bit < nBits; bit++) {
    const payload = Buffer.from(whole.payload);
    payload[bit >> 3] ^= 1 << (bit & 7);
    try {
      assert.deepEqual(decode({ ...whole, payload }).ids, decode(whole).ids);
    } catch (error) {
      assert.ok(error instanceof MaskError, error);
      nRefused++;
    }
  }
  assert.ok(nRefused > 0.98 * nBits, `${nRefused} of ${nBits}`);
});

test("a wrong checksum is refused", () => {
  refused({ ...whole, checksum: (whole.checksum ^ 1) >>> 0 }, /checksum/);
});

test("a payload that is cut off, or followed by more, is refused", () => {
  refused({ ...whole, payload: whole.payload.subarray(0, -1) }, /does not inflate/);
  refused({ ...whole, payload: Buffer.concat([whole.payload, Buffer.from([0])]) }, /follow/);
  refused({ ...whole, payload: Buffer.alloc(0) }, /does not inflate/);
});

test("a payload that inflates past its bound is refused", () => {
  refused({ ...whole, payload: zlib.deflateRawSync(Buffer.alloc(64 << 20)) }, /does not inflate/);
  refused(row([[1, 0, 0, 0], 128, 1, 0, Array(20).fill(0)]), /does not inflate/);
});

test("parts that contradict each other are refused", () => {
  assert.deepEqual([...decode(row([[1, 0, 0, 0], 128, 1, 0])).ids], [1, 1, 1, 1]);
  refused(row([[2, 0, 0, 0], 128, 1, 0]), /planes hold 2 runs/);
  refused(row([[1, 0, 0, 0], 128, 1]), /shorter/);
  refused(row([[1, 0, 0, 0], 128, 1, 255, 0]), /shorter/);
  refused(row([[1, 0, 0, 0], 128, 1, 0, 0]), /longer/);
  refused(row([[1, 0, 0, 0], 0, 0]), /keeps fewer/);
  refused(row([[1, 0, 0, 0], 128, 1, 10]), /leave their plane/);
  refused(row([[1, 0, 0, 0], 128, 1, 1]), /not sorted/);
  const box = { x_start: 0, y_start: 0, z_start: 0, x_end: 4, y_end: 1, z_end: 2 };
  const geometry = { ...whole.geometry, shape: { x: 4, y: 1, z: 2 } };
  refused(row([[1, 0, 0, 0], [0, 0, 0, 0], 0, 128, 1, 0], { box, geometry }), /keeps more/);
});

test("a box that does not lie within the shape is refused", () => {
  const { x, y, z } = whole.geometry.shape;
  for (const wrong of [{ x_end: x + 1 }, { y_end: y + 1 }, { z_end: z + 1 }, { z_start: -1 }, { y_start: 0.5 }]) {
    refused({ ...whole, box: { ...whole.box, ...wrong } }, /does not lie within/);
  }
  refused({ ...whole, box: { ...whole.box, x_start: whole.box.x_end } }, /does not lie within/);
});

test("shapes and numbers of runs are compared before anything is allocated", () => {
  for (const wrong of [0, -1, 1.5, NaN, "8", undefined]) {
    refused({ ...whole, geometry: { ...whole.geometry, shape: { x: wrong, y: 9, z: 8 } } }, /is none/);
  }
  refused({ ...whole, geometry: { ...whole.geometry, shape: { x: 2 ** 31, y: 2 ** 31, z: 2 ** 31 } } }, /at most/);
  refused({ ...whole, geometry: null }, /is none/);
  assert.throws(() => decode(whole, { maxVoxels: 1000 }), /at most 1000/);
  refused({ ...whole, n_runs: 2 ** 40 }, /at most/);
  refused({ ...whole, n_runs: whole.n_runs + 1 }, /planes hold/);
  refused({ ...whole, label_bytes: 3 }, /3 bytes/);
});

test("another encoding is refused", () => {
  refused({ ...whole, encoding: "MASK_ENCODING_UNSPECIFIED" }, /not known/);
  refused({ ...whole, encoding: 7 }, /7 is not known/);
});

test("a mask without a box has no runs", () => {
  refused({ ...whole, box: null }, /without a box/);
});

test("a table that does not say what is there is refused", () => {
  const changed = (change) => ({ ...whole, labels: whole.labels.map((label, i) => (i ? label : { ...label, ...change })) });
  refused(changed({ voxels: 1 }), /the table says 1/);
  refused(changed({ box: null }), /box of label/);
  refused(changed({ box: { ...whole.labels[0].box, x_end: 300 } }), /box of label/);
  refused(changed({ id: 999 }), /is not in the table/);
  refused({ ...whole, labels: [...whole.labels, whole.labels[0]] }, /twice/);
});
