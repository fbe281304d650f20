//! Bounds for JSON, checked before a parser sees it: depth, and the length of a text. What a parser holds follows these two.

/// Objects and lists within one another.
const MAX_DEPTH: u32 = 64;
/// Bytes of one text; binary values that a server puts into its answer are texts, too.
const MAX_TEXT: usize = 4 << 20;

/// Looks at JSON piece by piece. It does not say whether that is JSON.
#[derive(Debug, Default)]
pub(crate) struct JsonGuard {
    depth: u32,
    in_text: bool,
    is_escaped: bool,
    text: usize,
}

impl JsonGuard {
    /// Looks at the next piece.
    ///
    /// # Errors
    /// What is out of bounds.
    pub(crate) fn check(&mut self, piece: &[u8]) -> Result<(), String> {
        for &byte in piece {
            match byte {
                _ if self.in_text => {
                    self.text += 1;
                    if self.text > MAX_TEXT {
                        return Err(format!("has a text of more than {MAX_TEXT} bytes"));
                    }
                    self.in_text = self.is_escaped || byte != b'"';
                    self.is_escaped = byte == b'\\' && !self.is_escaped;
                }
                b'"' => (self.in_text, self.text) = (true, 0),
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(format!("is nested more than {MAX_DEPTH} deep"));
                    }
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let mut guard = JsonGuard::default();
        text.as_bytes().chunks(7).try_for_each(|piece| guard.check(piece))
    }

    #[test]
    fn depth_and_texts_are_bounded() {
        assert!(check(&"[]{}".repeat(1000)).is_ok());
        assert!(check(&"[".repeat(64)).is_ok());
        assert!(check(&"[{".repeat(33)).unwrap_err().contains("deep"));
        let brackets = format!(r#"["{}\"{}\\", "x"]"#, "[".repeat(100), "{".repeat(100));
        assert!(check(&brackets).is_ok(), "brackets in a text");
        assert!(
            check(&format!(r#"["\\", {}"#, "[".repeat(64))).is_err(),
            "the text has ended"
        );
        assert!(
            check(&format!("\"{}", "x".repeat(MAX_TEXT + 1)))
                .unwrap_err()
                .contains("text")
        );
    }
}
