//! Any header with any file of voxels, for every reader and as a label map: refused, or shapes agree.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_volume::fuzzing::read_detached(data); });
