//! The whole way from volumes to labels with networks that are functions: what must hold whatever the network.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array3;
use nephrite_engine::{EngineThread, FakeEngine, TileShape};
use nephrite_nnunet::export::LabelRule;
use nephrite_nnunet::recipe::{ChannelRecipe, Recipe};
use nephrite_nnunet::{Model, ModelParts, NnunetError, PredictOptions, Prediction, predict};
use nephrite_nnunet_folder::{Normalization, Resampling, SeparateZ, SplineResampling};
use nephrite_types::{
    Affine, CancelToken, Geometry, IntensityScale, Labels, Limits, NoProgress, Numerics, Progress,
    SegmentationOptions, Shape3, Spacing, Stage, Volume, Voxels,
};
use proptest::prelude::*;

fn spline(order: u8) -> Resampling {
    Resampling::Spline(SplineResampling {
        is_seg: false,
        order,
        order_z: 0,
        separate_z: SeparateZ::Auto,
        anisotropy_threshold: 3.0,
    })
}

fn parts(patch: &[usize], n_classes: usize, spacing: &[f64]) -> ModelParts {
    ModelParts {
        name: "fake".into(),
        recipe: Recipe {
            transpose_forward: [0, 1, 2],
            channels: vec![ChannelRecipe {
                name: "CT".into(),
                normalization: Normalization::None,
            }],
            spacing: spacing.to_vec(),
            data_resampling: spline(3),
            seg_resampling: spline(1),
            probabilities_resampling: spline(1),
            previous_stage: None,
            foreground_labels: (1..n_classes as u16).collect(),
        },
        patch: patch.to_vec(),
        n_classes,
        label_rule: LabelRule::Argmax,
        mirroring_axes: (0..patch.len()).collect(),
    }
}

fn shape_of(parts: &ModelParts) -> TileShape {
    TileShape {
        n_channels: parts.recipe.n_input_channels(),
        n_classes: parts.n_classes,
        patch: parts.patch.clone(),
    }
}

/// One fold, one voxel at a time: class `c` likes intensities near `c`.
fn pointwise(parts: ModelParts) -> Model {
    let shape = shape_of(&parts);
    let engine = EngineThread::spawn("fake", 2, move || {
        Ok(Box::new(FakeEngine::pointwise(shape, |x, class| {
            -(x[0] - class as f32).powi(2)
        })))
    });
    Model::from_parts(parts, vec![("fold_0".into(), engine.unwrap())]).unwrap()
}

fn volume(array: Array3<f32>, spacing: [f64; 3]) -> Volume {
    let (z, y, x) = array.dim();
    let spacing = Spacing::new(spacing).unwrap();
    Volume {
        voxels: Voxels::F32(array),
        scale: IntensityScale::IDENTITY,
        geometry: Geometry {
            shape: Shape3::new([z, y, x]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        },
    }
}

/// Values in steps of one half: `−(x − c)²` ties between classes are frequent and exact.
fn noise(shape: [usize; 3], seed: u64) -> Array3<f32> {
    let mut state = seed;
    Array3::from_shape_fn((shape[0], shape[1], shape[2]), |_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 40) % 9) as f32 / 2.0
    })
}

fn run(model: &Model, volume: &Volume, options: &PredictOptions) -> Result<Prediction, NnunetError> {
    predict(
        model,
        &[volume],
        None,
        options,
        &Limits::default(),
        &NoProgress,
        &CancelToken::new(),
    )
}

fn labels(prediction: Prediction) -> Array3<u8> {
    match prediction.labels {
        Labels::U8(labels) => labels,
        Labels::U16(_) => panic!("few labels are stored as u8"),
    }
}

/// nearest class, the lower of two
fn expected(x: f32, n_classes: usize) -> u8 {
    let score = |c: usize| -(x - c as f32).powi(2);
    (1..n_classes).fold(0, |best, c| if score(c) > score(best) { c } else { best }) as u8
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Tiles, weights, mirroring, transposition, crop and paste must all cancel out.
    #[test]
    fn a_pointwise_network_gives_the_same_tiled_and_untiled(
        shape in prop::array::uniform3(1usize..14), patch in prop::array::uniform3(1usize..9), seed in 0u64..99,
        step in prop::sample::select(vec![0.3, 0.5, 0.75, 1.0]), two_d in any::<bool>(), mirroring in any::<bool>(),
        forward in prop::sample::select(vec![[0, 1, 2], [2, 0, 1], [1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0]]),
        reference in any::<bool>(),
    ) {
        let array = noise(shape, seed);
        let patch = if two_d { &patch[1..] } else { &patch[..] };
        // tiles stand at least a voxel apart
        let step = patch.iter().filter(|&&len| len > 1).fold(step, |step: f64, &len| step.max(1.0 / len as f64));
        let mut parts = parts(patch, 4, &vec![1.0; patch.len()]);
        parts.recipe.transpose_forward = forward;
        let model = pointwise(parts);
        let numerics = if reference { Numerics::Reference } else { Numerics::Fast };
        let options = SegmentationOptions { tile_step_size: step, mirroring, numerics, ..Default::default() }.into();
        let found = labels(run(&model, &volume(array.clone(), [1.0; 3]), &options).unwrap());
        for (index, x) in array.indexed_iter() {
            // the crop cuts off what is zero all around; a zero outside it is background, as class 0 is inside.
            // exact ties survive weights only up to rounding: both neighbors are right then
            let (lower, is_tie) = (expected(*x, 4), x.fract() != 0.0 && *x < 3.0);
            prop_assert!(
                found[index] == lower || (is_tie && found[index] == lower + 1),
                "{index:?}: {x} became {}", found[index]
            );
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes(seed in 0u64..99, reference in any::<bool>()) {
        let scan = volume(noise([11, 13, 9], seed), [1.0, 0.7, 0.8]);
        let model = pointwise(parts(&[6, 5, 4], 5, &[1.3, 1.0, 0.9]));
        let numerics = if reference { Numerics::Reference } else { Numerics::Fast };
        let options = PredictOptions {
            segmentation: SegmentationOptions { numerics, ..Default::default() },
            probabilities: true,
            ..Default::default()
        };
        let of = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| run(&model, &scan, &options).unwrap())
        };
        let one = of(1);
        for n in [2, 5] {
            let other = of(n);
            prop_assert_eq!(&one.labels, &other.labels);
            prop_assert_eq!(&one.probabilities, &other.probabilities);
        }
    }
}

#[test]
fn a_zero_border_is_cropped_and_comes_back_as_background() {
    let mut array = Array3::zeros((6, 7, 8));
    array.slice_mut(ndarray::s![2..4, 1..5, 3..7]).fill(2.0);
    let seen = Arc::new(AtomicUsize::new(0));
    let parts = parts(&[2, 4, 4], 3, &[1.0; 3]);
    let (shape, counter) = (shape_of(&parts), seen.clone());
    let engine = EngineThread::spawn("fake", 1, move || {
        let mut pointwise = FakeEngine::pointwise(shape.clone(), |x, class| -(x[0] - class as f32).abs());
        Ok(Box::new(FakeEngine::scripted(shape, move |input, output| {
            counter.fetch_add(1, Ordering::SeqCst);
            nephrite_engine::InferenceEngine::run(&mut pointwise, input, output)
        })))
    });
    let model = Model::from_parts(parts, vec![("fold_0".into(), engine.unwrap())]).unwrap();
    let options = PredictOptions::from(SegmentationOptions {
        mirroring: false,
        ..Default::default()
    });
    let prediction = run(&model, &volume(array.clone(), [1.0; 3]), &options).unwrap();
    assert_eq!(
        (prediction.n_tiles, seen.load(Ordering::SeqCst)),
        (1, 1),
        "one patch covers the crop"
    );
    assert!(
        labels(prediction)
            .iter()
            .zip(&array)
            .all(|(l, x)| f32::from(*l) == *x)
    );
}

#[test]
fn an_empty_scan_is_all_background_and_no_error() {
    let model = pointwise(parts(&[4, 4, 4], 3, &[1.0; 3]));
    let prediction = run(
        &model,
        &volume(Array3::zeros((3, 5, 6)), [1.0; 3]),
        &PredictOptions::default(),
    )
    .unwrap();
    assert!(labels(prediction).iter().all(|l| *l == 0));
}

#[test]
fn folds_are_averaged() {
    let parts = parts(&[4, 4, 4], 2, &[1.0; 3]);
    let constant = |logits: [f32; 2]| {
        let shape = shape_of(&parts);
        EngineThread::spawn("fake", 1, move || {
            Ok(Box::new(FakeEngine::pointwise(shape, move |_, c| logits[c])))
        })
        .unwrap()
    };
    for (second, winner) in [([0.0, 0.9], 0), ([0.0, 1.1], 1)] {
        for numerics in [Numerics::Fast, Numerics::Reference] {
            let engines = vec![
                ("fold_0".into(), constant([1.0, 0.0])),
                ("fold_1".into(), constant(second)),
            ];
            let model = Model::from_parts(parts.clone(), engines).unwrap();
            // nnU-Net's half-precision sums are too coarse for this at image corners, where weights are tiny
            let options = PredictOptions::from(SegmentationOptions {
                numerics,
                gaussian: false,
                ..Default::default()
            });
            let prediction = run(&model, &volume(Array3::ones((5, 5, 5)), [1.0; 3]), &options).unwrap();
            assert!(labels(prediction).iter().all(|l| *l == winner));
        }
    }
}

#[test]
fn a_network_that_gives_nan_is_an_error_that_names_model_and_tile() {
    let parts = parts(&[4, 4, 4], 2, &[1.0; 3]);
    let shape = shape_of(&parts);
    let engine = EngineThread::spawn("fake", 1, move || {
        let mut n = 0;
        Ok(Box::new(FakeEngine::scripted(shape, move |_, output| {
            n += 1;
            output.fill(if n == 3 { f32::NAN } else { 0.0 });
            Ok(())
        })))
    });
    let model = Model::from_parts(parts, vec![("fold_0".into(), engine.unwrap())]).unwrap();
    let options = PredictOptions::from(SegmentationOptions {
        mirroring: false,
        ..Default::default()
    });
    let error = run(&model, &volume(Array3::ones((8, 4, 8)), [1.0; 3]), &options).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("fake") && message.contains("fold_0") && message.contains("tile 3 of 9"),
        "{message}"
    );
}

#[test]
fn engines_rest_when_a_prediction_ends_however_it_ends() {
    let parts = parts(&[4, 4, 4], 2, &[1.0; 3]);
    let mut rests = Vec::new();
    let engines = ["fold_0", "fold_1"].map(|name| {
        let engine = FakeEngine::pointwise(shape_of(&parts), |x, class| x[0] * 2.0 * class as f32);
        rests.push(engine.n_rests());
        (
            name.to_owned(),
            EngineThread::spawn("fake", 1, || Ok(Box::new(engine))).unwrap(),
        )
    });
    let model = Model::from_parts(parts, engines.into()).unwrap();
    let of = |value| volume(Array3::from_elem((5, 5, 5), value), [1.0; 3]);
    let failed = run(&model, &of(f32::MAX), &PredictOptions::default());
    assert!(failed.is_err(), "a logit that is not finite");
    run(&model, &of(1.0), &PredictOptions::default()).unwrap();
    drop(model); // their threads have ended
    for n_rests in rests {
        assert_eq!(n_rests.load(Ordering::SeqCst), 2);
    }
}

/// Cancels when the n-th run of the network is reported.
struct CancelAfter {
    runs: u64,
    token: CancelToken,
}

impl Progress for CancelAfter {
    fn stage(&self, _stage: Stage) {}
    fn advance(&self, done: u64, _total: u64) {
        if done == self.runs {
            self.token.cancel();
        }
    }
}

#[test]
fn cancelling_stops_within_one_tile() {
    let parts = parts(&[4, 4, 4], 2, &[1.0; 3]);
    let n_runs = Arc::new(AtomicUsize::new(0));
    let (shape, counter) = (shape_of(&parts), n_runs.clone());
    let engine = EngineThread::spawn("fake", 1, move || {
        Ok(Box::new(FakeEngine::scripted(shape, move |_, output| {
            counter.fetch_add(1, Ordering::SeqCst);
            output.fill(0.0);
            Ok(())
        })))
    });
    let model = Model::from_parts(parts, vec![("fold_0".into(), engine.unwrap())]).unwrap();
    let scan = volume(Array3::ones((20, 20, 20)), [1.0; 3]);
    let token = CancelToken::new();
    let progress = CancelAfter {
        runs: 5,
        token: token.clone(),
    };
    let options = PredictOptions::default();
    let outcome = predict(
        &model,
        &[&scan],
        None,
        &options,
        &Limits::default(),
        &progress,
        &token,
    );
    assert!(matches!(outcome, Err(NnunetError::Cancelled(_))), "{outcome:?}");
    // the sixth may have been under way already
    assert!((5..=6).contains(&n_runs.load(Ordering::SeqCst)), "{n_runs:?}");
}

#[test]
fn grids_and_class_sums_over_the_limits_are_refused_before_they_are_made() {
    let model = pointwise(parts(&[4, 4, 4], 3, &[0.01; 3]));
    let scan = volume(Array3::ones((50, 50, 50)), [1.0; 3]);
    let error = run(&model, &scan, &PredictOptions::default()).unwrap_err();
    assert!(
        matches!(
            error,
            NnunetError::OverLimit {
                what: "the network grid",
                ..
            }
        ),
        "{error}"
    );

    let model = pointwise(parts(&[4, 4, 4], 3, &[1.0; 3]));
    let limits = Limits {
        max_accumulator_bytes: 1000,
        ..Limits::default()
    };
    let options = PredictOptions::default();
    let error = predict(
        &model,
        &[&scan],
        None,
        &options,
        &limits,
        &NoProgress,
        &CancelToken::new(),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            NnunetError::OverLimit {
                what: "the class sums",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn channels_that_do_not_fit_are_refused() {
    let model = pointwise(parts(&[4, 4, 4], 3, &[1.0; 3]));
    let scan = volume(Array3::ones((5, 5, 5)), [1.0; 3]);
    let of = |channels: &[&Volume], previous: Option<&Labels>| {
        let options = PredictOptions::default();
        predict(
            &model,
            channels,
            previous,
            &options,
            &Limits::default(),
            &NoProgress,
            &CancelToken::new(),
        )
    };
    assert!(matches!(
        of(&[&scan, &scan], None),
        Err(NnunetError::ChannelCount {
            expected: 1,
            found: 2,
            ..
        })
    ));
    assert!(matches!(
        of(&[], None),
        Err(NnunetError::ChannelCount { found: 0, .. })
    ));
    let mask = Labels::U8(Array3::zeros((5, 5, 5)));
    assert!(matches!(
        of(&[&scan], Some(&mask)),
        Err(NnunetError::PreviousStageUnexpected)
    ));
    let thin = volume(Array3::ones((5, 5, 5)), [0.01, 1.0, 1.0]);
    assert!(matches!(of(&[&thin], None), Err(NnunetError::EmptyGrid { .. })));
}

#[test]
fn values_over_255_are_written_as_they_are_however_few_they_are() {
    let mut parts = parts(&[4, 4, 4], 2, &[1.0, 1.0, 1.0]);
    let class_order = vec![300, 2];
    parts.label_rule = LabelRule::Regions { class_order };
    let shape = shape_of(&parts);
    let engine = EngineThread::spawn("fake", 2, move || {
        Ok(Box::new(FakeEngine::pointwise(shape, |x, region| {
            if x[0] >= 1.0 + region as f32 { 1.0 } else { -1.0 }
        })))
    });
    let model = Model::from_parts(parts, vec![("fold_0".into(), engine.unwrap())]).unwrap();
    let array = Array3::from_shape_fn((4, 4, 4), |(_, _, x)| x as f32);
    let options = PredictOptions::from(SegmentationOptions {
        mirroring: false,
        ..Default::default()
    });
    let expected = Array3::from_shape_fn((4, 4, 4), |(_, _, x)| [0, 300, 2, 2][x]);
    let found = run(&model, &volume(array.clone(), [1.0; 3]), &options).unwrap();
    assert_eq!(found.labels, Labels::U16(expected));
    let background = |parts: ModelParts| {
        let postprocessing = vec![nephrite_nnunet_folder::RemoveAllButLargest {
            labels: vec![1],
            background: 300,
        }];
        run(
            &pointwise(parts),
            &volume(array.clone(), [1.0; 3]),
            &PredictOptions {
                postprocessing,
                ..options.clone()
            },
        )
    };
    let error = background(self::parts(&[4, 4, 4], 2, &[1.0, 1.0, 1.0])).unwrap_err();
    assert!(
        matches!(
            error,
            NnunetError::PostprocessingValue {
                value: 300,
                limit: 255
            }
        ),
        "{error}"
    );
}
