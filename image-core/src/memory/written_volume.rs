//! A volume that was written, for whoever may have to take it back.

use nephrite_root::{OutputFile, remove_file_if_same};
use nephrite_volume::VolumeIdentity;

/// Removes the files of a volume that this process wrote, the header first; what somebody else has put under their names stays.
pub(crate) fn remove_volume(output: &OutputFile, written: &VolumeIdentity) {
    for (name, file) in output.names().zip(written.files()) {
        let _ = remove_file_if_same(&output.folder, &name, file); // the error at hand says more
    }
}
