//! Warnings ⇄ messages.

use nephrite_types::{Warning, WarningCode};

use crate::v1;

impl From<WarningCode> for v1::WarningCode {
    fn from(code: WarningCode) -> Self {
        match code {
            WarningCode::ChannelGeometry => v1::WarningCode::ChannelGeometry,
            WarningCode::OtherWorld => v1::WarningCode::OtherWorld,
            WarningCode::SingularForm => v1::WarningCode::SingularForm,
            WarningCode::HeaderLengths => v1::WarningCode::HeaderLengths,
            WarningCode::DicomObject => v1::WarningCode::DicomObject,
        }
    }
}

impl From<&Warning> for v1::Warning {
    fn from(warning: &Warning) -> Self {
        v1::Warning {
            code: v1::WarningCode::from(warning.code).into(),
            file: warning.file.clone(),
            message: warning.message.clone(),
        }
    }
}

/// The warning of a message; `None` for a kind that only a newer process knows.
pub fn warning(wire: &v1::Warning) -> Option<Warning> {
    /// Characters of a text; far more than any of ours has.
    const MAX_CHARS: usize = 4096;
    let code = match v1::WarningCode::try_from(wire.code).ok()? {
        v1::WarningCode::Unspecified => return None,
        v1::WarningCode::ChannelGeometry => WarningCode::ChannelGeometry,
        v1::WarningCode::OtherWorld => WarningCode::OtherWorld,
        v1::WarningCode::SingularForm => WarningCode::SingularForm,
        v1::WarningCode::HeaderLengths => WarningCode::HeaderLengths,
        v1::WarningCode::DicomObject => WarningCode::DicomObject,
    };
    let text = |text: &str| text.chars().take(MAX_CHARS).collect();
    Some(Warning {
        code,
        file: text(&wire.file),
        message: text(&wire.message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_back_from_their_messages() {
        for code in WarningCode::ALL {
            let odd = Warning {
                code,
                file: "a.nii.gz".to_owned(),
                message: "odd".to_owned(),
            };
            assert_eq!(warning(&(&odd).into()), Some(odd));
        }
        for code in [0, 99] {
            let unknown = v1::Warning {
                code,
                ..v1::Warning::default()
            };
            assert_eq!(warning(&unknown), None);
        }
    }
}
