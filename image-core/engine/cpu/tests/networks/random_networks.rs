//! Random small U-Nets against the reference.

use nephrite_layers::test_util::u_net::u_net;
use proptest::prelude::*;

use crate::check::{check_kindless, levels};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_are_computed_as_their_layers_say(
        net in u_net(),
    ) {
        check_kindless(&net.build(), &levels());
    }
}
