//! Plans with one thing changed: what is typed, what is inherited, which fault is named.

use super::*;
use crate::{SeparateZ, SplineResampling};
use nephrite_types::Coded;
use serde_json::json;

fn fixture() -> Value {
    json!({
        "dataset_name": "Dataset001_Test",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [2, 0, 1],
        "transpose_backward": [1, 2, 0],
        "foreground_intensity_properties_per_channel": {
            "0": { "mean": 10.5, "std": 2.0, "percentile_00_5": -5.0, "percentile_99_5": 50.0 },
            "1": { "mean": f64::NAN, "std": 2.0 },
        },
        "configurations": {
            "3d_fullres": {
                "preprocessor_name": "DefaultPreprocessor",
                "patch_size": [32, 64, 64],
                "spacing": [3.0, 0.75, 1],
                "normalization_schemes": ["CTNormalization", "ZScoreNormalization"],
                "use_mask_for_norm": [false, true],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": { "is_seg": false, "order": 3, "order_z": 0, "force_separate_z": null },
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_seg_kwargs": { "is_seg": true, "order": 1, "order_z": 0, "force_separate_z": null },
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": { "is_seg": false, "order": 1, "order_z": 0 },
                "architecture": { "network_class_name": "a.b.PlainConvUNet", "arch_kwargs": { "n_stages": 4 } },
            },
            "3d_cascade_fullres": { "inherits_from": "3d_fullres", "previous_stage": "3d_lowres" },
            "grandchild": {
                "inherits_from": "3d_cascade_fullres",
                "spacing": [2, 2, 2],
                "architecture": { "network_class_name": "Other", "arch_kwargs": {} },
            },
            "2d": { "inherits_from": "3d_fullres", "patch_size": [64, 64], "spacing": [1, 1] },
            "a": { "inherits_from": "b" },
            "b": { "inherits_from": "a" },
            "orphan": { "inherits_from": "nobody" },
        },
    })
}

fn plans(root: &Value) -> Result<Plans, FolderError> {
    Plans::from_json("m/plans.json", root.to_string().as_bytes(), &Limits::default())
}

#[test]
fn a_configuration_is_typed() {
    let plans = plans(&fixture()).unwrap();
    assert_eq!(plans.transpose_forward, [2, 0, 1]);
    assert_eq!(plans.transpose_backward, [1, 2, 0]);
    assert_eq!(plans.image_reader_writer, "SimpleITKIO");
    assert_eq!(
        plans.configuration_names()[..2],
        ["3d_fullres", "3d_cascade_fullres"]
    );
    let configuration = plans.configuration("3d_fullres").unwrap();
    assert_eq!(configuration.patch_size, [32, 64, 64]);
    assert_eq!(configuration.spacing, [3.0, 0.75, 1.0]);
    assert_eq!(configuration.previous_stage, None);
    let ct = IntensityProperties {
        mean: 10.5,
        std: 2.0,
        percentile_00_5: -5.0,
        percentile_99_5: 50.0,
    };
    assert_eq!(
        configuration.normalization,
        [Normalization::Ct(ct), Normalization::ZScore { use_mask: true }]
    );
    let spline = SplineResampling {
        is_seg: false,
        order: 3,
        order_z: 0,
        separate_z: SeparateZ::Auto,
        anisotropy_threshold: 3.0,
    };
    assert_eq!(configuration.resampling_data, Resampling::Spline(spline));
    let probabilities = SplineResampling {
        order: 1,
        separate_z: SeparateZ::Never,
        ..spline
    };
    assert_eq!(
        configuration.resampling_probabilities,
        Resampling::Spline(probabilities)
    );
    assert_eq!(configuration.architecture.class_name, "PlainConvUNet");
    assert!(!configuration.is_2d() && plans.configuration("2d").unwrap().is_2d());
}

#[test]
fn inheritance_is_shallow_and_may_chain() {
    let plans = plans(&fixture()).unwrap();
    let cascade = plans.configuration("3d_cascade_fullres").unwrap();
    assert_eq!(cascade.previous_stage.as_deref(), Some("3d_lowres"));
    assert_eq!(cascade.patch_size, [32, 64, 64]);
    let grandchild = plans.configuration("grandchild").unwrap();
    assert_eq!(grandchild.spacing, [2.0; 3]);
    assert_eq!(grandchild.previous_stage.as_deref(), Some("3d_lowres"));
    assert!(
        grandchild.architecture.arch_kwargs.is_empty(),
        "a child's object replaces the parent's whole"
    );
    assert!(matches!(
        plans.configuration("a"),
        Err(FolderError::InheritanceCycle { .. })
    ));
    let error = plans.configuration("b").unwrap_err().to_string();
    assert!(error.ends_with("b -> a -> b"), "{error}");
    assert!(
        matches!(plans.configuration("orphan"), Err(FolderError::UnknownConfiguration { name, .. }) if name == "nobody")
    );
    let error = plans.configuration("3d_lowres").unwrap_err().to_string();
    assert!(
        error.contains("\"3d_lowres\"; it has 3d_fullres, 3d_cascade_fullres"),
        "{error}"
    );
}

#[test]
fn the_legacy_key_of_intensities_is_read() {
    let mut root = fixture();
    let properties = root
        .as_object_mut()
        .unwrap()
        .remove("foreground_intensity_properties_per_channel")
        .unwrap();
    let error = plans(&root)
        .unwrap()
        .configuration("3d_fullres")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("foreground_intensity_properties_per_channel is missing"),
        "{error}"
    );
    root["foreground_intensity_properties_by_modality"] = properties;
    assert_eq!(plans(&root).unwrap().intensity_properties(0).unwrap().mean, 10.5);
}

#[test]
fn faults_of_the_file_are_named() {
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let mut root = fixture();
        change(&mut root);
        let message = plans(&root).unwrap_err().to_string();
        assert!(
            message.starts_with("m/plans.json: ") && message.contains(expected),
            "{message}"
        );
    };
    check(&|p| *p = json!([]), "the whole file must be an object, found []");
    check(
        &|p| p["transpose_forward"] = json!([0, 1, 1]),
        "transpose_forward must be a permutation of [0, 1, 2], found [0, 1, 1]",
    );
    check(
        &|p| p["transpose_forward"] = json!([0, 1]),
        "transpose_forward must be a permutation",
    );
    check(
        &|p| p["transpose_forward"] = json!([0, 1, -2]),
        "transpose_forward.2 must be an integer from 0 to 2, found -2",
    );
    check(
        &|p| p["transpose_backward"] = json!([2, 0, 1]),
        "transpose_backward must be the inverse of transpose_forward [2, 0, 1]",
    );
    check(
        &|p| p["label_manager"] = json!("Mine"),
        "label_manager is \"Mine\"",
    );
    check(
        &|p| p["image_reader_writer"] = json!(3),
        "image_reader_writer must be a string, found 3",
    );
    check(
        &|p| drop(p.as_object_mut().unwrap().remove("configurations")),
        "key configurations is missing",
    );
    let broken = Plans::from_json("p", b"{\"a\": ", &Limits::default());
    assert!(matches!(broken, Err(FolderError::Json { .. })));
}

#[test]
fn faults_of_a_configuration_are_named() {
    let check = |key: &str, value: Value, expected: &str| {
        let mut root = fixture();
        let holder = if key == "previous_stage" {
            "3d_cascade_fullres"
        } else {
            "3d_fullres"
        };
        root["configurations"][holder][key] = value;
        let error = plans(&root)
            .unwrap()
            .configuration("3d_cascade_fullres")
            .unwrap_err();
        assert_eq!(error.code(), nephrite_types::ErrorCode::InvalidModel);
        let expected = format!("m/plans.json: configurations.3d_cascade_fullres.{expected}");
        assert!(error.to_string().starts_with(&expected), "{error}\n{expected}");
    };
    check(
        "spacing",
        json!([3, 0, 1]),
        "spacing.1 must be a positive number of millimeters, found 0",
    );
    check(
        "spacing",
        json!([3, -1.5, 1]),
        "spacing.1 must be a positive number of millimeters, found -1.5",
    );
    check(
        "spacing",
        json!([3, "NaN", 1]),
        "spacing.1 must be a positive number of millimeters, found \"NaN\"",
    );
    check(
        "spacing",
        json!([3, 1]),
        "spacing must be a list of 3, as patch_size, found [3, 1]",
    );
    check("spacing", json!(null), "spacing must be a list, found null");
    check(
        "patch_size",
        json!([64]),
        "patch_size must be a list of 2 or 3, found [64]",
    );
    check(
        "patch_size",
        json!([64, 64, 0]),
        "patch_size.2 must be an integer from 1 to 65536, found 0",
    );
    check(
        "patch_size",
        json!([64, 64, 1e30]),
        "patch_size.2 must be an integer",
    );
    check(
        "patch_size",
        json!([65536, 65536, 65536]),
        "patch_size must be a patch of at most 2147483648 voxels",
    );
    check(
        "patch_size",
        json!([1, 1, 1, 1]),
        "patch_size must be a list of at most 3",
    );
    check(
        "normalization_schemes",
        json!(["CTNormalization", "MyNormalization"]),
        "normalization_schemes.1 is \"MyNormalization\", which is not supported; supported are CTNormalization, ",
    );
    check(
        "normalization_schemes",
        json!([]),
        "normalization_schemes must be a list of one scheme per channel",
    );
    check(
        "use_mask_for_norm",
        json!([false]),
        "use_mask_for_norm must be a list of 2",
    );
    check(
        "preprocessor_name",
        json!("Mine"),
        "preprocessor_name is \"Mine\"",
    );
    check(
        "resampling_fn_seg",
        json!("mine"),
        "resampling_fn_seg is \"mine\"",
    );
}

#[test]
fn intensities_must_be_numbers_where_they_are_used() {
    let mut root = fixture();
    root["configurations"]["3d_fullres"]["normalization_schemes"] =
        json!(["CTNormalization", "CTNormalization"]);
    let error = plans(&root)
        .unwrap()
        .configuration("3d_fullres")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("foreground_intensity_properties_per_channel.1.mean must be a finite number"),
        "{error}"
    );
}
