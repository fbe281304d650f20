//! Any bytes as plans and as a dataset: refused, or every configuration resolves or is refused.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_nnunet_folder::fuzzing::plans(data); });
