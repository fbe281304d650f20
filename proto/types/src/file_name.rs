//! Which file names are safe on every volume that may be shared.

/// Begins the names of what nephrite makes for itself while it works; see [`HiddenName`](crate::HiddenName).
pub(crate) const HIDDEN_PREFIX: &str = ".nephrite-";

/// Most bytes of a file name, as on every file system of Linux.
const MAX_BYTES: usize = 255;

/// Names that Windows keeps for devices, also before an ending; the shared volume may be one of its shares.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// Why a text is no name for a file that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
#[non_exhaustive]
pub enum FileNameFault {
    /// Nothing.
    Empty,
    /// `.` or `..`.
    Folder,
    /// More than 255 bytes.
    TooLong,
    /// `/` or `\`.
    Separator,
    /// A control character, such as a line break or NUL.
    Control,
    /// A character that is not seen, or that turns the direction of what follows: the name would look like another one.
    Invisible,
    /// A name that nephrite or a system keeps for itself.
    Reserved,
    /// Ends in a dot or a space, which some systems drop.
    End,
}

impl FileNameFault {
    /// What follows the name in a message.
    pub fn reason(self) -> &'static str {
        match self {
            FileNameFault::Empty => "is empty",
            FileNameFault::Folder => "is a folder",
            FileNameFault::TooLong => "is longer than 255 bytes",
            FileNameFault::Separator => "is not a plain file name",
            FileNameFault::Control => "has a control character",
            FileNameFault::Invisible => "has a character that is not seen or turns the direction of the text",
            FileNameFault::Reserved => "is a reserved name",
            FileNameFault::End => "ends in a dot or a space",
        }
    }
}

/// Checks the name of a file or folder that a client names: one plain name that every system keeps as it is, and that
/// looks like what it is. The one rule for all of them: outputs, `save.file`, steps, files of plugins.
///
/// # Errors
/// [`FileNameFault`]
pub fn check_file_name(name: &str) -> Result<(), FileNameFault> {
    let fault = match name {
        "" => FileNameFault::Empty,
        "." | ".." => FileNameFault::Folder,
        _ if name.contains(['/', '\\']) => FileNameFault::Separator,
        _ if name.contains(char::is_control) => FileNameFault::Control,
        _ if name.contains(is_invisible) => FileNameFault::Invisible,
        _ if name.len() > MAX_BYTES => FileNameFault::TooLong,
        _ if name.starts_with(HIDDEN_PREFIX) || is_device(name) => FileNameFault::Reserved,
        _ if name.ends_with(['.', ' ']) => FileNameFault::End,
        _ => return Ok(()),
    };
    Err(fault)
}

/// Characters without a look of their own: Unicode's formats (category Cf: directions, joiners, tags), line and paragraph
/// separators, fillers, and those that choose a variant of the one before.
///
/// Source: Unicode 16, `DerivedGeneralCategory.txt` and `Default_Ignorable_Code_Point`.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    let numbered = stem.len() == 4 && stem.is_ascii() && stem.as_bytes()[3].is_ascii_digit();
    let is_numbered = |device: &str| numbered && stem[..3].eq_ignore_ascii_case(device);
    DEVICES.into_iter().any(is) || NUMBERED_DEVICES.into_iter().any(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_of_any_script_are_taken() {
        for name in [
            "kidney.nii.gz",
            ".hidden",
            "a b.nii",
            "niere-größe.nii.gz",
            "почка.nii.gz",
            "腎臓.nii.gz",
            "כליה.nii.gz",
            "console.nii",
            "com.nii",
            "comx.nii",
            "aux-1.nii",
            "COM1x",
            "...a",
            &"x".repeat(255),
        ] {
            assert_eq!(check_file_name(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_plain_name_or_looks_like_another_one_is_refused() {
        use FileNameFault::*;
        for (name, fault) in [
            ("", Empty),
            (".", Folder),
            ("..", Folder),
            ("a/b", Separator),
            ("/", Separator),
            ("a\\b", Separator),
            ("a\0b", Control),
            ("a\nb.nii", Control),
            ("a\u{1b}[2Jb.nii", Control),
            ("a\u{7f}.nii", Control),
            ("a\u{85}.nii", Control),
            ("a\u{202e}zg.iin.nii", Invisible),
            ("a\u{2066}b.nii", Invisible),
            ("a\u{200b}b.nii", Invisible),
            ("a\u{200d}b.nii", Invisible),
            ("a\u{feff}b.nii", Invisible),
            ("a\u{2028}b.nii", Invisible),
            ("a\u{61c}b.nii", Invisible),
            ("a\u{e0041}b.nii", Invisible),
            ("a\u{3164}.nii", Invisible),
            (&"x".repeat(256), TooLong),
            (".nephrite-0123456789abcdef.partial", Reserved),
            ("NUL", Reserved),
            ("con.nii.gz", Reserved),
            ("Lpt9.nii", Reserved),
            ("aux .nii", Reserved),
            ("a.nii.", End),
            ("a.nii ", End),
        ] {
            assert_eq!(check_file_name(name), Err(fault), "{name:?}");
        }
    }
}
