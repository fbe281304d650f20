//! What a call is about, for messages: the server by its name, and UIDs; never what a file or an answer says of a patient.

use std::fmt;

use crate::uid::Uid;

/// What a call is about. Small, since every error has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    server: String,
    study: Option<Uid>,
    series: Option<Uid>,
}

impl At {
    /// The server's name in the configuration, or its host.
    pub fn server_name(&self) -> &str {
        &self.0.server
    }

    /// Of which study.
    pub fn study_uid(&self) -> Option<&Uid> {
        self.0.study.as_ref()
    }

    /// Of which series.
    pub fn series_uid(&self) -> Option<&Uid> {
        self.0.series.as_ref()
    }

    /// About the server as a whole.
    pub(crate) fn server(server: &str) -> At {
        At(Box::new(Parts {
            server: server.to_owned(),
            study: None,
            series: None,
        }))
    }

    pub(crate) fn study(mut self, study: &Uid) -> At {
        self.0.study = Some(study.clone());
        self
    }

    pub(crate) fn series(mut self, series: &Uid) -> At {
        self.0.series = Some(series.clone());
        self
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DICOMweb server {}", self.0.server)?;
        match (&self.0.study, &self.0.series) {
            (Some(study), Some(series)) => write!(f, ", series {series} of study {study}"),
            (Some(study), None) => write!(f, ", study {study}"),
            _ => Ok(()),
        }
    }
}
