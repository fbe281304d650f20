//! Any bytes as answers in JSON and as a media type: refused or read, within bounds.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_dicomweb::fuzzing::answers(data); });
