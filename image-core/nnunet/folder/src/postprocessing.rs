//! The steps that nnU-Net found to help on its validation cases, from JSON or a pickle.

use cap_std::fs::Dir;
use nephrite_types::Limits;

use crate::FolderError;
use crate::checkpoint::parse_pickle;
use crate::files::{read_json_file, read_limited};
use crate::json::{Json, parse_python_json};
use crate::pickle::{Pickle, Value, ValueId};

/// Steps to apply to a finished mask, in order; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postprocessing {
    /// The file that they come from.
    pub file: String,
    /// What to do.
    pub steps: Vec<RemoveAllButLargest>,
}

/// Removes all but the largest connected component of the union of some labels.
///
/// Components have full connectivity (26 in 3-D, 8 in 2-D); all components of the largest size are kept.
/// Source: nnunetv2 2.8.1, `postprocessing/remove_connected_components.py`,
/// `remove_all_but_largest_component_from_segmentation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveAllButLargest {
    /// The labels whose union is looked at, ascending; regions are flattened, for nnU-Net joins them too.
    pub labels: Vec<u16>,
    /// What removed voxels become.
    pub background: u16,
}

const FUNCTION: &str = "remove_all_but_largest_component_from_segmentation";
const MODULE: &str = "nnunetv2.postprocessing.remove_connected_components";
/// Files in a folder that holds postprocessing, in order of preference.
pub(crate) const FILES: [&str; 2] = ["postprocessing.json", "postprocessing.pkl"];
/// Steps of one file; nnU-Net writes one per label and one for all.
const MAX_STEPS: usize = 1024;
/// Labels of one step, before equal ones are joined.
const MAX_LABELS: usize = 1 << 14;

impl Postprocessing {
    /// Reads the `postprocessing.json` of a folder, or the `postprocessing.pkl` if there is none; `None` if there is
    /// neither. `name` names the folder in errors.
    ///
    /// # Errors
    /// As [`Postprocessing::from_json`] and [`Postprocessing::from_pickle`].
    pub fn read(folder: &Dir, name: &str, limits: &Limits) -> Result<Option<Self>, FolderError> {
        let [json, pickle] = FILES;
        if let Some(bytes) = read_json_file(folder, name, json, limits)? {
            return Self::from_json(&format!("{name}/{json}"), &bytes).map(Some);
        }
        match read_limited(folder, name, pickle, "the file", limits.max_pickle_bytes)? {
            Some(bytes) => Self::from_pickle(&format!("{name}/{pickle}"), bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the content of a `postprocessing.json`; `file` names it in errors.
    ///
    /// # Errors
    /// [`FolderError`] naming key and value; [`FolderError::UnknownName`] for any other function.
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self, FolderError> {
        let root = parse_python_json(file, json)?;
        let json = Json::root(file, &root);
        let functions = json.require("postprocessing_fns")?.list(MAX_STEPS)?;
        let kwargs = json.require("postprocessing_kwargs")?;
        let arguments = kwargs.list(MAX_STEPS)?;
        if functions.len() != arguments.len() {
            return Err(kwargs.invalid(format!("a list of {}, as postprocessing_fns", functions.len())));
        }
        let mut steps = Vec::new();
        for (function, arguments) in functions.iter().zip(&arguments) {
            let name = function.text()?;
            if name != FUNCTION {
                return Err(function.unknown_name(name, &[FUNCTION]));
            }
            let allowed = ["labels_or_regions", "background_label"];
            if let Some(unknown) = arguments
                .object()?
                .keys()
                .find(|key| !allowed.contains(&key.as_str()))
            {
                return Err(arguments.unknown_name(unknown, &allowed));
            }
            let mut labels = Vec::new();
            json_labels(&arguments.require(allowed[0])?, &mut labels)?;
            let background = arguments.get(allowed[1])?.map_or(Ok(0), |label| label.label())?;
            steps.push(RemoveAllButLargest::of(labels, background));
        }
        Ok(Postprocessing {
            file: file.to_owned(),
            steps,
        })
    }

    /// Reads the content of a `postprocessing.pkl`; `file` names it in errors. Nothing is executed.
    ///
    /// # Errors
    /// [`FolderError`]: not such a pickle, [`FolderError::ForbiddenGlobal`], [`FolderError::UnknownName`] for any
    /// other function.
    pub fn from_pickle(file: &str, bytes: Vec<u8>) -> Result<Self, FolderError> {
        let pickle = parse_pickle(bytes, file)?;
        let reader = PickledSteps {
            file,
            pickle: &pickle,
        };
        Ok(Postprocessing {
            file: file.to_owned(),
            steps: reader.steps()?,
        })
    }
}

impl RemoveAllButLargest {
    fn of(mut labels: Vec<u16>, background: u16) -> Self {
        labels.sort_unstable();
        labels.dedup();
        labels.shrink_to_fit();
        RemoveAllButLargest { labels, background }
    }
}

/// A label, a region, or a list of labels and regions.
fn json_labels(json: &Json<'_>, labels: &mut Vec<u16>) -> Result<(), FolderError> {
    if !json.value().is_array() {
        labels.push(json.label()?);
        return Ok(());
    }
    for item in json.list(MAX_LABELS)? {
        if item.value().is_array() {
            for label in item.list(MAX_LABELS)? {
                labels.push(label.label()?);
            }
        } else {
            labels.push(item.label()?);
        }
        if labels.len() > MAX_LABELS {
            return Err(json.invalid(format!("at most {MAX_LABELS} labels")));
        }
    }
    Ok(())
}

/// `(functions, kwargs)` of the pickled form.
struct PickledSteps<'a> {
    file: &'a str,
    pickle: &'a Pickle,
}

impl PickledSteps<'_> {
    fn invalid(&self, key: &str, expected: &str, found: ValueId) -> FolderError {
        FolderError::InvalidValue {
            file: self.file.to_owned(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: self.pickle.describe(found),
        }
    }

    fn steps(&self) -> Result<Vec<RemoveAllButLargest>, FolderError> {
        let root = self.pickle.root();
        let lists = match self.pickle.sequence(root) {
            Some(&[functions, kwargs]) => self.pickle.sequence(functions).zip(self.pickle.sequence(kwargs)),
            _ => None,
        };
        let (functions, kwargs) = lists
            .filter(|(functions, kwargs)| functions.len() == kwargs.len() && functions.len() <= MAX_STEPS)
            .ok_or_else(|| self.invalid("the whole file", "a pair of equally long lists", root))?;
        functions
            .iter()
            .zip(kwargs)
            .map(|(&function, &arguments)| {
                self.check_function(function)?;
                self.step(arguments)
            })
            .collect()
    }

    fn check_function(&self, function: ValueId) -> Result<(), FolderError> {
        match self.pickle.value(function) {
            Value::Global { .. } if self.pickle.global(function) == Some((MODULE, FUNCTION)) => Ok(()),
            _ => Err(FolderError::UnknownName {
                file: self.file.to_owned(),
                key: "postprocessing function".to_owned(),
                found: self.pickle.describe(function),
                known: vec![format!("{MODULE}.{FUNCTION}")],
            }),
        }
    }

    fn step(&self, arguments: ValueId) -> Result<RemoveAllButLargest, FolderError> {
        let expected = "a dict of labels_or_regions and background_label";
        let entries = self.pickle.dict(arguments).filter(|entries| entries.len() <= 2);
        let (mut labels, mut background) = (None, 0);
        for &(key, value) in entries.ok_or_else(|| self.invalid("arguments", expected, arguments))? {
            if self.pickle.is_text(key, "labels_or_regions") {
                labels = Some(self.labels(value)?);
            } else if self.pickle.is_text(key, "background_label") {
                background = self.label(value)?;
            } else {
                return Err(self.invalid("arguments", expected, key));
            }
        }
        let missing = || FolderError::MissingKey {
            file: self.file.to_owned(),
            key: "labels_or_regions".to_owned(),
        };
        Ok(RemoveAllButLargest::of(labels.ok_or_else(missing)?, background))
    }

    fn labels(&self, id: ValueId) -> Result<Vec<u16>, FolderError> {
        let Some(items) = self.pickle.sequence(id) else {
            return Ok(vec![self.label(id)?]);
        };
        let mut labels = Vec::new();
        for &item in items {
            match self.pickle.sequence(item) {
                Some(region) => {
                    for &label in region {
                        labels.push(self.label(label)?);
                        self.check_number(id, &labels)?;
                    }
                }
                None => labels.push(self.label(item)?),
            }
            self.check_number(id, &labels)?;
        }
        Ok(labels)
    }

    /// A region shared through the memo could repeat without end.
    fn check_number(&self, id: ValueId, labels: &[u16]) -> Result<(), FolderError> {
        match labels.len() > MAX_LABELS {
            true => Err(self.invalid("labels_or_regions", "at most 16384 labels", id)),
            false => Ok(()),
        }
    }

    fn label(&self, id: ValueId) -> Result<u16, FolderError> {
        let label = self.pickle.int(id).and_then(|label| u16::try_from(label).ok());
        label.ok_or_else(|| self.invalid("labels_or_regions", "labels from 0 to 65535", id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PickleFault;
    use serde_json::{Value as JsonValue, json};

    fn read(functions: JsonValue, kwargs: JsonValue) -> Result<Vec<RemoveAllButLargest>, FolderError> {
        let json = json!({ "postprocessing_fns": functions, "postprocessing_kwargs": kwargs }).to_string();
        Postprocessing::from_json("pp.json", json.as_bytes()).map(|postprocessing| postprocessing.steps)
    }

    fn step(labels: &[u16], background: u16) -> RemoveAllButLargest {
        RemoveAllButLargest {
            labels: labels.to_vec(),
            background,
        }
    }

    #[test]
    fn lists_and_regions_are_unions() {
        let check = |labels: JsonValue, expected: &[u16]| {
            let steps = read(json!([FUNCTION]), json!([{ "labels_or_regions": labels }])).unwrap();
            assert_eq!(steps, [step(expected, 0)]);
        };
        check(json!(3), &[3]);
        check(json!([2, 1]), &[1, 2]);
        check(json!([[3, 1], 2, [1]]), &[1, 2, 3]);
        check(json!([]), &[]);
        let kwargs = json!([{ "labels_or_regions": 1 }, { "labels_or_regions": 2, "background_label": 5 }]);
        assert_eq!(
            read(json!([FUNCTION, FUNCTION]), kwargs).unwrap(),
            [step(&[1], 0), step(&[2], 5)]
        );
        assert_eq!(read(json!([]), json!([])).unwrap(), []);
    }

    #[test]
    fn metrics_with_nan_beside_it_do_no_harm() {
        let json = br#"{"input_folder": {"mean": {"1": {"Dice": NaN}}}, "postprocessing_fns": [], "postprocessing_kwargs": []}"#;
        assert_eq!(Postprocessing::from_json("pp.json", json).unwrap().steps, []);
    }

    #[test]
    fn faults_are_named() {
        let check = |functions: JsonValue, kwargs: JsonValue, expected: &str| {
            let message = read(functions, kwargs).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(json!(["erode"]), json!([{}]), "postprocessing_fns.0 is \"erode\"");
        check(
            json!([FUNCTION]),
            json!([]),
            "postprocessing_kwargs must be a list of 1",
        );
        check(
            json!([FUNCTION]),
            json!([{}]),
            "postprocessing_kwargs.0.labels_or_regions is missing",
        );
        check(
            json!([FUNCTION]),
            json!([{ "labels_or_regions": -1 }]),
            "labels_or_regions must be",
        );
        check(
            json!([FUNCTION]),
            json!([{ "labels_or_regions": [[[1]]] }]),
            "labels_or_regions.0.0 must be",
        );
        check(
            json!([FUNCTION]),
            json!([{ "labels_or_regions": 1, "min_size": 3 }]),
            "is \"min_size\"",
        );
    }

    /// `([function], [{'labels_or_regions': …}])` in protocol 4.
    fn pickled(module: &str, name: &str, labels: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x80\x04].".to_vec();
        bytes.pop();
        for text in [module, name] {
            bytes.extend([0x8c, u8::try_from(text.len()).unwrap()]);
            bytes.extend(text.as_bytes());
        }
        bytes.extend(b"\x93a]}\x8c\x11labels_or_regions");
        bytes.extend(labels);
        bytes.extend(b"sa\x86.");
        bytes
    }

    #[test]
    fn the_pickled_form_is_read() {
        let check = |labels: &[u8], expected: &[u16]| {
            let read = Postprocessing::from_pickle("pp.pkl", pickled(MODULE, FUNCTION, labels)).unwrap();
            assert_eq!(read.steps, [step(expected, 0)]);
        };
        check(b"K\x03", &[3]);
        check(b"](K\x02K\x01e", &[1, 2]);
        check(b"](K\x02K\x04K\x03\x86e", &[2, 3, 4]);
    }

    #[test]
    fn other_functions_in_the_pickled_form_are_refused() {
        let error = Postprocessing::from_pickle("pp.pkl", pickled("os", "system", b"K\x03")).unwrap_err();
        assert!(error.to_string().contains("os.system"), "{error}");
        let call = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.".to_vec();
        let error = Postprocessing::from_pickle("pp.pkl", call).unwrap_err();
        assert!(matches!(error, FolderError::ForbiddenGlobal { module, .. } if module == "posix"));
        let error = Postprocessing::from_pickle("pp.pkl", b"\x80\x04]".to_vec()).unwrap_err();
        assert!(matches!(
            error,
            FolderError::Pickle {
                fault: PickleFault::Truncated { .. },
                ..
            }
        ));
        let error = Postprocessing::from_pickle("pp.pkl", b"\x80\x04N.".to_vec()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("a pair of equally long lists, found None"),
            "{error}"
        );
    }
}
