//! What is not a number stays that: a broken tile must not look like a segmentation.

use crate::check::{levels, run};
use nephrite_layers::test_util::case::{Builder, Case};
use nephrite_layers::test_util::reference;

/// A small U-Net without norms, whose logits depend on near voxels only, or with them.
fn network(spatial: [usize; 3], has_norms: bool) -> Case {
    let mut network = Builder::new(2, &spatial);
    let follow = |network: &mut Builder, value| match has_norms {
        true => network.norm_and_activation(value),
        false => network.leaky_relu(value, 0.01),
    };
    let value = network.conv3(network.tile(), 9);
    let skip = follow(&mut network, value);
    let value = network.conv(skip, 17, &[3; 3], &[2; 3]);
    let value = follow(&mut network, value);
    let value = network.transposed(value, 9, &[2; 3]);
    let value = network.concat(&[value, skip]);
    let value = network.conv3(value, 9);
    let value = follow(&mut network, value);
    let output = network.conv1(value, 3);
    network.finish(output)
}

#[test]
fn what_is_not_finite_in_the_tile_is_not_finite_in_the_logits() {
    for spatial in [[16, 24, 24], [8, 12, 12], [4, 4, 6]] {
        for has_norms in [false, true] {
            for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut case = network(spatial, has_norms);
                let n = case.tile.len();
                case.tile[n / 3] = broken;
                let expected = reference::run::<f64>(&case);
                assert!(expected.iter().any(|v| !v.is_finite()));
                for level in levels() {
                    let found = run(&case, level);
                    let hidden = expected
                        .iter()
                        .zip(&found)
                        .filter(|(a, b)| !a.is_finite() && b.is_finite());
                    assert_eq!(
                        hidden.count(),
                        0,
                        "{broken} in {spatial:?}, norms: {has_norms}, {level}"
                    );
                    let are_near = found.iter().any(|v| v.is_finite());
                    assert!(
                        has_norms || are_near || spatial == [4, 4, 6],
                        "{level}: far logits are numbers"
                    );
                }
            }
        }
    }
}

#[test]
fn a_norm_spreads_what_is_not_finite_to_all_logits() {
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for position in [0, 700, 2 * 8 * 12 * 12 - 1] {
            let mut case = network([8, 12, 12], true);
            case.tile[position] = broken;
            for level in levels() {
                let found = run(&case, level);
                assert!(
                    found.iter().all(|v| v.is_nan()),
                    "{broken} at {position}, {level}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_finite_passes_every_activation() {
    for slope in [0.0, 0.01, 1.0, -0.5] {
        for broken in [f32::NAN, f32::INFINITY] {
            let mut network = Builder::new(1, &[4, 4, 4]);
            let value = network.conv_of(network.tile(), 1, &[1; 3], &[1; 3], vec![1.0], None);
            let output = network.leaky_relu(value, slope);
            let mut case = network.finish(output);
            case.tile[10] = broken;
            for level in levels() {
                let found = run(&case, level);
                let same = found[10].total_cmp(&broken).is_eq() || (found[10].is_nan() && broken.is_nan());
                assert!(same, "{broken} becomes {} by slope {slope}, {level}", found[10]);
                assert!(found.iter().enumerate().all(|(i, v)| i == 10 || v.is_finite()));
            }
        }
    }
}
