//! What a DICOM file and a folder of them may cost, compared before a parser sees a byte.

/// What one file, and one folder of files, may cost. Strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DicomLimits {
    /// Bytes of one file.
    pub max_file_bytes: u64,
    /// Bytes of a data set before its pixel data, inflated; a header of many thousand frames has some megabytes.
    pub max_header_bytes: u64,
    /// Bytes that a deflated data set may become.
    pub max_inflated_bytes: u64,
    /// Elements and items of one header, nested ones too.
    pub max_elements: usize,
    /// Values of one header that are text, nested ones too: each of `1\2\3` is an allocation of its own.
    pub max_text_values: usize,
    /// Sequences within sequences.
    pub max_depth: usize,
    /// Files of a folder, of all kinds.
    pub max_files: usize,
    /// Folders within a folder.
    pub max_folder_depth: usize,
    /// Bytes of all files of a folder.
    pub max_folder_bytes: u64,
}

impl DicomLimits {
    /// Generous for clinical data: 4 GiB a file, 64 MiB a header, 1 GiB inflated, half a million elements, 2 M text values,
    /// 16 sequences deep; 200 000 files, 16 folders deep, 256 GiB.
    pub const DEFAULT: DicomLimits = DicomLimits {
        max_file_bytes: 4 << 30,
        max_header_bytes: 64 << 20,
        max_inflated_bytes: 1 << 30,
        max_elements: 1 << 19,
        max_text_values: 2 << 20,
        max_depth: 16,
        max_files: 200_000,
        max_folder_depth: 16,
        max_folder_bytes: 256 << 30,
    };
}

impl Default for DicomLimits {
    /// [`DicomLimits::DEFAULT`]
    fn default() -> Self {
        DicomLimits::DEFAULT
    }
}
