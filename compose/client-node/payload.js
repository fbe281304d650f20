// What lies inside the deflated payload of a mask: proto/mask-codec/FORMAT.md describes it.

import { MaskError } from "./mask-error.js";

const WIDE = 255;

/**
 * Boundaries of all planes, one plane after the other: `counts` says how many each has, `starts` where they are,
 * `labels` which label holds from there on.
 */
export function readPayload(raw, { nPlanes, planeVoxels, nRuns, labelBytes }) {
  const reader = new Reader(raw);
  const counts = reader.numbers(nPlanes, 4);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total !== nRuns) throw new MaskError(`planes hold ${total} runs, expected ${nRuns}`);
  const cut = reader.flags(nRuns - counts[nPlanes - 1]);
  const fresh = reader.flags(nRuns);
  const labels = reader.numbers(nOnes(fresh), labelBytes);
  const moves = reader.moves(nRuns);
  reader.end();
  return { counts, ...follow({ counts, cut, fresh, labels, moves }, planeVoxels) };
}

/** Takes one part after the other; what is not there is not allocated. */
class Reader {
  #raw;
  #at = 0;

  constructor(raw) {
    this.#raw = raw;
  }

  #bytes(n) {
    if (n > this.#raw.length - this.#at) throw new MaskError("the payload is shorter than its runs");
    return this.#raw.subarray(this.#at, (this.#at += n));
  }

  numbers(n, width) {
    const bytes = this.#bytes(n * width);
    return Uint32Array.from({ length: n }, (_, i) => bytes.readUIntLE(i * width, width));
  }

  flags(n) {
    const bytes = this.#bytes(Math.ceil(n / 8));
    return Uint8Array.from({ length: n }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
  }

  moves(n) {
    const moves = this.numbers(n, 1);
    const isWide = moves.map((move) => (move === WIDE ? 1 : 0));
    const wide = this.numbers(nOnes(isWide), 4);
    let next = 0;
    return moves.map((move, i) => (isWide[i] ? wide[next++] : move));
  }

  end() {
    if (this.#at < this.#raw.length) throw new MaskError("the payload is longer than its runs");
  }
}

function nOnes(flags) {
  return flags.reduce((sum, flag) => sum + flag, 0);
}

/** Follows the boundaries from plane to plane. */
function follow({ counts, cut, fresh, labels, moves }, planeVoxels) {
  const starts = new Int32Array(fresh.length);
  const ids = new Uint16Array(fresh.length);
  let first = 0; // boundary of this plane
  let old = 0; // boundary of the plane before that may be kept next
  let next = 0; // label of a new boundary
  for (const count of counts) {
    let ahead = 0;
    for (let i = first; i < first + count; i++) {
      let from = ahead;
      if (fresh[i]) {
        ids[i] = labels[next++];
      } else {
        while (old < first && cut[old]) old++;
        if (old === first) throw new MaskError("a plane keeps fewer boundaries than it has places for");
        from = starts[old];
        ids[i] = ids[old++];
      }
      ahead = checked(from + unzigzag(moves[i]), ahead, planeVoxels);
      starts[i] = ahead;
    }
    for (; old < first; old++) {
      if (!cut[old]) throw new MaskError("a plane keeps more boundaries than it has places for");
    }
    first += count;
  }
  return { starts, labels: ids };
}

function checked(start, ahead, planeVoxels) {
  if (start < ahead || start > planeVoxels) throw new MaskError("runs are not sorted or leave their plane");
  return start;
}

function unzigzag(move) {
  return (move >>> 1) ^ -(move & 1);
}

/**
 * Bytes and number of boundaries of planes (label ids, row by row). All boundaries are cut and new, labels 2 bytes wide.
 */
export function writePayload(planes) {
  const changes = planes.map(changesOf);
  const counts = changes.map(({ labels }) => labels.length);
  const nRuns = counts.reduce((sum, count) => sum + count, 0);
  const moves = changes.flatMap((plane) => plane.moves);
  const raw = Buffer.concat([
    numbers(counts, 4),
    ones(nRuns - counts[counts.length - 1]),
    ones(nRuns),
    numbers(changes.flatMap((plane) => plane.labels), 2),
    numbers(moves.map((move) => Math.min(move, WIDE)), 1),
    numbers(moves.filter((move) => move >= WIDE), 4),
  ]);
  return { raw, nRuns };
}

function changesOf(plane) {
  const labels = [];
  const moves = [];
  let label = 0;
  let ahead = 0;
  plane.forEach((id, position) => {
    if (id === label) return;
    labels.push(id);
    moves.push(2 * (position - ahead));
    label = id;
    ahead = position;
  });
  return { labels, moves };
}

function numbers(values, width) {
  const bytes = Buffer.alloc(values.length * width);
  values.forEach((value, i) => bytes.writeUIntLE(value, i * width, width));
  return bytes;
}

function ones(n) {
  return Buffer.from(Uint8Array.from({ length: Math.ceil(n / 8) }, (_, i) => 255 << Math.max(0, 8 * i + 8 - n)));
}
