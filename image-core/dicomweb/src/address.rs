//! `dicomweb://NAME/study` and `dicomweb://NAME/study/series`: what a request may name.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::uid::{Uid, UidFault};

/// Most characters of a name.
const MAX_NAME: usize = 64;
const SCHEME: &str = "dicomweb://";

/// What a configuration calls a server: 1 to 64 letters, digits, `-` and `_`, so that no name is a host or a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(String);

impl ServerName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(ServerName(text.to_owned()))
        } else {
            Err(AddressFault::Name)
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A study, or one series of it, at a server that the configuration names. It says nothing of where that server is: whoever
/// sends a request chooses among servers, and cannot add one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Which `[dicomweb.NAME]` of the configuration.
    pub server: ServerName,
    /// StudyInstanceUID
    pub study: Uid,
    /// SeriesInstanceUID; all series of the study if `None`.
    pub series: Option<Uid>,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// It is no `dicomweb://NAME/study[/series]`.
    #[error("expected dicomweb://NAME/study or dicomweb://NAME/study/series")]
    Form,
    /// The name of the server is none.
    #[error("the name of a DICOMweb server has 1 to 64 letters, digits, - and _")]
    Name,
    /// Study or series is none.
    #[error(transparent)]
    Uid(#[from] UidFault),
}

impl Address {
    /// True of what stands for a path and is meant as an address, whatever is wrong with it.
    pub fn is_meant(path: &Path) -> bool {
        path.to_str().is_some_and(|text| text.starts_with(SCHEME))
    }
}

impl FromStr for Address {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        let rest = text.strip_prefix(SCHEME).ok_or(AddressFault::Form)?;
        let mut parts = rest.split('/');
        let (Some(server), Some(study), series, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AddressFault::Form);
        };
        Ok(Address {
            server: server.parse()?,
            study: study.parse()?,
            series: series.map(str::parse).transpose()?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.server, self.study)?;
        self.series.iter().try_for_each(|series| write!(f, "/{series}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_names_a_server_a_study_and_perhaps_a_series() {
        for text in ["dicomweb://pacs/1.2", "dicomweb://pacs-2_B/1.2/3.4.5"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let address: Address = "dicomweb://pacs/1.2/3".parse().unwrap();
        assert_eq!((address.server.as_str(), address.study.as_str()), ("pacs", "1.2"));
        assert_eq!(address.series.unwrap().as_str(), "3");
    }

    #[test]
    fn nothing_else_is_one() {
        use AddressFault::{Form, Name, Uid};
        let cases = [
            ("/data/a.nii.gz", Form),
            ("http://pacs/1.2", Form),
            ("DICOMWEB://pacs/1.2", Form),
            ("dicomweb://pacs", Form),
            ("dicomweb://pacs/1/2/3", Form),
            ("dicomweb://pacs:80/1", Name),
            ("dicomweb://u@pacs/1", Name),
            ("dicomweb://10.0.0.1/1", Name),
            ("dicomweb:///1", Name),
            ("dicomweb://pacs/", Uid(UidFault)),
            ("dicomweb://pacs/1/", Uid(UidFault)),
            ("dicomweb://pacs/../1", Uid(UidFault)),
            ("dicomweb://pacs/1?x", Uid(UidFault)),
        ];
        for (text, fault) in cases {
            assert_eq!(text.parse::<Address>(), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_written_the_same_way(text in "dicomweb://[a-z0-9_./:@-]{0,20}(/[0-9./]{0,12}){0,3}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
