//! Stages of a run between messages and progress reports.

use nephrite_types::Stage;

use crate::{ConvertError, v1};

impl TryFrom<v1::Stage> for Stage {
    type Error = ConvertError;

    fn try_from(stage: v1::Stage) -> Result<Self, ConvertError> {
        Ok(match stage {
            v1::Stage::Unspecified => {
                return Err(ConvertError::NoChoice {
                    field: "stage",
                    number: 0,
                });
            }
            v1::Stage::LoadModel => Stage::LoadModel,
            v1::Stage::Read => Stage::Read,
            v1::Stage::Preprocess => Stage::Preprocess,
            v1::Stage::Inference => Stage::Inference,
            v1::Stage::Export => Stage::Export,
            v1::Stage::Write => Stage::Write,
        })
    }
}

impl From<Stage> for v1::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::LoadModel => v1::Stage::LoadModel,
            Stage::Read => v1::Stage::Read,
            Stage::Preprocess => v1::Stage::Preprocess,
            Stage::Inference => v1::Stage::Inference,
            Stage::Export => v1::Stage::Export,
            Stage::Write => v1::Stage::Write,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_comes_back() {
        for number in 1..=6 {
            let wire = v1::Stage::try_from(number).unwrap();
            let stage = Stage::try_from(wire).unwrap();
            assert_eq!(v1::Stage::from(stage), wire);
        }
        assert!(v1::Stage::try_from(7).is_err(), "a new stage needs a conversion");
        assert!(Stage::try_from(v1::Stage::Unspecified).is_err());
    }
}
