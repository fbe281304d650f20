//! A header and voxels of any bytes: refused, or they survive being written and read again.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_volume::fuzzing::read_plausible(data); });
