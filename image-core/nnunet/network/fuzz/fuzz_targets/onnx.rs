//! A model from outside: refused, or written anew so that it passes again unchanged.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_nnunet_network::fuzzing::onnx(data); });
