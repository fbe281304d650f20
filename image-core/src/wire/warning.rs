//! Warnings and worlds ⇄ messages.

use nephrite_proto::convert::choice;
use nephrite_proto::{ConvertError, v1};
use nephrite_volume::World;

use crate::segment::WarningReport;

pub(crate) fn of_report(warning: &WarningReport) -> v1::Warning {
    v1::Warning {
        code: v1::WarningCode::from(warning.code).into(),
        file: warning.file.clone(),
        message: warning.message.clone(),
    }
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
    fn worlds_come_back_from_their_messages() {
        for known in [World::Itk, World::Nibabel] {
            assert_eq!(
                world("world", Some(wire_world(known).into())).unwrap(),
                Some(known)
            );
        }
        assert_eq!(world("world", None).unwrap(), None);
        assert!(world("world", Some(0)).is_err() && world("world", Some(9)).is_err());
    }
}
