//! `nephrite verify`: runs a case again from its record and compares.

use nephrite_image_core::case::{VerifyPlaces, recorded_series_options, verify_record};
use nephrite_types::{ErrorCode, count};

use super::case_place::CasePlace;
use super::failure::Failure;
use super::output;
use super::shared_arguments::{CasePlaceArguments, RuntimeArguments};
use super::{case_progress, signals};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// `record.json` of a result folder
    #[arg(value_name = "RECORD")]
    pub(crate) record: PathBuf,
    /// Run steps where the record says that they ran; those services and cores must be there
    #[arg(long, conflicts_with = "config")]
    pub(crate) recorded_places: bool,
    #[command(flatten)]
    pub(crate) place: CasePlaceArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: VerifyArguments) -> Result<(), Failure> {
    let named = arguments.place.config.is_some() || arguments.recorded_places;
    let series = arguments.runtime.series;
    let mut place = CasePlace::new(arguments.place, arguments.runtime)?;
    let places = match arguments.recorded_places {
        true => VerifyPlaces::Recorded,
        false => VerifyPlaces::Configured(&place.services),
    };
    let record = place.core_path(&arguments.record)?;
    if let Some(recorded) = recorded_series_options(&place.core, &record)? {
        place.core = place.core.with_series_options(series.over(recorded));
    }
    let cancel = signals::cancelled_by_signals();
    let events = case_progress::on_stderr(arguments.quiet);
    let report = verify_record(&place.core, places, &record, &*events, &cancel);
    let report = report.map_err(|error| {
        let may_be_of_service = error.is_unknown_operation() && !named;
        let mut failure = super::place::failure(error, may_be_of_service);
        if may_be_of_service {
            failure
                .message
                .push_str(", or by --recorded-places, where the record says");
        }
        failure
    })?;
    drop(events); // takes the bars off the terminal
    if !report.is_equal() {
        let lines = report
            .differences
            .iter()
            .map(|difference| format!("\n  {difference}"));
        return Err(Failure {
            code: ErrorCode::InvalidInput,
            message: format!(
                "{}: not reproduced:{}",
                record.display(),
                lines.collect::<String>()
            ),
        });
    }
    if !arguments.quiet {
        output::print(&format!(
            "{}: {} {} equal\n",
            record.display(),
            count(report.equal.len(), "file"),
            if report.equal.len() == 1 { "is" } else { "are" }
        ));
    }
    Ok(())
}
