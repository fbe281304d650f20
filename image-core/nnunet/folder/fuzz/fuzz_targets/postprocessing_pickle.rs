#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    nephrite_nnunet_folder::fuzzing::postprocessing_pickle(bytes);
});
