//! Tests of the crate.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod hostile;

/// Raw deflate, as a deflated data set has it.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
