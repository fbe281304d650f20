//! JPEG, baseline and lossless, by `jpeg-decoder`.

use jpeg_decoder::{Decoder, PixelFormat as Samples};

use super::fault::{decode_fault, same, unpanicked};
use crate::file_error::FileFault;
use crate::pixel_format::PixelFormat;

pub(super) fn decode(stream: &[u8], format: &PixelFormat, frame: u32) -> Result<Vec<i32>, FileFault> {
    let failed = |error: jpeg_decoder::Error| decode_fault(frame, error.to_string());
    let mut decoder = Decoder::new(stream);
    decoder.set_max_decoding_buffer_size(format.n_pixels() * 2);
    unpanicked(frame, || decoder.read_info())?.map_err(failed)?;
    let info = decoder
        .info()
        .ok_or_else(|| decode_fault(frame, "there is no image"))?;
    same("rows", u32::from(info.height), format.rows)?;
    same("columns", u32::from(info.width), format.columns)?;
    let bytes = unpanicked(frame, || decoder.decode())?.map_err(failed)?;
    let words: Vec<i32> = match info.pixel_format {
        Samples::L8 => bytes.iter().map(|&byte| format.value(u32::from(byte))).collect(),
        Samples::L16 => {
            let (words, _) = bytes.as_chunks::<2>();
            words
                .iter()
                .map(|&word| format.value(u32::from(u16::from_ne_bytes(word))))
                .collect()
        }
        _ => return Err(decode_fault(frame, "it is not gray")),
    };
    same("pixels", words.len() as u32, format.n_pixels() as u32)?;
    Ok(words)
}
