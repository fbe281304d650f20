//! The fields of an NRRD header: which there are, each once, in an order that teem takes.

use std::collections::BTreeMap;
use std::io::Read;

use crate::VolumeError;
use crate::header_lines::{FieldText, HeaderLines};

/// What must come before a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Anything,
    /// `dimension`: there is a value for every axis.
    Dimension,
    /// `space` or `space dimension`: there is a value for every axis of the world.
    Space,
}

/// Every field of the format: its name, another one that it goes by, and what must come before it.
const FIELDS: [(&str, &str, After); 30] = [
    ("content", "", After::Anything),
    ("number", "", After::Anything),
    ("type", "", After::Anything),
    ("block size", "blocksize", After::Anything),
    ("dimension", "", After::Anything),
    ("space", "", After::Dimension),
    ("space dimension", "", After::Dimension),
    ("sizes", "", After::Dimension),
    ("spacings", "", After::Dimension),
    ("thicknesses", "", After::Dimension),
    ("axis mins", "axismins", After::Dimension),
    ("axis maxs", "axismaxs", After::Dimension),
    ("space directions", "", After::Space),
    ("centers", "centerings", After::Dimension),
    ("kinds", "", After::Dimension),
    ("labels", "", After::Dimension),
    ("units", "", After::Dimension),
    ("min", "", After::Anything),
    ("max", "", After::Anything),
    ("old min", "oldmin", After::Anything),
    ("old max", "oldmax", After::Anything),
    ("endian", "", After::Anything),
    ("encoding", "", After::Anything),
    ("line skip", "lineskip", After::Anything),
    ("byte skip", "byteskip", After::Anything),
    ("sample units", "sampleunits", After::Anything),
    ("data file", "datafile", After::Anything),
    ("space units", "", After::Space),
    ("space origin", "", After::Space),
    ("measurement frame", "", After::Space),
];

/// What the header says, field by field.
pub(super) struct Fields<'n> {
    name: &'n str,
    values: BTreeMap<&'static str, String>,
    /// `key:=value`, for whom it concerns.
    pairs: BTreeMap<String, String>,
}

impl<'n> Fields<'n> {
    /// Reads the lines up to the empty one. Where the voxels are in another file, there may be none: the file ends instead.
    pub(super) fn read<R: Read>(
        lines: &mut HeaderLines<'_, '_, R>,
        name: &'n str,
    ) -> Result<Fields<'n>, VolumeError> {
        let mut fields = Fields {
            name,
            values: BTreeMap::new(),
            pairs: BTreeMap::new(),
        };
        loop {
            let line = match fields.values.contains_key("data file") {
                true => lines.wanted_or_end()?.unwrap_or_default(),
                false => lines.wanted()?,
            };
            if line.is_empty() {
                return Ok(fields);
            }
            if line.starts_with('#') {
                continue;
            }
            if let Some((field, after, value)) = field_of(&line) {
                if !fields.has(after) {
                    return Err(lines.refused(
                        &line,
                        "dimension, and space or its dimension, before what they count",
                    ));
                }
                if fields.values.insert(field, value.to_owned()).is_some() {
                    return Err(lines.refused(&line, "every field once"));
                }
                if field == "data file" && value.starts_with("LIST") {
                    return Ok(fields); // names of files follow, which are not read
                }
            } else if let Some((key, value)) = line.split_once(":=") {
                fields.pairs.insert(key.to_owned(), value.to_owned());
            } else {
                return Err(lines.refused(&line, "a field of NRRD, a pair key:=value, or a comment"));
            }
        }
    }

    fn has(&self, after: After) -> bool {
        match after {
            After::Anything => true,
            After::Dimension => self.values.contains_key("dimension"),
            After::Space => self.values.contains_key("space") || self.values.contains_key("space dimension"),
        }
    }

    /// Of the file.
    pub(super) fn name(&self) -> &'n str {
        self.name
    }

    /// Keys and values of the lines `key:=value`.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A field, if it is there.
    pub(super) fn get(&self, field: &'static str) -> Option<FieldText<'_>> {
        self.values.get(field).map(|text| FieldText {
            name: self.name,
            field,
            text,
        })
    }

    /// A field that must be there.
    pub(super) fn wanted(&self, field: &'static str) -> Result<FieldText<'_>, VolumeError> {
        self.get(field).ok_or_else(|| VolumeError::HeaderField {
            name: self.name.to_owned(),
            field,
            found: "not there".to_owned(),
            expected: "a value",
        })
    }
}

/// `field: value`; the name of a field in any case, a blank after the colon.
fn field_of(line: &str) -> Option<(&'static str, After, &str)> {
    let (key, value) = line.split_once(": ")?;
    let key = key.to_ascii_lowercase();
    let known = FIELDS
        .iter()
        .find(|(field, other, _)| key == *field || !other.is_empty() && key == *other);
    known.map(|(field, _, after)| (*field, *after, value))
}
