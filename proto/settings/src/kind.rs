//! What a value may be: one declaration for the check, for what a fault says, and for the reference.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Value;

/// Why a value does not become one of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It is of another type.
    Type,
    /// It is of the right type, and cannot be.
    Range,
}

type Read<T> = Box<dyn Fn(Value<'_>) -> Result<T, Mismatch>>;
type Write<T> = Box<dyn Fn(&T) -> String>;

/// What the value of a key may be, and what it becomes.
pub struct Kind<T> {
    /// `whole number`
    pub(crate) type_name: &'static str,
    /// `from 1 to 4096`; empty if every value of the type will do.
    pub(crate) range: String,
    /// `a whole number from 1 to 4096`
    pub(crate) expected: String,
    read: Read<T>,
    /// As TOML, for the default.
    write: Write<T>,
}

impl<T: 'static> Kind<T> {
    fn new(
        type_name: &'static str,
        range: impl Into<String>,
        read: impl Fn(Value<'_>) -> Result<T, Mismatch> + 'static,
    ) -> Self {
        let range = range.into();
        Kind {
            type_name,
            expected: range.clone(),
            range,
            read: Box::new(read),
            write: Box::new(|_| String::new()),
        }
    }

    fn written(mut self, write: impl Fn(&T) -> String + 'static) -> Self {
        self.write = Box::new(write);
        self
    }

    fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// Converted further; `None` if it cannot be. A kind of this has no spelling for a default.
    pub fn and_then<U: 'static>(self, convert: impl Fn(T) -> Option<U> + 'static) -> Kind<U> {
        let Kind {
            type_name,
            range,
            expected,
            read,
            ..
        } = self;
        Kind::new(type_name, range, move |value| {
            convert(read(value)?).ok_or(Mismatch::Range)
        })
        .expected(expected)
    }

    /// # Errors
    /// [`Mismatch`]
    pub(crate) fn read(&self, value: Value<'_>) -> Result<T, Mismatch> {
        (self.read)(value)
    }

    pub(crate) fn write(&self, value: &T) -> String {
        (self.write)(value)
    }
}

/// A whole number, not negative.
pub fn whole<T>(range: impl RangeBounds<u64> + 'static) -> Kind<T>
where
    T: TryFrom<u64> + Display + 'static,
{
    let words = words(&range);
    let expected = format!("a whole number {words}");
    let read = move |value: Value<'_>| {
        if !value.is_integer() {
            return Err(Mismatch::Type);
        }
        let number = value.whole().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or(Mismatch::Range)
    };
    Kind::new("whole number", words, read)
        .expected(expected)
        .written(T::to_string)
}

/// A finite number.
pub fn number(range: impl RangeBounds<f64> + 'static) -> Kind<f64> {
    let words = words(&range);
    let expected = format!("a number {words}");
    let read = move |value: Value<'_>| {
        if !value.is_integer() && !value.is_float() {
            return Err(Mismatch::Type);
        }
        value
            .number()
            .filter(|number| range.contains(number))
            .ok_or(Mismatch::Range)
    };
    Kind::new("number", words, read)
        .expected(expected)
        .written(f64::to_string)
}

/// A number of seconds; the range must lie within what a [`Duration`] holds.
pub fn seconds(range: impl RangeBounds<f64> + 'static) -> Kind<Duration> {
    let seconds = number(range).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.written(|duration| duration.as_secs_f64().to_string())
}

/// True or false.
pub fn flag() -> Kind<bool> {
    let read = |value: Value<'_>| value.flag().ok_or(Mismatch::Type);
    Kind::new("true or false", "", read)
        .expected("true or false")
        .written(bool::to_string)
}

/// A text that `parse` takes; `expected` says which.
pub fn text<T: 'static>(expected: impl Into<String>, parse: impl Fn(&str) -> Option<T> + 'static) -> Kind<T> {
    Kind::new("text", expected, move |value| {
        parse(value.text().ok_or(Mismatch::Type)?).ok_or(Mismatch::Range)
    })
}

/// A text that says a value such as an address, which can be written again.
pub fn parsed<T: FromStr + Display + 'static>(expected: &str) -> Kind<T> {
    text(expected, |text| text.parse().ok()).written(|value: &T| quoted(&value.to_string()))
}

/// One of a few names.
pub fn choice<T: Clone + PartialEq + 'static>(choices: &[(&'static str, T)]) -> Kind<T> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let (choices, written) = (choices.to_vec(), choices.to_vec());
    let named = move |text: &str| Some(choices.iter().find(|(name, _)| *name == text)?.1.clone());
    text(one_of(&names), named).written(move |value| {
        let choice = written.iter().find(|(_, choice)| choice == value);
        quoted(choice.map_or("", |(name, _)| name))
    })
}

/// A file or folder; not the empty text.
pub fn path(expected: &str) -> Kind<PathBuf> {
    text(expected, |text| (!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A list; `expected` says of what, and how many there must be.
pub fn list<T: 'static>(entry: Kind<T>, n_at_least: usize, expected: impl Into<String>) -> Kind<Vec<T>> {
    let read = move |value: Value<'_>| {
        let entries = value.list().ok_or(Mismatch::Type)?;
        let entries = entries
            .map(|value| entry.read(value))
            .collect::<Result<Vec<T>, _>>()?;
        if entries.len() < n_at_least {
            return Err(Mismatch::Range);
        }
        Ok(entries)
    };
    Kind::new("list", expected, read)
}

/// A value of several types; `read` gives `None` for what it cannot be.
pub fn either<T: 'static>(
    type_name: &'static str,
    expected: impl Into<String>,
    read: impl Fn(Value<'_>) -> Option<T> + 'static,
) -> Kind<T> {
    Kind::new(type_name, expected, move |value| {
        read(value).ok_or(Mismatch::Type)
    })
}

/// `a`, `a or b`, `a, b or c`.
pub fn one_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn words<N: Display>(range: &impl RangeBounds<N>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(least), Bound::Included(most)) => format!("from {least} to {most}"),
        (Bound::Excluded(least), Bound::Included(most)) => format!("above {least} and up to {most}"),
        (Bound::Included(least), _) => format!("of at least {least}"),
        (Bound::Excluded(least), _) => format!("above {least}"),
        (Bound::Unbounded, Bound::Included(most)) => format!("up to {most}"),
        (Bound::Unbounded, _) => String::new(),
    }
}
