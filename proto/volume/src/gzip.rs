//! Gzip and zlib made by many threads: blocks are deflated on their own, joined at byte boundaries (sync flush), and form one
//! member that any reader takes. Blocks have a fixed size, so the bytes do not depend on the number of threads.
//!
//! Source: RFC 1951 (stored block of length 0 as flush), RFC 1950, RFC 1952; the scheme is that of pigz.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

use crate::adler::Adler32;

/// Uncompressed bytes per block. Without a shared dictionary smaller blocks cost size, larger ones cost balance.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// Blocks made before any is written; bounds the memory.
const N_BLOCKS_AT_ONCE: usize = 32;

/// Magic, deflate, no flags, no time, no extra flags, unknown system: the same bytes for the same voxels.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last, empty block with fixed codes.
const DEFLATE_END: [u8; 2] = [0x03, 0x00];

/// Deflate, window of 32 KiB, the fastest levels.
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];

/// What stands around the deflated blocks, and checks them.
enum Checksum {
    Gzip(crc32fast::Hasher),
    Zlib(Adler32),
}

struct Block {
    deflated: Vec<u8>,
    checksum: Checksum,
    n_bytes: usize,
}

/// Writes `n_blocks` blocks as one gzip member; `block(i, bytes)` appends the bytes of block `i`.
pub(crate) fn write_gzip(
    out: &mut dyn Write,
    n_blocks: usize,
    level: Compression,
    block: impl Fn(usize, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    out.write_all(&GZIP_HEADER)?;
    let new = || Checksum::Gzip(crc32fast::Hasher::new());
    let written = write_deflated(out, n_blocks, level, new, block)?;
    if let Checksum::Gzip(crc) = written.checksum {
        out.write_all(&crc.finalize().to_le_bytes())?;
    }
    // Size modulo 2^32, as the format has it.
    out.write_all(&(written.n_bytes as u32).to_le_bytes())
}

/// The same as one zlib stream; says how long it is.
pub(crate) fn write_zlib(
    out: &mut dyn Write,
    n_blocks: usize,
    level: Compression,
    block: impl Fn(usize, &mut Vec<u8>) + Sync,
) -> io::Result<u64> {
    out.write_all(&ZLIB_HEADER)?;
    let written = write_deflated(out, n_blocks, level, || Checksum::Zlib(Adler32::EMPTY), block)?;
    let mut n_bytes = ZLIB_HEADER.len() as u64 + written.n_deflated;
    if let Checksum::Zlib(adler) = written.checksum {
        let adler = adler.value().to_be_bytes();
        out.write_all(&adler)?;
        n_bytes += adler.len() as u64;
    }
    Ok(n_bytes)
}

/// What was written between header and checksum.
struct Deflated {
    checksum: Checksum,
    /// Before.
    n_bytes: u64,
    /// After.
    n_deflated: u64,
}

fn write_deflated(
    out: &mut dyn Write,
    n_blocks: usize,
    level: Compression,
    new: impl Fn() -> Checksum + Sync,
    block: impl Fn(usize, &mut Vec<u8>) + Sync,
) -> io::Result<Deflated> {
    let mut written = Deflated {
        checksum: new(),
        n_bytes: 0,
        n_deflated: DEFLATE_END.len() as u64,
    };
    for first in (0..n_blocks).step_by(N_BLOCKS_AT_ONCE) {
        let batch = first..n_blocks.min(first + N_BLOCKS_AT_ONCE);
        let make = |buffers: &mut (Vec<u8>, Compress), i| {
            buffers.0.clear();
            block(i, &mut buffers.0);
            buffers.1.reset();
            deflate(&buffers.0, &mut buffers.1, new())
        };
        let new_buffers = || (Vec::with_capacity(BLOCK_BYTES), Compress::new(level, false));
        let blocks: Vec<Block> = batch
            .into_par_iter()
            .map_init(new_buffers, make)
            .collect::<io::Result<_>>()?;
        for block in blocks {
            out.write_all(&block.deflated)?;
            written.checksum.append(&block);
            written.n_bytes += block.n_bytes as u64;
            written.n_deflated += block.deflated.len() as u64;
        }
    }
    out.write_all(&DEFLATE_END)?;
    Ok(written)
}

impl Checksum {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Checksum::Gzip(crc) => crc.update(bytes),
            Checksum::Zlib(adler) => *adler = adler.followed_by(Adler32::of(bytes), bytes.len()),
        }
    }

    /// As if the bytes of `block`, which has the same kind, had come after.
    fn append(&mut self, block: &Block) {
        match (self, &block.checksum) {
            (Checksum::Gzip(crc), Checksum::Gzip(other)) => crc.combine(other),
            (Checksum::Zlib(adler), Checksum::Zlib(other)) => {
                *adler = adler.followed_by(*other, block.n_bytes);
            }
            _ => unreachable!("one function makes all of them"),
        }
    }
}

fn deflate(bytes: &[u8], compress: &mut Compress, mut checksum: Checksum) -> io::Result<Block> {
    let mut deflated = Vec::with_capacity(bytes.len() / 4 + 64);
    loop {
        let rest = &bytes[compress.total_in() as usize..];
        let status = compress
            .compress_vec(rest, &mut deflated, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        // A flush is complete when room is left in the output.
        if compress.total_in() == bytes.len() as u64 && deflated.len() < deflated.capacity() {
            break;
        }
        if status == Status::BufError && deflated.len() < deflated.capacity() {
            return Err(io::Error::other("deflate makes no progress"));
        }
        deflated.reserve(deflated.capacity().max(4096));
    }
    checksum.update(bytes);
    Ok(Block {
        deflated,
        checksum,
        n_bytes: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Bytes that deflate well in places and not at all in others.
    fn sample(n: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 24) as u8
        };
        (0..n)
            .map(|i| {
                if i / 70_000 % 3 == 0 {
                    noise()
                } else {
                    (i / 1000) as u8
                }
            })
            .collect()
    }

    fn gzip(bytes: &[u8], block_bytes: usize, level: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let block = |i: usize, b: &mut Vec<u8>| {
            b.extend_from_slice(&bytes[i * block_bytes..bytes.len().min((i + 1) * block_bytes)]);
        };
        write_gzip(
            &mut out,
            bytes.len().div_ceil(block_bytes),
            Compression::new(level),
            block,
        )
        .unwrap();
        out
    }

    #[test]
    fn one_member_with_the_right_checksum_comes_out() {
        for n in [0, 1, 4095, 70_000, 1_000_000] {
            let bytes = sample(n);
            for (block_bytes, level) in [(1000, 1), (4096, 3), (1 << 16, 6), (1 << 20, 1), (1 << 20, 0)] {
                let mut back = Vec::new();
                // GzDecoder reads one member only.
                let packed = gzip(&bytes, block_bytes, level);
                let mut decoder = flate2::bufread::GzDecoder::new(packed.as_slice());
                decoder.read_to_end(&mut back).unwrap();
                assert!(back == bytes, "{n} {block_bytes} {level}");
                assert!(decoder.into_inner().is_empty());
            }
        }
    }

    #[test]
    fn one_zlib_stream_with_the_right_checksum_comes_out() {
        for n in [0, 1, 4095, 70_000, 1_000_000] {
            let bytes = sample(n);
            for block_bytes in [1000, 1 << 16, 1 << 20] {
                let mut packed = Vec::new();
                let block = |i: usize, b: &mut Vec<u8>| {
                    b.extend_from_slice(&bytes[i * block_bytes..n.min((i + 1) * block_bytes)]);
                };
                let length = write_zlib(&mut packed, n.div_ceil(block_bytes), Compression::new(2), block);
                assert_eq!(length.unwrap(), packed.len() as u64);
                let mut back = Vec::new();
                let mut decoder = crate::zlib::Zlib::new(packed.as_slice(), packed.len() as u64);
                decoder.read_to_end(&mut back).unwrap();
                assert!(back == bytes, "{n} {block_bytes}");
                assert!(decoder.file().is_empty());
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let bytes = sample(3_000_000);
        let with = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| gzip(&bytes, 100_000, 1))
        };
        assert!(with(1) == with(2) && with(1) == with(5));
    }
}
