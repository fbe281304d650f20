//! `Content-Type`: type and parameters (RFC 9110, 8.3.1).

/// A media type, in lower case, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `multipart/related`
    pub(crate) name: String,
    /// Names in lower case, values without quotes.
    parameters: Vec<(String, String)>,
}

/// More than any header has.
const MAX_PARAMETERS: usize = 16;

impl MediaType {
    /// `None` for what has no such form.
    pub(crate) fn parse(text: &str) -> Option<MediaType> {
        let (name, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let name = name.trim().to_ascii_lowercase();
        let (kind, subtype) = name.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters = Vec::new();
        while let Some(after) = rest.strip_prefix(';') {
            let after = after.trim_start();
            if after.is_empty() || after.starts_with(';') {
                rest = after; // an empty parameter
                continue;
            }
            let (key, after) = after.split_once('=')?;
            let (value, after) = value(after)?;
            rest = after.trim_start();
            let key = key.to_ascii_lowercase();
            let is_double = parameters.iter().any(|(known, _)| *known == key);
            if !is_token(&key) || is_double || parameters.len() == MAX_PARAMETERS {
                return None;
            }
            parameters.push((key, value));
        }
        rest.trim().is_empty().then_some(MediaType { name, parameters })
    }

    pub(crate) fn parameter(&self, key: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// A token or a quoted text, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ';' || c.is_whitespace());
        let (value, rest) = text.split_at(end.unwrap_or(text.len()));
        // Some servers write application/dicom without the quotes that its slash needs.
        return value.split('/').all(is_token).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:=()?,".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_servers_write_them() {
        let orthanc = "multipart/related; type=\"application/dicom\"; boundary=83-4d_ab";
        let read = MediaType::parse(orthanc).unwrap();
        assert_eq!(read.name, "multipart/related");
        assert_eq!(read.parameter("type"), Some("application/dicom"));
        assert_eq!(read.parameter("boundary"), Some("83-4d_ab"));
        let bare =
            MediaType::parse("Multipart/Related;Type=application/dicom;BOUNDARY=\"a \\\"b\" ;").unwrap();
        assert_eq!(bare.parameter("type"), Some("application/dicom"));
        assert_eq!(bare.parameter("boundary"), Some("a \"b"));
        assert_eq!(
            MediaType::parse("application/dicom+json").unwrap().name,
            "application/dicom+json"
        );
    }

    #[test]
    fn what_has_another_form_is_none() {
        for text in [
            "",
            "text",
            "/",
            "a/",
            "a/b; c",
            "a/b; c=",
            "a/b; c=\"d",
            "a/b; c=d e",
            "a/b; c=d; c=e",
            "a/b; c=\"d\"e",
            "a b/c",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text:?}");
        }
    }
}
