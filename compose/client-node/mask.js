// EncodedMask of nephrite/v1/mask.proto, from and to label ids.

import zlib from "node:zlib";

import { crc32 } from "./crc32.js";
import { MaskError } from "./mask-error.js";
import { readPayload, writePayload } from "./payload.js";
import { statistics, union } from "./statistics.js";

export { MaskError };

const ENCODING = "MASK_ENCODING_RUNS_DEFLATE";
const MAX_PLANE_VOXELS = 2 ** 31 - 1; // of the format
const MAX_RUNS = 2 ** 26;

/**
 * Label ids as Uint16Array, x fastest, with `shape` [z, y, x], and the voxels and box of every label `found`. A message
 * that is cut, contradicts itself, or has more voxels than `maxVoxels` throws a MaskError.
 */
export function decode(mask, { maxVoxels = 2 ** 30 } = {}) {
  checkHead(mask);
  const shape = shapeOf(mask.geometry, maxVoxels);
  const ids = new Uint16Array(shape[0] * shape[1] * shape[2]);
  if (mask.box) paint(ids, shape, mask.box, boundaries(mask, shape));
  const found = statistics(ids, shape);
  checkLabels(mask.labels, found);
  return { ids, shape, found };
}

/**
 * The message for label ids on a geometry (as in the message). `labels` are `{ id, name }`, and `status` where it is
 * neither present nor not found.
 */
export function encode({ geometry, ids, labels }) {
  const shape = shapeOf(geometry, ids.length);
  if (shape[0] * shape[1] * shape[2] !== ids.length) throw new MaskError("the shape is not that of the ids");
  const found = statistics(ids, shape);
  const message = {
    geometry,
    labels: labels.map((label) => describe(label, geometry, found.get(label.id))).sort((a, b) => a.id - b.id),
    encoding: ENCODING,
    label_bytes: 2,
  };
  checkLabels(message.labels, found);
  if (found.size === 0) return { ...message, box: null, n_runs: 0, checksum: 0, payload: Buffer.alloc(0) };
  const box = [...found.values()].map((label) => label.box).reduce(union);
  const { raw, nRuns } = writePayload(planesOf(ids, shape, box));
  return { ...message, box, n_runs: nRuns, checksum: crc32(raw), payload: zlib.deflateRawSync(raw) };
}

/** Milliliters of one voxel: of the affine, which a sheared grid's spacing does not tell. */
export function voxelMl({ affine: [a, b, c, , d, e, f, , g, h, i] }) {
  return Math.abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) / 1000;
}

function describe(label, geometry, found) {
  const { voxels, box } = found ?? { voxels: 0, box: null };
  const status = found ? "LABEL_STATUS_PRESENT" : "LABEL_STATUS_NOT_FOUND";
  return { status, ...label, voxels, volume_ml: voxels * voxelMl(geometry), box };
}

function checkHead({ encoding, label_bytes, box, n_runs, payload }) {
  if (encoding !== ENCODING) throw new MaskError(`encoding ${encoding} is not known`);
  if (label_bytes !== 1 && label_bytes !== 2) throw new MaskError(`labels of ${label_bytes} bytes, expected 1 or 2`);
  if (!isCount(n_runs) || n_runs > MAX_RUNS) throw new MaskError(`${n_runs} runs, at most ${MAX_RUNS} are taken`);
  if (!box && (n_runs !== 0 || payload.length !== 0)) throw new MaskError("a mask without a box has no runs");
}

const isCount = (n) => Number.isSafeInteger(n) && n >= 0;

/** [z, y, x], after comparing with what may be allocated. */
function shapeOf(geometry, maxVoxels) {
  const { x, y, z } = geometry?.shape ?? {};
  if (![x, y, z].every((n) => isCount(n) && n > 0)) throw new MaskError(`shape ${x} x ${y} x ${z} is none`);
  if (x * y * z > maxVoxels) throw new MaskError(`${x} x ${y} x ${z} voxels, at most ${maxVoxels} are taken`);
  return [z, y, x];
}

/** [z, y, x] of a box, after comparing with the shape that it must lie in. */
function boxShape(box, shape) {
  const starts = [box.z_start, box.y_start, box.x_start];
  const ends = [box.z_end, box.y_end, box.x_end];
  const fits = (start, axis) => isCount(start) && isCount(ends[axis]) && start < ends[axis] && ends[axis] <= shape[axis];
  if (!starts.every(fits)) throw new MaskError(`box ${starts} to ${ends} (z, y, x) does not lie within ${shape}`);
  return ends.map((end, axis) => end - starts[axis]);
}

function boundaries({ box, n_runs: nRuns, label_bytes: labelBytes, checksum, payload }, shape) {
  const [nPlanes, ny, nx] = boxShape(box, shape);
  const planeVoxels = ny * nx;
  if (planeVoxels > MAX_PLANE_VOXELS) throw new MaskError(`a plane has ${planeVoxels} voxels`);
  const raw = inflate(payload, 4 * nPlanes + 2 * Math.ceil(nRuns / 8) + (5 + labelBytes) * nRuns);
  if (crc32(raw) !== checksum) throw new MaskError("the checksum of the payload is wrong");
  return readPayload(raw, { nPlanes, planeVoxels, nRuns, labelBytes });
}

function inflate(payload, maxOutputLength) {
  const { buffer, bytesRead } = inflated(payload, maxOutputLength);
  if (bytesRead !== payload.length) throw new MaskError("bytes follow the payload's stream");
  return buffer;
}

function inflated(payload, maxOutputLength) {
  try {
    const { buffer, engine } = zlib.inflateRawSync(payload, { maxOutputLength, info: true });
    return { buffer, bytesRead: engine.bytesWritten };
  } catch (error) {
    throw new MaskError(`the payload does not inflate: ${error.message}`);
  }
}

function paint(ids, [, ny, nx], box, { counts, starts, labels }) {
  const width = box.x_end - box.x_start;
  const planeVoxels = width * (box.y_end - box.y_start);
  let i = 0;
  counts.forEach((count, plane) => {
    const corner = ((box.z_start + plane) * ny + box.y_start) * nx + box.x_start;
    for (const last = i + count; i < last; i++) {
      const end = i + 1 < last ? starts[i + 1] : planeVoxels;
      if (labels[i] !== 0) fillRows(ids, labels[i], starts[i], end, { corner, width, nx });
    }
  });
}

/** Fills a run that may go on over the ends of rows. */
function fillRows(ids, label, start, end, { corner, width, nx }) {
  while (start < end) {
    const y = Math.floor(start / width);
    const stop = Math.min(end, (y + 1) * width);
    const row = corner + y * (nx - width);
    ids.fill(label, row + start, row + stop);
    start = stop;
  }
}

/** Rows of the box, one array per plane. */
function planesOf(ids, [, ny, nx], box) {
  const [height, width] = [box.y_end - box.y_start, box.x_end - box.x_start];
  return Array.from({ length: box.z_end - box.z_start }, (_, plane) => {
    const copy = new Uint16Array(height * width);
    for (let y = 0; y < height; y++) {
      const row = ((box.z_start + plane) * ny + box.y_start + y) * nx + box.x_start;
      copy.set(ids.subarray(row, row + width), y * width);
    }
    return copy;
  });
}

/** What others read without inflating must be true. */
function checkLabels(labels, found) {
  const table = new Map(labels.map((label) => [label.id, label]));
  if (table.size !== labels.length || table.has(0)) throw new MaskError("the table names a label twice, or label 0");
  for (const id of found.keys()) if (!table.has(id)) throw new MaskError(`label ${id} is not in the table`);
  for (const label of labels) checkLabel(label, found.get(label.id));
}

function checkLabel({ id, voxels, box }, found) {
  const counted = found?.voxels ?? 0;
  if (voxels !== counted) throw new MaskError(`label ${id} has ${counted} voxels, the table says ${voxels}`);
  if (!isSameBox(box, found?.box)) throw new MaskError(`the table's box of label ${id} is not that of its voxels`);
}

function isSameBox(a, b) {
  return !a || !b ? !a && !b : Object.keys(b).every((key) => a[key] === b[key]);
}
