//! Requests to segment.

use nephrite_proto::convert::{list, optional_path, path};
use nephrite_proto::{ConvertError, v1};

use super::model_choice::model_choice;
use super::objects::wanted_objects;
use crate::segment::{PostprocessingChoice, SegmentRequest};

impl TryFrom<v1::RunRequest> for SegmentRequest {
    type Error = ConvertError;

    fn try_from(request: v1::RunRequest) -> Result<Self, ConvertError> {
        let model = path("model", &request.model)?;
        let inputs = list("input", &request.input, |text| path("input", text))?;
        if inputs.is_empty() {
            return Err(ConvertError::Missing { field: "input" });
        }
        let postprocessing = match &request.postprocessing {
            None => PostprocessingChoice::None,
            Some(text) => match optional_path("postprocessing", text)? {
                None => PostprocessingChoice::FromModel,
                Some(file) => PostprocessingChoice::File(file),
            },
        };
        Ok(SegmentRequest {
            model: model_choice(model, &request.folds, request.checkpoint, request.precision)?,
            inputs,
            previous_stage: optional_path("previous_stage", &request.previous_stage)?,
            output: path("output", &request.output)?,
            objects: wanted_objects(&request.output_type, &request.codes)?,
            save_probabilities: optional_path("save_probabilities", &request.save_probabilities)?,
            options: request.options.unwrap_or_default().try_into()?,
            postprocessing,
            strict_geometry: request.strict_geometry,
        })
    }
}

#[cfg(test)]
mod tests {
    use nephrite_nnunet_folder::{CheckpointKind, FoldName, FoldSelection};
    use nephrite_types::{Numerics, OutputFormat, SegmentationOptions};

    use super::*;

    fn least() -> v1::RunRequest {
        v1::RunRequest {
            model: "m".into(),
            input: vec!["a.nii.gz".into()],
            output: "o.nii.gz".into(),
            ..Default::default()
        }
    }

    #[test]
    fn defaults_are_those_of_the_command_line() {
        let request = SegmentRequest::try_from(least()).unwrap();
        assert_eq!(request.options, SegmentationOptions::default());
        assert_eq!(request.model.folds, FoldSelection::Available);
        assert_eq!(request.model.checkpoint, CheckpointKind::Final);
        assert_eq!(request.postprocessing, PostprocessingChoice::None);
        assert!(!request.strict_geometry);
        assert!(request.objects.is_empty());
        assert_eq!((request.previous_stage, request.save_probabilities), (None, None));
    }

    #[test]
    fn every_field_is_taken() {
        let options = SegmentationOptions {
            mirroring: false,
            tile_step_size: 0.25,
            gaussian: false,
            numerics: Numerics::Reference,
        };
        let request = SegmentRequest::try_from(v1::RunRequest {
            folds: vec!["1".into(), "all".into()],
            checkpoint: Some(v1::Checkpoint::Best as i32),
            previous_stage: "p".into(),
            options: Some(options.into()),
            save_probabilities: "s".into(),
            postprocessing: Some(String::new()),
            strict_geometry: true,
            output_type: vec![v1::OutputType::Rtstruct.into()],
            codes: "codes.toml".into(),
            ..least()
        })
        .unwrap();
        assert_eq!(request.options, options);
        let folds = vec![FoldName::Number(1), FoldName::All];
        assert_eq!(request.model.folds, FoldSelection::List(folds));
        assert_eq!(request.model.checkpoint, CheckpointKind::Best);
        assert_eq!(request.postprocessing, PostprocessingChoice::FromModel);
        assert_eq!(request.previous_stage, Some("p".into()));
        assert_eq!(request.save_probabilities, Some("s".into()));
        assert!(request.strict_geometry);
        assert_eq!(request.objects.formats, [OutputFormat::Rtstruct]);
        assert_eq!(request.objects.codes, Some("codes.toml".into()));
    }

    #[test]
    fn what_no_request_may_say_is_refused() {
        let check = |change: &dyn Fn(&mut v1::RunRequest)| {
            let mut request = least();
            change(&mut request);
            assert!(SegmentRequest::try_from(request.clone()).is_err(), "{request:?}");
        };
        check(&|request| request.model.clear());
        check(&|request| request.input.clear());
        check(&|request| request.input[0].clear());
        check(&|request| request.output.clear());
        check(&|request| request.output = "a\0".into());
        check(&|request| request.output = "a".repeat(5000));
        check(&|request| request.output_type = vec![0]);
        check(&|request| request.folds = vec!["x".into()]);
        check(&|request| request.folds = vec!["0".into(); 100]);
        check(&|request| request.checkpoint = Some(0));
        check(&|request| request.options.get_or_insert_default().numerics = Some(9));
    }
}
