//! An object of a mask of these bytes, changed: refused, or some mask; unchanged, the mask that it was made of.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_dicom_objects::fuzzing::read_changed(data); });
