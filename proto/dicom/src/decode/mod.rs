//! One frame of stored pixels as numbers.

mod fault;
mod jpeg;
mod jpeg2000;
mod rle;

use crate::file_error::FileFault;
use crate::guard::{DicomObject, PixelCoding};
use crate::pixel_format::PixelFormat;
use fault::decode_fault;

/// The frames of a file that is in memory.
#[derive(Debug)]
pub struct Frames<'a> {
    object: &'a DicomObject,
    format: PixelFormat,
    content: Content<'a>,
}

#[derive(Debug)]
enum Content<'a> {
    Native(&'a [u8]),
    /// Fragments of each frame.
    Compressed(Vec<Vec<&'a [u8]>>),
}

impl<'a> Frames<'a> {
    /// Finds the frames; none is decoded yet.
    ///
    /// # Errors
    /// [`FileFault::FrameTooLarge`], [`FileFault::ShortPixels`], [`FileFault::UnsupportedSyntax`], [`FileFault::Fragments`], and what is wrong with the
    /// attributes of the pixels. More pixels than are needed are padding.
    pub fn of(object: &'a DicomObject) -> Result<Frames<'a>, FileFault> {
        let format = PixelFormat::of(&object.header.object)?;
        format.check_size()?;
        let syntax = &object.header.syntax;
        let content = match syntax.coding {
            PixelCoding::Unsupported => return Err(unsupported(object)),
            PixelCoding::Native => {
                let bytes = object.native_pixels()?;
                let expected = format.all_bytes();
                let found = bytes.len() as u64;
                if found < expected {
                    return Err(FileFault::ShortPixels { found, expected });
                }
                Content::Native(bytes)
            }
            _ => Content::Compressed(object.fragments()?.frames(format.frames)?),
        };
        Ok(Frames {
            object,
            format,
            content,
        })
    }

    /// How the pixels are stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Stored values of a frame, counted from 1, row by row; only the bits that count, with their sign.
    ///
    /// # Errors
    /// [`FileFault::Decode`], [`FileFault::SignMismatch`], [`FileFault::StreamMismatch`]
    pub fn decode(&self, frame: u32) -> Result<Vec<i32>, FileFault> {
        let index = frame.checked_sub(1).filter(|_| frame <= self.format.frames);
        let index = index.ok_or_else(|| decode_fault(frame, "there is no such frame"))? as usize;
        let format = &self.format;
        match &self.content {
            Content::Native(bytes) => {
                let n = format.frame_bytes();
                let bytes = &bytes[index * n..(index + 1) * n];
                Ok(native(
                    bytes,
                    format,
                    self.object.header.syntax.encoding.big_endian,
                ))
            }
            Content::Compressed(frames) => {
                let joined;
                let stream = match &frames[index][..] {
                    [one] => *one,
                    parts => {
                        joined = parts.concat();
                        &joined
                    }
                };
                match self.object.header.syntax.coding {
                    PixelCoding::Rle => rle::decode(stream, format, frame),
                    PixelCoding::Jpeg => jpeg::decode(stream, format, frame),
                    PixelCoding::Jpeg2000 => jpeg2000::decode(stream, format, frame),
                    PixelCoding::Native | PixelCoding::Unsupported => Err(unsupported(self.object)),
                }
            }
        }
    }
}

fn unsupported(object: &DicomObject) -> FileFault {
    FileFault::UnsupportedSyntax {
        uid: object.header.syntax.uid.clone(),
        name: object.header.syntax.name,
    }
}

/// Values of native pixels, as many as there are bytes for.
pub(crate) fn native(bytes: &[u8], format: &PixelFormat, big_endian: bool) -> Vec<i32> {
    if format.bits_allocated == 8 {
        return bytes.iter().map(|&byte| format.value(u32::from(byte))).collect();
    }
    let (words, _) = bytes.as_chunks::<2>();
    if big_endian {
        words
            .iter()
            .map(|&word| format.value(u32::from(u16::from_be_bytes(word))))
            .collect()
    } else {
        words
            .iter()
            .map(|&word| format.value(u32::from(u16::from_le_bytes(word))))
            .collect()
    }
}
