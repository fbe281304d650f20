//! What every message and field of the contract must say of itself.

use prost_types::field_descriptor_proto::Type;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

use super::page::{
    Comments, FILE_ENUMS, FILE_MESSAGES, FILE_SERVICES, MEMBERS, MESSAGE_ENUMS, MESSAGE_NESTED,
    MESSAGE_ONEOFS, is_map_entry,
};

/// Texts whose words are somebody else's: there is no enum of ours for them. Message, field, and whose words they are.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("SampleRequest", "reader", "nnU-Net's class names"),
    ("ModelServiceInspectResponse", "reader", "nnU-Net's class names"),
    ("ModelServiceInspectResponse", "network", "nnU-Net's class names"),
    ("Channel", "normalization", "nnU-Net's schemes"),
    ("VolumeServiceInspectResponse", "voxel_type", "numpy's type names"),
    (
        "VolumeServiceInspectResponse",
        "orientation",
        "nibabel's axis codes",
    ),
    ("Parameter", "unit", "units of a plugin's own"),
    ("Measurement", "unit", "units of a plugin's own"),
];

/// Words of which one must stand in the name or the comment of a number.
const UNITS: &[&str] = &[
    "unit",
    "version",
    "channels",
    "images",
    "files",
    "weights",
    "indices",
    "axes",
    "mm",
    "millimeters",
    "ml",
    "milliliters",
    "bytes",
    "byte",
    "seconds",
    "voxel",
    "voxels",
    "tiles",
    "runs",
    "millisecond",
    "milliseconds",
    "tries",
    "events",
    "jobs",
    "fraction",
    "id",
    "ids",
    "threads",
    "masks",
    "scans",
    "models",
    "multiply",
    "crc-32",
    "intensity",
];

/// Everything that is not documented, is a text though an enum exists, or is a number without a unit.
pub(crate) fn faults(files: &FileDescriptorSet, package: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let files: Vec<&FileDescriptorProto> = files
        .file
        .iter()
        .filter(|file| file.package() == package)
        .collect();
    let mut enums = Vec::new();
    for file in &files {
        enums.extend(file.enum_type.iter().map(EnumDescriptorProto::name));
        for message in &file.message_type {
            enums.extend(message.enum_type.iter().map(EnumDescriptorProto::name));
        }
    }
    let names: Vec<String> = enums.iter().map(|name| snake_case(name)).collect();
    let mut n_fields = 0;
    for file in files {
        let comments = Comments::of(file);
        let mut walk = Walk {
            comments: &comments,
            enums: &names,
            faults: &mut faults,
            n_fields: &mut n_fields,
        };
        for (i, service) in file.service.iter().enumerate() {
            let path = [FILE_SERVICES, i as i32];
            walk.comment(&path, service.name());
            for (j, method) in service.method.iter().enumerate() {
                let path = [&path[..], &[MEMBERS, j as i32]].concat();
                walk.comment(&path, &format!("{}.{}", service.name(), method.name()));
            }
        }
        for (i, message) in file.message_type.iter().enumerate() {
            walk.message(message, &[FILE_MESSAGES, i as i32]);
        }
        for (i, of_file) in file.enum_type.iter().enumerate() {
            walk.values(of_file, &[FILE_ENUMS, i as i32]);
        }
    }
    assert!(n_fields > 200, "only {n_fields} fields were looked at");
    faults
}

struct Walk<'a> {
    comments: &'a Comments,
    /// Names of all enums, as fields of their type are called.
    enums: &'a [String],
    faults: &'a mut Vec<String>,
    n_fields: &'a mut usize,
}

impl Walk<'_> {
    fn comment(&mut self, path: &[i32], name: &str) -> String {
        let comment = self.comments.at(path);
        if comment.trim().is_empty() {
            self.faults.push(format!("{name} is not documented"));
        } else if !comment.trim_end().ends_with('.') {
            self.faults
                .push(format!("the comment of {name} does not end in a period"));
        }
        comment
    }

    fn message(&mut self, message: &DescriptorProto, path: &[i32]) {
        if is_map_entry(message) {
            return;
        }
        self.comment(path, message.name());
        for (i, field) in message.field.iter().enumerate() {
            let comment = self.comment(
                &[path, &[MEMBERS, i as i32]].concat(),
                &format!("{}.{}", message.name(), field.name()),
            );
            self.field(message, field, &comment);
        }
        let real = |i: &usize| {
            let fields = message.field.iter();
            fields
                .clone()
                .any(|field| field.oneof_index == Some(*i as i32) && !field.proto3_optional())
        };
        for i in (0..message.oneof_decl.len()).filter(real) {
            let name = format!("{}.{}", message.name(), message.oneof_decl[i].name());
            self.comment(&[path, &[MESSAGE_ONEOFS, i as i32]].concat(), &name);
        }
        for (i, nested) in message.nested_type.iter().enumerate() {
            self.message(nested, &[path, &[MESSAGE_NESTED, i as i32]].concat());
        }
        for (i, nested) in message.enum_type.iter().enumerate() {
            self.values(nested, &[path, &[MESSAGE_ENUMS, i as i32]].concat());
        }
    }

    fn field(&mut self, message: &DescriptorProto, field: &FieldDescriptorProto, comment: &str) {
        *self.n_fields += 1;
        let name = format!("{}.{}", message.name(), field.name());
        match field.r#type() {
            Type::String if is_foreign(message.name(), field.name()) => {}
            Type::String => {
                let called_like =
                    |of: &String| *of == field.name() || of.ends_with(&format!("_{}", field.name()));
                if let Some(of) = self.enums.iter().find(|of| called_like(of)) {
                    self.faults
                        .push(format!("{name} is a text, and there is an enum {of}"));
                }
                if lists_words(comment) {
                    self.faults.push(format!(
                        "{name} is a text of few words, and should be an enum: {comment}"
                    ));
                }
            }
            Type::Double
            | Type::Float
            | Type::Int32
            | Type::Int64
            | Type::Uint32
            | Type::Uint64
            | Type::Fixed32 => {
                let said = format!("{} {comment}", field.name().replace('_', " ")).to_lowercase();
                let word = |c: char| !(c.is_alphanumeric() || c == '-');
                // As a field of that name elsewhere has it.
                let refers = comment.contains("See ")
                    || comment.contains("As in ")
                    || comment.contains("counted alike");
                if !refers && !said.split(word).any(|word| UNITS.contains(&word)) {
                    self.faults
                        .push(format!("{name} is a number without a unit: {comment}"));
                }
            }
            _ => {}
        }
    }

    fn values(&mut self, of: &EnumDescriptorProto, path: &[i32]) {
        self.comment(path, of.name());
        for (i, value) in of.value.iter().enumerate() {
            self.comment(&[path, &[MEMBERS, i as i32]].concat(), value.name());
        }
    }
}

fn is_foreign(message: &str, field: &str) -> bool {
    FOREIGN
        .iter()
        .any(|(of, name, _)| (*of, *name) == (message, field))
}

/// True for a comment that is a list of bare words, such as "cpu, cuda or openvino.".
fn lists_words(comment: &str) -> bool {
    comment.split(['.', ':']).any(|sentence| {
        let words: Vec<&str> = sentence
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .collect();
        let is_list = sentence.contains(", ") && words.len() >= 4 && words.iter().rev().nth(1) == Some(&"or");
        is_list
            && words
                .iter()
                .all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    })
}

/// `LabelStatus` as a field would be called.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[test]
fn few_words_are_seen() {
    assert!(lists_words("cpu, cuda or openvino."));
    assert!(lists_words(
        "Which kind: channel_geometry, other_world or singular_form. More may come."
    ));
    assert!(!lists_words("Such as mm, mm3 or voxel; empty if it has none."));
    assert_eq!(snake_case("LabelStatus"), "label_status");
}
