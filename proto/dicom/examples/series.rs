//! Lists the series of a folder; `series DIR ID OUT.nii` writes one as NIfTI, and says how
//! long reading took, of the series and of the NIfTI file.
#![allow(clippy::print_stdout)] // a program

use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicom::{DicomLimits, SeriesOptions, list, read};
use nephrite_types::{CancelToken, Limits};
use nephrite_volume::{Reader, read_volume_hashed, write_volume};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, rest @ ..] = &arguments[..] else {
        return Err("series DIR [ID|- OUT.nii]".into());
    };
    let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
    let (limits, cancel, start) = (DicomLimits::default(), CancelToken::new(), Instant::now());
    let listing = list(&dir, folder, &limits, &SeriesOptions::default(), &cancel)?;
    let listed = start.elapsed();
    match rest {
        [] => {
            for series in &listing.series {
                println!("{}", serde_json::to_string(&series.summary)?);
            }
            for other in &listing.others {
                println!("{}", serde_json::to_string(other)?);
            }
        }
        [id, out] => {
            let series = listing.select(Some(id.as_str()).filter(|id| *id != "-"))?;
            let scan = read(
                &dir,
                series,
                Reader::SimpleItk,
                &Limits::default(),
                &limits,
                &cancel,
            )?;
            println!(
                "listed in {listed:?}, with reading {:?}, {}",
                start.elapsed(),
                scan.hash
            );
            let out = std::path::Path::new(out);
            let parent = Dir::open_ambient_dir(out.parent().ok_or("no folder")?, ambient_authority())?;
            let name = out.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
            write_volume(&parent, name, &scan.scan.volume, &scan.scan.source)?;
            let (file, start) = (std::fs::File::open(out)?, Instant::now());
            let (nifti, _) = read_volume_hashed(file, name, Reader::SimpleItk, &Limits::default(), &cancel)?;
            let same = nifti.volume.voxels == scan.scan.volume.voxels;
            println!("{name} read in {:?}; the same voxels: {same}", start.elapsed());
        }
        _ => return Err("series DIR [ID|- OUT.nii]".into()),
    }
    Ok(())
}
