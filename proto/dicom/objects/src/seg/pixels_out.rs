//! Pixel data of a segmentation, written frame by frame straight from runs.

use std::io::Write;

use super::bits::BitFrames;
use super::frames::FrameOf;
use super::kind::LabelmapCompression;
use super::packbits;
use crate::ObjectError;
use crate::file::{SEQUENCE_END, UNDEFINED_LENGTH, fragment_header, pixel_data_header};
use crate::layers::Layers;
use crate::request::Segment;

/// Bits of one segment per frame, `n_bytes` in all.
pub(crate) fn write_binary(
    layers: &Layers,
    segments: &[Segment],
    frames: &[FrameOf],
    n_bytes: u32,
    out: &mut impl Write,
) -> Result<(), ObjectError> {
    let [_, rows, columns] = layers.stack.geometry.shape.zyx();
    out.write_all(&pixel_data_header(b"OB", n_bytes))?;
    let mut stream = BitFrames::new(out, rows * columns);
    for frame in frames {
        let segment = &segments[frame
            .segment
            .expect("frames of a binary segmentation have a segment")];
        for (row, runs) in layers.rows(segment.layer, frame.frame) {
            for run in runs.iter().filter(|run| run.label == segment.id) {
                stream.set(
                    row * columns + run.start as usize,
                    row * columns + run.end as usize,
                );
            }
        }
        stream.end_frame()?;
    }
    Ok(stream.finish()?)
}

/// Segment numbers, 8 or 16 bits each; `n_bytes` in all if they are native.
pub(crate) fn write_labelmap(
    layers: &Layers,
    segments: &[Segment],
    frames: &[FrameOf],
    compression: LabelmapCompression,
    bits: u16,
    n_bytes: u32,
    out: &mut impl Write,
) -> Result<(), ObjectError> {
    let [_, rows, columns] = layers.stack.geometry.shape.zyx();
    let mut numbers = vec![vec![0u16; 1 << 16]; layers.masks.len()];
    for segment in segments {
        numbers[segment.layer][usize::from(segment.id)] = segment.number;
    }
    let is_rle = compression == LabelmapCompression::Rle;
    let length = if is_rle { UNDEFINED_LENGTH } else { n_bytes };
    out.write_all(&pixel_data_header(if bits == 8 { b"OB" } else { b"OW" }, length))?;
    if is_rle {
        out.write_all(&fragment_header(0))?; // an empty table of offsets
    }
    let mut samples = vec![0u16; rows * columns];
    for frame in frames {
        samples.fill(0);
        for (layer, numbers) in numbers.iter().enumerate() {
            for (row, runs) in layers.rows(layer, frame.frame) {
                for run in runs {
                    let places = row * columns + run.start as usize..row * columns + run.end as usize;
                    samples[places].fill(numbers[usize::from(run.label)]);
                }
            }
        }
        if is_rle {
            let fragment = packbits::encode(&samples, columns, usize::from(bits / 8));
            out.write_all(&fragment_header(fragment.len() as u32))?; // at most a little more than the frame
            out.write_all(&fragment)?;
        } else if bits == 8 {
            let bytes: Vec<u8> = samples.iter().map(|sample| *sample as u8).collect(); // 255 segments at most
            out.write_all(&bytes)?;
        } else {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            out.write_all(&bytes)?;
        }
    }
    if is_rle {
        out.write_all(&SEQUENCE_END)?;
    } else if !(frames.len() * rows * columns * usize::from(bits / 8)).is_multiple_of(2) {
        out.write_all(&[0])?;
    }
    Ok(())
}
