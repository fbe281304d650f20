//! How the pixels of an image are stored.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::attributes::{text, whole};
use crate::file_error::FileFault;

/// 4096 × 4096.
const MAX_FRAME_PIXELS: u64 = 1 << 24;

/// What the header says of stored pixels: one sample each, of 8 or 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelFormat {
    /// Pixels of a column.
    pub rows: u32,
    /// Pixels of a row.
    pub columns: u32,
    /// Images in the file.
    pub frames: u32,
    /// 8 or 16.
    pub bits_allocated: u32,
    /// Bits that count.
    pub bits_stored: u32,
    /// The highest bit that counts.
    pub high_bit: u32,
    /// Two's complement.
    pub signed: bool,
}

impl PixelFormat {
    /// From the attributes of the image pixel module.
    ///
    /// # Errors
    /// [`FileFault::Attribute`] for what is absent, contradicts itself, or is no gray image of 8 or 16 bits.
    pub fn of(object: &InMemDicomObject) -> Result<PixelFormat, FileFault> {
        let number = |tag, attribute| {
            let value = whole(object, tag).ok_or_else(|| wrong(attribute, "is missing"))?;
            u32::try_from(value).map_err(|_| wrong(attribute, "is negative"))
        };
        let rows = number(tags::ROWS, "Rows (0028,0010)")?;
        let columns = number(tags::COLUMNS, "Columns (0028,0011)")?;
        let bits_allocated = number(tags::BITS_ALLOCATED, "BitsAllocated (0028,0100)")?;
        let bits_stored = number(tags::BITS_STORED, "BitsStored (0028,0101)")?;
        let representation = number(tags::PIXEL_REPRESENTATION, "PixelRepresentation (0028,0103)")?;
        let samples = whole(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let frames = match whole(object, tags::NUMBER_OF_FRAMES) {
            None => 1,
            Some(n) => u32::try_from(n).map_err(|_| wrong("NumberOfFrames (0028,0008)", "is negative"))?,
        };
        let high_bit = match whole(object, tags::HIGH_BIT) {
            None => bits_stored.saturating_sub(1),
            Some(bit) => u32::try_from(bit).map_err(|_| wrong("HighBit (0028,0102)", "is negative"))?,
        };
        let photometric = text(object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let is_gray = matches!(photometric.as_str(), "MONOCHROME1" | "MONOCHROME2" | "");
        let faults = [
            (
                rows == 0 || rows > 65535,
                "Rows (0028,0010)",
                "is not from 1 to 65535",
            ),
            (
                columns == 0 || columns > 65535,
                "Columns (0028,0011)",
                "is not from 1 to 65535",
            ),
            (frames == 0, "NumberOfFrames (0028,0008)", "is 0"),
            (samples != 1, "SamplesPerPixel (0028,0002)", "is not 1"),
            (
                !is_gray,
                "PhotometricInterpretation (0028,0004)",
                "is not MONOCHROME1 or MONOCHROME2",
            ),
            (
                !matches!(bits_allocated, 8 | 16),
                "BitsAllocated (0028,0100)",
                "is not 8 or 16",
            ),
            (
                bits_stored == 0 || bits_stored > bits_allocated,
                "BitsStored (0028,0101)",
                "does not fit BitsAllocated",
            ),
            (
                high_bit.saturating_add(1) < bits_stored || high_bit >= bits_allocated,
                "HighBit (0028,0102)",
                "does not fit BitsStored",
            ),
            (
                representation > 1,
                "PixelRepresentation (0028,0103)",
                "is not 0 or 1",
            ),
        ];
        match faults.into_iter().find(|(is_fault, ..)| *is_fault) {
            Some((_, attribute, what)) => Err(wrong(attribute, what)),
            None => Ok(PixelFormat {
                rows,
                columns,
                frames,
                bits_allocated,
                bits_stored,
                high_bit,
                signed: representation == 1,
            }),
        }
    }

    /// Pixels of one frame.
    pub fn n_pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Bytes of one frame, native.
    pub fn frame_bytes(&self) -> usize {
        self.n_pixels() * (self.bits_allocated as usize / 8)
    }

    /// A compressed frame of a few bytes may say that it is of any size; what it becomes is bounded before it is decoded.
    ///
    /// # Errors
    /// [`FileFault::FrameTooLarge`]
    pub(crate) fn check_size(&self) -> Result<(), FileFault> {
        let (found, limit) = (self.n_pixels() as u64, MAX_FRAME_PIXELS);
        if found > limit {
            return Err(FileFault::FrameTooLarge { found, limit });
        }
        Ok(())
    }

    /// Bytes of all frames, native.
    pub fn all_bytes(&self) -> u64 {
        (self.frame_bytes() as u64).saturating_mul(u64::from(self.frames))
    }

    /// The value of a stored word: only the bits that count, with their sign.
    #[inline(always)]
    pub(crate) fn value(&self, word: u32) -> i32 {
        let unused = 32 - self.bits_stored;
        let high = word >> (self.high_bit + 1 - self.bits_stored) << unused;
        if self.signed {
            (high as i32) >> unused
        } else {
            (high >> unused) as i32
        }
    }
}

fn wrong(attribute: &'static str, what: &str) -> FileFault {
    FileFault::Attribute {
        attribute,
        what: what.to_owned(),
    }
}
