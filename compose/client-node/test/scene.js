// Masks for the tests: boxes that move, noise, an empty plane, nothing at the edges.

/** A message's input: ids with their geometry and labels. */
export function scene(shape, idOf, names = {}) {
  const [nz, ny, nx] = shape;
  const ids = Uint16Array.from({ length: nz * ny * nx }, (_, i) => {
    return idOf(Math.floor(i / (nx * ny)), Math.floor(i / nx) % ny, i % nx);
  });
  const geometry = {
    shape: { x: nx, y: ny, z: nz },
    spacing: { x: 0.5, y: 0.5, z: 2 },
    affine: [0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1],
  };
  const labels = [...new Set([...ids].filter(Boolean)), ...Object.keys(names).map(Number)];
  const unique = [...new Set(labels)].map((id) => ({ id, name: names[id] ?? `label_${id}` }));
  return { geometry, ids, labels: unique };
}

export const SCENES = {
  "boxes, noise and an empty plane": scene([8, 9, 301], (z, y, x) => {
    if (z === 0 || z === 3 || y === 0 || x === 0) return 0;
    if (z === 5) return ((x * 7 + y * 13) % 5) * 70;
    if (x >= 2 + z && x < 9 + z && y < 6) return 300;
    return x > 290 ? 7 : 0;
  }),
  "one voxel": scene([3, 4, 5], (z, y, x) => (z === 1 && y === 2 && x === 3 ? 65535 : 0)),
  "all voxels": scene([2, 3, 4], () => 9),
  "wide moves": scene([5, 40, 700], (z, y, x) => (z % 2 && (x + y) % 739 === 0 ? z : 0)),
  nothing: scene([2, 3, 4], () => 0, { 4: "spleen" }),
};
