/** Voxels and smallest box of every label that occurs, by id in rising order; `shape` is [z, y, x]. */
export function statistics(ids, [nz, ny, nx]) {
  const found = new Map();
  for (let row = 0; row < nz * ny; row++) {
    const [z, y] = [Math.floor(row / ny), row % ny];
    for (let x = 0, end; x < nx; x = end) {
      const id = ids[row * nx + x];
      for (end = x + 1; end < nx && ids[row * nx + end] === id; ) end++;
      if (id !== 0) found.set(id, grown(found.get(id), end - x, boxOf([z, y, x], [z + 1, y + 1, end])));
    }
  }
  return new Map([...found].sort(([a], [b]) => a - b));
}

function grown(before, voxels, box) {
  return before ? { voxels: before.voxels + voxels, box: union(before.box, box) } : { voxels, box };
}

function boxOf([z_start, y_start, x_start], [z_end, y_end, x_end]) {
  return { x_start, y_start, z_start, x_end, y_end, z_end };
}

/** The smallest box around two. */
export function union(a, b) {
  const outer = (key) => (key.endsWith("start") ? Math.min(a[key], b[key]) : Math.max(a[key], b[key]));
  return Object.fromEntries(Object.keys(a).map((key) => [key, outer(key)]));
}
