//! What the demo shows: a table of how well each structure was found, and a picture of it.
//!
//! Pure functions from volumes and masks to text and PNG bytes; running the models is the command's business.

mod error;
mod picture;
mod slice;
mod table;

pub use error::DemoError;
pub use picture::{PictureColumn, PictureStructure, picture};
pub use table::{Overlap, StructureRow, overlap, table};
