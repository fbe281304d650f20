//! The result does not depend on the threads, whether they are tied to processors or not.

use nephrite_cpu::{Level, Threads};

use crate::check::{options, profile, threads};
use nephrite_layers::test_util::case::Builder;

#[test]
fn pinned_threads_and_many_threads_give_the_same_bytes() {
    let mut network = Builder::new(2, &[17, 19, 21]);
    let mut value = network.conv1(network.tile(), 9);
    for channels in [16, 24] {
        value = network.conv3(value, channels);
        value = network.norm_and_activation(value);
    }
    let output = network.conv1(value, 3);
    let case = network.finish(output);
    let level = options(Level::best());
    let (expected, _) = profile(&case, level, &threads(1));
    for n in [1, 2, 16] {
        for pin in [false, true] {
            let threads = Threads::new(n, pin).unwrap();
            assert_eq!(threads.len(), n);
            assert!(
                profile(&case, level, &threads).0 == expected,
                "{n} threads, pinned: {pin}"
            );
        }
    }
}

#[test]
fn there_is_always_one_thread() {
    assert_eq!(threads(0).len(), 1);
}
