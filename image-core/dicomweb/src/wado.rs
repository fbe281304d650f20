//! All instances of a series, as the server has them (WADO-RS, PS3.18, 10.4).

use std::collections::BTreeSet;
use std::io::{BufReader, Seek as _, Write as _};

use cap_std::fs::{Dir, OpenOptions};
use serde::Deserialize;

use crate::at::At;
use crate::error::DicomWebError;
use crate::http::{Answer, Http};
use crate::json::{First, fault, rows};
use crate::json_guard::JsonGuard;
use crate::media_type::MediaType;
use crate::multipart::{Event, MultipartFault, MultipartReader};
use crate::qido::{DICOM_JSON, json_type};
use crate::spool::{Spool, disk};
use crate::uid::Uid;

/// As it is stored: without `*` a server converts what is compressed, or fails to.
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
const DICOM: &str = "application/dicom";
const MULTIPART: &str = "multipart/related";
/// Bytes that the parts of an answer have around them, each.
const OVERHEAD: u64 = 4096;

/// Fetches the series that `at` names into the spool; `told` hears how many instances are there.
///
/// # Errors
/// [`DicomWebError::ContentType`], [`DicomWebError::Multipart`], [`DicomWebError::TooLarge`]; those of the spool; as
/// [`Http::get`].
pub(crate) async fn fetch_series(
    http: &Http,
    at: &At,
    path: &str,
    spool: &mut Spool<'_>,
    mut told: impl FnMut(usize),
) -> Result<(), DicomWebError> {
    let mut answer = http.get(at, path, &[], ACCEPT).await?;
    if answer.is_empty() {
        return Err(DicomWebError::NotFound { at: at.clone() });
    }
    let limits = &http.settings.limits;
    let most = spool
        .left()
        .saturating_add(OVERHEAD * limits.max_instances as u64);
    if answer.declared_bytes().is_some_and(|bytes| bytes > most) {
        return Err(DicomWebError::TooLarge {
            at: at.clone(),
            what: "bytes of one call",
            limit: limits.max_bytes,
            key: "max_bytes",
        });
    }
    let mut reader = reader(at, &answer)?;
    while let Some(piece) = answer.piece().await? {
        let taken = reader.push(&piece, |event| match event {
            Event::Begin(header) => {
                let kind = header.content_type.as_deref().map(MediaType::parse);
                match kind.flatten() {
                    Some(kind) if kind.name == DICOM => Ok(spool.begin(header.content_length)?),
                    found => Err(Stop::Of(DicomWebError::ContentType {
                        at: at.clone(),
                        found: found.map_or_else(
                            || "a part of no type".to_owned(),
                            |kind| format!("a part of {}", kind.name.chars().take(64).collect::<String>()),
                        ),
                        expected: DICOM,
                    })),
                }
            }
            Event::Data(data) => Ok(spool.data(data)?),
            Event::End => {
                spool.end()?;
                told(spool.came().0.len());
                Ok(())
            }
        });
        taken.map_err(|stop| stop.error(at, reader.parts()))?;
    }
    reader
        .finish()
        .map_err(|fault| Stop::Fault(fault).error(at, reader.parts()))
}

fn reader(at: &At, answer: &Answer) -> Result<MultipartReader, DicomWebError> {
    let kind = answer.media_type(MULTIPART)?;
    if let Some(of_parts) = kind
        .parameter("type")
        .filter(|of_parts| !of_parts.eq_ignore_ascii_case(DICOM))
    {
        return Err(DicomWebError::ContentType {
            at: at.clone(),
            found: format!("{MULTIPART} of {}", of_parts.chars().take(64).collect::<String>()),
            expected: ACCEPT,
        });
    }
    let boundary = kind.parameter("boundary").unwrap_or_default();
    MultipartReader::new(boundary).map_err(|fault| Stop::Fault(fault).error(at, 0))
}

/// Why the answer is not read on.
enum Stop {
    Fault(MultipartFault),
    Of(DicomWebError),
}

impl Stop {
    fn error(self, at: &At, parts: u64) -> DicomWebError {
        match self {
            Stop::Fault(fault) => DicomWebError::Multipart {
                at: at.clone(),
                fault,
                parts,
            },
            Stop::Of(error) => error,
        }
    }
}

impl From<MultipartFault> for Stop {
    fn from(fault: MultipartFault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<DicomWebError> for Stop {
    fn from(error: DicomWebError) -> Self {
        Stop::Of(error)
    }
}

/// The file that metadata lie in while they are read.
const METADATA: &str = "metadata";

#[derive(Deserialize)]
struct MetadataRow {
    #[serde(rename = "00080018", default)]
    instance: First,
}

/// The instances that the server has metadata of. They go through a file in `folder`, which is gone afterward, so that they may
/// be larger than memory.
///
/// # Errors
/// [`DicomWebError::Json`], [`DicomWebError::Double`], [`DicomWebError::TooLarge`], [`DicomWebError::Disk`]; as [`Http::get`].
pub(crate) async fn metadata_of_series(
    http: &Http,
    at: &At,
    path: &str,
    folder: &Dir,
) -> Result<BTreeSet<Uid>, DicomWebError> {
    let mut answer = http.get(at, &format!("{path}/metadata"), &[], DICOM_JSON).await?;
    let mut found = BTreeSet::new();
    if answer.is_empty() {
        return Ok(found);
    }
    json_type(answer.media_type(DICOM_JSON), || {
        answer.media_type("application/json")
    })?;
    let written = |source| disk(METADATA, source);
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .to_owned();
    let mut file = folder.open_with(METADATA, &options).map_err(written)?;
    folder.remove_file(METADATA).map_err(written)?;
    let wrong = |reason: String| DicomWebError::Json {
        at: at.clone(),
        query: "metadata of a series",
        reason,
    };
    let (mut left, mut guard) = (http.settings.limits.max_metadata_bytes, JsonGuard::default());
    while let Some(piece) = answer.piece().await? {
        left = left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| DicomWebError::TooLarge {
                at: at.clone(),
                what: "bytes of metadata",
                limit: http.settings.limits.max_metadata_bytes,
                key: "max_metadata_bytes",
            })?;
        guard.check(&piece).map_err(wrong)?;
        file.write_all(&piece).map_err(written)?;
    }
    file.rewind().map_err(written)?;
    let mut double = None;
    let read = rows(
        &mut serde_json::Deserializer::from_reader(BufReader::new(file)),
        |row: MetadataRow| {
            let uid = row.instance.0.and_then(|text| text.parse::<Uid>().ok());
            let uid = uid.ok_or("no UID")?;
            if found.len() >= http.settings.limits.max_instances {
                return Err("too many".to_owned());
            }
            if !found.insert(uid.clone()) {
                double = Some(uid);
            }
            Ok(())
        },
    );
    read.map_err(|error| wrong(fault(&error)))?;
    match double {
        Some(uid) => Err(DicomWebError::Double {
            at: at.clone(),
            uid,
            source_of_list: "the metadata",
        }),
        None => Ok(found),
    }
}
