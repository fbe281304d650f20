//! For tests: an operation that gives its input back and can be told to misbehave, label maps that are large and take no
//! place, and pages of the book that are made from the code.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::{
    Context, InputSpec, Inputs, MaskOperation, OperationDescription, OperationError, Outcome, OutputSpec,
    ParameterKind, ParameterSpec, Parameters,
};

/// Gives its input back; its parameters make it slow or make it panic.
#[derive(Debug)]
pub struct Identity {
    description: OperationDescription,
}

impl Default for Identity {
    fn default() -> Self {
        let mut description =
            OperationDescription::new("identity", "1.0.0", "gives the mask back as it came");
        description.inputs.push(InputSpec::required("mask", "any mask"));
        let wait = ParameterKind::Number {
            min: 0.0,
            max: 3600.0,
        };
        description
            .parameters
            .push(ParameterSpec::new("wait_seconds", wait, "works for this long").unit("s"));
        let panic = ParameterSpec::new("panic", ParameterKind::Flag, "panics");
        description.parameters.push(panic);
        description
            .outputs
            .push(OutputSpec::like_input("mask", "mask", "the mask").labels_of(&["mask"]));
        Identity { description }
    }
}

impl MaskOperation for Identity {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let mask = inputs.one("mask")?;
        assert!(!parameters.flag("panic"), "told to panic");
        let mut left = Duration::from_secs_f64(parameters.number("wait_seconds").unwrap_or(0.0));
        const STEP: Duration = Duration::from_millis(2);
        while !left.is_zero() {
            context.cancel.check()?;
            std::thread::sleep(STEP.min(left));
            left = left.saturating_sub(STEP);
        }
        Ok(Outcome {
            masks: vec![("mask".to_owned(), mask.clone())],
            ..Outcome::default()
        })
    }
}

/// Writes a label map of `side`³ voxels of 1 mm and 16 bits, `.nii`, all of them zeros that are a hole in the file.
///
/// # Errors
/// Those of the file system.
pub fn write_hollow_label_map(path: &Path, side: i16) -> io::Result<()> {
    let mut header = [0u8; 352];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &348i32.to_le_bytes());
    for (axis, n) in [3, side, side, side, 1, 1, 1, 1].iter().enumerate() {
        put(40 + 2 * axis, &n.to_le_bytes());
    }
    put(70, &[4, 0, 16, 0]); // int16
    put(108, &352f32.to_le_bytes()); // where the voxels begin
    put(254, &1i16.to_le_bytes()); // there is an sform
    for axis in 0..3 {
        put(80 + 4 * axis, &1f32.to_le_bytes());
        put(280 + 20 * axis, &1f32.to_le_bytes());
    }
    put(344, b"n+1\0");
    fs::write(path, header)?;
    let n_voxels = u64::from(side.unsigned_abs()).pow(3);
    File::options()
        .write(true)
        .open(path)?
        .set_len(352 + 2 * n_voxels)
}

/// Set to anything, tests write generated files instead of comparing them.
const UPDATE: &str = "NEPHRITE_UPDATE_GENERATED";

/// Compares a page of the book's reference with `text`, which the code gives; writes it if `NEPHRITE_UPDATE_GENERATED` is set.
///
/// # Panics
/// If they differ.
pub fn assert_reference_page(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference");
    let page = folder.join(name);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&page, text).expect("the folder of the reference pages can be written to");
    }
    let current = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        current == text,
        "{} is not what the code gives: run the test once with {UPDATE}=1",
        page.display()
    );
}
