//! The cards that tests run on: a twin, and the first real one where `NEPHRITE_TEST_GPU` asks for it.

use std::env;
use std::sync::{Arc, OnceLock};

use nephrite_cuda::{Card, CardOptions};

/// Bytes that a twin may take at once.
const TWIN_BYTES: usize = 1 << 30;

/// Folders in which libraries of CUDA are looked for first.
fn options() -> CardOptions {
    let folders = env::var_os("NEPHRITE_CUDA_LIBRARIES");
    CardOptions {
        cache: None,
        libraries: folders.iter().flat_map(env::split_paths).collect(),
    }
}

/// The real card, if it is asked for.
pub(crate) fn real() -> Option<&'static Arc<Card>> {
    static CARD: OnceLock<Option<Arc<Card>>> = OnceLock::new();
    let open = || {
        env::var_os("NEPHRITE_TEST_GPU")?;
        let card = Card::open(0, &options()).unwrap();
        eprintln!("tested on {}", card.info());
        Some(card)
    };
    CARD.get_or_init(open).as_ref()
}

/// As [`cards`], each opened for this test alone: nobody else takes memory of it.
pub(crate) fn cards_alone() -> Vec<Arc<Card>> {
    let twin = Card::twin(0, TWIN_BYTES);
    let real = real().map(|_| Card::open(0, &options()).unwrap());
    std::iter::once(twin).chain(real).collect()
}

/// Those that a test runs on.
pub(crate) fn cards() -> Vec<Arc<Card>> {
    let twin = Card::twin(0, TWIN_BYTES);
    std::iter::once(twin).chain(real().cloned()).collect()
}
