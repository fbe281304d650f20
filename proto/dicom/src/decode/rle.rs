//! RLE lossless: PackBits, one segment per byte of a pixel, the most significant first (PS3.5 annex G).

use super::fault::decode_fault;
use crate::file_error::FileFault;
use crate::pixel_format::PixelFormat;

const HEADER_BYTES: usize = 64;

pub(super) fn decode(stream: &[u8], format: &PixelFormat, frame: u32) -> Result<Vec<i32>, FileFault> {
    let broken = |what: &str| decode_fault(frame, what);
    let header = stream
        .get(..HEADER_BYTES)
        .ok_or_else(|| broken("the header of RLE is cut"))?;
    let (numbers, _) = header.as_chunks::<4>();
    let numbers: Vec<usize> = numbers.iter().map(|&n| u32::from_le_bytes(n) as usize).collect();
    let n_segments = format.bits_allocated as usize / 8;
    if numbers[0] != n_segments {
        return Err(broken("the number of RLE segments does not fit BitsAllocated"));
    }
    let mut words = vec![0u32; format.n_pixels()];
    for segment in 0..n_segments {
        let start = numbers[1 + segment];
        let end = if segment + 1 < n_segments {
            numbers[2 + segment]
        } else {
            stream.len()
        };
        let packed = stream.get(start..end).filter(|_| start >= HEADER_BYTES);
        let packed = packed.ok_or_else(|| broken("an RLE segment lies outside of the frame"))?;
        unpack(packed, &mut words).ok_or_else(|| broken("an RLE segment is too short"))?;
    }
    Ok(words.into_iter().map(|word| format.value(word)).collect())
}

/// Shifts each unpacked byte into the word of its pixel; `None` if there are too few.
fn unpack(packed: &[u8], words: &mut [u32]) -> Option<()> {
    let (mut pos, mut at) = (0, 0);
    while at < words.len() {
        let control = *packed.get(pos)?;
        pos += 1;
        match control {
            0..=127 => {
                let n = (usize::from(control) + 1).min(words.len() - at);
                let literal = packed.get(pos..pos + n)?;
                for (word, &byte) in words[at..at + n].iter_mut().zip(literal) {
                    *word = *word << 8 | u32::from(byte);
                }
                pos += usize::from(control) + 1;
                at += n;
            }
            128 => {}
            129..=255 => {
                let n = (257 - usize::from(control)).min(words.len() - at);
                let byte = u32::from(*packed.get(pos)?);
                for word in &mut words[at..at + n] {
                    *word = *word << 8 | byte;
                }
                pos += 1;
                at += n;
            }
        }
    }
    Some(())
}
