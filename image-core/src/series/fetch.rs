//! Scans at DICOMweb servers, fetched for the time of a request.

use std::path::{Path, PathBuf};

use nephrite_dicomweb::{Address, DicomWeb, ServerSettings};
use nephrite_root::WorkFolder;
use nephrite_types::{CancelToken, NoProgress};

use crate::core::Core;
use crate::error::CoreError;
use crate::memory::io_error;

/// Scans of a request as paths; what was fetched goes away with this.
#[derive(Debug)]
pub(crate) struct FetchedScans {
    /// In the order of the request.
    pub(crate) paths: Vec<PathBuf>,
    _folder: Option<WorkFolder>,
}

/// Fetches the scans that are at servers into a hidden folder beside `output`, which every process sees that the output is for.
/// Other scans stay as they are. Nothing of an earlier request is used again: a server may have more images of a series by now.
///
/// # Errors
/// [`CoreError::Address`], [`CoreError::NoServer`], [`CoreError::DicomWeb`]; what is wrong with the folder of the output. Nothing is
/// left then.
pub(crate) fn fetch<'a>(
    core: &Core,
    scans: impl IntoIterator<Item = &'a PathBuf>,
    output: &Path,
    cancel: &CancelToken,
) -> Result<FetchedScans, CoreError> {
    let scans: Vec<&PathBuf> = scans.into_iter().collect();
    if !scans.iter().any(|scan| Address::is_meant(scan)) {
        return Ok(FetchedScans {
            paths: scans.into_iter().cloned().collect(),
            _folder: None,
        });
    }
    let sources = scans.iter().map(|scan| Source::of(core, scan));
    let sources: Vec<Source<'_>> = sources.collect::<Result<_, _>>()?; // before anything is fetched
    let (parent, _) = core.root().open_parent(output)?;
    let folder = WorkFolder::new(&parent).map_err(|source| io_error(output, source))?;
    let beside = output.with_file_name(folder.name());
    let paths = sources.iter().enumerate().map(|(idx, source)| {
        let name = idx.to_string();
        source.fetch((&folder, &name), &beside.join(&name), cancel)
    });
    Ok(FetchedScans {
        paths: paths.collect::<Result<_, _>>()?,
        _folder: Some(folder),
    })
}

/// Where a scan is.
enum Source<'a> {
    Path(&'a Path),
    Server(Address, &'a ServerSettings),
}

impl Source<'_> {
    fn of<'a>(core: &'a Core, scan: &'a Path) -> Result<Source<'a>, CoreError> {
        if !Address::is_meant(scan) {
            return Ok(Source::Path(scan));
        }
        let text = scan.to_string_lossy();
        let address: Address = text.parse().map_err(|fault| CoreError::Address {
            found: text.chars().take(200).collect(),
            fault,
        })?;
        let mut servers = core.dicomweb().iter();
        let server = servers.find(|server| server.name == address.server.as_str());
        let settings = server.ok_or_else(|| CoreError::NoServer {
            name: address.server.to_string(),
            known: core.dicomweb().iter().map(|server| server.name.clone()).collect(),
        })?;
        Ok(Source::Server(address, settings))
    }

    /// The path where the scan is now: of a series that was fetched its folder, which is `path` or lies in it.
    fn fetch(
        &self,
        (folder, name): (&WorkFolder, &str),
        path: &Path,
        cancel: &CancelToken,
    ) -> Result<PathBuf, CoreError> {
        let (address, settings) = match self {
            Source::Path(path) => return Ok(path.to_path_buf()),
            Source::Server(address, settings) => (address, *settings),
        };
        let series = address.series.as_ref();
        let client = DicomWeb::new(settings.clone())?;
        client.pull(
            &address.study,
            series,
            (folder.folder(), name),
            &NoProgress,
            cancel,
        )?;
        tracing::info!(server = settings.name, "a scan was fetched");
        Ok(series.map_or_else(|| path.to_owned(), |series| path.join(series.as_str())))
    }
}
