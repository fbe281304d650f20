//! `nephrite verify`: runs a case again from its record and compares.

use nephrite_image_core::case::verify_record;
use nephrite_types::ErrorCode;

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
    #[command(flatten)]
    pub(crate) place: CasePlaceArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: VerifyArguments) -> Result<(), Failure> {
    let place = CasePlace::new(arguments.place, arguments.runtime)?;
    let record = place.core_path(&arguments.record)?;
    let cancel = signals::cancelled_by_signals();
    let events = case_progress::on_stderr(arguments.quiet);
    let report = verify_record(&place.core, &place.services, &record, &*events, &cancel)?;
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
            "{}: {} files are equal\n",
            record.display(),
            report.equal.len()
        ));
    }
    Ok(())
}
