//! What lies inside the deflated payload: the runs of every plane as changes to the plane before it. See `FORMAT.md`.
//!
//! A plane of the box is a list of *boundaries*: positions (y·nx + x, relative to the box) from which on a label holds.
//! Structures hardly change from one plane to the next, so most boundaries of a plane are those of the plane before it,
//! moved by a voxel or not at all. The list is therefore written as: which boundaries of the plane before are cut, which
//! of this plane are new, the labels of the new ones, and for all the distance moved.

use nephrite_types::{BoundingBox, Geometry, Limits};
use rayon::prelude::*;

use crate::run_mask::{check_size, push_merging};
use crate::{CodecError, MaskError, Run, RunMask};

/// The parts of a payload, not yet a mask.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Boundaries per plane.
    pub(crate) counts: Vec<u32>,
    /// One flag per boundary of every plane but the last: not in the next plane.
    pub(crate) cut: Vec<bool>,
    /// One flag per boundary of every plane: not in the plane before.
    pub(crate) new: Vec<bool>,
    /// Of the new boundaries.
    pub(crate) labels: Vec<u16>,
    /// One per boundary, zigzag: distance to the kept boundary, or of a new one to the boundary ahead of it.
    pub(crate) moves: Vec<u32>,
}

/// Positions are 32 bits wide, and moves signed.
const MAX_PLANE_VOXELS: u64 = i32::MAX as u64;

/// Stands for a move that does not fit a byte; those follow, 32 bits each.
const WIDE: u8 = u8::MAX;

/// Boundaries of one plane, row by row.
#[derive(Debug, Default)]
struct Boundaries {
    starts: Vec<u32>,
    labels: Vec<u16>,
    /// First boundary of every row, and their number.
    row_starts: Vec<u32>,
}

/// How the boundaries of one plane differ from those of the plane before.
struct Change {
    cut: Vec<bool>,
    new: Vec<bool>,
    labels: Vec<u16>,
    moves: Vec<u8>,
    /// For every move that is [`WIDE`].
    wide: Vec<u32>,
}

/// The inflated payload, and the number of its boundaries; labels are `label_bytes` wide.
///
/// # Errors
/// [`CodecError::PlaneTooLarge`].
pub(crate) fn payload_of(
    mask: &RunMask,
    bounds: &BoundingBox,
    label_bytes: u8,
) -> Result<(Vec<u8>, u64), CodecError> {
    let [nz, ny, nx] = bounds.shape();
    let n_voxels = ny as u64 * nx as u64;
    if n_voxels > MAX_PLANE_VOXELS {
        return Err(CodecError::PlaneTooLarge {
            limit: MAX_PLANE_VOXELS,
            found: n_voxels,
        });
    }
    let planes: Vec<Boundaries> = (0..nz)
        .into_par_iter()
        .map(|z| boundaries(mask, bounds, z))
        .collect();
    let none = Boundaries {
        row_starts: vec![0; ny + 1],
        ..Boundaries::default()
    };
    let changes: Vec<Change> = (0..nz)
        .into_par_iter()
        .map(|z| change(if z == 0 { &none } else { &planes[z - 1] }, &planes[z]))
        .collect();

    let n_runs: usize = planes.iter().map(|plane| plane.starts.len()).sum();
    let mut raw = Vec::with_capacity(nz * 4 + n_runs * 3 / 2);
    for plane in &planes {
        raw.extend((plane.starts.len() as u32).to_le_bytes()); // at most two per voxel of a plane
    }
    pack_bits(changes.iter().map(|change| &change.cut[..]), &mut raw);
    pack_bits(changes.iter().map(|change| &change.new[..]), &mut raw);
    let labels = changes.iter().flat_map(|change| &change.labels);
    if label_bytes == 1 {
        raw.extend(labels.map(|label| *label as u8)); // the caller saw that all fit
    } else {
        raw.extend(labels.flat_map(|label| label.to_le_bytes()));
    }
    for change in &changes {
        raw.extend_from_slice(&change.moves);
    }
    let wide = changes.iter().flat_map(|change| &change.wide);
    raw.extend(wide.flat_map(|moved| moved.to_le_bytes()));
    Ok((raw, n_runs as u64))
}

fn boundaries(mask: &RunMask, bounds: &BoundingBox, z: usize) -> Boundaries {
    let ny_mask = mask.shape()[1];
    let [_, ny, nx] = bounds.shape();
    let [z0, y0, x0] = bounds.start;
    let rows = (z0 + z) * ny_mask + y0;
    let n_runs = (mask.row_starts()[rows + ny] - mask.row_starts()[rows]) as usize;
    let mut found = Boundaries {
        starts: Vec::with_capacity(2 * n_runs),
        labels: Vec::with_capacity(2 * n_runs),
        row_starts: Vec::with_capacity(ny + 1),
    };
    for y in 0..ny {
        found.row_starts.push(found.starts.len() as u32); // as in parts_of
        let row = mask.row(rows + y);
        let offset = (y * nx) as u32; // parts_of saw the plane's size
        for (idx, run) in row.iter().enumerate() {
            found.starts.push(offset + (run.start - x0 as u32));
            found.labels.push(run.label);
            if row.get(idx + 1).is_none_or(|next| next.start != run.end) {
                found.starts.push(offset + (run.end - x0 as u32));
                found.labels.push(0);
            }
        }
    }
    found.row_starts.push(found.starts.len() as u32);
    found
}

fn change(before: &Boundaries, now: &Boundaries) -> Change {
    let mut change = Change {
        cut: vec![true; before.starts.len()],
        new: vec![true; now.starts.len()],
        labels: Vec::new(),
        moves: Vec::with_capacity(now.starts.len()),
        wide: Vec::new(),
    };
    let mut ahead = 0u32;
    for (old, row) in before.row_starts.windows(2).zip(now.row_starts.windows(2)) {
        let (old, row) = (old[0] as usize..old[1] as usize, row[0] as usize..row[1] as usize);
        let mut kept = Kept::between(&before.labels[old.clone()], &now.labels[row.clone()]);
        for idx in row.clone() {
            let start = now.starts[idx];
            let from = match kept.next(idx - row.start) {
                Some(old_idx) => {
                    let old_idx = old.start + old_idx;
                    change.cut[old_idx] = false;
                    change.new[idx] = false;
                    before.starts[old_idx]
                }
                None => {
                    change.labels.push(now.labels[idx]);
                    ahead
                }
            };
            let moved = zigzag(start as i32 - from as i32); // both at most MAX_PLANE_VOXELS
            let narrow = u8::try_from(moved).unwrap_or(WIDE);
            change.moves.push(narrow);
            if narrow == WIDE {
                change.wide.push(moved);
            }
            ahead = start;
        }
    }
    change
}

/// Which boundaries of a row are those of the same row in the plane before: a common subsequence of the labels.
///
/// Rows mostly begin and end alike, so only what is left in the middle is searched for the longest one.
struct Kept {
    prefix: usize,
    /// Of the row, where the common end begins.
    suffix: usize,
    /// What to add to a row's index in the common end to find the old one.
    shift: isize,
    /// Row index and old index, in the middle.
    middle: Vec<(usize, usize)>,
    next: usize,
}

/// Middles longer than this have nothing in common worth searching.
const MAX_MIDDLE: usize = 31;

impl Kept {
    fn between(old: &[u16], row: &[u16]) -> Kept {
        let prefix = old.iter().zip(row).take_while(|(a, b)| a == b).count();
        let (old_rest, row_rest) = (&old[prefix..], &row[prefix..]);
        let tails = old_rest.iter().rev().zip(row_rest.iter().rev());
        let n_suffix = tails.take_while(|(a, b)| a == b).count();
        let middle = longest_common_subsequence(
            &old_rest[..old_rest.len() - n_suffix],
            &row_rest[..row_rest.len() - n_suffix],
        );
        Kept {
            prefix,
            suffix: row.len() - n_suffix,
            shift: old.len() as isize - row.len() as isize,
            middle: middle
                .into_iter()
                .map(|(old, row)| (prefix + row, prefix + old))
                .collect(),
            next: 0,
        }
    }

    /// The old index of a row's boundary; asked in order.
    #[inline]
    fn next(&mut self, idx: usize) -> Option<usize> {
        if idx < self.prefix {
            return Some(idx);
        }
        if idx >= self.suffix {
            return Some((idx as isize + self.shift) as usize); // lies in the common end of the old row
        }
        let (row, old) = *self.middle.get(self.next)?;
        if row != idx {
            return None;
        }
        self.next += 1;
        Some(old)
    }
}

/// Pairs of indices (old, row), increasing in both.
///
/// Source: the textbook table of lengths, Wagner and Fischer, "The string-to-string correction problem", 1974.
fn longest_common_subsequence(old: &[u16], row: &[u16]) -> Vec<(usize, usize)> {
    let (n, m) = (old.len(), row.len());
    if n == 0 || m == 0 || n > MAX_MIDDLE || m > MAX_MIDDLE {
        return Vec::new();
    }
    let mut longest = [[0u8; MAX_MIDDLE + 1]; MAX_MIDDLE + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            longest[i][j] = if old[i] == row[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < n && j < m {
        if old[i] == row[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[inline]
fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32 // bits moved, none lost
}

#[inline]
fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32) // the inverse
}

impl Parts {
    /// # Errors
    /// [`CodecError::RunTotal`], [`CodecError::PayloadSize`].
    pub(crate) fn from_bytes(
        raw: &[u8],
        n_planes: usize,
        n_runs: u64,
        label_bytes: u8,
    ) -> Result<Parts, CodecError> {
        let found = raw.len() as u64;
        let size = |expected: u64| CodecError::PayloadSize { expected, found };
        let (counts, rest) = raw
            .split_at_checked(n_planes * 4)
            .ok_or_else(|| size(n_planes as u64 * 4))?;
        let counts: Vec<u32> = counts
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if total != n_runs {
            return Err(CodecError::RunTotal {
                expected: n_runs,
                found: total,
            });
        }
        let n_cut = total - u64::from(counts.last().copied().unwrap_or(0));
        let flag_bytes = n_cut.div_ceil(8) + total.div_ceil(8);
        let least = n_planes as u64 * 4 + flag_bytes + total;
        if found < least {
            return Err(size(least));
        }
        // Every number below is at most the length of `raw`.
        let (total, n_cut) = (total as usize, n_cut as usize);
        let (cut, rest) = rest.split_at(n_cut.div_ceil(8));
        let (new, rest) = rest.split_at(total.div_ceil(8));
        let new = unpack_bits(new, total);
        let n_new = new.iter().filter(|new| **new).count();
        let n_label_bytes = n_new * usize::from(label_bytes);
        let moves = rest.get(n_label_bytes..n_label_bytes + total);
        let n_wide = moves.map_or(0, |moves| moves.iter().filter(|moved| **moved == WIDE).count());
        if rest.len() != n_label_bytes + total + n_wide * 4 {
            return Err(size(least + (n_label_bytes + n_wide * 4) as u64));
        }
        let (labels, moves) = rest.split_at(n_label_bytes);
        let labels = if label_bytes == 1 {
            labels.iter().map(|label| u16::from(*label)).collect()
        } else {
            let pairs = labels.chunks_exact(2);
            pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
        };
        let (moves, wide) = moves.split_at(total);
        let mut moves: Vec<u32> = moves.iter().map(|moved| u32::from(*moved)).collect();
        let places = moves.iter_mut().filter(|moved| **moved == u32::from(WIDE));
        for (place, bytes) in places.zip(wide.chunks_exact(4)) {
            *place = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Ok(Parts {
            counts,
            cut: unpack_bits(cut, n_cut),
            new,
            labels,
            moves,
        })
    }

    /// The mask. Runs that go on over the end of a row, as foreign encoders may write them, are split.
    ///
    /// # Errors
    /// [`CodecError::Kept`], [`CodecError::RunStart`], the limits' errors.
    pub(crate) fn to_runs(
        &self,
        geometry: &Geometry,
        bounds: &BoundingBox,
        limits: &Limits,
    ) -> Result<RunMask, CodecError> {
        let n_rows = check_size(geometry, limits)?;
        let [_, ny_mask, _] = geometry.shape.zyx();
        let [_, ny, nx] = bounds.shape();
        let [z0, y0, x0] = bounds.start;
        let n_voxels = ny * nx;
        if n_voxels as u64 > MAX_PLANE_VOXELS {
            return Err(CodecError::PlaneTooLarge {
                limit: MAX_PLANE_VOXELS,
                found: n_voxels as u64,
            });
        }
        let max_runs = limits.max_mask_runs.min(u32::MAX.into());
        let mut rows = Rows {
            starts: Vec::with_capacity(n_rows + 1),
            // Every run has a boundary of its own, and most have two.
            runs: Vec::with_capacity((self.new.len() * 5 / 8).min(max_runs as usize)),
        };
        let mut labels = self.labels.iter();
        let mut before: Vec<(u32, u16)> = Vec::new();
        let mut now: Vec<(u32, u16)> = Vec::new();
        let (mut cut, mut new, mut moves) = (&self.cut[..], &self.new[..], &self.moves[..]);
        for (plane, &count) in self.counts.iter().enumerate() {
            let (cut_here, cut_rest) = cut.split_at(before.len());
            let (new_here, new_rest) = new.split_at(count as usize);
            let (moves_here, moves_rest) = moves.split_at(count as usize);
            (cut, new, moves) = (cut_rest, new_rest, moves_rest);
            let kept = cut_here.len() - cut_here.iter().filter(|cut| **cut).count();
            let places = new_here.len() - new_here.iter().filter(|new| **new).count();
            if kept != places {
                return Err(CodecError::Kept { plane, kept, places });
            }
            now.clear();
            now.reserve(new_here.len());
            let mut old = 0;
            let mut ahead = 0u32;
            for (&new, &moved) in new_here.iter().zip(moves_here) {
                let (from, label) = if new {
                    (ahead, *labels.next().expect("counted in from_bytes"))
                } else {
                    while cut_here[old] {
                        old += 1; // ends before `cut_here` does: as many are kept as there are places
                    }
                    old += 1;
                    before[old - 1]
                };
                let start = i64::from(from) + i64::from(unzigzag(moved));
                if start < i64::from(ahead) || start > n_voxels as i64 {
                    return Err(CodecError::RunStart { plane, n_voxels });
                }
                ahead = start as u32; // at most n_voxels
                now.push((ahead, label));
            }
            rows.push_plane(
                &now,
                (z0 + plane) * ny_mask + y0,
                nx as u32,
                x0 as u32,
                n_voxels as u32,
            );
            if rows.runs.len() as u64 > max_runs {
                return Err(CodecError::Mask(MaskError::TooManyRuns {
                    limit: max_runs,
                    found: rows.runs.len() as u64,
                }));
            }
            std::mem::swap(&mut before, &mut now);
        }
        Ok(rows.finish(geometry, n_rows))
    }
}

/// Rows of a mask under construction.
struct Rows {
    /// First run of the rows begun so far.
    starts: Vec<u32>,
    runs: Vec<Run>,
}

impl Rows {
    /// The runs of a plane whose first row in the box is row `first` of the mask; its rows are `nx` long and begin at `x0`.
    fn push_plane(&mut self, boundaries: &[(u32, u16)], first: usize, nx: u32, x0: u32, n_voxels: u32) {
        // Rows since the last plane have no runs, and the first row of this one begins.
        self.starts.resize(first + 1, self.runs.len() as u32); // at most max_mask_runs and one plane
        let mut row_start = 0; // position of the row at hand
        let mut row_first = self.runs.len();
        let ends = boundaries.iter().skip(1).map(|next| next.0).chain([n_voxels]);
        for (&(start, label), end) in boundaries.iter().zip(ends) {
            if label == 0 {
                continue;
            }
            let mut start = start;
            while start < end {
                while start >= row_start + nx {
                    row_start += nx;
                    row_first = self.runs.len();
                    self.starts.push(row_first as u32);
                }
                let stop = end.min(row_start + nx);
                let run = Run {
                    start: x0 + (start - row_start),
                    end: x0 + (stop - row_start),
                    label,
                };
                push_merging(&mut self.runs, row_first, run);
                start = stop;
            }
        }
    }

    fn finish(mut self, geometry: &Geometry, n_rows: usize) -> RunMask {
        self.starts.resize(n_rows + 1, self.runs.len() as u32);
        RunMask::from_canonical(*geometry, self.starts, self.runs)
    }
}

/// Eight flags per byte, the first in the highest bit, as `numpy.packbits`.
fn pack_bits<'a>(parts: impl Iterator<Item = &'a [bool]>, out: &mut Vec<u8>) {
    let (mut byte, mut n_bits) = (0u8, 0);
    for part in parts {
        for flag in part {
            byte = byte << 1 | u8::from(*flag);
            n_bits += 1;
            if n_bits == 8 {
                out.push(byte);
                (byte, n_bits) = (0, 0);
            }
        }
    }
    if n_bits > 0 {
        out.push(byte << (8 - n_bits));
    }
}

fn unpack_bits(bytes: &[u8], n: usize) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(bytes.len() * 8);
    for byte in bytes {
        flags.extend_from_slice(&std::array::from_fn::<bool, 8, _>(|bit| {
            byte >> (7 - bit) & 1 == 1
        }));
    }
    flags.truncate(n);
    flags
}
