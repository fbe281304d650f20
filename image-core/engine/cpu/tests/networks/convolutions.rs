//! Convolutions of all kernels, strides, sizes and channel counts, each by the algorithm that its size asks for.

use nephrite_cpu::Level;
use nephrite_layers::test_util::case::{Builder, Case};

use crate::check::{check, check_at, levels, run, tolerance};

const W244: &str = "winograd 2x4x4";
const W222: &str = "winograd 2x2x2";
const COLUMNS: &str = "winograd columns";
const LINES: &str = "direct lines";
const W144: &str = "winograd 1x4x4";
const W122: &str = "winograd 1x2x2";
const DIRECT: &str = "direct";

/// All counts that matter to vectors of 16, 8, 4 and 1: fewer than one, whole ones, one more.
const CHANNELS: [(usize, usize); 11] = [
    (1, 64),
    (3, 40),
    (5, 32),
    (8, 24),
    (9, 17),
    (16, 16),
    (17, 9),
    (24, 8),
    (32, 5),
    (40, 3),
    (64, 1),
];

/// The channels of the tile are mixed, then the convolution in question.
fn one(spatial: &[usize], n_in: usize, n_out: usize, kernel: &[usize], stride: &[usize]) -> Case {
    let mut network = Builder::new(n_in, spatial);
    let input = network.conv1(network.tile(), n_in);
    let output = network.conv(input, n_out, kernel, stride);
    network.finish(output)
}

/// At stride 1.
fn check_one(spatial: &[usize], channels: (usize, usize), kernel: &[usize], kind: &str, tolerance: f64) {
    let stride = &[1, 1, 1][..spatial.len()];
    let (n_in, n_out) = channels;
    let name = format!("{kernel:?} on {spatial:?}, {n_in} to {n_out}");
    let case = one(spatial, n_in, n_out, kernel, stride);
    check(&name, &case, &[DIRECT, kind], tolerance);
}

#[test]
fn a_3x3x3_kernel_on_a_large_volume_goes_through_tiles_of_2x4x4() {
    for channels in CHANNELS {
        check_one(&[17, 19, 21], channels, &[3; 3], W244, tolerance::WINOGRAD_4);
    }
    for spatial in [
        [16, 24, 24],
        [63, 31, 1],
        [63, 31, 2],
        [63, 30, 3],
        [31, 29, 5],
        [63, 1, 31],
        [1, 63, 67],
        [2, 62, 66],
        [3, 45, 43],
    ] {
        check_one(&spatial, (17, 10), &[3; 3], W244, tolerance::WINOGRAD_4);
    }
}

#[test]
fn a_3x3x3_kernel_of_few_channels_on_a_large_volume_goes_through_columns() {
    for channels in CHANNELS.into_iter().filter(|&(n_in, _)| n_in <= 16) {
        check_one(&[17, 24, 21], channels, &[3; 3], COLUMNS, tolerance::WINOGRAD_4);
    }
    // One plane, two, all numbers of planes that are left over, and all that is left over of a tile.
    for spatial in [
        [1, 90, 90],
        [2, 66, 66],
        [7, 45, 43],
        [8, 32, 32],
        [9, 33, 34],
        [10, 35, 31],
        [15, 27, 30],
        [64, 31, 1],
        [64, 1, 30],
        [65, 29, 2],
        [66, 2, 31],
    ] {
        check_one(&spatial, (9, 10), &[3; 3], COLUMNS, tolerance::WINOGRAD_4);
    }
}

#[test]
fn columns_read_several_inputs() {
    let mut network = Builder::new(2, &[18, 24, 23]);
    let a = network.conv1(network.tile(), 5);
    let a = network.norm_and_activation(a);
    let b = network.conv1(network.tile(), 8);
    let both = network.concat(&[a, b]);
    let value = network.conv3(both, 7);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 3);
    let case = network.finish(output);
    let at = [Level::Avx2, Level::Portable].map(|level| (level, COLUMNS));
    // Of 16 lanes, half vectors: together they are 16 channels all the same.
    for (level, kind) in at.into_iter().chain([(Level::Avx512, COLUMNS)]) {
        if level.is_available() {
            let kinds = ["direct", "direct", kind, "direct"];
            check_at(&[level], "two inputs", &case, &kinds, 2.0 * tolerance::WINOGRAD_4);
        }
    }
}

#[test]
fn sums_too_long_for_lines_go_through_windows() {
    check_one(&[16, 17, 9], (32, 5), &[5, 3, 3], DIRECT, tolerance::DIRECT);
}

/// Many rows, few channels: all strides, kernels and sizes of padding.
#[test]
fn a_direct_convolution_of_few_channels_goes_through_lines() {
    for (kernel, stride) in [
        ([3, 3, 3], [2, 2, 2]),
        ([3, 3, 3], [1, 2, 2]),
        ([3, 3, 3], [2, 1, 3]),
        ([1, 1, 1], [1, 1, 1]),
        ([1, 1, 1], [2, 2, 2]),
        ([1, 3, 7], [1, 1, 1]),
        ([1, 3, 5], [1, 3, 2]),
        ([3, 1, 1], [1, 1, 1]),
    ] {
        for (n_in, n_out) in [(1, 8), (2, 40), (3, 9), (8, 5), (16, 33), (32, 17)] {
            // Rows for every thread at any stride, shorter than a few voxels and longer.
            for size_x in [1, 5, 27] {
                let spatial = [stride[0] * 16, stride[1] * 17, size_x];
                let case = one(&spatial, n_in, n_out, &kernel, &stride);
                let name = format!("{kernel:?} by {stride:?} on {spatial:?}, {n_in} to {n_out}");
                check(&name, &case, &["direct", LINES], tolerance::DIRECT);
            }
        }
    }
}

#[test]
fn lines_take_the_tile_and_several_inputs_as_they_are() {
    for n_channels in [1, 2, 3, 7] {
        let mut network = Builder::new(n_channels, &[16, 18, 21]);
        let value = network.conv(network.tile(), 9, &[3; 3], &[2, 1, 1]);
        let output = network.norm_and_activation(value);
        let case = network.finish(output);
        let name = format!("tile of {n_channels}");
        check(&name, &case, &["direct", "sum"], tolerance::DIRECT);
        let mut network = Builder::new(n_channels, &[17, 18, 21]);
        let value = network.conv(network.tile(), 9, &[3; 3], &[1, 1, 2]);
        let value = network.norm_and_activation(value);
        let other = network.conv(network.tile(), 5, &[1; 3], &[1, 1, 2]);
        let both = network.concat(&[value, other]);
        let output = network.conv(both, 6, &[3; 3], &[1, 1, 2]);
        let case = network.finish(output);
        let name = format!("two inputs of a tile of {n_channels}");
        check(&name, &case, &[LINES, LINES, LINES], 2.0 * tolerance::DIRECT);
    }
}

#[test]
fn a_3x3x3_kernel_on_a_middling_volume_goes_through_tiles_of_2x2x2() {
    for channels in CHANNELS {
        check_one(&[9, 11, 13], channels, &[3; 3], W222, tolerance::WINOGRAD_2);
    }
    for spatial in [
        [8, 8, 12],
        [15, 23, 1],
        [15, 24, 2],
        [15, 15, 3],
        [13, 11, 5],
        [23, 1, 15],
        [1, 23, 15],
        [2, 23, 16],
    ] {
        check_one(&spatial, (9, 10), &[3; 3], W222, tolerance::WINOGRAD_2);
    }
}

#[test]
fn a_3x3x3_kernel_on_a_small_volume_is_computed_directly() {
    for channels in CHANNELS {
        check_one(&[5, 6, 7], channels, &[3; 3], DIRECT, tolerance::DIRECT);
    }
    for spatial in [[1, 1, 1], [2, 1, 3], [1, 5, 1], [3, 2, 2], [4, 4, 5], [9, 9, 1]] {
        check_one(&spatial, (17, 24), &[3; 3], DIRECT, tolerance::DIRECT);
    }
}

#[test]
fn a_1x3x3_kernel_goes_through_flat_tiles() {
    for channels in CHANNELS {
        check_one(&[9, 23, 19], channels, &[1, 3, 3], W144, tolerance::WINOGRAD_4);
        check_one(&[5, 9, 11], channels, &[1, 3, 3], W122, tolerance::WINOGRAD_2);
    }
    for spatial in [[43, 23, 1], [43, 23, 2], [43, 23, 3], [22, 23, 5], [1, 63, 67]] {
        check_one(&spatial, (9, 10), &[1, 3, 3], W144, tolerance::WINOGRAD_4);
    }
    for spatial in [[12, 15, 1], [12, 15, 2], [8, 11, 3], [7, 9, 5], [1, 19, 19]] {
        check_one(&spatial, (9, 10), &[1, 3, 3], W122, tolerance::WINOGRAD_2);
    }
    check_one(&[3, 5, 7], (9, 10), &[1, 3, 3], DIRECT, tolerance::DIRECT);
}

#[test]
fn a_2_d_network_goes_through_flat_tiles() {
    for channels in CHANNELS {
        check_one(&[61, 67], channels, &[3; 2], W144, tolerance::WINOGRAD_4);
        check_one(&[21, 17], channels, &[3; 2], W122, tolerance::WINOGRAD_2);
        check_one(&[9, 7], channels, &[3; 2], DIRECT, tolerance::DIRECT);
    }
    check_one(&[1023, 1], (9, 10), &[3; 2], W144, tolerance::WINOGRAD_4);
    check_one(&[2, 1023], (9, 10), &[3; 2], W144, tolerance::WINOGRAD_4);
}

#[test]
fn rows_too_long_for_one_strip_are_cut() {
    check_one(&[3, 5, 255], (64, 9), &[3; 3], W244, tolerance::WINOGRAD_4);
    check_one(&[2, 4, 1023], (64, 9), &[3; 3], W244, tolerance::WINOGRAD_4);
    check_one(&[3, 20, 255], (16, 9), &[3; 3], COLUMNS, tolerance::WINOGRAD_4);
    check_one(&[1, 1, 333], (64, 9), &[3; 3], W222, tolerance::WINOGRAD_2);
    check_one(&[5, 511], (64, 9), &[3; 2], W144, tolerance::WINOGRAD_4);
}

#[test]
fn wide_convolutions_are_right_to_the_last_channel() {
    check_one(&[17, 19, 21], (64, 64), &[3; 3], W244, tolerance::WINOGRAD_4);
    check_one(&[9, 11, 13], (64, 64), &[3; 3], W222, tolerance::WINOGRAD_2);
    // A sum of 8640 products.
    check_one(&[3, 4, 5], (320, 80), &[3; 3], DIRECT, 2.0 * tolerance::DIRECT);
}

#[test]
fn other_kernels_are_computed_directly() {
    for kernel in [
        [1, 1, 1],
        [5, 5, 5],
        [7, 7, 7],
        [3, 3, 1],
        [3, 1, 1],
        [1, 1, 3],
        [1, 5, 3],
        [7, 1, 5],
    ] {
        for (spatial, channels) in [([9, 11, 13], (3, 5)), ([3, 2, 1], (17, 40))] {
            check_one(&spatial, channels, &kernel, DIRECT, tolerance::DIRECT);
        }
    }
    for kernel in [[1, 1], [5, 5], [7, 7], [3, 1], [1, 3]] {
        check_one(&[15, 17], (9, 17), &kernel, DIRECT, tolerance::DIRECT);
    }
}

#[test]
fn steps_larger_than_one_are_computed_directly() {
    for stride in [[2, 2, 2], [1, 2, 2], [2, 1, 1], [1, 1, 2], [3, 2, 4]] {
        for kernel in [[1, 1, 1], [3, 3, 3], [1, 3, 3], [3, 3, 1], [5, 5, 5]] {
            for spatial in [[9, 11, 13], [8, 6, 10], [1, 2, 3]] {
                let name = format!("{kernel:?}, step {stride:?} on {spatial:?}");
                let case = one(&spatial, 9, 17, &kernel, &stride);
                check(&name, &case, &[DIRECT, DIRECT], tolerance::DIRECT);
            }
        }
    }
    for channels in CHANNELS {
        let case = one(&[7, 9, 11], channels.0, channels.1, &[3; 3], &[2; 3]);
        check(
            &format!("step 2, {channels:?}"),
            &case,
            &[DIRECT, DIRECT],
            tolerance::DIRECT,
        );
    }
    let case = one(&[17, 23], 9, 17, &[3, 3], &[2, 2]);
    check("2-D, step 2", &case, &[DIRECT, DIRECT], tolerance::DIRECT);
}

/// The tile has as many channels as lanes, or not: only then it is read in whole vectors.
#[test]
fn a_convolution_reads_the_tile_itself() {
    for n_in in [1, 2, 3, 5, 8, 9, 16, 24, 32, 40] {
        let mut network = Builder::new(n_in, &[17, 19, 21]);
        let output = network.conv3(network.tile(), 9);
        let kind = if n_in >= 8 { W244 } else { DIRECT };
        let case = network.finish(output);
        check(
            &format!("tile of {n_in} channels"),
            &case,
            &[kind],
            tolerance::WINOGRAD_4,
        );
    }
}

#[test]
fn the_tile_and_the_logits_are_channels_first() {
    for channels in [2, 3, 8, 24] {
        let mut network = Builder::new(channels, &[3, 4, 5]);
        // Channel c of the tile becomes channel c + 1.
        let mut weight = vec![0.0; channels * channels];
        for c in 0..channels {
            weight[(c + 1) % channels * channels + c] = 1.0;
        }
        let output = network.conv_of(network.tile(), channels, &[1; 3], &[1; 3], weight, None);
        let case = network.finish(output);
        let mut expected = case.tile.clone();
        expected.rotate_right(60);
        for level in levels() {
            assert!(run(&case, level) == expected, "{channels} channels, {level}");
        }
    }
}

/// Values with this many channels each, each with a norm and an activation of its own, then the convolution in question.
fn concatenation(spatial: &[usize], channels: &[usize], n_out: usize, kernel: &[usize]) -> Case {
    let mut network = Builder::new(channels.iter().sum(), spatial);
    let mut values = Vec::new();
    for (i, &n) in channels.iter().enumerate() {
        let value = network.conv1(network.tile(), n);
        values.push(match i % 3 {
            0 => network.norm_and_activation(value),
            1 => network.leaky_relu(value, 0.2),
            _ => value,
        });
    }
    let all = network.concat(&values);
    let output = network.conv(all, n_out, kernel, &vec![1; spatial.len()]);
    network.finish(output)
}

#[test]
fn a_concatenation_is_read_by_a_convolution_as_one_value() {
    for channels in [
        &[5, 16][..],
        &[8, 8],
        &[32, 32],
        &[16, 5],
        &[1, 24],
        &[17, 8],
        &[3, 9, 20],
        &[16, 16, 8],
    ] {
        for (spatial, kernel, kind, tolerance) in [
            (&[17, 19, 21][..], &[3, 3, 3][..], W244, tolerance::WINOGRAD_4),
            (&[9, 11, 13], &[3, 3, 3], W222, tolerance::WINOGRAD_2),
            (&[9, 23, 19], &[1, 3, 3], W144, tolerance::WINOGRAD_4),
            (&[5, 6, 7], &[3, 3, 3], DIRECT, tolerance::DIRECT),
            (&[9, 11, 13], &[1, 1, 1], DIRECT, tolerance::DIRECT),
            (&[21, 17], &[3, 3], W122, tolerance::WINOGRAD_2),
        ] {
            let mut kinds = vec![DIRECT; channels.len()];
            kinds.push(kind);
            let case = concatenation(spatial, channels, 17, kernel);
            check(&format!("{channels:?} on {spatial:?}"), &case, &kinds, tolerance);
        }
    }
}

#[test]
fn the_tile_can_be_one_part_of_a_concatenation() {
    for tile_first in [true, false] {
        let mut network = Builder::new(3, &[9, 11, 13]);
        let tile = network.tile();
        let value = network.conv1(tile, 16);
        let value = network.norm_and_activation(value);
        let parts = if tile_first { [tile, value] } else { [value, tile] };
        let all = network.concat(&parts);
        let output = network.conv3(all, 9);
        let case = network.finish(output);
        check("tile and value", &case, &[DIRECT, DIRECT], tolerance::DIRECT);
    }
}

#[test]
fn a_concatenation_of_concatenations_is_one() {
    let mut network = Builder::new(2, &[9, 11, 13]);
    let [a, b, c] = [5, 16, 8].map(|channels| network.conv1(network.tile(), channels));
    let ab = network.concat(&[a, b]);
    let all = network.concat(&[c, ab, a]);
    let output = network.conv3(all, 17);
    let case = network.finish(output);
    check(
        "nested",
        &case,
        &[DIRECT, DIRECT, DIRECT, W222],
        tolerance::WINOGRAD_2,
    );
}
