//! Which series of a folder is meant.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use nephrite_dicom::test_util::{Labels, Way, single_frame, text};
use nephrite_dicom::{DicomError, DicomLimits, SeriesOptions, list};
use nephrite_types::{CancelToken, Coded, ErrorCode};

use crate::harness::{Folder, volume};

fn two_series() -> Folder {
    let mut second = single_frame(
        &volume(),
        Way::PLAIN,
        &Labels {
            series_uid: "1.2.3",
            ..Labels::default()
        },
    );
    for file in &mut second {
        file.name = format!("other{}", file.name);
    }
    Folder::new(&[single_frame(&volume(), Way::PLAIN, &Labels::default()), second].concat())
}

#[test]
fn one_of_several_series_must_be_named() {
    let folder = two_series();
    let listing = folder.list(&SeriesOptions::default());
    let several = listing.select(None).unwrap_err();
    let DicomError::SeveralSeries { ids, .. } = &several else {
        panic!("{several}")
    };
    assert_eq!(ids[..], ["1.2.3", "1.2.826.0.1.3680043.10.1"]);
    assert_eq!(several.code(), ErrorCode::InvalidArgument);
    let series = listing.select(Some("1.2.3")).unwrap();
    assert!(series.instances().iter().all(|uid| uid.starts_with("1.2.3.")));
    assert!(folder.read(series).is_ok());
    let unknown = listing.select(Some("1.2.4")).unwrap_err();
    assert!(matches!(unknown, DicomError::UnknownSeries { .. }));
    assert_eq!(unknown.code(), ErrorCode::NotFound);
}

#[test]
fn localizers_do_not_count_and_cannot_be_read() {
    let mut files = single_frame(&volume(), Way::PLAIN, &Labels::default());
    let mut localizer = files[0].clone();
    localizer.name = "localizer.dcm".to_owned();
    localizer
        .object
        .put(text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER"));
    localizer
        .object
        .put(text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.9"));
    files.push(localizer);
    let folder = Folder::new(&files);
    let listing = folder.list(&SeriesOptions::default());
    assert_eq!(listing.series.len(), 2);
    let series = listing.select(None).unwrap();
    assert_eq!(series.summary.n_images, 5);
    assert_eq!(
        listing
            .select(Some("1.2.826.0.1.3680043.10.1"))
            .unwrap()
            .summary
            .id,
        series.summary.id
    );
    let problem = listing
        .series
        .iter()
        .find_map(|series| series.summary.problem.as_ref())
        .unwrap();
    assert_eq!(problem.kind, "localizer");
}

#[test]
fn folders_are_walked_within_limits_and_links_are_not_followed() {
    let folder = two_series();
    folder.dir.create_dir_all("a/b/c").unwrap();
    folder.dir.symlink("000.dcm", "link.dcm").unwrap();
    let listing = folder.list(&SeriesOptions::default());
    assert!(listing.others.iter().any(|other| other.file == "link.dcm"));
    let refused = |limits: &DicomLimits| {
        let options = SeriesOptions::default();
        list(&folder.dir, "folder", limits, &options, &CancelToken::new()).unwrap_err()
    };
    let all = DicomLimits::default();
    for limits in [
        DicomLimits {
            max_files: 10,
            ..all.clone()
        },
        DicomLimits {
            max_folder_bytes: 5000,
            ..all.clone()
        },
        DicomLimits {
            max_folder_depth: 2,
            ..all.clone()
        },
    ] {
        let error = refused(&limits);
        assert!(matches!(error, DicomError::FolderTooLarge { .. }), "{error}");
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
    }
    let cancel = CancelToken::new();
    cancel.cancel();
    let stopped = list(&folder.dir, "folder", &all, &SeriesOptions::default(), &cancel).unwrap_err();
    assert_eq!(stopped.code(), ErrorCode::Cancelled);
    let empty = Folder::new(&[]).list(&SeriesOptions::default());
    assert!(matches!(
        empty.select(None).unwrap_err(),
        DicomError::NoImages { n_files: 0, .. }
    ));
}
