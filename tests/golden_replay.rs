//! The tile loop and the export on the very outputs that nnU-Net's network gave: nothing may differ.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use half::f16;
use ndarray::Array4;
use nephrite_nnunet::predict_preprocessed;
use nephrite_nnunet::tiles::{TileGrid, flip_into, gather_tile};
use nephrite_tests::agreement::label_agreement;
use nephrite_tests::case_run::reference_logits;
use nephrite_tests::golden_case::GoldenCase;
use nephrite_tests::loaded_case::{LoadedCase, options_of};
use nephrite_tests::npz::Npz;
use nephrite_tests::runtime::{RecordedTile, ReplayFactory};
use nephrite_tests::tolerances::NETWORK_INPUT;
use nephrite_types::{CancelToken, Labels, Limits, NoProgress, Numerics};

#[test]
fn recorded_tiles_give_every_voxel() {
    let mut n_replayed = 0;
    for case in GoldenCase::all().unwrap() {
        if let Some(recording) = &case.expected.replay {
            replay(&case, &case.path(recording))
                .with_context(|| case.name.clone())
                .unwrap();
            n_replayed += 1;
        }
    }
    assert!(n_replayed >= 3, "only {n_replayed} recordings");
}

/// Runs the tile loop and the export on the network outputs that nnU-Net saw: every voxel must be the same.
fn replay(case: &GoldenCase, recording: &Path) -> Result<()> {
    let mut recording = Npz::open(recording)?;
    let outputs = recording.array::<f16>("output")?;
    let starts = recording.array::<i64>("tile_start")?;
    let flipped = recording.array::<u8>("flipped")?;
    let expected = recording.array::<u8>("labels")?;
    let expected_logits = recording.array::<f16>("logits")?;

    let mut stages = case
        .stage_arrays()?
        .context("a case with a recording has its network input")?;
    let input = stages
        .array::<f32>("network_input")?
        .into_dimensionality::<ndarray::Ix4>()?;
    let patch = &outputs.shape()[2..];
    let (_, n0, n1, n2) = input.dim();
    let grid = TileGrid::new([n0, n1, n2], patch, case.tile_step_size, &Limits::default())?;
    let tiles = (0..outputs.shape()[0]).map(|i| {
        let start = [0, 1, 2].map(|a| usize::try_from(starts[[i, a]]).expect("starts are indices"));
        let n_flat = 3 - patch.len();
        let flip = [0, 1, 2].map(|a| a >= n_flat && flipped[[i, a - n_flat]] == 1);
        let mut tile = vec![0f32; input.dim().0 * grid.patch.iter().product::<usize>()];
        gather_tile(input.view(), &grid, start, &mut tile);
        let mut mirrored = vec![0f32; tile.len()];
        flip_into(&tile, grid.patch, flip, &mut mirrored);
        RecordedTile {
            input: mirrored,
            output: outputs.index_axis(ndarray::Axis(0), i).to_owned(),
        }
    });
    let factory = ReplayFactory {
        tiles: Arc::new(tiles.collect()),
        tolerance: NETWORK_INPUT.0 as f32,
    };
    let loaded = LoadedCase::new(case, &factory)?;
    let input = loaded.network_input(Numerics::Reference)?;
    let options = options_of(case, Numerics::Reference);
    let logits: Array4<f16> = reference_logits(&loaded.model, &input, &options)?;
    let n_logits = expected_logits
        .iter()
        .zip(&logits)
        .filter(|(a, b)| a != b)
        .count();
    ensure!(n_logits == 0, "{n_logits} of {} logits differ", logits.len());
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let prediction = predict_preprocessed(
        &loaded.model.model,
        &input,
        &options,
        &limits,
        &NoProgress,
        &cancel,
    )?;
    let expected = Labels::U8(expected.into_dimensionality()?);
    let agreement = label_agreement(&expected, &prediction.labels);
    ensure!(agreement == 1.0, "{agreement} of the voxels are equal");
    println!(
        "{}: {} recorded tiles, all {} voxels equal",
        case.name,
        outputs.shape()[0],
        expected.shape().iter().product::<usize>()
    );
    Ok(())
}
