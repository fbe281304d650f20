//! A text of somebody else within an error.

/// Characters of a text that an error repeats.
const MAX_CHARS: usize = 64;

/// The beginning of a text as a JSON string: on one line, its end visible. Plugins in other languages say it alike.
pub fn quoted(text: &str) -> String {
    let start: String = text.chars().take(MAX_CHARS).collect();
    serde_json::Value::String(start).to_string()
}

/// What there is instead of something unknown: `known are a, b`.
pub(crate) fn known_are(names: &[String]) -> String {
    if names.is_empty() {
        return "there are none".to_owned();
    }
    format!("known are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_one_line_and_short() {
        assert_eq!(quoted("a \"b\"\n\u{1}é"), r#""a \"b\"\n\u0001é""#);
        assert_eq!(quoted(&"é".repeat(100)), format!("\"{}\"", "é".repeat(64)));
    }

    #[test]
    fn nothing_known_is_told_as_such() {
        assert_eq!(known_are(&["a".to_owned(), "b".to_owned()]), "known are a, b");
        assert_eq!(known_are(&[]), "there are none");
    }
}
