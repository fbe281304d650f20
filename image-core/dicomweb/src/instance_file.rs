//! Which instance a DICOM file holds, and of which series and study.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use nephrite_dicom::{DicomHeader, DicomLimits, FileError, open_header};

use crate::uid::Uid;

/// Bytes ahead of the mark of a DICOM file (PS3.10, 7.1).
const PREAMBLE: u64 = 128;
const MARK: &[u8; 4] = b"DICM";

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceFile {
    pub(crate) instance: Uid,
    pub(crate) series: Uid,
    pub(crate) study: Uid,
}

impl InstanceFile {
    /// Reads a file up to its pixels. The data set says which instance it is; file headers are often
    /// left as they were when somebody made a file anonymous.
    ///
    /// # Errors
    /// What is wrong, in words that tell nothing of a patient.
    pub(crate) fn read(file: &File, max_bytes: u64) -> Result<InstanceFile, String> {
        if !has_mark(file).map_err(|error| error.to_string())? {
            return Err("it is no DICOM file: DICM is missing after the preamble".to_owned());
        }
        let limits = DicomLimits {
            max_file_bytes: max_bytes,
            ..DicomLimits::DEFAULT
        };
        let header = open_header(file, "it", &limits).map_err(|error| match error {
            FileError::Content { fault, .. } => format!("it {fault}"),
            error => error.to_string(),
        })?;
        Ok(InstanceFile {
            instance: uid(&header, "SOPInstanceUID")?,
            series: uid(&header, "SeriesInstanceUID")?,
            study: uid(&header, "StudyInstanceUID")?,
        })
    }
}

/// True if the file begins as DICOM files do; its position stays.
pub(crate) fn has_mark(file: &File) -> io::Result<bool> {
    let mut mark = [0; MARK.len()];
    match file.read_exact_at(&mut mark, PREAMBLE) {
        Ok(()) => Ok(mark == *MARK),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn uid(header: &DicomHeader, keyword: &str) -> Result<Uid, String> {
    let element = header.object.element_by_name_opt(keyword).ok().flatten();
    let text = element.and_then(|element| element.to_str().ok());
    let uid = text.and_then(|text| text.trim_end_matches(['\0', ' ']).parse().ok());
    uid.ok_or_else(|| format!("it has no usable {keyword}"))
}
