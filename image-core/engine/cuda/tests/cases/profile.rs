//! Where the time of a network goes.

use nephrite_cuda::Precision;
use nephrite_layers::test_util::case::Builder;

use crate::cards::cards;
use crate::one_tile::{load, logits};

#[test]
fn every_step_of_a_network_has_its_time_and_the_network_runs_on() {
    let mut network = Builder::new(1, &[24, 24, 20]);
    let value = network.conv3(network.tile(), 12);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 3);
    let case = network.finish(output);
    for card in cards() {
        let network = load(&card, &case, Precision::Half).unwrap();
        let before = logits(&network, &case);
        let steps = network.profile(3).unwrap();
        let kinds: Vec<&str> = steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds, ["convolution", "moments", "activate"]);
        assert_eq!(
            steps[0].sizes,
            "1 of 24×24×20 to 16 of 24×24×20, kernel 3×3×3, stride 1×1×1"
        );
        assert!(steps.iter().all(|step| step.milliseconds > 0.0), "{steps:?}");
        let times = network.time(4).unwrap();
        assert_eq!(times.len(), 4);
        assert!(times.iter().all(|time| *time > 0.0), "{times:?}");
        assert!(network.time(0).unwrap().is_empty());
        assert_eq!(logits(&network, &case), before);
    }
}
