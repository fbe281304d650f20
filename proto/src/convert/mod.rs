//! Wire values become checked ones here, one file per noun; `TryFrom` inwards, `From` outwards.

mod choice;
mod error;
mod error_code;
mod mask;
mod path;
mod phase;
mod segmentation_options;
mod shape;
mod spacing;
mod stage;
mod warning;

pub use choice::choice;
pub use error::ConvertError;
pub use error_code::error_code_of;
pub use mask::{label_table, mask_labels};
pub use path::{MAX_LIST_ENTRIES, MAX_TEXT_BYTES, list, optional_path, path};
pub use phase::{optional_phase, phase};
pub use warning::warning;
