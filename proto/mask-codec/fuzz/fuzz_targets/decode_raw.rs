//! Any numbers and any payload as a message: refused, or what is accepted keeps its word.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_mask_codec::fuzzing::decode_raw(data); });
