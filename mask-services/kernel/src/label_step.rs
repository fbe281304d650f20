//! A label that two others give, as a text.

/// `target = left operator right`, where `right` may be grown first.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelStep {
    /// The label that is given; it may be a new one.
    pub target: String,
    /// A label that is there.
    pub left: String,
    /// What is done.
    pub operator: StepOperator,
    /// A label that is there.
    pub right: String,
    /// Radius in mm by which `right` is grown first; 0 leaves it as it is.
    pub grown_mm: f64,
}

/// What a step does with its two labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOperator {
    /// What lies in one of them.
    Union,
    /// What lies in both; also written `inside`.
    Intersect,
    /// What lies in the first and not in the second.
    Subtract,
}

/// What is wrong with the text of a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepFault {
    /// The text ends too early.
    #[error("it ends where {expected} should stand")]
    Ends {
        /// What is missing.
        expected: &'static str,
    },
    /// A word that belongs elsewhere.
    #[error("{found:?} stands where {expected} should")]
    Word {
        /// As given.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// A quotation mark without a second one.
    #[error("a quotation mark is not closed")]
    Quote,
    /// A distance that cannot be.
    #[error("{found:?} is not a distance from 0 to 1000 mm")]
    Distance {
        /// As given.
        found: String,
    },
}

/// The farthest that a label can be grown.
const MAX_GROWN_MM: f64 = 1000.0;
const OPERATORS: &str = "union, intersect, subtract or inside";

impl LabelStep {
    /// Reads `target = left operator right [grown MM]`.
    ///
    /// A name with spaces, `=` or `"` in it stands in double quotes; `""` within them is one quotation mark.
    ///
    /// # Errors
    /// [`StepFault`]
    pub fn parse(text: &str) -> Result<LabelStep, StepFault> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<LabelStep, StepFault> {
    let mut words = words(text)?.into_iter();
    let target = name(words.next(), "the label to set")?;
    match words.next() {
        Some(Word::Equals) => {}
        other => return Err(unexpected(other, "=")),
    }
    let left = name(words.next(), "a label")?;
    let operator = match words.next() {
        Some(Word::Bare(word)) => match word.as_str() {
            "union" => StepOperator::Union,
            "intersect" | "inside" => StepOperator::Intersect,
            "subtract" => StepOperator::Subtract,
            _ => return Err(unexpected(Some(Word::Bare(word)), OPERATORS)),
        },
        other => return Err(unexpected(other, OPERATORS)),
    };
    let right = name(words.next(), "a label")?;
    let grown_mm = match words.next() {
        None => 0.0,
        Some(Word::Bare(word)) if word == "grown" => distance(words.next())?,
        other => return Err(unexpected(other, "grown or the end")),
    };
    if let Some(word) = words.next() {
        return Err(unexpected(Some(word), "the end"));
    }
    Ok(LabelStep {
        target,
        left,
        operator,
        right,
        grown_mm,
    })
}

#[derive(Debug, PartialEq)]
enum Word {
    Equals,
    Bare(String),
    Quoted(String),
}

fn words(text: &str) -> Result<Vec<Word>, StepFault> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
        } else if c == '=' {
            chars.next();
            words.push(Word::Equals);
        } else if c == '"' {
            chars.next();
            let mut quoted = String::new();
            loop {
                match chars.next() {
                    None => return Err(StepFault::Quote),
                    Some('"') if chars.next_if_eq(&'"').is_some() => quoted.push('"'),
                    Some('"') => break,
                    Some(c) => quoted.push(c),
                }
            }
            words.push(Word::Quoted(quoted));
        } else {
            let mut bare = String::new();
            while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=' && *c != '"') {
                bare.push(c);
            }
            words.push(Word::Bare(bare));
        }
    }
    Ok(words)
}

fn name(word: Option<Word>, expected: &'static str) -> Result<String, StepFault> {
    match word {
        Some(Word::Bare(name) | Word::Quoted(name)) if !name.is_empty() => Ok(name),
        other => Err(unexpected(other, expected)),
    }
}

fn distance(word: Option<Word>) -> Result<f64, StepFault> {
    let Some(Word::Bare(text)) = word else {
        return Err(unexpected(word, "a distance in mm"));
    };
    match text.parse::<f64>() {
        Ok(mm) if (0.0..=MAX_GROWN_MM).contains(&mm) => Ok(mm), // NaN is in no range
        _ => Err(StepFault::Distance {
            found: text.chars().take(64).collect(),
        }),
    }
}

fn unexpected(word: Option<Word>, expected: &'static str) -> StepFault {
    let found = match word {
        None => return StepFault::Ends { expected },
        Some(Word::Equals) => "=".to_owned(),
        Some(Word::Bare(text) | Word::Quoted(text)) => text.chars().take(64).collect(),
    };
    StepFault::Word { found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, target: &str, left: &str, operator: StepOperator, right: &str, grown_mm: f64) {
        let expected = LabelStep {
            target: target.to_owned(),
            left: left.to_owned(),
            operator,
            right: right.to_owned(),
            grown_mm,
        };
        assert_eq!(parse(text), Ok(expected), "{text}");
    }

    #[test]
    fn steps_are_read() {
        use StepOperator::*;
        check(
            "tumour = tumour union cyst",
            "tumour",
            "tumour",
            Union,
            "cyst",
            0.0,
        );
        check("x=a intersect b", "x", "a", Intersect, "b", 0.0);
        check(
            "vein = vein subtract artery grown 1.5",
            "vein",
            "vein",
            Subtract,
            "artery",
            1.5,
        );
        check("t = t inside kidney grown 5", "t", "t", Intersect, "kidney", 5.0);
        check(
            r#""left kidney" = "union" union "a ""b"" =""#,
            "left kidney",
            "union",
            Union,
            r#"a "b" ="#,
            0.0,
        );
        check(
            "grown = grown union grown grown 0",
            "grown",
            "grown",
            Union,
            "grown",
            0.0,
        );
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for text in [
            "",
            "a",
            "a =",
            "= a union b",
            "a = b",
            "a = b union",
            "a = b plus c",
            "a = b UNION c",
            r#"a = b "union" c"#,
            "a = b union c d",
            "a = b union c grown",
            "a = b union c grown x",
            "a = b union c grown -1",
            "a = b union c grown NaN",
            "a = b union c grown inf",
            "a = b union c grown 1001",
            r#"a = b union c grown "1""#,
            "a = b union c grown 1 mm",
            "a = = union b",
            r#"a = "b union c"#,
            r#""" = b union c"#,
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[ a-c=\"0-9.grownuitesc]{0,40}") {
            let _ = parse(&text);
        }
    }
}
