//! Services, messages and enums of a package as one Markdown page, with the comments of the .proto files.

use std::collections::HashMap;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

// Field numbers of descriptor.proto, from which the paths of comments are made.
pub(crate) const FILE_MESSAGES: i32 = 4;
pub(crate) const FILE_ENUMS: i32 = 5;
pub(crate) const FILE_SERVICES: i32 = 6;
pub(crate) const MEMBERS: i32 = 2; // fields of a message, values of an enum, methods of a service
pub(crate) const MESSAGE_NESTED: i32 = 3;
pub(crate) const MESSAGE_ENUMS: i32 = 4;
pub(crate) const MESSAGE_ONEOFS: i32 = 8;

/// One page: services first, then messages and enums, in the order of the files.
pub(crate) fn page(files: &FileDescriptorSet, package: &str) -> String {
    let mut text = format!(
        "# Services and messages\n\nPackage `{package}`. What holds for all of it, events and error codes: \
         [the contract](../contract.md).\n"
    );
    let files = files.file.iter().filter(|file| file.package() == package);
    let files: Vec<(&FileDescriptorProto, Comments)> = files.map(|file| (file, Comments::of(file))).collect();
    for (file, comments) in &files {
        for (i, service) in file.service.iter().enumerate() {
            let path = [FILE_SERVICES, i as i32];
            let _ = writeln!(text, "\n## {}\n\n{}", service.name(), comments.at(&path));
            for (j, method) in service.method.iter().enumerate() {
                let (input, output) = (link(method.input_type()), link(method.output_type()));
                let stream = if method.server_streaming() {
                    "stream of "
                } else {
                    ""
                };
                let comment = comments.at(&[&path[..], &[MEMBERS, j as i32]].concat());
                let _ = writeln!(
                    text,
                    "\n**{}**: {input} → {stream}{output}\n\n{comment}",
                    method.name()
                );
            }
        }
    }
    for (file, comments) in &files {
        for (i, message) in file.message_type.iter().enumerate() {
            write_message(&mut text, comments, message, "", &[FILE_MESSAGES, i as i32]);
        }
        for (i, of_file) in file.enum_type.iter().enumerate() {
            write_enum(&mut text, comments, of_file, "", &[FILE_ENUMS, i as i32]);
        }
    }
    text
}

fn write_message(
    text: &mut String,
    comments: &Comments,
    message: &DescriptorProto,
    within: &str,
    path: &[i32],
) {
    let name = format!("{within}{}", message.name());
    let _ = writeln!(text, "\n### {name}\n\n{}", comments.at(path));
    if !message.field.is_empty() {
        let _ = writeln!(text, "\n| field | type | |\n|---|---|---|");
    }
    for (i, field) in message.field.iter().enumerate() {
        let comment = comments.in_cell(&[path, &[MEMBERS, i as i32]].concat());
        let one_of = field.oneof_index.filter(|_| !field.proto3_optional());
        let one_of = one_of.map(|at| {
            let comment = comments.in_cell(&[path, &[MESSAGE_ONEOFS, at]].concat());
            format!(
                "one of `{}` ({}): ",
                message.oneof_decl[at as usize].name(),
                comment.trim_end_matches('.')
            )
        });
        let _ = writeln!(
            text,
            "| `{}` | {} | {}{comment} |",
            field.name(),
            type_name(field, message),
            one_of.unwrap_or_default()
        );
    }
    let prefix = format!("{name}.");
    for (i, nested) in message.nested_type.iter().enumerate() {
        if !is_map_entry(nested) {
            write_message(
                text,
                comments,
                nested,
                &prefix,
                &[path, &[MESSAGE_NESTED, i as i32]].concat(),
            );
        }
    }
    for (i, nested) in message.enum_type.iter().enumerate() {
        write_enum(
            text,
            comments,
            nested,
            &prefix,
            &[path, &[MESSAGE_ENUMS, i as i32]].concat(),
        );
    }
}

fn write_enum(text: &mut String, comments: &Comments, of: &EnumDescriptorProto, within: &str, path: &[i32]) {
    let _ = writeln!(text, "\n### {within}{}\n\n{}", of.name(), comments.at(path));
    let _ = writeln!(text, "\n| value | number | |\n|---|---|---|");
    for (i, value) in of.value.iter().enumerate() {
        let comment = comments.in_cell(&[path, &[MEMBERS, i as i32]].concat());
        let _ = writeln!(text, "| `{}` | {} | {comment} |", value.name(), value.number());
    }
}

fn type_name(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let scalar = |field: &FieldDescriptorProto| match field.r#type() {
        Type::Message | Type::Enum | Type::Group => link(field.type_name()),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let entry = message
        .nested_type
        .iter()
        .find(|nested| is_map_entry(nested) && field.type_name().ends_with(&format!(".{}", nested.name())));
    if let Some([key, value]) = entry.map(|entry| entry.field.as_slice()) {
        return format!("map of {} to {}", scalar(key), scalar(value));
    }
    match field.label() {
        Label::Repeated => format!("list of {}", scalar(field)),
        _ if field.proto3_optional() => format!("{}, optional", scalar(field)),
        _ => scalar(field),
    }
}

pub(crate) fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
}

/// A type as a link to its heading on this page.
fn link(type_name: &str) -> String {
    let name = type_name.trim_start_matches(".nephrite.v1.");
    format!("[{name}](#{})", name.to_lowercase().replace('.', ""))
}

/// What stands ahead of each part of a file.
pub(crate) struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    pub(crate) fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations.filter_map(|location| {
            let lines = location.leading_comments.as_ref()?.lines().map(str::trim);
            Some((location.path.clone(), lines.collect::<Vec<_>>().join("\n")))
        });
        Comments(comments.collect())
    }

    pub(crate) fn at(&self, path: &[i32]) -> String {
        self.0.get(path).map_or(String::new(), |text| escape(text.trim()))
    }

    /// On one line, for a cell of a table.
    fn in_cell(&self, path: &[i32]) -> String {
        self.at(path).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// What Markdown would take for marks outside of `code`.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut is_code = false;
    for c in text.chars() {
        is_code ^= c == '`';
        if c == '|' || (!is_code && matches!(c, '[' | ']' | '*' | '_' | '<' | '>')) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
