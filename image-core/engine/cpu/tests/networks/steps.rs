//! Transposed convolutions, averages, sums, and where logits come from.

use crate::check::{check, tolerance};
use nephrite_layers::test_util::case::Builder;

#[test]
fn a_transposed_convolution_makes_a_box_of_every_voxel() {
    for stride in [[2, 2, 2], [1, 2, 2], [4, 2, 1], [1, 1, 1], [1, 1, 3], [3, 1, 2]] {
        for (n_in, n_out) in [
            (1, 3),
            (5, 16),
            (8, 8),
            (9, 17),
            (16, 1),
            (32, 24),
            (40, 40),
            (64, 33),
        ] {
            for spatial in [[3, 4, 5], [1, 1, 2], [2, 1, 9]] {
                let mut network = Builder::new(2, &spatial);
                let value = network.conv1(network.tile(), n_in);
                let output = network.transposed(value, n_out, &stride);
                let name = format!("transposed {stride:?} of {spatial:?}, {n_in} to {n_out}");
                let kinds = ["direct", "transposed", "sum"];
                check(&name, &network.finish(output), &kinds, tolerance::DIRECT);
            }
        }
    }
}

#[test]
fn a_transposed_convolution_can_be_flat_and_read_the_tile() {
    for channels in [1, 3, 8, 24] {
        let mut network = Builder::new(channels, &[7, 9]);
        let output = network.transposed(network.tile(), 5, &[2, 3]);
        let case = network.finish(output);
        check(
            "flat transposed",
            &case,
            &["transposed", "sum"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn an_average_pool_leaves_out_what_fills_no_box() {
    for stride in [[2, 2, 2], [1, 2, 2], [4, 2, 1], [1, 1, 1], [3, 1, 2]] {
        for channels in [1, 5, 8, 9, 16, 24, 40] {
            let mut network = Builder::new(2, &[9, 11, 13]);
            let value = network.conv1(network.tile(), channels);
            let output = network.average_pool(value, &stride);
            let name = format!("pool {stride:?}, {channels} channels");
            let kinds = ["direct", "pool", "sum"];
            check(&name, &network.finish(output), &kinds, tolerance::DIRECT);
        }
    }
    let mut network = Builder::new(2, &[9, 11]);
    let value = network.conv1(network.tile(), 5);
    let output = network.average_pool(value, &[2, 2]);
    check(
        "flat pool",
        &network.finish(output),
        &["direct", "pool", "sum"],
        tolerance::DIRECT,
    );
}

#[test]
fn a_sum_adds_what_its_inputs_are_seen_as() {
    for channels in [1, 5, 8, 9, 16, 24, 40] {
        // More voxels than one task adds.
        let mut network = Builder::new(2, &[11, 17, 13]);
        let a = network.conv1(network.tile(), channels);
        let b = network.conv1(network.tile(), channels);
        let normalized = network.norm_and_activation(b);
        let sum = network.add(a, normalized);
        let twice = network.add(sum, sum);
        let activated = network.relu(twice);
        let output = network.add(a, activated);
        let kinds = ["direct", "direct", "sum", "sum", "sum"];
        check(
            &format!("sums of {channels}"),
            &network.finish(output),
            &kinds,
            tolerance::DIRECT,
        );
    }
}

/// A tile of whole vectors, 8 at least, is read by other steps than convolutions too. At AVX-512, 24 and 40 are whole
/// halves only, and a tile is not padded.
#[test]
fn a_sum_with_a_tile_of_whole_vectors_is_right() {
    for channels in [8, 16, 24, 40] {
        let mut network = Builder::new(channels, &[5, 6, 7]);
        let value = network.conv1(network.tile(), channels);
        let output = network.add(network.tile(), value);
        let case = network.finish(output);
        check(
            &format!("tile of {channels}, sum"),
            &case,
            &["direct", "sum"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn averages_of_a_tile_of_whole_vectors_are_right() {
    for channels in [8, 16, 24, 40] {
        let mut network = Builder::new(channels, &[5, 6, 7]);
        let output = network.average_pool(network.tile(), &[2, 2, 2]);
        let case = network.finish(output);
        check(
            &format!("tile of {channels}, pool"),
            &case,
            &["pool"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn norms_of_a_tile_of_whole_vectors_are_right() {
    for channels in [8, 16, 24, 40] {
        let mut network = Builder::new(channels, &[5, 6, 7]);
        let output = network.instance_norm(network.tile());
        let case = network.finish(output);
        check(
            &format!("tile of {channels}, instance norm"),
            &case,
            &["sum"],
            tolerance::DIRECT,
        );

        let mut network = Builder::new(channels, &[5, 6, 7]);
        let value = network.batch_norm(network.tile(), true);
        let value = network.leaky_relu(value, 0.2);
        let output = network.conv3(value, 9);
        let case = network.finish(output);
        check(
            &format!("tile of {channels}, batch norm"),
            &case,
            &["direct"],
            tolerance::DIRECT,
        );
    }
}

#[test]
fn a_residual_block_is_a_sum_that_is_activated() {
    for (spatial, kind, tolerance) in [
        ([17, 19, 21], "winograd 2x4x4", tolerance::WINOGRAD_4),
        ([9, 11, 13], "winograd 2x2x2", tolerance::WINOGRAD_2),
        ([5, 6, 7], "direct", tolerance::DIRECT),
    ] {
        let mut network = Builder::new(2, &spatial);
        let input = network.conv1(network.tile(), 9);
        let value = network.conv3(input, 17);
        let value = network.norm_and_activation(value);
        let value = network.conv3(value, 17);
        let value = network.instance_norm(value);
        let skip = network.average_pool(input, &[1, 1, 1]);
        let skip = network.conv1(skip, 17);
        let skip = network.instance_norm(skip);
        let sum = network.add(value, skip);
        let sum = network.leaky_relu(sum, 0.01);
        let output = network.conv1(sum, 3);
        let kinds = ["direct", kind, kind, "pool", "direct", "sum", "direct"];
        check(
            &format!("residual, {kind}"),
            &network.finish(output),
            &kinds,
            2.0 * tolerance,
        );
    }
}

#[test]
fn a_head_writes_the_logits_itself_unless_a_norm_or_an_activation_follows() {
    for n_classes in [1, 2, 3, 8, 9, 17, 33] {
        let start = || {
            // More voxels than one task of any kind has.
            let mut network = Builder::new(2, &[13, 17, 11]);
            let value = network.conv3(network.tile(), 9);
            let value = network.norm_and_activation(value);
            let head = network.conv1(value, n_classes);
            (network, head)
        };
        let name = |what: &str| format!("{n_classes} classes, {what}");
        let (network, head) = start();
        check(
            &name("head"),
            &network.finish(head),
            &["direct", "direct"],
            tolerance::DIRECT,
        );
        let (mut network, head) = start();
        let output = network.instance_norm(head);
        let kinds = ["direct", "direct", "sum"];
        check(&name("norm"), &network.finish(output), &kinds, tolerance::DIRECT);
        let (mut network, head) = start();
        let output = network.batch_norm(head, true);
        check(
            &name("batch norm"),
            &network.finish(output),
            &kinds,
            tolerance::DIRECT,
        );
        let (mut network, head) = start();
        let output = network.leaky_relu(head, 0.2);
        check(
            &name("activation"),
            &network.finish(output),
            &kinds,
            tolerance::DIRECT,
        );
        let (mut network, head) = start();
        let output = network.norm_and_activation(head);
        check(
            &name("norm and activation"),
            &network.finish(output),
            &kinds,
            tolerance::DIRECT,
        );
    }
}

#[test]
fn logits_that_another_layer_reads_are_written_for_both() {
    let mut network = Builder::new(2, &[9, 11, 13]);
    let logits = network.conv1(network.tile(), 5);
    let other = network.leaky_relu(logits, 0.2);
    network.conv1(other, 3);
    let case = network.finish(logits);
    check(
        "logits and a reader",
        &case,
        &["direct", "direct", "sum"],
        tolerance::DIRECT,
    );
}
