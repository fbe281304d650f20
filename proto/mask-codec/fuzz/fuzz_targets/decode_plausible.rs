//! A mask of any bytes, encoded and changed behind the checksum: refused, or it survives another round.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_mask_codec::fuzzing::decode_plausible(data); });
