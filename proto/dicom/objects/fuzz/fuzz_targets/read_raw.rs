//! Any bytes as a segmentation and as a structure set: refused, or masks that agree with what they say.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_dicom_objects::fuzzing::read_raw(data); });
