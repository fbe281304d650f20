//! Wrong radii, wrong shapes, limits and cancelled work are typed errors; large radii are ordinary.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use nephrite_mask_codec::{MaskError, Run, RunMask, RunMaskBuilder};
use nephrite_runs::*;
use nephrite_types::{Affine, CancelToken, Cancelled, Coded, ErrorCode, Geometry, Limits, Shape3, Spacing};

fn one_voxel(shape: [usize; 3], [z, y, x]: [usize; 3]) -> RunMask {
    let spacing = Spacing::new([2.0, 1.0, 0.5]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let mut rows = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
    rows.skip_to_row(z * shape[1] + y).unwrap();
    let run = Run {
        start: x as u32,
        end: x as u32 + 1,
        label: 7,
    };
    rows.push_row([run]).unwrap();
    rows.skip_to_row(shape[0] * shape[1]).unwrap();
    rows.finish().unwrap()
}

type Ball = fn(&RunMask, f64, &Limits, &CancelToken) -> Result<RunMask, RunsError>;
const BALLS: [Ball; 4] = [grow, shrink, open, close];

fn n_voxels(mask: &RunMask) -> u64 {
    mask.runs().iter().map(|run| u64::from(run.len())).sum()
}

#[test]
fn radii_that_are_no_distances_are_refused() {
    let mask = one_voxel([3, 3, 3], [1, 1, 1]);
    for radius in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1] {
        for ball in BALLS {
            let found = ball(&mask, radius, &Limits::default(), &CancelToken::new());
            assert!(
                matches!(found, Err(RunsError::Radius { .. })),
                "{radius}: {found:?}"
            );
            assert_eq!(found.unwrap_err().code(), ErrorCode::InvalidArgument);
        }
    }
}

#[test]
fn a_radius_may_be_larger_than_the_volume() {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let mask = one_voxel([20, 30, 40], [3, 4, 5]);
    for radius in [1e3, 1e9, 1e300, f64::MAX] {
        assert_eq!(
            n_voxels(&grow(&mask, radius, &limits, &cancel).unwrap()),
            20 * 30 * 40
        );
        assert!(shrink(&mask, radius, &limits, &cancel).unwrap().is_empty());
        assert!(open(&mask, radius, &limits, &cancel).unwrap().is_empty());
        // The grown set fills the volume, and what fills it does not shrink.
        assert_eq!(
            n_voxels(&close(&mask, radius, &limits, &cancel).unwrap()),
            20 * 30 * 40
        );
    }
}

#[test]
fn radius_zero_changes_nothing() {
    let mask = one_voxel([3, 4, 5], [2, 0, 4]);
    for ball in BALLS {
        let found = ball(&mask, 0.0, &Limits::default(), &CancelToken::new()).unwrap();
        assert_eq!(found, flatten(&mask, 1));
    }
}

#[test]
fn boxes_past_the_limits_are_refused_before_they_are_allocated() {
    let cancel = CancelToken::new();
    let mask = one_voxel([50, 60, 70], [25, 30, 35]);
    let small = Limits {
        max_voxels: 1000,
        ..Limits::default()
    };
    let found = grow(&mask, 1e6, &small, &cancel).unwrap_err();
    assert_eq!(
        found,
        RunsError::Limit {
            what: "the box of a distance",
            found: 210_000,
            limit: 1000
        }
    );
    assert_eq!(found.code(), ErrorCode::LimitExceeded);
    let long = one_voxel([1, 1, 70_000], [0, 0, 5]);
    let found = grow(&long, 1e6, &Limits::default(), &cancel);
    assert!(
        matches!(
            found,
            Err(RunsError::Limit {
                found: 70_000,
                limit: 65_534,
                ..
            })
        ),
        "{found:?}"
    );
}

#[test]
fn work_stops_when_it_is_cancelled() {
    let (mask, limits, cancel) = (
        one_voxel([3, 3, 3], [1, 1, 1]),
        Limits::default(),
        CancelToken::new(),
    );
    cancel.cancel();
    for ball in BALLS {
        let found = ball(&mask, 1.0, &limits, &cancel);
        assert_eq!(found, Err(RunsError::Cancelled(Cancelled::ByCaller)));
    }
    let found = fill_holes(&mask, Holes::Volume, &limits, &cancel);
    assert_eq!(found, Err(RunsError::Cancelled(Cancelled::ByCaller)));
    for connectivity in Connectivity::ALL {
        assert_eq!(components(&mask, connectivity, &cancel), Err(Cancelled::ByCaller));
    }
}

#[test]
fn sets_need_equal_shapes_and_stay_within_the_limit_of_runs() {
    let (a, b) = (one_voxel([3, 3, 3], [1, 1, 1]), one_voxel([3, 3, 4], [1, 1, 1]));
    type Set = fn(&RunMask, &RunMask, &Limits) -> Result<RunMask, RunsError>;
    for set in [union as Set, intersect, subtract] {
        let found = set(&a, &b, &Limits::default());
        assert!(
            matches!(found, Err(RunsError::Mask(MaskError::Shape { .. }))),
            "{found:?}"
        );
    }
    let few = Limits {
        max_mask_runs: 1,
        ..Limits::default()
    };
    let found = union(&a, &one_voxel([3, 3, 3], [2, 0, 0]), &few);
    assert!(
        matches!(found, Err(RunsError::Mask(MaskError::TooManyRuns { .. }))),
        "{found:?}"
    );
}

#[test]
fn connectivity_is_6_18_or_26() {
    for connectivity in Connectivity::ALL {
        assert_eq!(
            Connectivity::from_number(connectivity.number()),
            Some(connectivity)
        );
    }
    for wrong in [0, 4, 8, 27] {
        assert_eq!(Connectivity::from_number(wrong), None);
    }
}
