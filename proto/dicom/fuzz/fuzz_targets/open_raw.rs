//! Any bytes as a DICOM file: refused, or as many pixels as the header says.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| { nephrite_dicom::fuzzing::open_raw(data); });
