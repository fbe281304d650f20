//! How DICOM objects are written: what labels mean, and which forms viewers want.

use std::collections::BTreeMap;

use nephrite_dicom_objects::{Code, Holes, LabelCodes, LabelmapCompression, SegKind};
use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, choice, text};

use crate::fault::Fault;

/// Labels with codes.
const MAX_CODES: usize = 65_535;
/// Bytes of the name of a label.
const MAX_NAME_BYTES: usize = 1024;

/// How DICOM objects are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DicomOutput {
    /// Which kind of segmentation.
    pub seg: SegKind,
    /// How structure sets tell holes.
    pub holes: Holes,
    /// What labels mean, by their names.
    pub codes: BTreeMap<String, LabelCodes>,
}

impl Default for DicomOutput {
    /// What most viewers read: binary, keyholes. No codes.
    fn default() -> Self {
        DicomOutput {
            seg: SegKind::Binary,
            holes: Holes::Keyhole,
            codes: BTreeMap::new(),
        }
    }
}

impl DicomOutput {
    /// Reads a file of the tables `codes` and `dicom` alone.
    ///
    /// # Errors
    /// Every fault, in the order of lines.
    pub fn parse(file: &[u8]) -> Result<DicomOutput, Vec<Fault>> {
        nephrite_settings::parse(file, dicom_output)
            .map_err(|faults| faults.into_iter().map(Fault::from).collect())
    }
}

/// The tables `codes` and `dicom` of a file.
pub(crate) fn dicom_output(top: &mut Section<'_>) -> DicomOutput {
    let default = DicomOutput::default();
    let is_label = |name: &str| !name.is_empty() && name.len() <= MAX_NAME_BYTES;
    let help = "what a label means, by its name; a label without codes is written as tissue, with a warning";
    let codes = top.named_tables(
        "codes",
        MAX_CODES,
        ("the name of a label", is_label),
        help,
        |name, table| Some((name.to_owned(), label_codes(table)?)),
    );
    let help = "how DICOM objects are written";
    let (seg, holes) = top.table("dicom", help, |table| {
        let rle = SegKind::Labelmap(LabelmapCompression::Rle);
        let seg = choice(&[("binary", SegKind::Binary), ("labelmap", rle)]);
        let help = "binary: every viewer reads it; labelmap: small for many labels, read by fewer viewers";
        let seg = table.get("seg", seg, default.seg, help);
        let holes = choice(&[("keyhole", Holes::Keyhole), ("xor", Holes::Xor)]);
        let help = "of contours in structure sets: joined with the outline, or contours of their own";
        (seg, table.get("holes", holes, default.holes, help))
    });
    DicomOutput {
        seg,
        holes,
        codes: codes.into_iter().flatten().collect(),
    }
}

fn label_codes(table: &mut Section<'_>) -> Option<LabelCodes> {
    let category = table.require(
        "category",
        code("SCT:123037004:Anatomical Structure"),
        "what kind of thing",
    );
    let property_type = table.require("type", code("SCT:64033007:Kidney"), "which thing");
    let modifier = table.option(
        "modifier",
        code("SCT:7771000:Left"),
        "none",
        "which side, or which of several",
    );
    Some(LabelCodes {
        category: category?,
        property_type: property_type?,
        modifier,
    })
}

fn code(example: &str) -> Kind<Code> {
    text(
        format!("SCHEME:VALUE:MEANING, of at most 16, 16 and 64 characters, such as {example}"),
        |text| text.parse().ok(),
    )
}
