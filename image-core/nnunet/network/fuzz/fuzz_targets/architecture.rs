//! The architecture entry of plans: refused, or a network with a finite number of tensors.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_nnunet_network::fuzzing::architecture(data); });
