//! Which resampling function plans name, and with which of its arguments.

use crate::FolderError;
use crate::json::Json;

/// How an array is brought to another grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resampling {
    /// `resample_data_or_seg_to_shape`, the default: splines in f64.
    Spline(SplineResampling),
    /// `resample_torch_fornnunet`: linear in f32.
    Torch(TorchResampling),
    /// `no_resampling_hack`: the array stays as it is.
    None,
}

/// When the axis of the largest spacing is resampled on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SeparateZ {
    /// If the spacing is anisotropic (`force_separate_z: null`).
    Auto,
    /// `true`.
    Always,
    /// `false`.
    Never,
}

/// Arguments of `resample_data_or_seg_to_shape`.
///
/// Source: nnunetv2 2.8.1, `preprocessing/resampling/default_resampling.py`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplineResampling {
    /// Label maps are resampled label by label.
    pub is_seg: bool,
    /// Of the spline: 0, 1 or 3.
    pub order: u8,
    /// Along the separate axis: 0, 1 or 3.
    pub order_z: u8,
    /// `force_separate_z`; absent means [`SeparateZ::Never`].
    pub separate_z: SeparateZ,
    /// Ratio of largest to smallest spacing above which a spacing is anisotropic.
    pub anisotropy_threshold: f64,
}

/// Arguments of `resample_torch_fornnunet`.
///
/// Source: nnunetv2 2.8.1, `preprocessing/resampling/resample_torch.py`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TorchResampling {
    /// Label maps are resampled label by label.
    pub is_seg: bool,
    /// `force_separate_z`; absent means [`SeparateZ::Auto`].
    pub separate_z: SeparateZ,
    /// Ratio of largest to smallest spacing above which a spacing is anisotropic.
    pub anisotropy_threshold: f64,
    /// `memefficient_seg_resampling`.
    pub memory_efficient_seg: bool,
}

/// nnU-Net's `ANISO_THRESHOLD`.
const ANISOTROPY_THRESHOLD: f64 = 3.0;
const FUNCTIONS: [&str; 3] = [
    "resample_data_or_seg_to_shape",
    "resample_torch_fornnunet",
    "no_resampling_hack",
];

impl Resampling {
    /// Reads `<key>` and `<key>_kwargs` of a configuration. Absent arguments take the function's own defaults.
    pub(crate) fn read(configuration: &Json<'_>, key: &str) -> Result<Self, FolderError> {
        let function = configuration.require(key)?;
        let kwargs = configuration.require(&format!("{key}_kwargs"))?;
        match function.text()? {
            "resample_data_or_seg_to_shape" => SplineResampling::read(&kwargs).map(Resampling::Spline),
            "resample_torch_fornnunet" => TorchResampling::read(&kwargs).map(Resampling::Torch),
            "no_resampling_hack" => allow_keys(&kwargs, &[]).map(|()| Resampling::None),
            unknown => Err(function.unknown_name(unknown, &FUNCTIONS)),
        }
    }
}

impl SplineResampling {
    fn read(kwargs: &Json<'_>) -> Result<Self, FolderError> {
        allow_keys(
            kwargs,
            &[
                "is_seg",
                "order",
                "order_z",
                "force_separate_z",
                "separate_z_anisotropy_threshold",
            ],
        )?;
        Ok(SplineResampling {
            is_seg: flag_or(kwargs, "is_seg", false)?,
            order: order_or(kwargs, "order", 3)?,
            order_z: order_or(kwargs, "order_z", 0)?,
            separate_z: separate_z_or(kwargs, SeparateZ::Never)?,
            anisotropy_threshold: threshold(kwargs)?,
        })
    }
}

impl TorchResampling {
    fn read(kwargs: &Json<'_>) -> Result<Self, FolderError> {
        let allowed = [
            "is_seg",
            "num_threads",
            "device",
            "memefficient_seg_resampling",
            "force_separate_z",
            "separate_z_anisotropy_threshold",
            "mode",
            "aniso_axis_mode",
        ];
        allow_keys(kwargs, &allowed)?; // the number of threads and the device change nothing
        for (key, only) in [("mode", "linear"), ("aniso_axis_mode", "nearest-exact")] {
            if let Some(mode) = kwargs.get_or_null(key)? {
                let name = mode.text()?;
                if name != only {
                    return Err(mode.unknown_name(name, &[only]));
                }
            }
        }
        Ok(TorchResampling {
            is_seg: flag_or(kwargs, "is_seg", false)?,
            separate_z: separate_z_or(kwargs, SeparateZ::Auto)?,
            anisotropy_threshold: threshold(kwargs)?,
            memory_efficient_seg: flag_or(kwargs, "memefficient_seg_resampling", false)?,
        })
    }
}

fn allow_keys(kwargs: &Json<'_>, allowed: &[&str]) -> Result<(), FolderError> {
    match kwargs
        .object()?
        .keys()
        .find(|key| !allowed.contains(&key.as_str()))
    {
        Some(unknown) => Err(kwargs.unknown_name(unknown, allowed)),
        None => Ok(()),
    }
}

fn flag_or(kwargs: &Json<'_>, key: &str, default: bool) -> Result<bool, FolderError> {
    kwargs.get_or_null(key)?.map_or(Ok(default), |flag| flag.flag())
}

fn order_or(kwargs: &Json<'_>, key: &str, default: u8) -> Result<u8, FolderError> {
    let Some(order) = kwargs.get_or_null(key)? else {
        return Ok(default);
    };
    match order.value().as_u64() {
        Some(0) => Ok(0),
        Some(1) => Ok(1),
        Some(3) => Ok(3),
        _ => Err(order.invalid("a spline order of 0, 1 or 3")),
    }
}

fn separate_z_or(kwargs: &Json<'_>, absent: SeparateZ) -> Result<SeparateZ, FolderError> {
    match kwargs.get_or_null("force_separate_z")? {
        None => Ok(absent),
        Some(json) if json.is_null() => Ok(SeparateZ::Auto),
        Some(json) => match json.value().as_bool() {
            Some(true) => Ok(SeparateZ::Always),
            Some(false) => Ok(SeparateZ::Never),
            None => Err(json.invalid("true, false or null")),
        },
    }
}

fn threshold(kwargs: &Json<'_>) -> Result<f64, FolderError> {
    kwargs
        .get_or_null("separate_z_anisotropy_threshold")?
        .map_or(Ok(ANISOTROPY_THRESHOLD), |json| json.number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(function: &str, kwargs: Value) -> Result<Resampling, FolderError> {
        let configuration = json!({ "f": function, "f_kwargs": kwargs });
        Resampling::read(&Json::root("plans.json", &configuration), "f")
    }

    fn spline(separate_z: SeparateZ) -> SplineResampling {
        SplineResampling {
            is_seg: false,
            order: 3,
            order_z: 0,
            separate_z,
            anisotropy_threshold: 3.0,
        }
    }

    #[test]
    fn absent_arguments_are_the_defaults_of_each_function() {
        let check = |function, kwargs, expected| assert_eq!(read(function, kwargs).unwrap(), expected);
        let [spline_fn, torch_fn, none_fn] = FUNCTIONS;
        check(spline_fn, json!({}), Resampling::Spline(spline(SeparateZ::Never)));
        check(
            spline_fn,
            json!({ "force_separate_z": null }),
            Resampling::Spline(spline(SeparateZ::Auto)),
        );
        check(
            spline_fn,
            json!({ "force_separate_z": false }),
            Resampling::Spline(spline(SeparateZ::Never)),
        );
        check(
            spline_fn,
            json!({ "force_separate_z": true }),
            Resampling::Spline(spline(SeparateZ::Always)),
        );
        let full = json!({ "is_seg": true, "order": 1, "order_z": 0, "force_separate_z": null });
        let expected = SplineResampling {
            is_seg: true,
            order: 1,
            ..spline(SeparateZ::Auto)
        };
        check(spline_fn, full, Resampling::Spline(expected));
        let torch = TorchResampling {
            is_seg: false,
            separate_z: SeparateZ::Auto,
            anisotropy_threshold: 3.0,
            memory_efficient_seg: false,
        };
        check(torch_fn, json!({}), Resampling::Torch(torch));
        let kwargs = json!({ "is_seg": true, "memefficient_seg_resampling": true, "mode": "linear", "num_threads": 4 });
        let expected = TorchResampling {
            is_seg: true,
            memory_efficient_seg: true,
            ..torch
        };
        check(torch_fn, kwargs, Resampling::Torch(expected));
        check(none_fn, json!({}), Resampling::None);
    }

    #[test]
    fn unknown_functions_and_arguments_are_refused_by_name() {
        let check = |function: &str, kwargs, expected: &str| {
            let message = read(function, kwargs).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("resample_mine", json!({}), "f is \"resample_mine\"");
        check(FUNCTIONS[0], json!({ "ordre": 3 }), "f_kwargs is \"ordre\"");
        check(
            FUNCTIONS[0],
            json!({ "order": 2 }),
            "f_kwargs.order must be a spline order of 0, 1 or 3, found 2",
        );
        check(FUNCTIONS[0], json!({ "order": null }), "f_kwargs.order");
        check(
            FUNCTIONS[0],
            json!({ "force_separate_z": "auto" }),
            "f_kwargs.force_separate_z",
        );
        check(
            FUNCTIONS[1],
            json!({ "mode": "nearest" }),
            "f_kwargs.mode is \"nearest\"",
        );
        check(FUNCTIONS[2], json!({ "order": 3 }), "f_kwargs is \"order\"");
    }
}
