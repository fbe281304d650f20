//! Which series of a listing is meant.

use super::model::{Listing, Series};
use crate::error::DicomError;
use crate::series_fault::SeriesFault;

impl Listing {
    /// The series that is called so; without a name the one that there is.
    ///
    /// Localizers and what is no scan at all do not count. Where a series has several stacks its UID alone does not name one.
    ///
    /// # Errors
    /// [`DicomError::NoImages`], [`DicomError::SeveralSeries`], [`DicomError::UnknownSeries`]; [`DicomError::Series`] if what
    /// is named cannot be read.
    pub fn select(&self, id: Option<&str>) -> Result<&Series, DicomError> {
        let ids = |series: &[&Series]| {
            series
                .iter()
                .map(|series| series.summary.id.clone())
                .collect::<Vec<_>>()
        };
        let counts = |series: &&Series| {
            !matches!(
                series.plan,
                Err(SeriesFault::Localizer { .. }
                    | SeriesFault::WrongModality { .. }
                    | SeriesFault::SecondaryCapture { .. })
            )
        };
        let all: Vec<&Series> = self.series.iter().collect();
        let candidates: Vec<&Series> = match id {
            None => all.iter().copied().filter(counts).collect(),
            Some(id) => match all.iter().find(|series| series.summary.id == id) {
                Some(exact) => vec![*exact],
                None => {
                    let of_uid: Vec<&Series> = all
                        .iter()
                        .copied()
                        .filter(|series| series.summary.uid == id)
                        .collect();
                    let scans: Vec<&Series> = of_uid.iter().copied().filter(counts).collect();
                    if scans.is_empty() { of_uid } else { scans }
                }
            },
        };
        let chosen = match (&candidates[..], id) {
            ([one], _) => *one,
            ([], Some(id)) => {
                return Err(DicomError::UnknownSeries {
                    name: self.name.clone(),
                    id: id.to_owned(),
                    ids: ids(&all),
                });
            }
            // What there is tells more than that there is nothing.
            ([], None) => match &all[..] {
                [one] => *one,
                _ => {
                    return Err(DicomError::NoImages {
                        name: self.name.clone(),
                        broken: self
                            .others
                            .iter()
                            .filter(|file| file.is_broken)
                            .map(|file| file.file.clone())
                            .collect(),
                        n_files: self.others.len()
                            + all.iter().map(|series| series.files.len()).sum::<usize>(),
                    });
                }
            },
            (several, _) => {
                let uid = &several[0].summary.uid;
                if several.iter().all(|series| series.summary.uid == *uid) {
                    return Err(why_several(several));
                }
                return Err(DicomError::SeveralSeries {
                    name: self.name.clone(),
                    ids: ids(several),
                });
            }
        };
        chosen.check()?;
        Ok(chosen)
    }
}

/// Why several stacks of one series are not one scan.
fn why_several(stacks: &[&Series]) -> DicomError {
    let first = stacks[0];
    let files: Vec<String> = stacks
        .iter()
        .filter_map(|series| series.files.first().map(|file| file.name.clone()))
        .collect();
    let differ = |value: fn(&Series) -> String| stacks.iter().any(|series| value(series) != value(first));
    let fault = if differ(|series| format!("{:?}", series.summary.matrix)) {
        SeriesFault::MixedMatrix {
            what: "rows or columns",
            files,
        }
    } else if differ(|series| format!("{:?}", series.direction)) {
        SeriesFault::MixedOrientation {
            n: stacks.len(),
            files,
        }
    } else if differ(|series| format!("{:?}", series.pixel_spacing)) {
        SeriesFault::MixedMatrix {
            what: "pixel spacing",
            files,
        }
    } else {
        SeriesFault::SeveralStacks {
            n: stacks.len(),
            ids: stacks.iter().map(|series| series.summary.id.clone()).collect(),
        }
    };
    DicomError::Series {
        series: first.summary.uid.clone(),
        fault,
    }
}
