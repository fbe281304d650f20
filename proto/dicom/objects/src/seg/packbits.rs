//! The run-length encoding of DICOM: bytes that repeat become two.

/// What is wrong with an encoded frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RleFault {
    #[error("the header of a run-length encoded frame is cut or contradicts itself")]
    Header,
    #[error("a run-length encoded frame has {found} segments, expected {expected}")]
    SegmentCount { expected: usize, found: usize },
    #[error("a run-length encoded segment has another size than its frame")]
    Size,
}

/// Longest run, and longest stretch of bytes as they are.
const MOST: usize = 128;
/// Bytes of the header: number of segments, and where fifteen begin.
const HEADER_BYTES: usize = 64;

/// One frame, `rows` of equal length; samples of two bytes become two segments, the high bytes first.
///
/// Source: PS3.5 annex G; rows are encoded one by one.
pub(crate) fn encode(samples: &[u16], columns: usize, bytes_per_sample: usize) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES];
    out[..4].copy_from_slice(&(bytes_per_sample as u32).to_le_bytes());
    let mut row_bytes = Vec::with_capacity(columns);
    for segment in 0..bytes_per_sample {
        let shift = 8 * (bytes_per_sample - 1 - segment);
        let start = out.len() as u32; // a frame of 65535² bytes at worst
        out[4 + 4 * segment..8 + 4 * segment].copy_from_slice(&start.to_le_bytes());
        for row in samples.chunks_exact(columns) {
            row_bytes.clear();
            row_bytes.extend(row.iter().map(|sample| (sample >> shift) as u8));
            encode_row(&row_bytes, &mut out);
        }
        if !out.len().is_multiple_of(2) {
            out.push(0);
        }
    }
    out
}

fn encode_row(row: &[u8], out: &mut Vec<u8>) {
    let mut literal: Vec<u8> = Vec::new();
    let flush = |literal: &mut Vec<u8>, out: &mut Vec<u8>| {
        for part in literal.chunks(MOST) {
            out.push((part.len() - 1) as u8);
            out.extend(part);
        }
        literal.clear();
    };
    for run in row.chunk_by(|a, b| a == b) {
        for part in run.chunks(MOST) {
            match part.len() {
                1 => literal.push(part[0]),
                n => {
                    flush(&mut literal, out);
                    out.extend([(257 - n) as u8, part[0]]);
                }
            }
        }
    }
    flush(&mut literal, out);
}

/// The samples of one frame, which must be `n` of one or two bytes.
///
/// *Cost*: what the frame takes, at most 64 times the input.
pub(crate) fn decode(bytes: &[u8], n: usize, bytes_per_sample: usize) -> Result<Vec<u16>, RleFault> {
    let number = |at: usize| {
        let four = bytes.get(4 * at..4 * at + 4)?;
        Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
    };
    let found = number(0).ok_or(RleFault::Header)?;
    if bytes.len() < HEADER_BYTES {
        return Err(RleFault::Header);
    }
    if found != bytes_per_sample {
        let expected = bytes_per_sample;
        return Err(RleFault::SegmentCount { expected, found });
    }
    // Two bytes become 128 at most.
    if bytes.len().saturating_mul(MOST / 2) < n.saturating_mul(bytes_per_sample) {
        return Err(RleFault::Size);
    }
    let mut samples = vec![0u16; n];
    for segment in 0..bytes_per_sample {
        let start = number(1 + segment).ok_or(RleFault::Header)?;
        let end = if segment + 1 < bytes_per_sample {
            number(2 + segment).ok_or(RleFault::Header)?
        } else {
            bytes.len()
        };
        let encoded = bytes.get(start.max(HEADER_BYTES)..end).ok_or(RleFault::Header)?;
        let shift = 8 * (bytes_per_sample - 1 - segment);
        decode_segment(encoded, &mut samples, shift)?;
    }
    Ok(samples)
}

fn decode_segment(mut encoded: &[u8], samples: &mut [u16], shift: usize) -> Result<(), RleFault> {
    let mut at = 0;
    while at < samples.len() {
        let (&control, rest) = encoded.split_first().ok_or(RleFault::Size)?;
        let control = usize::from(control);
        encoded = match control {
            0..=127 => {
                let (literal, rest) = rest.split_at_checked(control + 1).ok_or(RleFault::Size)?;
                let places = samples.get_mut(at..at + literal.len()).ok_or(RleFault::Size)?;
                for (sample, byte) in places.iter_mut().zip(literal) {
                    *sample |= u16::from(*byte) << shift;
                }
                at += literal.len();
                rest
            }
            128 => rest, // says nothing
            _ => {
                let (&byte, rest) = rest.split_first().ok_or(RleFault::Size)?;
                let n = 257 - control;
                let places = samples.get_mut(at..at + n).ok_or(RleFault::Size)?;
                places
                    .iter_mut()
                    .for_each(|sample| *sample |= u16::from(byte) << shift);
                at += n;
                rest
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_come_back(
            columns in 1usize..300,
            runs in prop::collection::vec((0u16..4, 1usize..300), 1..40),
            is_wide in any::<bool>(),
        ) {
            let (n, factor) = if is_wide { (2, 257) } else { (1, 63) };
            let mut samples: Vec<u16> =
                runs.iter().flat_map(|&(v, n)| std::iter::repeat_n(v * factor, n)).collect();
            samples.resize(samples.len().next_multiple_of(columns), 1);
            let encoded = encode(&samples, columns, n);
            prop_assert!(encoded.len().is_multiple_of(2));
            prop_assert_eq!(decode(&encoded, samples.len(), n), Ok(samples.clone()));
            let cut = &encoded[..encoded.len() - 2];
            prop_assert_ne!(decode(cut, samples.len() + 1, n), Ok(samples));
        }

        #[test]
        fn any_bytes_are_refused_or_make_a_frame(bytes in prop::collection::vec(any::<u8>(), 0..200), wide in 1usize..3) {
            if let Ok(samples) = decode(&bytes, 97, wide) {
                prop_assert_eq!(samples.len(), 97);
            }
        }
    }

    #[test]
    fn cut_and_contradicting_headers_are_refused() {
        let good = encode(&[1, 1, 2, 3], 2, 1);
        assert_eq!(decode(&good, 4, 1), Ok(vec![1, 1, 2, 3]));
        assert_eq!(
            decode(&good, 4, 2),
            Err(RleFault::SegmentCount {
                expected: 2,
                found: 1
            })
        );
        assert_eq!(decode(&good[..40], 4, 1), Err(RleFault::Header));
        assert_eq!(decode(&good, 9, 1), Err(RleFault::Size));
        let mut far = good;
        far[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&far, 4, 1), Err(RleFault::Header));
    }
}
