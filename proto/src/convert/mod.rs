//! Wire values become checked ones here, one file per noun; `TryFrom` inwards, `From` outwards.

mod choice;
mod error;
mod path;
mod shape;
mod spacing;
mod stage;

pub use choice::choice;
pub use error::ConvertError;
pub use path::{MAX_LIST_ENTRIES, MAX_TEXT_BYTES, list, optional_path, path};
