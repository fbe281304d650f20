#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nephrite_mask_codec::fuzzing::decode_raw(data));
