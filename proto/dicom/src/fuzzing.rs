//! What the fuzz target calls; the tests replay its seeds through the same function.

use crate::decode::Frames;
use crate::guard::open_bytes;
use crate::limits::DicomLimits;
use crate::series::read_header;

/// Small, so that a run costs little.
fn limits() -> DicomLimits {
    DicomLimits {
        max_file_bytes: 1 << 20,
        max_inflated_bytes: 4 << 20,
        max_elements: 10_000,
        max_text_values: 10_000,
        ..DicomLimits::DEFAULT
    }
}

/// Opens any bytes, reads what places images, and decodes frames: no panic, bounded memory and time, as many pixels as the
/// header says.
pub fn open_raw(bytes: &[u8]) {
    let Ok(object) = open_bytes(bytes.to_vec(), "fuzz", &limits()) else {
        return;
    };
    read_header(&object.header);
    let Ok(frames) = Frames::of(&object) else { return };
    if frames.format().n_pixels() > 1 << 20 {
        return;
    }
    for frame in 1..=frames.format().frames.min(4) {
        if let Ok(values) = frames.decode(frame) {
            assert_eq!(values.len(), frames.format().n_pixels());
        }
    }
}
