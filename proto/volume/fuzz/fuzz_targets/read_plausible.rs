#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nephrite_volume::fuzzing::read_plausible(data));
