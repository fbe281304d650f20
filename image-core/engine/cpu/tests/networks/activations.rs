//! Activations of every slope, applied by every kind of step.

use crate::check::{check, tolerance};
use nephrite_layers::test_util::case::Builder;

const SLOPES: [f32; 6] = [0.0, 0.01, 0.2, 1.0, -0.5, -2.0];

#[test]
fn a_slope_is_applied_by_every_convolution() {
    for (spatial, kind, tolerance) in [
        (&[17, 19, 21][..], "winograd 2x4x4", tolerance::WINOGRAD_4),
        (&[9, 11, 13], "winograd 2x2x2", tolerance::WINOGRAD_2),
        (&[5, 6, 7], "direct", tolerance::DIRECT),
        (&[61, 67], "winograd 1x4x4", tolerance::WINOGRAD_4),
    ] {
        for slope in SLOPES {
            for channels in [5, 24] {
                let mut network = Builder::new(2, spatial);
                let value = network.conv1(network.tile(), channels);
                let value = network.leaky_relu(value, slope);
                let output = network.conv3(value, 9);
                let case = network.finish(output);
                check(
                    &format!("{kind}, slope {slope}"),
                    &case,
                    &["direct", kind],
                    tolerance,
                );
            }
        }
        let mut network = Builder::new(2, spatial);
        let value = network.conv1(network.tile(), 5);
        let value = network.relu(value);
        let output = network.conv3(value, 9);
        check("relu", &network.finish(output), &["direct", kind], tolerance);
    }
}

#[test]
fn a_slope_is_applied_by_every_other_step() {
    for slope in SLOPES {
        let start = || {
            let mut network = Builder::new(2, &[6, 8, 10]);
            let value = network.conv1(network.tile(), 17);
            let value = network.leaky_relu(value, slope);
            (network, value)
        };
        let (mut network, value) = start();
        let output = network.transposed(value, 9, &[2, 2, 2]);
        check(
            "transposed",
            &network.finish(output),
            &["direct", "transposed"],
            tolerance::DIRECT,
        );
        let (mut network, value) = start();
        let output = network.average_pool(value, &[2, 2, 2]);
        check(
            "pool",
            &network.finish(output),
            &["direct", "pool"],
            tolerance::DIRECT,
        );
        let (mut network, value) = start();
        let other = network.conv1(network.tile(), 17);
        let output = network.add(other, value);
        check(
            "sum",
            &network.finish(output),
            &["direct", "direct", "sum"],
            tolerance::DIRECT,
        );
        let (network, value) = start();
        check(
            "logits",
            &network.finish(value),
            &["direct", "sum"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn an_activation_of_the_tile_is_applied_by_the_convolution_that_reads_it() {
    for channels in [1, 3, 8, 24] {
        let mut network = Builder::new(channels, &[9, 11, 13]);
        let value = network.leaky_relu(network.tile(), 0.2);
        let output = network.conv(value, 9, &[1, 1, 3], &[1; 3]);
        check(
            "slope of the tile",
            &network.finish(output),
            &["direct"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn activations_can_follow_each_other() {
    let mut network = Builder::new(2, &[5, 6, 7]);
    let value = network.conv1(network.tile(), 9);
    let value = network.leaky_relu(value, -0.5);
    let value = network.leaky_relu(value, 0.2);
    let value = network.relu(value);
    let output = network.conv1(value, 3);
    let kinds = ["direct", "sum", "sum", "direct"];
    check(
        "three activations",
        &network.finish(output),
        &kinds,
        tolerance::DIRECT,
    );
}

#[test]
fn readers_of_one_value_can_activate_it_differently() {
    let mut network = Builder::new(2, &[9, 11, 13]);
    let raw = network.conv1(network.tile(), 16);
    let [a, b, c] = [0.0, 0.5, -1.0].map(|slope| {
        let value = network.leaky_relu(raw, slope);
        network.conv3(value, 8)
    });
    let all = network.concat(&[a, raw, b, c]);
    let output = network.conv1(all, 3);
    let w = "winograd 2x2x2";
    check(
        "three slopes",
        &network.finish(output),
        &["direct", w, w, w, "direct"],
        tolerance::WINOGRAD_2,
    );
}
