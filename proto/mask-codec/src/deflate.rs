//! Raw deflate, in blocks that are compressed at the same time.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use rayon::prelude::*;

use crate::CodecError;

/// Bytes that one thread compresses by itself. Part of no format: the result is one deflate stream either way, and the
/// same one for any number of threads.
const BLOCK: usize = 256 << 10;

/// One raw deflate stream. Blocks end at a byte boundary (sync flush), so their streams can be joined, as `pigz` does.
pub(crate) fn deflate(raw: &[u8], level: u32) -> Vec<u8> {
    let n_blocks = raw.len().div_ceil(BLOCK).max(1);
    let blocks: Vec<Vec<u8>> = (0..n_blocks)
        .into_par_iter()
        .map(|idx| {
            let block = &raw[idx * BLOCK..raw.len().min((idx + 1) * BLOCK)];
            deflate_block(block, level, idx + 1 == n_blocks)
        })
        .collect();
    blocks.concat()
}

fn deflate_block(block: &[u8], level: u32, last: bool) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(level), false);
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    let mut out = Vec::with_capacity(block.len() / 4 + 64);
    loop {
        let read = compress.total_in() as usize; // of this block, which is a slice
        let status = compress
            .compress_vec(&block[read..], &mut out, flush)
            .expect("memory to memory, and the state is fresh");
        let all_read = compress.total_in() as usize == block.len();
        // Room left over means that the flush is done.
        if status == Status::StreamEnd || (!last && all_read && out.len() < out.capacity()) {
            return out;
        }
        out.reserve(block.len() / 4 + 64);
    }
}

/// Inflates a whole raw deflate stream to at most `limit` bytes; memory grows with what is there, not with the limit.
///
/// # Errors
/// [`CodecError::Deflate`], [`CodecError::InflatesPast`].
pub(crate) fn inflate(payload: &[u8], limit: u64) -> Result<Vec<u8>, CodecError> {
    let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut decompress = Decompress::new(false);
    let mut raw = Vec::with_capacity(limit_bytes.min(payload.len().saturating_mul(4)).max(64));
    loop {
        let read = decompress.total_in() as usize; // of a slice
        let written = raw.len();
        let status = decompress
            .decompress_vec(&payload[read..], &mut raw, FlushDecompress::None)
            .map_err(|_| CodecError::Deflate)?;
        if raw.len() > limit_bytes {
            return Err(CodecError::InflatesPast { limit });
        }
        if status == Status::StreamEnd {
            // Bytes behind the end are no part of the payload.
            return if decompress.total_in() as usize == payload.len() {
                Ok(raw)
            } else {
                Err(CodecError::Deflate)
            };
        }
        if decompress.total_in() as usize == read && raw.len() == written && raw.len() < raw.capacity() {
            return Err(CodecError::Deflate); // nothing moves: the stream is cut off
        }
        if raw.len() == raw.capacity() {
            // One byte past the limit shows that there is more.
            let more = raw
                .capacity()
                .min(limit_bytes.saturating_sub(raw.len()).saturating_add(1));
            raw.reserve_exact(more.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_any_length_come_back() {
        for length in [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let raw: Vec<u8> = (0..length).map(|i| (i * i / 7 % 251) as u8).collect();
            for level in [0, 1, 6, 9] {
                let payload = deflate(&raw, level);
                assert_eq!(
                    inflate(&payload, length as u64).unwrap(),
                    raw,
                    "{length} at {level}"
                );
                if length > 0 {
                    let refused = inflate(&payload, length as u64 - 1);
                    assert_eq!(
                        refused,
                        Err(CodecError::InflatesPast {
                            limit: length as u64 - 1
                        })
                    );
                }
            }
        }
    }

    #[test]
    fn cut_off_and_trailing_bytes_are_refused() {
        let payload = deflate(&[7; 5000], 6);
        for end in 0..payload.len() {
            assert_eq!(inflate(&payload[..end], 5000), Err(CodecError::Deflate), "{end}");
        }
        let longer = [&payload[..], &[0]].concat();
        assert_eq!(inflate(&longer, 5000), Err(CodecError::Deflate));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = deflate(&vec![0; 64 << 20], 9);
        assert!(bomb.len() < 200 << 10);
        assert_eq!(
            inflate(&bomb, 1 << 20),
            Err(CodecError::InflatesPast { limit: 1 << 20 })
        );
    }
}
