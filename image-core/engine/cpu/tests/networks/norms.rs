//! Norms after every kind of step, and what every kind of step reads of them.

use nephrite_cpu::Level;
use nephrite_layers::{LayerGraph, ValueId};

use crate::check::{check, levels, run, tolerance};
use nephrite_layers::test_util::case::{Builder, Case, EPS};
use nephrite_layers::test_util::difference::difference;
use nephrite_layers::test_util::random::Random;
use nephrite_layers::test_util::reference;

/// A volume for each algorithm: 2×4×4, 2×2×2, and too small for both.
const VOLUMES: [([usize; 3], &str, f64); 3] = [
    ([17, 19, 21], "winograd 2x4x4", tolerance::WINOGRAD_4),
    ([9, 11, 13], "winograd 2x2x2", tolerance::WINOGRAD_2),
    ([5, 6, 7], "direct", tolerance::DIRECT),
];

#[test]
fn an_instance_norm_takes_the_statistics_of_what_any_convolution_wrote() {
    for (spatial, kind, tolerance) in VOLUMES {
        for is_affine in [true, false] {
            for channels in [5, 9, 16, 40, 72] {
                let mut network = Builder::new(2, &spatial);
                let value = network.conv1(network.tile(), 9);
                let value = network.conv3(value, channels);
                let output = match is_affine {
                    true => network.instance_norm(value),
                    false => network.plain_instance_norm(value),
                };
                let case = network.finish(output);
                let name = format!("norm of {channels} channels, affine: {is_affine}");
                check(&name, &case, &["direct", kind, "sum"], tolerance);
            }
        }
    }
}

#[test]
fn a_batch_norm_takes_the_statistics_of_training() {
    for (spatial, kind, tolerance) in VOLUMES {
        for is_affine in [true, false] {
            for channels in [5, 16, 40] {
                let mut network = Builder::new(2, &spatial);
                let value = network.conv1(network.tile(), 9);
                let value = network.conv3(value, channels);
                let value = network.batch_norm(value, is_affine);
                let value = network.leaky_relu(value, 0.01);
                let output = network.conv1(value, 3);
                let case = network.finish(output);
                let name = format!("batch norm of {channels} channels, affine: {is_affine}");
                check(&name, &case, &["direct", kind, "direct"], tolerance);
            }
        }
    }
}

#[test]
fn a_norm_after_an_activation_takes_the_statistics_of_what_is_activated() {
    for (spatial, kind, tolerance) in VOLUMES {
        let network = || {
            let mut network = Builder::new(2, &spatial);
            let value = network.conv1(network.tile(), 9);
            let value = network.conv3(value, 17);
            let value = network.leaky_relu(value, 0.01);
            (network, value)
        };
        let (mut of_instance, value) = network();
        let value = of_instance.instance_norm(value);
        let output = of_instance.conv1(value, 3);
        let kinds = ["direct", kind, "sum", "direct"];
        check(
            "activation, instance norm",
            &of_instance.finish(output),
            &kinds,
            tolerance,
        );

        let (mut of_training, value) = network();
        let value = of_training.batch_norm(value, true);
        let output = of_training.conv1(value, 3);
        check(
            "activation, batch norm",
            &of_training.finish(output),
            &kinds,
            tolerance,
        );
    }
}

#[test]
fn a_norm_of_sums_averages_and_transposed_convolutions_takes_a_pass_of_its_own() {
    type Make = fn(&mut Builder, ValueId) -> ValueId;
    let steps: [(&str, Make); 3] = [
        ("sum", |network, value| {
            let other = network.conv1(value, 17);
            network.add(value, other)
        }),
        ("pool", |network, value| network.average_pool(value, &[2, 2, 2])),
        ("transposed", |network, value| {
            network.transposed(value, 17, &[1, 2, 2])
        }),
    ];
    for (kind, make) in steps {
        for is_instance_norm in [true, false] {
            let mut network = Builder::new(2, &[9, 11, 13]);
            let value = network.conv1(network.tile(), 17);
            let value = make(&mut network, value);
            let value = match is_instance_norm {
                true => network.instance_norm(value),
                false => network.batch_norm(value, true),
            };
            let value = network.leaky_relu(value, 0.2);
            let output = network.conv1(value, 3);
            let case = network.finish(output);
            let kinds: &[&str] = match (kind, is_instance_norm) {
                ("sum", _) => &["direct", "direct", "sum", "direct"],
                (_, true) => &["direct", kind, "sum", "direct"],
                (_, false) => &["direct", kind, "direct"],
            };
            check(&format!("norm of {kind}"), &case, kinds, tolerance::DIRECT);
        }
    }
}

#[test]
fn norms_can_follow_each_other() {
    let mut wrong = Vec::new();
    for n_activations in [0, 1] {
        for order in 0..4 {
            let mut network = Builder::new(2, &[9, 11, 13]);
            let value = network.conv1(network.tile(), 9);
            let mut value = network.conv3(value, 17);
            for _ in 0..n_activations {
                value = network.leaky_relu(value, 0.2);
            }
            for is_instance_norm in [order & 1 == 1, order & 2 == 2] {
                value = match is_instance_norm {
                    true => network.instance_norm(value),
                    false => network.batch_norm(value, true),
                };
            }
            let output = network.conv1(value, 3);
            let case = network.finish(output);
            let expected = reference::run::<f64>(&case);
            for level in levels() {
                let max = difference(&expected, &run(&case, level)).max;
                if max.is_nan() || max > tolerance::WINOGRAD_2 {
                    wrong.push(format!(
                        "activations: {n_activations}, order {order}, {level}: {max:.1e}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// As every step reads them: norm and activation are applied to what is there, zeros around the volume are not.
#[test]
fn every_kind_of_step_applies_the_norm_of_what_it_reads() {
    for channels in [5, 9, 16, 24, 32] {
        let start = |spatial: &[usize]| {
            let mut network = Builder::new(2, spatial);
            let value = network.conv1(network.tile(), channels);
            let value = network.norm_and_activation(value);
            (network, value)
        };
        for (spatial, kind, tolerance) in VOLUMES {
            let (mut network, value) = start(&spatial);
            let output = network.conv3(value, 9);
            let case = network.finish(output);
            check(
                &format!("{kind} of a norm, {channels}"),
                &case,
                &["direct", kind],
                tolerance,
            );
        }
        let (mut network, value) = start(&[6, 8, 10]);
        let output = network.transposed(value, 9, &[2, 2, 2]);
        let case = network.finish(output);
        check(
            "transposed of a norm",
            &case,
            &["direct", "transposed"],
            tolerance::DIRECT,
        );

        let (mut network, value) = start(&[6, 8, 10]);
        let output = network.average_pool(value, &[2, 2, 2]);
        let case = network.finish(output);
        check("pool of a norm", &case, &["direct", "pool"], tolerance::DIRECT);

        let (mut network, value) = start(&[6, 8, 10]);
        let other = network.conv1(network.tile(), channels);
        let other = network.batch_norm(other, true);
        let output = network.add(value, other);
        let case = network.finish(output);
        check(
            "sum of norms",
            &case,
            &["direct", "direct", "sum"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn a_norm_of_a_value_that_others_read_too_leaves_it_as_it_is() {
    let mut network = Builder::new(2, &[9, 11, 13]);
    let value = network.conv1(network.tile(), 9);
    let raw = network.conv3(value, 16);
    let a = network.norm_and_activation(raw);
    let b = network.instance_norm(raw);
    let c = network.leaky_relu(raw, 0.2);
    let d = network.conv3(c, 16);
    let sum = network.add(a, b);
    let sum = network.add(sum, raw);
    let sum = network.add(sum, d);
    let output = network.conv1(sum, 3);
    let case = network.finish(output);
    let kinds = [
        "direct",
        "winograd 2x2x2",
        "sum",
        "sum",
        "winograd 2x2x2",
        "sum",
        "sum",
        "sum",
        "direct",
    ];
    check("one value, four readers", &case, &kinds, tolerance::WINOGRAD_2);
}

/// The logits are a value that the caller reads.
#[test]
fn a_norm_that_reads_the_logits_leaves_them_as_they_are() {
    for channels in [3, 40] {
        let mut network = Builder::new(2, &[9, 11, 13]);
        let logits = network.conv1(network.tile(), channels);
        network.instance_norm(logits);
        let case = network.finish(logits);
        let expected = reference::run::<f64>(&case);
        for level in levels() {
            let max = difference(&expected, &run(&case, level)).max;
            assert!(
                max <= tolerance::DIRECT,
                "{channels} channels, {level}: {max:.1e}"
            );
        }
    }
}

#[test]
fn a_bias_far_from_zero_costs_a_normalized_value_no_digits() {
    for (spatial, kind, tolerance) in VOLUMES {
        let mut network = Builder::new(2, &spatial);
        let value = network.conv1(network.tile(), 9);
        let mut random = Random::new(1);
        let weight = random.values(17 * 9 * 27, 0.06);
        let bias = random.between(900.0, 1100.0, 17);
        let value = network.conv_of(value, 17, &[3; 3], &[1; 3], weight, Some(bias));
        let output = network.instance_norm(value);
        let case = network.finish(output);
        check("bias of 1000", &case, &["direct", kind, "sum"], tolerance);
    }
}

/// Values of mean 1000 and standard deviation 1: the best that f32 can hold of them is 3e-5 off; scale and shift are each
/// rounded once and move all values of a channel together, by no more than 1000 · 2⁻²⁴ each.
#[test]
fn a_mean_far_from_zero_costs_the_statistics_no_digits() {
    for n_voxels_x in [3, 7, 150, 1500] {
        for channels in [3, 8, 16, 33, 72] {
            let spatial = [2, 3, n_voxels_x];
            let mut network = Builder::new(channels, &spatial);
            let mut identity = vec![0.0; channels * channels];
            identity.iter_mut().step_by(channels + 1).for_each(|v| *v = 1.0);
            let value = network.conv_of(network.tile(), channels, &[1; 3], &[1; 3], identity, None);
            let output = network.plain_instance_norm(value);
            let n = channels * 6 * n_voxels_x;
            let tile: Vec<f32> = network.random.values(n, 1.0).iter().map(|v| v + 1000.0).collect();
            let case = network.finish_with(output, tile);
            let expected = reference::run::<f64>(&case);
            for level in levels() {
                let found = run(&case, level);
                for (expected, found) in expected.chunks(n / channels).zip(found.chunks(n / channels)) {
                    let differences: Vec<f64> = expected
                        .iter()
                        .zip(found)
                        .map(|(a, &b)| f64::from(b) - a)
                        .collect();
                    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
                    let spread = differences
                        .iter()
                        .fold(0.0, |max: f64, v| max.max((v - mean).abs()));
                    assert!(
                        mean.abs() <= 2.0 * 1000.0 / f64::from(1 << 24),
                        "{level}: moved by {mean:.1e}"
                    );
                    // Without a fused multiply-add, the product, which may be above 1024, is rounded too.
                    let rounding = if level == Level::Portable { 1.3e-4 } else { 4e-6 };
                    assert!(spread <= rounding, "{level}: {spread:.1e} apart");
                }
            }
        }
    }
}

/// One channel of 1000 goes through the middle tap alone, so that values have a mean of 1000 whatever the algorithm
/// rounds; mean and variance are those of what was written.
#[test]
fn the_statistics_of_every_algorithm_are_those_of_what_it_wrote() {
    const OFFSET: f32 = 1000.0;
    for (spatial, _, _) in VOLUMES {
        for channels in [9, 72] {
            let mut network = Builder::new(8, &spatial);
            let mut weight = network.random.values(channels * 8 * 27, 0.1);
            for taps in weight.chunks_mut(8 * 27) {
                taps[..27].fill(0.0);
                taps[13] = 1.0;
            }
            let value = network.conv_of(network.tile(), channels, &[3; 3], &[1; 3], weight, None);
            let output = network.plain_instance_norm(value);
            let n_voxels: usize = spatial.iter().product();
            let mut tile = network.random.values(8 * n_voxels, 1.0);
            tile[..n_voxels].fill(OFFSET);
            let case = network.finish_with(output, tile);
            for level in levels() {
                for (channel, values) in run(&case, level).chunks(n_voxels).enumerate() {
                    let n = n_voxels as f64;
                    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
                    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
                    let name = format!("{spatial:?}, channel {channel} of {channels}, {level}");
                    assert!(mean.abs() <= 1.2e-4, "{name}: mean {mean:.1e}");
                    // Of a variance near 1; `EPS` is part of it.
                    let off = (variance - 1.0).abs();
                    assert!(off <= 2.0 * f64::from(EPS), "{name}: variance off by {off:.1e}");
                }
            }
        }
    }
}

#[test]
fn a_constant_channel_becomes_the_bias_of_its_norm() {
    let mut network = Builder::new(2, &[5, 6, 7]);
    let value = network.conv_of(
        network.tile(),
        9,
        &[3; 3],
        &[1; 3],
        vec![0.0; 9 * 54],
        Some(vec![7.0; 9]),
    );
    let output = network.instance_norm(value);
    let case = network.finish(output);
    let LayerGraph { params, .. } = &case.graph;
    let bias = params.iter().position(|param| param.name == "1.bias").unwrap();
    for level in levels() {
        for (values, bias) in run(&case, level).chunks(210).zip(&case.params[bias]) {
            assert!(values.iter().all(|v| v == bias), "{level}");
        }
    }
}

/// Adds what would be missed if a network had a single norm.
#[test]
fn every_norm_has_statistics_of_its_own() {
    let case: Case = {
        let mut network = Builder::new(2, &[9, 11, 13]);
        let mut value = network.tile();
        for channels in [8, 16, 8, 24] {
            value = network.conv3(value, channels);
            value = network.norm_and_activation(value);
        }
        let output = network.conv1(value, 3);
        network.finish(output)
    };
    let kinds = [
        "direct",
        "winograd 2x2x2",
        "winograd 2x2x2",
        "winograd 2x2x2",
        "direct",
    ];
    check("four norms", &case, &kinds, 3.0 * tolerance::WINOGRAD_2);
}
