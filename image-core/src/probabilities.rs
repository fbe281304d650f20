use std::io::{BufWriter, Seek, Write};

use ndarray::Array4;
use ndarray_npy::WriteNpyExt as _;
use nephrite_volume::write_atomically;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{CoreError, OutputFile};

/// Writes an `.npz` as `numpy.savez_compressed` does: member `probabilities`, f32 `[class, z, y, x]`, deflated.
pub(crate) fn write_probabilities(output: &OutputFile, probabilities: &Array4<f32>) -> Result<(), CoreError> {
    write_atomically(&output.folder, &output.file_name, |file| write_npz(BufWriter::new(file), probabilities))
        .map_err(|source| CoreError::Probabilities { path: output.path.clone(), source })
}

fn write_npz<W: Write + Seek>(writer: W, probabilities: &Array4<f32>) -> std::io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1)) // probabilities are noise to deflate: higher levels cost time and save little
        .large_file(true);
    let mut archive = ZipWriter::new(writer);
    archive.start_file("probabilities.npy", options)?;
    probabilities.write_npy(&mut archive).map_err(std::io::Error::other)?;
    archive.finish()?.flush()
}
