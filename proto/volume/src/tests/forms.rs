//! Forms, codes and `pixdim` in every combination, beside SimpleITK and nibabel: `golden/make_forms.py` asked them.

use std::path::Path;

use nephrite_types::{CancelToken, Limits, WarningCode};
use serde_json::Value;

use super::{file, read_stream, read_with};
use crate::header::{Header, Version, tests::plain};
use crate::world::top_rows;
use crate::{Form, Reader, ScanHeader, VolumeError, World};

/// What a library says of a file.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Fails,
    NotFinite,
    /// Spacing, then three rows of the affine.
    Place(Vec<f64>),
}

/// A combination: header, names of its parts, and what each of `Reader::ALL` says.
struct Case {
    header: Header,
    name: String,
    sform_code: i64,
    qform_code: i64,
    sform: String,
    qform: String,
    pixdim: String,
    said: Vec<Said>,
    /// The same without the sform.
    without_sform: Vec<Said>,
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("nan") => f64::NAN,
        Some("inf") => f64::INFINITY,
        _ => value.as_f64().unwrap(),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/forms.json");
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let said: Vec<Said> = json["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| match outcome {
            Value::Null => Said::Fails,
            Value::String(_) => Said::NotFinite,
            place => Said::Place(numbers(place)),
        })
        .collect();
    let outcomes = json["cases"].as_array().unwrap();
    let list = |key: &str| {
        json[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let (sform_codes, qform_codes) = (list("sform_codes"), list("qform_codes"));
    // in the order of the file: the workspace builds serde_json so
    let names = |key: &str| {
        let fields = json[key].as_object().unwrap().iter();
        fields
            .map(|(name, values)| (name.clone(), values.clone()))
            .collect::<Vec<_>>()
    };
    let (sforms, qforms, pixdims) = (names("sforms"), names("qforms"), names("pixdims"));
    assert_eq!((sforms[0].0.as_str(), pixdims[5].0.as_str()), ("straight", "nan"));
    let per_code = qforms.len() * qform_codes.len() * pixdims.len();
    let of = |case: &Value| -> Vec<Said> {
        let indices = case.as_array().unwrap().iter();
        indices
            .map(|i| said[i.as_u64().unwrap() as usize].clone())
            .collect()
    };
    let mut cases = Vec::new();
    for (s, (sform, rows)) in sforms.iter().enumerate() {
        for (c, sform_code) in sform_codes.iter().enumerate() {
            for (q, (qform, values)) in qforms.iter().enumerate() {
                for (d, qform_code) in qform_codes.iter().enumerate() {
                    for (p, (pixdim, lengths)) in pixdims.iter().enumerate() {
                        let inner = (q * qform_codes.len() + d) * pixdims.len() + p;
                        let at = (s * sform_codes.len() + c) * per_code + inner;
                        let mut header = plain(Version::One, false);
                        header.sform_code = *sform_code as i32;
                        header.qform_code = *qform_code as i32;
                        // through 32 bits, as the file had them
                        let f = |v: f64| f64::from(v as f32);
                        for (r, row) in rows.as_array().unwrap().iter().enumerate() {
                            numbers(row)
                                .into_iter()
                                .enumerate()
                                .for_each(|(c, v)| header.srow[r][c] = f(v));
                        }
                        let values = numbers(values);
                        for i in 0..3 {
                            header.quatern_bcd[i] = f(values[i]);
                            header.qoffset[i] = f(values[3 + i]);
                        }
                        numbers(lengths)
                            .into_iter()
                            .enumerate()
                            .for_each(|(i, v)| header.pixdim[i] = v);
                        cases.push(Case {
                            header,
                            name: format!(
                                "sform {sform} {sform_code}, qform {qform} {qform_code}, pixdim {pixdim}"
                            ),
                            sform_code: *sform_code,
                            qform_code: *qform_code,
                            sform: sform.clone(),
                            qform: qform.clone(),
                            pixdim: pixdim.clone(),
                            said: of(&outcomes[at]),
                            without_sform: of(&outcomes[s * sform_codes.len() * per_code + inner]),
                        });
                    }
                }
            }
        }
    }
    assert_eq!(cases.len(), outcomes.len());
    cases
}

/// What is right: what the library says, but for four things.
fn right(case: &Case, reader: Reader) -> Said {
    let index = Reader::ALL.iter().position(|r| *r == reader).unwrap();
    let said = case.said[index].clone();
    // A length that nobody knows is not 1 mm, as ITK has it.
    if case.pixdim == "nan" {
        return Said::Fails;
    }
    match reader.world() {
        World::Itk => {
            // ITK makes zeros of a qform that is not finite, and takes that for a place.
            let broken = matches!(case.qform.as_str(), "nan" | "inf_offset");
            let uses_it = case.qform_code > 0 && said == case.without_sform[index];
            if broken && uses_it { Said::Fails } else { said }
        }
        World::Nibabel => {
            // nibabel takes a singular sform for a place; the qform is one.
            let singular = matches!(case.sform.as_str(), "zero" | "flat" | "parallel");
            let uses_it = (1..=5).contains(&case.sform_code) && singular;
            match uses_it {
                true if (1..=5).contains(&case.qform_code) && !reader.reorients() => {
                    case.without_sform[index].clone()
                }
                true => Said::Fails,
                false => said,
            }
        }
    }
}

#[test]
fn every_combination_of_forms_is_placed_as_the_library_of_the_reader_places_it() {
    let mut n_places = [0; 4];
    for case in cases() {
        let bytes = file(&case.header, &[7; 48]);
        for (index, reader) in Reader::ALL.into_iter().enumerate() {
            let found = read_with(&bytes, reader);
            match (right(&case, reader), found) {
                (Said::Fails | Said::NotFinite, Err(error)) => {
                    assert!(
                        matches!(
                            error,
                            VolumeError::NotFinite { .. }
                                | VolumeError::Geometry { .. }
                                | VolumeError::NotOrthonormal { .. }
                                | VolumeError::HeaderField { field: "quatern", .. }
                        ),
                        "{reader}, {}: {error}",
                        case.name
                    );
                }
                (Said::Place(expected), Ok(scan)) => {
                    n_places[index] += 1;
                    let geometry = scan.volume.geometry;
                    let rows = top_rows(geometry.affine);
                    let found: Vec<f64> = geometry
                        .spacing
                        .xyz()
                        .into_iter()
                        .chain(rows.into_iter().flatten())
                        .collect();
                    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-6 * b.abs().max(1.0);
                    assert!(
                        found.iter().zip(&expected).all(close),
                        "{reader}, {}: {found:?}, expected {expected:?}",
                        case.name
                    );
                }
                (expected, found) => {
                    panic!(
                        "{reader}, {}: {:?}, expected {expected:?}",
                        case.name,
                        found.map(|s| s.volume.geometry)
                    )
                }
            }
        }
    }
    assert!(n_places.iter().all(|n| *n > 2000), "{n_places:?}");
}

/// The frame of a world is what its plain reader sees; a reader's array is the frame, turned.
#[test]
fn arrays_of_all_readers_are_the_frame_turned() {
    for case in cases().into_iter().step_by(7) {
        let bytes = file(&case.header, &(0..48).collect::<Vec<u8>>());
        let Ok(plain) = read_with(&bytes, Reader::SimpleItk).or_else(|_| read_with(&bytes, Reader::Nibabel))
        else {
            continue;
        };
        for reader in Reader::ALL {
            let Ok(scan) = read_with(&bytes, reader) else {
                continue;
            };
            let orientation = scan.source.orientation();
            assert_eq!(scan.header.orientation(reader).unwrap(), orientation);
            assert_eq!(
                orientation.voxels_to_file(scan.volume.voxels),
                plain.volume.voxels,
                "{reader}, {}",
                case.name
            );
            let frame = scan.header.frame(reader.world()).unwrap();
            let itself = read_with(&bytes, reader.world().plain_reader()).unwrap();
            assert_eq!(frame.affine, itself.volume.geometry.affine);
            assert_eq!(frame.shape.zyx(), [2, 3, 4]);
        }
    }
}

fn header_of(change: impl Fn(&mut Header)) -> ScanHeader {
    let mut header = plain(Version::One, false);
    change(&mut header);
    let bytes = file(&header, &[7; 48]);
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let readers = [Reader::SimpleItk, Reader::Nibabel];
    let read = |reader| {
        read_stream(
            bytes.as_slice(),
            bytes.len() as u64,
            "t.nii",
            reader,
            &limits,
            &cancel,
        )
    };
    readers
        .into_iter()
        .find_map(|reader| read(reader).ok())
        .unwrap()
        .header
}

#[test]
fn what_is_odd_about_a_header_is_told() {
    let told = |header: &ScanHeader, world| {
        let warnings = header.warnings(world).unwrap();
        warnings
            .into_iter()
            .map(|warning| (warning.code, warning.to_string()))
            .collect::<Vec<_>>()
    };
    let good = header_of(|_| ());
    assert_eq!(
        (told(&good, World::Itk), told(&good, World::Nibabel)),
        (vec![], vec![])
    );
    let scaled = header_of(|h| h.pixdim[3] = 2.0);
    for world in [World::Itk, World::Nibabel] {
        let told = told(&scaled, world);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, WarningCode::HeaderLengths);
        assert!(
            told[0].1.contains("2 × 3 × 2") && told[0].1.contains("2 × 3 × 4"),
            "{told:?}"
        );
        assert!(told[0].1.ends_with("; file t.nii"), "{told:?}");
    }
    let singular = header_of(|h| (h.qform_code, h.srow) = (1, [[0.0; 4]; 3]));
    assert_eq!(told(&singular, World::Nibabel)[0].0, WarningCode::SingularForm);
    assert_eq!(
        told(&singular, World::Itk),
        vec![],
        "ITK takes the qform of itself"
    );
}

#[test]
fn frames_are_in_millimetres_and_results_keep_the_unit() {
    let micro = header_of(|h| h.xyzt_units = 3);
    for world in [World::Itk, World::Nibabel] {
        let frame = micro.frame(world).unwrap();
        assert!((frame.spacing.xyz()[0] - 2e-3).abs() < 1e-12, "{frame:?}");
        assert!((frame.affine.rows()[2][3] - 7e-3).abs() < 1e-12, "{frame:?}");
    }
    let written = |reader| {
        let header = micro.source(reader).unwrap().header(
            nephrite_types::VoxelType::U8,
            nephrite_types::IntensityScale::IDENTITY,
        );
        (header.xyzt_units, header.srow[2][3])
    };
    assert_eq!(written(Reader::Nibabel), (3, 7.0));
    assert_eq!(written(Reader::SimpleItk).0, 10);
}

#[test]
fn the_error_says_which_form_places_nothing() {
    let says = |change: &dyn Fn(&mut Header), reader, form| {
        let mut header = plain(Version::One, false);
        change(&mut header);
        let error = read_with(&file(&header, &[7; 48]), reader).unwrap_err();
        assert!(
            matches!(error, VolumeError::Geometry { form: f, .. } if f == form),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("t.nii: {form}: ")), "{error}");
    };
    says(&|h| h.srow[2] = [0.0; 4], Reader::SimpleItk, Form::Sform);
    says(&|h| h.srow = [[0.0; 4]; 3], Reader::Nibabel, Form::Sform);
    says(
        &|h| (h.qform_code, h.srow[1]) = (1, [0.0; 4]),
        Reader::NibabelReorient,
        Form::Sform,
    );
}
