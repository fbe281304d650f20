//! Any bytes as a checkpoint: refused, or every tensor has as many values as its shape says.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_nnunet_folder::fuzzing::checkpoint(data); });
