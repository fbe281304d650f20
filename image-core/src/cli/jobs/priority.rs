//! Priorities as people type them.

use clap::ValueEnum;
use nephrite_proto::v1;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PriorityArgument {
    High,
    Normal,
    Low,
}

impl From<PriorityArgument> for v1::JobPriority {
    fn from(priority: PriorityArgument) -> Self {
        match priority {
            PriorityArgument::High => v1::JobPriority::High,
            PriorityArgument::Normal => v1::JobPriority::Normal,
            PriorityArgument::Low => v1::JobPriority::Low,
        }
    }
}
