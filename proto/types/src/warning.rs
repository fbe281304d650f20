//! What is odd but can be told, by a code that programs can look for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that is not wrong enough to stop, and that its user should know.
///
/// Warnings go where progress goes ([`Progress::warning`](crate::Progress::warning)): to the terminal, the event stream, the
/// report and the record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Which kind.
    pub code: WarningCode,
    /// The file it is about, as its user named it.
    pub file: String,
    /// What is odd, and what was done about it; for people.
    pub message: String,
}

/// The closed set of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// A channel does not lie where the first channel lies.
    ChannelGeometry,
    /// A file is placed as another library would place it, since the one that the case follows refuses it.
    OtherWorld,
    /// The form that a library would have used is singular; another one places the voxels.
    SingularForm,
    /// A header says two lengths of one voxel.
    HeaderLengths,
    /// A DICOM object was written or read otherwise than its user may expect, or not at all.
    DicomObject,
}

impl WarningCode {
    /// All codes.
    pub const ALL: [WarningCode; 5] = [
        WarningCode::ChannelGeometry,
        WarningCode::OtherWorld,
        WarningCode::SingularForm,
        WarningCode::HeaderLengths,
        WarningCode::DicomObject,
    ];

    /// The name in reports and events.
    pub fn name(self) -> &'static str {
        match self {
            WarningCode::ChannelGeometry => "channel_geometry",
            WarningCode::OtherWorld => "other_world",
            WarningCode::SingularForm => "singular_form",
            WarningCode::HeaderLengths => "header_lengths",
            WarningCode::DicomObject => "dicom_object",
        }
    }

    /// True if it is about where voxels lie: an error where geometry is strict.
    pub fn is_geometry(self) -> bool {
        match self {
            WarningCode::ChannelGeometry
            | WarningCode::OtherWorld
            | WarningCode::SingularForm
            | WarningCode::HeaderLengths => true,
            WarningCode::DicomObject => false,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}; file {}", self.message, self.file)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_codes_are_all_different() {
        let names: std::collections::BTreeSet<&str> = WarningCode::ALL.map(WarningCode::name).into();
        assert_eq!(names.len(), WarningCode::ALL.len());
    }
}
