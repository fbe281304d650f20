//! One world for all scans of a case.
//!
//! ITK and nibabel can place one file differently. Masks of one file are related by voxel, so that this does not matter;
//! masks of different files by place, for which a case needs one rule: ITK's world if any of its models reads as ITK does
//! (its masks then lie where nnU-Net's would), else nibabel's. A file that this library refuses, and that no model reads with
//! it, is placed as the other one places it, with a warning.

use nephrite_types::{Geometry, Warning, WarningCode};
use nephrite_volume::{Reader, ScanHeader, SourceGeometry, VolumeError, World};

/// Where a scan lies in its case.
#[derive(Debug, Clone)]
pub(in crate::case) struct ScanPlace {
    pub(in crate::case) world: World,
    /// The frame of the file, on which all masks of it lie.
    pub(in crate::case) frame: Geometry,
    /// How masks on the frame are written: as the first of its readers that follows this world would write them.
    pub(in crate::case) source: SourceGeometry,
    pub(in crate::case) warnings: Vec<Warning>,
}

/// The world of a case whose models read with these readers.
pub(in crate::case) fn case_world(readers: impl IntoIterator<Item = Reader>) -> World {
    let mut worlds: Vec<World> = readers.into_iter().map(Reader::world).collect();
    worlds.sort(); // ITK first
    worlds.first().copied().unwrap_or(World::Itk)
}

/// Places a scan in the world of its case; `readers` are those of the models that run on it, in order.
pub(in crate::case) fn place_scan(
    header: &ScanHeader,
    name: &str,
    case: World,
    readers: &[Reader],
) -> Result<ScanPlace, VolumeError> {
    let mut warnings = Vec::new();
    let (world, frame) = match header.frame(case) {
        Ok(frame) => (case, frame),
        Err(error) if readers.iter().any(|reader| reader.world() == case) => return Err(error),
        Err(error) => {
            let other = case.other();
            let frame = match header.frame(other) {
                Ok(frame) => frame,
                Err(_) => return Err(error), // what the case's own library says
            };
            warnings.push(Warning {
                code: WarningCode::OtherWorld,
                file: name.to_owned(),
                message: format!(
                    "the file is placed as {other} places it, since {case} refuses it ({error})"
                ),
            });
            (other, frame)
        }
    };
    warnings.extend(header.warnings(world)?);
    let mut readers = readers.iter().filter(|reader| reader.world() == world);
    let reader = readers.next().copied().unwrap_or(world.plain_reader());
    Ok(ScanPlace {
        world,
        frame,
        source: header.source(reader)?,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_model_that_reads_as_itk_does_settles_the_world() {
        let check = |readers: &[Reader], expected| {
            assert_eq!(case_world(readers.iter().copied()), expected, "{readers:?}");
        };
        check(&[Reader::Nibabel, Reader::NibabelReorient], World::Nibabel);
        check(&[Reader::Nibabel, Reader::SimpleItkReorient], World::Itk);
        check(&[Reader::SimpleItk], World::Itk);
        check(&[], World::Itk);
    }
}
