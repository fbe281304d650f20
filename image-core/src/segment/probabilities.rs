//! Probabilities as an `.npz` file.

use std::io::{self, Write};

use ndarray::Array4;
use ndarray_npy::WriteNpyExt as _;
use nephrite_root::OutputFile;
use nephrite_types::FileIdentity;
use nephrite_volume::write_identified;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::CoreError;

/// Probabilities look like noise to deflate: higher levels cost time and save little.
const LEVEL: i64 = 1;

/// Writes an `.npz` as `numpy.savez_compressed` does: member `probabilities`, f32 `[class, z, y, x]`, deflated.
/// Gives which file it was.
pub(crate) fn write_probabilities(
    output: &OutputFile,
    probabilities: &Array4<f32>,
) -> Result<FileIdentity, CoreError> {
    let ((), file) = write_identified(&output.folder, &output.file_name, |out| {
        write_npz(out, probabilities)
    })?;
    Ok(file)
}

fn write_npz(out: &mut dyn Write, probabilities: &Array4<f32>) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .large_file(true);
    let mut archive = ZipWriter::new_stream(out);
    archive.start_file("probabilities.npy", options)?;
    probabilities
        .write_npy(&mut archive)
        .map_err(|error| match error {
            ndarray_npy::WriteNpyError::Io(error) => error, // keeps "disk full" what it is
            error => io::Error::other(error),
        })?;
    archive.finish()?;
    Ok(())
}
