//! Keys that several tables have, and what names in a pipeline may be.

use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, list, number, one_of, text};
use nephrite_types::Phase;

/// What an `id` may be.
pub(crate) const STEP_NAME: &str = "a name of lower case letters, digits, _ and -, that begins with a letter and is not a Windows device name";

/// A text of any kind, such as the name of another step.
pub(crate) fn any(expected: &'static str) -> Kind<String> {
    text(expected, |text| Some(text.to_owned()))
}

pub(crate) fn phase() -> Kind<Phase> {
    text(one_of(&Phase::ALL.map(Phase::name)), Phase::from_name)
}

/// Names of labels; all of them if empty.
pub(crate) fn labels(table: &mut Section<'_>) -> Vec<String> {
    let names = list(any("a name"), 0, "a list of names");
    let labels = table.option("labels", names, "all", "the box lies around these labels");
    labels.unwrap_or_default()
}

pub(crate) fn margin_mm(table: &mut Section<'_>, default: f64) -> f64 {
    table.get("margin_mm", number(0.0..=10_000.0), default, "around the box, mm")
}
