// Label ids as a file of numpy: uint16, [z, y, x].

/** The whole file, version 1.0 of the format; the header is padded to 64 bytes. */
export function npy(ids, shape) {
  const words = `{'descr': '<u2', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const length = 64 * Math.ceil((10 + words.length + 1) / 64) - 10;
  const head = Buffer.from(`\x93NUMPY\x01\x00\0\0${words.padEnd(length - 1)}\n`, "latin1");
  head.writeUInt16LE(length, 8);
  const voxels = Buffer.alloc(2 * ids.length);
  ids.forEach((id, i) => voxels.writeUInt16LE(id, 2 * i));
  return Buffer.concat([head, voxels]);
}
