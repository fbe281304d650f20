//! How ONNX Runtime's memory arena grows: which bytes a session has touched after its first run, and never gives back.
//!
//! Source: ONNX Runtime 1.24, `core/framework/bfc_arena.cc` with its defaults for the CPU: best fit, regions that double
//! from 1 MiB, pieces that are only split if at least half of one would be left over.

/// Sizes are rounded up to this.
const UNIT: u64 = 256;
/// Of the first region.
const FIRST_REGION: u64 = 1 << 20;
/// Regions do not double beyond this unless one allocation needs it.
const MAX_REGION: u64 = 1 << 30;
/// A piece is split in any case if more than this would be left over.
const MAX_DEAD: u64 = 128 << 20;

/// A piece of a region that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    region: usize,
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    offset: u64,
    len: u64,
    in_use: bool,
}

#[derive(Debug, Default)]
struct Region {
    /// In order of their offsets, without gaps.
    chunks: Vec<Chunk>,
    /// End of the last byte that was ever handed out; what lies behind it is not resident.
    touched: u64,
}

/// An arena of which only the bookkeeping exists.
#[derive(Debug)]
pub(crate) struct Arena {
    regions: Vec<Region>,
    next_region: u64,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Arena {
            regions: Vec::new(),
            next_region: FIRST_REGION,
        }
    }

    /// Hands out `len` bytes.
    pub(crate) fn allocate(&mut self, len: u64) -> Piece {
        let wanted = len.max(1).checked_next_multiple_of(UNIT).unwrap_or(u64::MAX);
        let (region, at) = match self.best_fit(wanted) {
            Some(found) => found,
            None => (self.grow(wanted), 0),
        };
        let touched = &mut self.regions[region];
        let chunk = &mut touched.chunks[at];
        chunk.in_use = true;
        let Chunk { offset, len: had, .. } = *chunk;
        touched.touched = touched.touched.max(offset.saturating_add(len));
        if had > wanted && (had >= wanted.saturating_mul(2) || had - wanted >= MAX_DEAD) {
            chunk.len = wanted;
            let rest = Chunk {
                offset: offset + wanted,
                len: had - wanted,
                in_use: false,
            };
            touched.chunks.insert(at + 1, rest);
        }
        Piece { region, offset }
    }

    /// Takes a piece back and joins it with free neighbors.
    pub(crate) fn free(&mut self, piece: Piece) {
        let chunks = &mut self.regions[piece.region].chunks;
        let found = chunks.binary_search_by_key(&piece.offset, |chunk| chunk.offset);
        let mut at = found.expect("pieces are made by `allocate` and freed once");
        chunks[at].in_use = false;
        if at > 0 && !chunks[at - 1].in_use {
            chunks[at - 1].len += chunks[at].len;
            chunks.remove(at);
            at -= 1;
        }
        if chunks.get(at + 1).is_some_and(|next| !next.in_use) {
            chunks[at].len += chunks[at + 1].len;
            chunks.remove(at + 1);
        }
    }

    /// Bytes that have ever been handed out.
    pub(crate) fn touched(&self) -> u64 {
        self.regions
            .iter()
            .fold(0, |sum, region| sum.saturating_add(region.touched))
    }

    /// The smallest free piece that is large enough, the first of several.
    fn best_fit(&self, wanted: u64) -> Option<(usize, usize)> {
        let chunks = self.regions.iter().enumerate().flat_map(|(region, r)| {
            let chunks = r.chunks.iter().enumerate();
            chunks.map(move |(at, chunk)| (region, at, chunk))
        });
        chunks
            .filter(|(_, _, chunk)| !chunk.in_use && chunk.len >= wanted)
            .min_by_key(|(_, _, chunk)| chunk.len)
            .map(|(region, at, _)| (region, at))
    }

    /// A new region of at least so many bytes.
    fn grow(&mut self, wanted: u64) -> usize {
        let fits = self.next_region >= wanted;
        while self.next_region < wanted {
            self.next_region = self.next_region.saturating_mul(2);
        }
        let chunk = Chunk {
            offset: 0,
            len: self.next_region,
            in_use: false,
        };
        self.regions.push(Region {
            chunks: vec![chunk],
            touched: 0,
        });
        if fits {
            self.next_region = self
                .next_region
                .saturating_mul(2)
                .min(MAX_REGION.max(self.next_region));
        }
        self.regions.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn what_was_given_back_is_used_again_before_anything_new() {
        let mut arena = Arena::new();
        let first = arena.allocate(3 * MB);
        let second = arena.allocate(3 * MB);
        assert_eq!(arena.touched(), 6 * MB);
        arena.free(first);
        assert_eq!(arena.allocate(3 * MB), first);
        arena.free(second);
        assert_eq!(arena.touched(), 6 * MB);
    }

    #[test]
    fn pieces_are_split_joined_and_left_whole_where_little_would_be_over() {
        let mut arena = Arena::new();
        let pieces: Vec<Piece> = (0..4).map(|_| arena.allocate(MB)).collect();
        let whole = arena.allocate(8 * MB);
        arena.free(whole);
        let most = arena.allocate(5 * MB);
        assert_eq!(most, whole, "less than half would be over");
        for piece in pieces {
            arena.free(piece);
        }
        arena.free(most);
        let touched = arena.touched();
        arena.allocate(8 * MB);
        assert_eq!(arena.touched(), touched, "the pieces are one again");
    }

    #[test]
    fn impossible_sizes_end_too() {
        let mut arena = Arena::new();
        let huge = arena.allocate(u64::MAX);
        assert_eq!(arena.touched(), u64::MAX);
        arena.free(huge);
        arena.allocate(0);
    }
}
