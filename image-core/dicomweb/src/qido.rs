//! What a server says that it has: series of a study, instances of a series (QIDO-RS, PS3.18, 10.6).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::at::At;
use crate::error::DicomWebError;
use crate::http::Http;
use crate::json::{First, fault, rows};
use crate::json_guard::JsonGuard;
use crate::uid::Uid;

pub(crate) const DICOM_JSON: &str = "application/dicom+json";
/// Rows that are asked for at once.
const PAGE: usize = 500;

/// One series of a study.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesEntry {
    /// SeriesInstanceUID
    pub uid: Uid,
    /// Modality, such as `CT`; empty if the server does not say, or says something else than letters and digits.
    pub modality: String,
    /// NumberOfSeriesRelatedInstances, if the server says it.
    pub n_instances: Option<u64>,
}

/// A row of a list; what servers leave out is left out.
trait Row: DeserializeOwned {
    /// The list, in messages.
    const LIST: &'static str;
    /// What a row says of the study that it belongs to.
    fn study(&self) -> &First;
    /// The same of the series; `None` if the row is one itself.
    fn series(&self) -> Option<&First>;
    /// What the row is about.
    fn own(&self) -> &First;
}

#[derive(Deserialize)]
struct SeriesRow {
    #[serde(rename = "0020000D", default)]
    study: First,
    #[serde(rename = "0020000E", default)]
    series: First,
    #[serde(rename = "00080060", default)]
    modality: First,
    #[serde(rename = "00201209", default)]
    n_instances: First,
}

#[derive(Deserialize)]
struct InstanceRow {
    #[serde(rename = "0020000D", default)]
    study: First,
    #[serde(rename = "0020000E", default)]
    series: First,
    #[serde(rename = "00080018", default)]
    instance: First,
}

impl Row for SeriesRow {
    const LIST: &'static str = "series of a study";

    fn study(&self) -> &First {
        &self.study
    }

    fn series(&self) -> Option<&First> {
        None
    }

    fn own(&self) -> &First {
        &self.series
    }
}

impl Row for InstanceRow {
    const LIST: &'static str = "instances of a series";

    fn study(&self) -> &First {
        &self.study
    }

    fn series(&self) -> Option<&First> {
        Some(&self.series)
    }

    fn own(&self) -> &First {
        &self.instance
    }
}

/// The series of a study, sorted by UID.
///
/// # Errors
/// [`DicomWebError::NotFound`] if there are none, [`DicomWebError::Json`], [`DicomWebError::Double`],
/// [`DicomWebError::TooLarge`]; as [`Http::get`].
pub(crate) async fn series_of_study(
    http: &Http,
    at: &At,
    study: &Uid,
) -> Result<Vec<SeriesEntry>, DicomWebError> {
    let path = format!("studies/{study}/series");
    let include = [("includefield", "00201209".to_owned())];
    let limit = (http.settings.limits.max_series, "max_series");
    let listed = list::<SeriesRow>(http, at, &path, &include, limit).await?;
    let mut series: Vec<SeriesEntry> = listed
        .into_iter()
        .map(|(uid, row)| SeriesEntry {
            uid,
            modality: row.modality.0.filter(|text| is_code(text)).unwrap_or_default(),
            n_instances: row.n_instances.0.and_then(|text| text.parse().ok()),
        })
        .collect();
    series.sort_unstable();
    Ok(series)
}

/// The instances of the series that `at` names.
///
/// # Errors
/// As [`series_of_study`].
pub(crate) async fn instances_of_series(
    http: &Http,
    at: &At,
    study: &Uid,
    series: &Uid,
) -> Result<BTreeSet<Uid>, DicomWebError> {
    let path = format!("studies/{study}/series/{series}/instances");
    let limit = (http.settings.limits.max_instances, "max_instances");
    let listed = list::<InstanceRow>(http, at, &path, &[], limit).await?;
    Ok(listed.into_iter().map(|(uid, _)| uid).collect())
}

/// All rows of a list, page by page. A server may give fewer rows than are asked for, so the last page is one that is empty. One
/// that knows no pages gives the same rows again, which ends the list, too; a page that is known in part shows that the list
/// changed meanwhile.
async fn list<R: Row>(
    http: &Http,
    at: &At,
    path: &str,
    more: &[(&str, String)],
    (limit, key): (usize, &'static str),
) -> Result<Vec<(Uid, R)>, DicomWebError> {
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    loop {
        let mut query = vec![("limit", PAGE.to_string()), ("offset", found.len().to_string())];
        query.extend_from_slice(more);
        let page: Vec<(Uid, R)> = page(http, at, path, &query).await?;
        let n_new = page.iter().filter(|(uid, _)| !known.contains(uid)).count();
        if n_new == 0 {
            break;
        }
        for (uid, row) in page {
            if !known.insert(uid.clone()) {
                return Err(DicomWebError::Double {
                    at: at.clone(),
                    uid,
                    source_of_list: R::LIST,
                });
            }
            found.push((uid, row));
        }
        if found.len() > limit {
            return Err(DicomWebError::TooLarge {
                at: at.clone(),
                what: R::LIST,
                limit: limit as u64,
                key,
            });
        }
    }
    match found.is_empty() {
        true => Err(DicomWebError::NotFound { at: at.clone() }),
        false => Ok(found),
    }
}

async fn page<R: Row>(
    http: &Http,
    at: &At,
    path: &str,
    query: &[(&str, String)],
) -> Result<Vec<(Uid, R)>, DicomWebError> {
    let answer = http.get(at, path, query, DICOM_JSON).await?;
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    json_type(answer.media_type(DICOM_JSON), || {
        answer.media_type("application/json")
    })?;
    let bytes = answer.all(http.settings.limits.max_json_bytes, R::LIST).await?;
    let wrong = |reason: String| DicomWebError::Json {
        at: at.clone(),
        query: R::LIST,
        reason,
    };
    JsonGuard::default().check(&bytes).map_err(wrong)?;
    let mut page = Vec::new();
    let read = rows(&mut serde_json::Deserializer::from_slice(&bytes), |row: R| {
        page.push(row);
        Ok(())
    });
    read.map_err(|error| wrong(fault(&error)))?;
    let checked = page.into_iter().map(|row| {
        let is_other = |first: &First, own: Option<&Uid>| {
            first
                .0
                .as_deref()
                .is_some_and(|text| own.is_some_and(|own| own.as_str() != text))
        };
        let of_series = row.series().is_some_and(|first| is_other(first, at.series_uid()));
        if of_series || is_other(row.study(), at.study_uid()) {
            return Err(wrong("has rows of another study or series".to_owned()));
        }
        let uid = row.own().0.as_deref().and_then(|text| text.parse().ok());
        let uid = uid.ok_or_else(|| wrong("has a row without a usable UID".to_owned()))?;
        Ok((uid, row))
    });
    checked.collect()
}

/// Some servers call it `application/json`, which it is, too.
pub(crate) fn json_type<T>(
    found: Result<T, DicomWebError>,
    otherwise: impl FnOnce() -> Result<T, DicomWebError>,
) -> Result<T, DicomWebError> {
    found.or_else(|error| otherwise().map_err(|_| error))
}

/// A code string, so that nothing else comes through in its place.
fn is_code(text: &str) -> bool {
    text.len() <= 16
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}
