//! The mask operations that nephrite brings along.
//!
//! [`operations`] is all of them, for the binary `mask-services`, which serves those that its configuration names, and
//! for the image core, which runs them in its own process.

use std::sync::Arc;

use nephrite_cleanup::Cleanup;
use nephrite_compare::Compare;
use nephrite_kernel::{MaskOperation, Registry};
use nephrite_merge::Merge;
use nephrite_sample::Sample;

/// Merge, cleanup, sample and compare.
pub fn operations() -> Registry {
    let built_in: [Arc<dyn MaskOperation>; 4] = [
        Arc::new(Merge::new()),
        Arc::new(Cleanup::new()),
        Arc::new(Sample::new()),
        Arc::new(Compare::new()),
    ];
    let mut registry = Registry::new();
    for operation in built_in {
        registry
            .register(operation)
            .expect("descriptions are valid and names differ, as a test says");
    }
    registry
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_built_in_operations_register() {
        assert_eq!(
            super::operations().names(),
            ["cleanup", "compare", "merge", "sample"]
        );
    }
}
