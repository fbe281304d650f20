//! Masks as run lengths, and the small compressed message that carries them.
//!
//! * [`RunMask`]: a label map as runs along x. Operations work on it directly; [`RunMask::to_labels`] makes a dense
//!   array where an algorithm needs one.
//! * [`Mask`]: a run mask with its [`LabelTable`]: which ids mean what, and what became of each label.
//! * [`EncodedMask`]: the same, deflated. Geometry, label table, voxel counts and boxes are readable without inflating.
//!
//! `FORMAT.md` describes the payload byte by byte, with decoders in Python and JavaScript.
//!
//! ```
//! use nephrite_mask_codec::{EncodedMask, LabelEntry, LabelStatus, LabelTable, Mask, Run, RunMaskBuilder};
//! use nephrite_types::{Affine, Geometry, Limits, Shape3, Spacing};
//!
//! let spacing = Spacing::new([2.0, 1.0, 1.0])?;
//! let shape = Shape3::new([1, 2, 8])?;
//! let affine = Affine::from_spacing(spacing, [0.0; 3]);
//! let mut rows = RunMaskBuilder::new(Geometry { shape, spacing, affine }, &Limits::default())?;
//! rows.push_row([Run { start: 2, end: 5, label: 7 }])?;
//! rows.push_row([])?;
//! let kidney = LabelEntry { id: 7, name: "kidney".to_owned(), status: LabelStatus::Present };
//! let mask = Mask::new(rows.finish()?, LabelTable::new(vec![kidney])?)?;
//!
//! let encoded = EncodedMask::encode(&mask)?;
//! assert_eq!(encoded.labels[0].voxels, 3);
//! assert_eq!(encoded.decode(&Limits::default())?, mask);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod deflate;
mod dense;
mod encoded;
mod error;
pub mod fuzzing;
mod label_table;
mod label_volume;
mod mask;
mod payload;
mod run_mask;
mod summary;

pub use encoded::{EncodedLabel, EncodedMask, MaskEncoding};
pub use error::{CodecError, MaskError};
pub use label_table::{LabelEntry, LabelStatus, LabelTable};
pub use label_volume::LabelVolume;
pub use mask::Mask;
pub use run_mask::{Run, RunMask, RunMaskBuilder};
pub use summary::LabelSummary;
