//! From bytes to a tree of values that know their places: capped before anything is kept of them.

use toml::Spanned;
use toml::de::DeTable;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use crate::faults::Faults;
use crate::lines::Lines;
use crate::section::{Reading, Section};
use crate::value::shown_key;
use crate::{Fault, FaultKind};

/// Bytes of a file; far more than anybody writes.
pub const MAX_BYTES: usize = 1 << 20;
/// Keys, values and signs of a file, together.
const MAX_TOKENS: usize = 200_000;
/// Brackets and braces around a value, and parts of a dotted key.
const MAX_DEPTH: usize = 16;

/// A file that is TOML.
#[derive(Debug)]
pub struct Document<'a> {
    table: Spanned<DeTable<'a>>,
    lines: Lines<'a>,
    duplicates: Faults,
}

impl<'a> Document<'a> {
    /// Looks at the form of a file only.
    ///
    /// # Errors
    /// The first limit that is passed: [`MAX_BYTES`], 200 000 keys, values and signs, 16 levels; or where it is not UTF-8; or everything
    /// that is not TOML, one fault per line.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Vec<Fault>> {
        if bytes.len() > MAX_BYTES {
            return Err(vec![limit((1, 1), "a file", MAX_BYTES, "bytes")]);
        }
        let text = utf8(bytes)?;
        let lines = Lines::of(text);
        let unclosed = check_size(text, &lines)?;
        let (table, errors) = DeTable::parse_recoverable(text);
        let fault = |start, kind| {
            let (line, column) = lines.place(start);
            Fault { line, column, kind }
        };
        let (mut syntax, mut duplicates) = (Vec::new(), Faults::default());
        if let Some(start) = unclosed {
            let reason = "a bracket that is not closed".to_owned();
            syntax.push(fault(start, FaultKind::Syntax { reason }));
        }
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            if error.message() == "duplicate key" {
                let key = shown_key(text.get(span.clone()).unwrap_or("").trim_matches(['"', '\'']));
                duplicates.push(fault(span.start, FaultKind::Duplicate { key }));
            } else if unclosed.is_none_or(|open| span.start < open) {
                let reason = error.message().to_owned();
                syntax.push(fault(span.start, FaultKind::Syntax { reason }));
            } // else of the open bracket's making, as every line after it would be
        }
        if syntax.is_empty() {
            return Ok(Document {
                table,
                lines,
                duplicates,
            });
        }
        // What follows a slip on its line is mostly of the parser's making.
        syntax.sort_by_key(|fault| (fault.line, fault.column));
        syntax.dedup_by_key(|fault| fault.line);
        syntax.into_iter().for_each(|fault| duplicates.push(fault));
        Err(duplicates.in_order())
    }

    /// Reads the keys; `read` takes those that there are. Returns what it made, and all faults in the order of the file:
    /// what it made is of use only if there are none.
    pub fn read<T>(&self, read: impl FnOnce(&mut Section<'_>) -> T) -> (T, Vec<Fault>) {
        let reading = Reading::of(&self.lines, self.duplicates.clone());
        let value = Section::top(self.table.get_ref(), &reading).run(read);
        (value, reading.into_faults().in_order())
    }
}

/// Reads a file; `read` takes the keys that there are.
///
/// # Errors
/// Every fault, in the order of the file; of a file that is not TOML, those of its form.
pub fn parse<T>(bytes: &[u8], read: impl FnOnce(&mut Section<'_>) -> T) -> Result<T, Vec<Fault>> {
    let (value, faults) = Document::parse(bytes)?.read(read);
    if faults.is_empty() { Ok(value) } else { Err(faults) }
}

fn utf8(bytes: &[u8]) -> Result<&str, Vec<Fault>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (good, _) = bytes.split_at(error.valid_up_to());
        let good = std::str::from_utf8(good).unwrap_or("");
        let (line, column) = Lines::of(good).place(good.len());
        let reason = "not UTF-8".to_owned();
        let kind = FaultKind::Syntax { reason };
        vec![Fault { line, column, kind }]
    })
}

/// Counts before the parser does: its own bounds (80 brackets, each with 80 parts of a dotted key) make 6400 levels, and it keeps
/// several copies of every token, and an error for many. Returns where a bracket is opened that nothing closes.
fn check_size(text: &str, lines: &Lines<'_>) -> Result<Option<usize>, Vec<Fault>> {
    let (mut tokens, mut brackets, mut dots, mut opened) = (0, 0_usize, 0, 0);
    for token in Source::new(text).lex() {
        tokens += 1;
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment => tokens -= 1,
            TokenKind::Dot => dots += 1,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                opened = if brackets == 0 {
                    token.span().start()
                } else {
                    opened
                };
                (brackets, dots) = (brackets + 1, 0);
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                (brackets, dots) = (brackets.saturating_sub(1), 0);
            }
            TokenKind::Equals | TokenKind::Comma | TokenKind::Newline => dots = 0,
            _ => {}
        }
        let place = || lines.place(token.span().start());
        if brackets > MAX_DEPTH || dots >= MAX_DEPTH {
            return Err(vec![limit(place(), "a nesting", MAX_DEPTH, "levels")]);
        }
        if tokens > MAX_TOKENS {
            return Err(vec![limit(
                place(),
                "a file",
                MAX_TOKENS,
                "keys, values and signs",
            )]);
        }
    }
    Ok((brackets > 0).then_some(opened))
}

fn limit((line, column): (usize, usize), what: &'static str, limit: usize, unit: &'static str) -> Fault {
    Fault {
        line,
        column,
        kind: FaultKind::Limit { what, limit, unit },
    }
}
