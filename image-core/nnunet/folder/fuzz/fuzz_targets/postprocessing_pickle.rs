//! Any bytes as a pickled postprocessing: refused, or read without running anything.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_nnunet_folder::fuzzing::postprocessing_pickle(data); });
