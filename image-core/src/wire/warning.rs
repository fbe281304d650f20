//! Warnings and worlds ⇄ messages.

use nephrite_proto::convert::choice;
use nephrite_proto::{ConvertError, v1};
use nephrite_types::{Warning, WarningCode};
use nephrite_volume::World;

use crate::segment::WarningReport;

pub(crate) fn message(warning: &Warning) -> v1::Warning {
    v1::Warning {
        code: warning.code.name().to_owned(),
        file: warning.file.clone(),
        message: warning.message.clone(),
    }
}

pub(crate) fn of_report(warning: &WarningReport) -> v1::Warning {
    v1::Warning {
        code: warning.code.clone(),
        file: warning.file.clone(),
        message: warning.message.clone(),
    }
}

/// `None` for a kind that only a newer server knows.
pub(crate) fn parse(wire: &v1::Warning) -> Option<Warning> {
    /// Bytes of a message; far more than any of ours has.
    const MAX_BYTES: usize = 4096;
    let text = |text: &str| text.chars().take(MAX_BYTES).collect();
    Some(Warning {
        code: WarningCode::from_name(&wire.code)?,
        file: text(&wire.file),
        message: text(&wire.message),
    })
}

pub(crate) fn wire_world(world: World) -> v1::World {
    match world {
        World::Itk => v1::World::Itk,
        World::Nibabel => v1::World::Nibabel,
    }
}

/// `None` if it is left out.
pub(crate) fn world(field: &'static str, number: Option<i32>) -> Result<Option<World>, ConvertError> {
    Ok(match choice(field, number)? {
        Some(v1::World::Itk) => Some(World::Itk),
        Some(v1::World::Nibabel) => Some(World::Nibabel),
        Some(v1::World::Unspecified) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_worlds_come_back_from_their_messages() {
        for code in WarningCode::ALL {
            let warning = Warning {
                code,
                file: "a.nii.gz".to_owned(),
                message: "odd".to_owned(),
            };
            assert_eq!(parse(&message(&warning)), Some(warning));
        }
        for known in [World::Itk, World::Nibabel] {
            assert_eq!(
                world("world", Some(wire_world(known).into())).unwrap(),
                Some(known)
            );
        }
        assert_eq!(world("world", None).unwrap(), None);
        assert!(world("world", Some(0)).is_err() && world("world", Some(9)).is_err());
        let unknown = v1::Warning {
            code: "moon_phase".to_owned(),
            ..v1::Warning::default()
        };
        assert_eq!(parse(&unknown), None);
    }
}
