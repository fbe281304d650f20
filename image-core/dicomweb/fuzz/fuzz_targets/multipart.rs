//! Any bytes as a multipart message: refused, or the same parts in pieces of any size.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_dicomweb::fuzzing::multipart(data); });
