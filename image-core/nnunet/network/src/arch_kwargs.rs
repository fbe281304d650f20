//! Typed access to a JSON object of keyword arguments, with Python's rules for scalars that stand for lists.

use serde_json::{Map, Value};

use crate::error::{NetworkError, bad_value, shorten};

/// A JSON object and what it is called in messages.
pub(crate) struct Kwargs<'a> {
    inside: &'static str,
    map: &'a Map<String, Value>,
    class: String,
}

impl<'a> Kwargs<'a> {
    pub(crate) fn new(inside: &'static str, map: &'a Map<String, Value>, class: &str) -> Self {
        Kwargs {
            inside,
            map,
            class: class.to_owned(),
        }
    }

    /// Refuses keys that are not listed.
    pub(crate) fn only<'k>(
        &self,
        known: impl Iterator<Item = &'k &'k str> + Clone,
    ) -> Result<(), NetworkError> {
        match self
            .map
            .keys()
            .find(|key| !known.clone().any(|k| *k == key.as_str()))
        {
            Some(key) => Err(NetworkError::UnknownKey {
                inside: self.inside,
                key: shorten(key),
                class: shorten(&self.class),
            }),
            None => Ok(()),
        }
    }

    /// The value, with `null` as if the key were absent.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn required(&self, key: &'static str) -> Result<&'a Value, NetworkError> {
        self.value(key).ok_or(NetworkError::MissingKey { key })
    }

    /// Last dotted component of a Python class path.
    pub(crate) fn class_name(&self, key: &'static str) -> Result<Option<String>, NetworkError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(path)) => Ok(Some(path.rsplit('.').next().unwrap_or_default().to_owned())),
            Some(other) => Err(bad_value(key, "a class path or null", other)),
        }
    }

    pub(crate) fn integer(&self, key: &'static str, min: usize, max: usize) -> Result<usize, NetworkError> {
        to_integer(key, self.required(key)?, min, max)
    }

    pub(crate) fn integer_or(
        &self,
        key: &'static str,
        default: usize,
        min: usize,
        max: usize,
    ) -> Result<usize, NetworkError> {
        self.value(key)
            .map_or(Ok(default), |value| to_integer(key, value, min, max))
    }

    pub(crate) fn boolean(&self, key: &'static str, default: bool) -> Result<bool, NetworkError> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(bad_value(key, "true or false", other)),
        }
    }

    /// A number within `min..=max`; bounds are f32 because ONNX stores attributes so.
    pub(crate) fn float(
        &self,
        key: &'static str,
        default: f32,
        min: f32,
        max: f32,
    ) -> Result<f32, NetworkError> {
        let Some(value) = self.value(key) else {
            return Ok(default);
        };
        let number = value.as_f64().ok_or_else(|| bad_value(key, "a number", value))?;
        if number.is_finite() && (f64::from(min)..=f64::from(max)).contains(&number) {
            Ok(number as f32) // in range of f32 by the line above; rounding is meant
        } else {
            Err(bad_value(key, &format!("{min} to {max}"), number))
        }
    }

    pub(crate) fn object(&self, key: &'static str, class: &str) -> Result<Option<Kwargs<'a>>, NetworkError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Kwargs::new(key, map, class))),
            Some(other) => Err(bad_value(key, "an object or null", other)),
        }
    }

    /// One number per stage; a single number stands for all.
    pub(crate) fn per_stage(
        &self,
        key: &'static str,
        n: usize,
        min: usize,
        max: usize,
    ) -> Result<Vec<usize>, NetworkError> {
        (self.stage_values(key, n)?.into_iter().enumerate())
            .map(|(s, value)| to_integer(&format!("{key}[{s}]"), value, min, max))
            .collect()
    }

    /// One number per stage and axis; a single number stands for all stages, or for all axes of a stage.
    pub(crate) fn per_stage_and_axis(
        &self,
        key: &'static str,
        n_stages: usize,
        n_dims: usize,
        min: usize,
        max: usize,
    ) -> Result<Vec<Vec<usize>>, NetworkError> {
        let axes = |(s, value): (usize, &Value)| -> Result<Vec<usize>, NetworkError> {
            let key = format!("{key}[{s}]");
            match value {
                Value::Array(values) if values.len() == n_dims => (values.iter().enumerate())
                    .map(|(axis, value)| to_integer(&format!("{key}[{axis}]"), value, min, max))
                    .collect(),
                Value::Array(values) => Err(bad_value(
                    &key,
                    &format!("{n_dims} numbers"),
                    format!("{} entries", values.len()),
                )),
                scalar => Ok(vec![to_integer(&key, scalar, min, max)?; n_dims]),
            }
        };
        self.stage_values(key, n_stages)?
            .into_iter()
            .enumerate()
            .map(axes)
            .collect()
    }

    fn stage_values(&self, key: &'static str, n: usize) -> Result<Vec<&'a Value>, NetworkError> {
        match self.required(key)? {
            Value::Array(values) if values.len() == n => Ok(values.iter().collect()),
            Value::Array(values) => Err(bad_value(
                key,
                &format!("{n} entries"),
                format!("{} entries", values.len()),
            )),
            scalar => Ok(vec![scalar; n]),
        }
    }
}

fn to_integer(key: &str, value: &Value, min: usize, max: usize) -> Result<usize, NetworkError> {
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    let number = number.ok_or_else(|| bad_value(key, &format!("an integer from {min} to {max}"), value))?;
    check_range(key, number, min, max)?;
    Ok(number)
}

pub(crate) fn check_range(key: &str, value: usize, min: usize, max: usize) -> Result<(), NetworkError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(bad_value(key, &format!("{min} to {max}"), value))
    }
}
