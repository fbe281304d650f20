//! The cases, one file per subject.

mod files;
mod messages;
mod promises;
mod refusals;
mod sameness;
mod shapes;
mod time;

use crate::Case;

const BASIC: &[&str] = &["describes_itself", "answers", "keeps_geometry", "keeps_labels"];
const COMPARES: &[&str] = &[
    "describes_itself",
    "answers",
    "keeps_geometry",
    "keeps_labels",
    "repeatable",
];

/// All cases, in the order in which they run.
pub const CASES: &[Case] = &[
    Case::of_operation(
        "describes_itself",
        "names, ranges and defaults make sense, and are the same when asked again",
        &[],
        promises::describes_itself,
    ),
    Case::of_operation(
        "answers",
        "an ordinary mask gives a well-formed result within the deadline: all outputs, every id named",
        &["describes_itself"],
        promises::answers,
    ),
    Case::of_operation(
        "keeps_geometry",
        "outputs lie on the grids that the description promises",
        &["describes_itself", "answers"],
        promises::keeps_geometry,
    ),
    Case::of_operation(
        "keeps_labels",
        "outputs name the labels that the description promises",
        &["describes_itself", "answers"],
        promises::keeps_labels,
    ),
    Case::of_operation(
        "repeatable",
        "two calls give the same bytes, for any number of threads",
        BASIC,
        sameness::repeatable,
    ),
    Case::of_operation(
        "empty_mask",
        "no label is found: a result, no error",
        BASIC,
        shapes::empty,
    ),
    Case::of_operation("full_mask", "every voxel is labeled", BASIC, shapes::full),
    Case::of_operation(
        "one_voxel",
        "a structure of one voxel, in the corner",
        BASIC,
        shapes::one_voxel,
    ),
    Case::of_operation("huge_mask", "512 × 512 × 800 voxels, sparse", BASIC, shapes::huge),
    Case::of_operation(
        "anisotropic_mask",
        "voxels of 0.9 × 0.4 × 7.5 mm",
        BASIC,
        shapes::anisotropic,
    ),
    Case::of_operation("oblique_mask", "axes rotated and flipped", BASIC, shapes::oblique),
    Case::of_operation(
        "labels_255",
        "ids up to 255, one byte each",
        BASIC,
        shapes::labels_255,
    ),
    Case::of_operation(
        "labels_300",
        "ids up to 300, two bytes each",
        BASIC,
        shapes::labels_300,
    ),
    Case::of_operation(
        "unknown_parameter_refused",
        "a parameter that the description does not have",
        BASIC,
        refusals::unknown_parameter,
    ),
    Case::of_operation(
        "wrong_type_refused",
        "each parameter, with values of other types",
        BASIC,
        refusals::wrong_type,
    ),
    Case::of_operation(
        "out_of_range_refused",
        "each parameter, below, above, NaN, infinite, no choice of its",
        BASIC,
        refusals::out_of_range,
    ),
    Case::of_operation(
        "unknown_label_refused",
        "each parameter that names labels, with one that no mask names",
        BASIC,
        refusals::unknown_label,
    ),
    Case::of_operation(
        "refusals_are_told",
        "wrong names, types, ranges and labels: a message that does not end in white space, and `nephrite-error-code`",
        BASIC,
        refusals::words,
    ),
    Case::of_operation(
        "wrong_inputs_refused",
        "inputs that are unknown, missing, given twice, or on another grid than they must",
        BASIC,
        refusals::wrong_inputs,
    ),
    Case::of_service(
        "unknown_operation_refused",
        "an operation that the service does not have",
        BASIC,
        messages::unknown_operation,
    ),
    Case::of_service(
        "corrupt_mask_refused",
        "bit flips, cut off, wrong checksum, counts and boxes that lie, inflates past its runs, impossible geometry",
        BASIC,
        messages::corrupt_mask,
    ),
    Case::of_service(
        "corrupt_file_refused",
        "a mask by path that is no NIfTI, cut off, says two lengths for one axis, a folder, or not there",
        BASIC,
        files::corrupt_file,
    ),
    Case::of_service(
        "inline_and_path_agree",
        "the same mask inside of the message and as a file; results too",
        COMPARES,
        files::inline_and_path,
    ),
    Case::of_service(
        "large_mask",
        "more than 1 MiB: by path, and what comes back too",
        BASIC,
        files::large_mask,
    ),
    Case::of_service(
        "path_outside_root_refused",
        "absolute, by .., by a link, and as a folder to write to",
        BASIC,
        files::outside_root,
    ),
    Case::of_operation(
        "artefacts_in_folder",
        "files lie in the folder given, the same bytes again in another one, and nowhere without one",
        BASIC,
        files::artefacts,
    ),
    Case::of_operation(
        "deadline_kept",
        "an answer by the deadline, a refusal if need be",
        BASIC,
        time::deadline,
    ),
    Case::of_operation(
        "cancel_kept",
        "work stops when the caller leaves",
        COMPARES,
        time::cancel,
    ),
    Case::of_operation(
        "concurrent_calls",
        "eight calls at once give what each gives alone",
        COMPARES,
        sameness::concurrent,
    ),
    Case::of_operation(
        "stays_alive",
        "after all of it, the same answer as at first",
        &[],
        sameness::stays_alive,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_the_cases() {
        let readme = include_str!("../../README.md");
        let rows = CASES.iter().map(|case| {
            let service = if case.scope == crate::Scope::Service {
                "yes"
            } else {
                ""
            };
            format!("| `{}` | {} | {service} |\n", case.name, case.checks)
        });
        let table: String = rows.collect();
        assert!(
            readme.contains(&table),
            "the README must have this table:\n{table}"
        );
    }

    #[test]
    fn cases_need_only_what_ran_before_them() {
        for (idx, case) in CASES.iter().enumerate() {
            assert!(
                CASES[..idx].iter().all(|before| before.name != case.name),
                "{} occurs twice",
                case.name
            );
            for need in case.needs {
                assert!(
                    CASES[..idx].iter().any(|before| before.name == *need),
                    "{} needs {need}",
                    case.name
                );
            }
        }
    }
}
