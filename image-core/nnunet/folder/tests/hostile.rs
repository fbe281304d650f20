//! Mutated checkpoints, pickles and plans: no panic, no long wait, no large allocation.
#![allow(clippy::unwrap_used)] // helpers of tests fail by it

use std::path::Path;

use nephrite_nnunet_folder::fuzzing;
use proptest::prelude::*;

fn seed(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[derive(Debug, Clone)]
enum Mutation {
    Set { at: usize, byte: u8 },
    Insert { at: usize, byte: u8 },
    Remove { at: usize, len: usize },
    Repeat { at: usize, len: usize },
    Truncate { at: usize },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0usize..1 << 16;
    let byte = prop_oneof![Just(0u8), Just(0xFF), Just(0x7F), any::<u8>()];
    prop_oneof![
        6 => (at.clone(), byte.clone()).prop_map(|(at, byte)| Mutation::Set { at, byte }),
        1 => (at.clone(), byte).prop_map(|(at, byte)| Mutation::Insert { at, byte }),
        1 => (at.clone(), 1usize..64).prop_map(|(at, len)| Mutation::Remove { at, len }),
        1 => (at.clone(), 1usize..512).prop_map(|(at, len)| Mutation::Repeat { at, len }),
        1 => at.prop_map(|at| Mutation::Truncate { at }),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let n = bytes.len().max(1);
    let end = |at: usize, len: usize, n: usize| (at % n + len).min(n);
    match *mutation {
        _ if bytes.is_empty() => {}
        Mutation::Set { at, byte } => bytes[at % n] = byte,
        Mutation::Insert { at, byte } => bytes.insert(at % n, byte),
        Mutation::Remove { at, len } => drop(bytes.drain(at % n..end(at, len, n))),
        Mutation::Repeat { at, len } => bytes.extend_from_within(at % n..end(at, len, n)),
        Mutation::Truncate { at } => bytes.truncate(at % n),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn checkpoints(
        name in prop_oneof![Just("plain"), Just("views"), Just("deflated"), Just("dtypes"), Just("no_crc")],
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut bytes = seed(&format!("fixtures/{name}.pth"));
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        fuzzing::checkpoint(&bytes);
    }

    /// Without a checksum in the way, so that mutations reach the pickle.
    #[test]
    fn pickles(mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut bytes = seed("fixtures/postprocessing.pkl");
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        fuzzing::postprocessing_pickle(&bytes);
    }

    #[test]
    fn plans(
        name in prop_oneof![Just("modern"), Just("legacy"), Just("dataset_regions")],
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut bytes = seed(&format!("fuzz/seeds/plans/{name}.json"));
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        fuzzing::plans(&bytes);
    }

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        fuzzing::checkpoint(&bytes);
        fuzzing::postprocessing_pickle(&bytes);
        fuzzing::plans(&bytes);
    }
}
