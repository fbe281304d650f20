//! Binary frames as one stream of bits, the lowest bit of a byte first; a frame begins where the last one ended.

use std::io::{self, Write};

/// Takes runs frame by frame, and writes whole bytes as soon as a frame is complete.
///
/// Source: PS3.5 8.1.1, PS3.3 C.8.20.2.
#[derive(Debug)]
pub(crate) struct BitFrames<W> {
    out: W,
    /// Bits of a frame.
    n_bits: usize,
    /// The current frame, after the bits of the last one that make no whole byte.
    bytes: Vec<u8>,
    /// Bits of the last frame in the first byte, 0 to 7.
    carried: usize,
    n_written: u64,
}

impl<W: Write> BitFrames<W> {
    /// Of frames of so many voxels.
    pub(crate) fn new(out: W, n_voxels: usize) -> BitFrames<W> {
        BitFrames {
            out,
            n_bits: n_voxels,
            bytes: vec![0; (n_voxels + 7).div_ceil(8)],
            carried: 0,
            n_written: 0,
        }
    }

    /// Marks voxels `start..end` of the current frame.
    pub(crate) fn set(&mut self, start: usize, end: usize) {
        let (start, end) = (start + self.carried, end + self.carried);
        let (first, last) = (start / 8, (end - 1) / 8);
        let from = 0xffu8 << (start % 8);
        let to = 0xffu8 >> (7 - (end - 1) % 8);
        if first == last {
            self.bytes[first] |= from & to;
            return;
        }
        self.bytes[first] |= from;
        self.bytes[first + 1..last].fill(0xff);
        self.bytes[last] |= to;
    }

    /// Writes what is complete.
    pub(crate) fn end_frame(&mut self) -> io::Result<()> {
        let n_bits = self.carried + self.n_bits;
        let n_bytes = n_bits / 8;
        self.out.write_all(&self.bytes[..n_bytes])?;
        self.n_written += n_bytes as u64;
        self.carried = n_bits % 8;
        let rest = if self.carried > 0 { self.bytes[n_bytes] } else { 0 };
        self.bytes.fill(0);
        self.bytes[0] = rest;
        Ok(())
    }

    /// Writes the last bits, and a byte more if their number would be odd.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.carried > 0 {
            self.out.write_all(&self.bytes[..1])?;
            self.n_written += 1;
        }
        if !self.n_written.is_multiple_of(2) {
            self.out.write_all(&[0])?;
        }
        Ok(())
    }
}

/// Runs of ones among the bits `start..end` of a stream, as distances from `start`.
///
/// # Panics
/// If the stream ends earlier.
pub(crate) fn runs_of_ones(bytes: &[u8], start: u64, end: u64) -> Vec<(u32, u32)> {
    let bit = |at: u64| bytes[(at / 8) as usize] >> (at % 8) & 1 == 1;
    let mut runs = Vec::new();
    let mut open: Option<u64> = None;
    let mut at = start;
    while at < end {
        // Whole bytes of one value are passed at once.
        if at.is_multiple_of(8) && end - at >= 8 {
            let byte = bytes[(at / 8) as usize];
            if (byte == 0 && open.is_none()) || (byte == 0xff && open.is_some()) {
                at += 8;
                continue;
            }
        }
        match (bit(at), open) {
            (true, None) => open = Some(at),
            (false, Some(from)) => {
                runs.push(((from - start) as u32, (at - start) as u32)); // rows have at most 65535 voxels
                open = None;
            }
            _ => {}
        }
        at += 1;
    }
    runs.extend(open.map(|from| ((from - start) as u32, (end - start) as u32)));
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Frames of any number of voxels, bit by bit and back.
        #[test]
        fn bits_are_those_of_the_voxels(
            (n, frames) in (1usize..70).prop_flat_map(|n| {
                (Just(n), prop::collection::vec(prop::collection::vec(any::<bool>(), n), 1..6))
            })
        ) {
            let mut bytes = Vec::new();
            let mut stream = BitFrames::new(&mut bytes, n);
            for frame in &frames {
                let mut at = 0;
                for chunk in frame.chunk_by(|a, b| a == b) {
                    if chunk[0] {
                        stream.set(at, at + chunk.len());
                    }
                    at += chunk.len();
                }
                stream.end_frame().unwrap();
            }
            stream.finish().unwrap();
            prop_assert_eq!(bytes.len(), (n * frames.len()).div_ceil(16) * 2);
            let voxels: Vec<bool> = frames.concat();
            for at in 0..bytes.len() * 8 {
                let bit = bytes[at / 8] >> (at % 8) & 1 == 1;
                prop_assert_eq!(bit, voxels.get(at).copied().unwrap_or(false), "bit {}", at);
            }
            for (k, frame) in frames.iter().enumerate() {
                let start = (k * n) as u64;
                let mut dense = vec![false; n];
                for (from, to) in runs_of_ones(&bytes, start, start + n as u64) {
                    dense[from as usize..to as usize].fill(true);
                }
                prop_assert_eq!(&dense, frame);
            }
        }
    }
}
