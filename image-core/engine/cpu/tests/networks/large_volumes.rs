//! Values so large that results take the place of what they are made of, and that of a transposed convolution only a few
//! planes exist at a time.

use nephrite_cpu::{Level, cpu_memory};

use crate::check::{check_at, options, tolerance};
use nephrite_layers::test_util::case::{Builder, Case};

const W244: &str = "winograd 2x4x4";
const COLUMNS: &str = "winograd columns";

/// At the best level: where values lie is not a matter of it, and all would take long. Between layers there are no more
/// than so many values of this size.
fn check_large(name: &str, case: &Case, kinds: &[&str], spatial: [usize; 3], pitch: usize, n_values: f64) {
    check_at(&[Level::best()], name, case, kinds, 2.0 * tolerance::WINOGRAD_4);
    let bytes = cpu_memory(&case.graph, options(Level::best()), 1)
        .unwrap()
        .activations;
    let found = bytes as f64 / (4 * spatial.iter().product::<usize>() * pitch) as f64;
    assert!(found < n_values, "{name}: {found} values");
}

#[test]
fn convolutions_one_after_the_other_take_the_place_of_each_other() {
    // 16 channels of AVX-512 and 8 of all others.
    for (spatial, channels, pitch, w) in [
        ([72, 63, 61], 8, 8, COLUMNS),
        ([72, 62, 45], 16, 16, COLUMNS),
        ([75, 64, 53], 7, 8, COLUMNS),
        ([70, 39, 38], 17, 32, W244),
    ] {
        let mut network = Builder::new(1, &spatial);
        let mut value = network.conv1(network.tile(), channels);
        for _ in 0..4 {
            value = network.conv3(value, channels);
            value = network.norm_and_activation(value);
        }
        let output = network.conv1(value, 2);
        let case = network.finish(output);
        let kinds = ["direct", w, w, w, w, "direct"];
        check_large("chain", &case, &kinds, spatial, pitch, 2.0);
    }
}

#[test]
fn flat_convolutions_take_the_place_of_each_other() {
    let mut network = Builder::new(1, &[141, 29, 33]);
    let mut value = network.conv1(network.tile(), 8);
    for _ in 0..3 {
        value = network.conv(value, 8, &[1, 3, 3], &[1; 3]);
        value = network.norm_and_activation(value);
    }
    let output = network.conv1(value, 2);
    let case = network.finish(output);
    let w = "winograd 1x4x4";
    let kinds = ["direct", w, w, w, "direct"];
    check_large("flat chain", &case, &kinds, [141, 29, 33], 8, 2.0);
}

#[test]
fn a_residual_sum_takes_the_place_of_one_of_its_inputs() {
    let spatial = [74, 63, 62];
    let mut network = Builder::new(1, &spatial);
    let mut value = network.conv1(network.tile(), 8);
    for _ in 0..2 {
        let inner = network.conv3(value, 8);
        let inner = network.norm_and_activation(inner);
        let inner = network.conv3(inner, 8);
        let inner = network.instance_norm(inner);
        let sum = network.add(inner, value);
        value = network.leaky_relu(sum, 0.01);
    }
    let output = network.conv1(value, 2);
    let case = network.finish(output);
    let w = COLUMNS;
    let kinds = ["direct", w, w, "sum", w, w, "sum", "direct"];
    check_large("residual", &case, &kinds, spatial, 8, 3.0);
}

/// A U-Net of two stages: the skip is replaced by what is made of it, and what is upsampled is never there whole.
fn u_net(spatial: [usize; 3], stride: [usize; 3], kernel: [usize; 3], channels: usize) -> Case {
    let mut network = Builder::new(1, &spatial);
    let value = network.conv(network.tile(), channels, &kernel, &[1; 3]);
    let value = network.norm_and_activation(value);
    let value = network.conv(value, channels, &kernel, &[1; 3]);
    let skip = network.norm_and_activation(value);
    let value = network.conv(skip, 12, &kernel, &stride);
    let value = network.norm_and_activation(value);
    let up = network.transposed(value, channels, &stride);
    let both = network.concat(&[up, skip]);
    let value = network.conv(both, channels, &kernel, &[1; 3]);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 3);
    network.finish(output)
}

#[test]
fn of_a_transposed_convolution_only_a_few_planes_exist_at_a_time() {
    // The last number: how much there may be, in values of the first stage.
    for (spatial, stride, kernel, channels, winograd, limit) in [
        ([76, 62, 64], [2, 2, 2], [3, 3, 3], 8, [COLUMNS, COLUMNS], 2.5),
        ([77, 64, 61], [1, 2, 1], [3, 3, 3], 8, [COLUMNS, COLUMNS], 3.25),
        ([80, 64, 44], [4, 2, 2], [3, 3, 3], 16, [COLUMNS, W244], 2.5),
        ([74, 40, 38], [2, 2, 2], [3, 3, 3], 17, [W244, W244], 2.5),
        ([141, 30, 32], [3, 2, 2], [1, 3, 3], 8, ["winograd 1x4x4"; 2], 2.5),
    ] {
        let case = u_net(spatial, stride, kernel, channels);
        let [first, last] = winograd;
        let joined = format!("transposed + {last}");
        let kinds = ["direct", first, "direct", &joined, "direct"];
        let name = format!("U-Net {spatial:?}");
        check_large(
            &name,
            &case,
            &kinds,
            spatial,
            if channels == 17 { 32 } else { channels },
            limit,
        );
    }
}

#[test]
fn what_is_upsampled_can_be_read_without_a_skip_or_with_an_activation() {
    for has_activation in [false, true] {
        let mut network = Builder::new(3, &[38, 32, 31]);
        let value = network.conv1(network.tile(), 12);
        let mut up = network.transposed(value, 8, &[2, 2, 2]);
        if has_activation {
            up = network.leaky_relu(up, 0.2);
        }
        let value = network.conv3(up, 5);
        let output = network.conv1(value, 3);
        let case = network.finish(output);
        let kinds = ["direct", &format!("transposed + {COLUMNS}"), "direct"];
        // Half a value is upsampled, half of 16 channels for 12 is read.
        check_large("no skip", &case, &kinds, [76, 64, 62], 8, 2.5);
    }
}

#[test]
fn what_is_upsampled_and_read_twice_is_there_whole() {
    let mut network = Builder::new(3, &[38, 32, 31]);
    let value = network.conv1(network.tile(), 12);
    let up = network.transposed(value, 8, &[2, 2, 2]);
    let value = network.conv3(up, 8);
    let sum = network.add(value, up);
    let output = network.conv1(sum, 3);
    let case = network.finish(output);
    let kinds = ["direct", "transposed", COLUMNS, "sum", "direct"];
    check_large("read twice", &case, &kinds, [76, 64, 62], 8, 2.5);
}
