//! What can go wrong below a case.

use std::path::{Path, PathBuf};

use nephrite_cpu::CpuError;
use nephrite_dicom::DicomError;
use nephrite_dicom_objects::ObjectError;
use nephrite_dicomweb::{AddressFault, DicomWebError};
use nephrite_engine::EngineError;
use nephrite_kernel::OperationError;
use nephrite_nnunet::NnunetError;
use nephrite_nnunet_folder::FolderError;
use nephrite_resample::ResampleError;
use nephrite_root::PathError;
use nephrite_server::memory::MemoryError;
use nephrite_types::{
    Cancelled, Coded, ErrorCode, OptionOutOfRange, OutOfMemory, OutputFormat, OutputFormatsFault, Shape3,
    Spacing, Warning, count,
};
use nephrite_volume::VolumeError;

/// What can go wrong between a request and its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A path of the request cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A scan could not be read, or a result not written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A DICOM series could not be read.
    #[error(transparent)]
    Dicom(#[from] DicomError),
    /// A DICOMweb server, or what came from it.
    #[error(transparent)]
    DicomWeb(#[from] DicomWebError),
    /// The address of a scan at a DICOMweb server is none.
    #[error("{found}: {fault}")]
    Address {
        /// As given.
        found: String,
        /// Why not.
        fault: AddressFault,
    },
    /// A DICOMweb server that the configuration does not name.
    #[error("no DICOMweb server is called {name}; {}", match known.len() {
        0 => "the configuration has none under [dicomweb.NAME]".to_owned(),
        _ => format!("the configuration has {}", known.join(", ")),
    })]
    NoServer {
        /// Of the address.
        name: String,
        /// Those of the configuration.
        known: Vec<String>,
    },
    /// A scan at a DICOMweb server where nothing is fetched.
    #[error("{}: a scan at a DICOMweb server is fetched when a request runs; to look at it, fetch it with nephrite pull", path.display())]
    NotFetched {
        /// The address.
        path: PathBuf,
    },
    /// A DICOM file where a scan stands: that is all images of its series, which their folder holds.
    #[error(
        "one file of a DICOM series is no scan: name its folder, {}{}; file {}",
        folder_of(path).display(), series_uid.as_ref().map_or_else(String::new, |uid| format!("#{uid}")), path.display()
    )]
    DicomFile {
        /// The file.
        path: PathBuf,
        /// SeriesInstanceUID, if it says one.
        series_uid: Option<String>,
    },
    /// A DICOM object where a scan stands.
    #[error("{what} is no scan; file {}", path.display())]
    NoScan {
        /// The file.
        path: PathBuf,
        /// What it is, such as `a segmentation`.
        what: String,
    },
    /// A mask did not become a DICOM object, or an object did not become a mask.
    #[error("{}: {source}", path.display())]
    Object {
        /// The file, or the series.
        path: PathBuf,
        /// Why not.
        source: Box<ObjectError>,
    },
    /// A structure set where a mask may stand, and nothing says on which voxels.
    #[error("grid is missing: a structure set has contours and no voxels, so the scan that they lie on must be named; file {}", path.display())]
    ContoursWithoutGrid {
        /// The file.
        path: PathBuf,
    },
    /// Segments or regions of which one mask cannot be made, or none at all.
    #[error("{}: its segments overlap, or there are none: they are not one mask", path.display())]
    OverlappingSegments {
        /// The file.
        path: PathBuf,
    },
    /// Contours lie on images, and these were resampled.
    #[error("{}: a structure set does not go with a series that was resampled for the tilt of its gantry: contours lie on images", path.display())]
    ResampledContours {
        /// The series.
        path: PathBuf,
    },
    /// DICOM objects refer to a series, and the scan is none.
    #[error("{} refer to a DICOM series, and the scan is none; file {}", OutputFormat::names_of_objects(formats), path.display())]
    NoSeries {
        /// All that is to be written.
        formats: Vec<OutputFormat>,
        /// The scan.
        path: PathBuf,
    },
    /// What is to be written does not go together.
    #[error(transparent)]
    Formats(#[from] OutputFormatsFault),
    /// A file of codes is wrong.
    #[error("codes {}:{}", path.display(), nephrite_pipeline::lines(faults))]
    Codes {
        /// The file.
        path: PathBuf,
        /// All that is wrong, by line.
        faults: Vec<nephrite_pipeline::Fault>,
    },
    /// A volume could not be resized.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// A model folder is broken or not supported.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The model's network could not be built, or failed on the scan.
    #[error(transparent)]
    Nnunet(#[from] NnunetError),
    /// ONNX Runtime or the provider is not there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Our own kernels cannot be run on this processor as they are set up, or get no threads.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// A precision of our own kernels was set up, and ONNX Runtime has to run the network.
    #[error(
        "precision {precision} is for networks that nephrite builds; {network} runs as network.onnx says, with precision f32; \
         model {}", model.display()
    )]
    PrecisionOfExported {
        /// As it is set up.
        precision: &'static str,
        /// Class name of the network.
        network: String,
        /// The model's folder.
        model: PathBuf,
    },
    /// More memory than may be taken on a card.
    #[error("{what} needs about {needed} bytes on {device}, of which {available} may be taken")]
    CardMemory {
        /// What needs it.
        what: &'static str,
        /// `cuda:0`
        device: String,
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
    /// All cards have failed.
    #[error("no card is left: {}", cards.join("; "))]
    CardsLost {
        /// What became of each.
        cards: Vec<String>,
    },
    /// The plans name an image reader that nephrite does not have.
    #[error("{}/plans.json: {source}", model.display())]
    Reader {
        /// The model's folder.
        model: PathBuf,
        /// Which reader.
        source: VolumeError,
    },
    /// Another number of inputs than the model has channels.
    #[error("the model takes {}, {} {} given; model {}", count(*expected, "channel"), count(*found, "input"),
        if *found == 1 { "was" } else { "were" }, model.display())]
    ChannelCount {
        /// Channels of the model.
        expected: usize,
        /// Inputs of the request.
        found: usize,
        /// The model's folder.
        model: PathBuf,
    },
    /// An input has another shape than the first.
    #[error("shape {found} (x×y×z) differs from {expected} of the first input; file {}", path.display())]
    ChannelShape {
        /// Of the first input.
        expected: Shape3,
        /// Of this one.
        found: Shape3,
        /// This input.
        path: PathBuf,
    },
    /// An input has another spacing than the first.
    #[error(
        "spacing {:?} mm (x, y, z) differs from {:?} of the first input; file {}",
        found.xyz(), expected.xyz(), path.display()
    )]
    ChannelSpacing {
        /// Of the first input.
        expected: Spacing,
        /// Of this one.
        found: Spacing,
        /// This input.
        path: PathBuf,
    },
    /// The mask of a previous stage does not lie on the voxels of the scan.
    #[error(
        "the mask of the previous stage does not lie on the voxels of the scan: {found} (x×y×z) against {expected}, {}; it \
         must have the scan's grid, though its axes may run another way; file {}",
        apart.map_or_else(|| "in other directions or steps".to_owned(), |mm| format!("up to {mm:.3} mm apart")),
        path.display()
    )]
    PreviousStageElsewhere {
        /// Of the scan's file.
        expected: Shape3,
        /// Of the mask's file.
        found: Shape3,
        /// How far voxels of equal index lie apart, mm; `None` if the shapes differ.
        apart: Option<f64>,
        /// The mask.
        path: PathBuf,
    },
    /// A scan that the network cannot take holds a voxel that is not a number, or is infinite.
    #[error("voxel {index:?} (z, y, x) is {value}, expected a finite number; file {}", path.display())]
    NotFinite {
        /// The first such voxel of the reader's array, `[z, y, x]`.
        index: [usize; 3],
        /// Its intensity.
        value: f32,
        /// The scan.
        path: PathBuf,
    },
    /// A scan that the model's preprocessing cannot take.
    #[error("{source}; file {}", path.display())]
    Preprocess {
        /// Why not.
        source: Box<NnunetError>,
        /// The scan; of several channels the first.
        path: PathBuf,
    },
    /// Geometry is strict, and there is something odd about it.
    #[error("{warning} (an error, because geometry is strict)")]
    StrictGeometry {
        /// What would be a warning otherwise.
        warning: Warning,
    },
    /// The model is the second stage of a cascade, and neither a mask nor the folder of the first stage is there.
    #[error(
        "the model needs the mask of its previous stage {stage}: name it as previous_stage, or put the folder {} beside the \
         model", folder.display()
    )]
    PreviousStageMissing {
        /// Configuration of the first stage.
        stage: String,
        /// Where its folder would be.
        folder: PathBuf,
    },
    /// A previous-stage mask was given to a model that takes none.
    #[error("the model has no previous stage, but a previous-stage mask was given; model {}", model.display())]
    PreviousStageUnexpected {
        /// The model's folder.
        model: PathBuf,
    },
    /// The output would replace one of its own inputs.
    #[error("the output would replace an input; file {}", path.display())]
    OutputIsInput {
        /// The output.
        path: PathBuf,
    },
    /// The name of an output does not say what is written.
    #[error("{field}: file name must end in {expected}; file {}", path.display())]
    OutputName {
        /// Of the request.
        field: &'static str,
        /// The endings that would do.
        expected: String,
        /// As given.
        path: PathBuf,
    },
    /// A field of the request has a value that it cannot have.
    #[error("{field} is {found}, expected {expected}")]
    Field {
        /// Its name, such as `tile_step_size`.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// As given.
        found: String,
    },
    /// A small file is larger than its kind ever is.
    #[error("more than {limit} bytes; file {}", path.display())]
    FileTooLarge {
        /// Bytes allowed.
        limit: u64,
        /// The file.
        path: PathBuf,
    },
    /// A mask that was given holds something else than label ids.
    #[error("{source}; file {}", path.display())]
    NotAMask {
        /// The mask.
        path: PathBuf,
        /// What it holds.
        source: VolumeError,
    },
    /// A mask operation refused or failed.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// A label map is no mask that can be worked on.
    #[error("{source}; file {}", path.display())]
    Mask {
        /// The label map.
        path: PathBuf,
        /// Why not.
        source: OperationError,
    },
    /// An operation gives no mask of this name.
    #[error("operation {operation} gives no mask {output:?}, but {}", known.join(", "))]
    MaskOutput {
        /// Of the operation.
        operation: String,
        /// As asked for.
        output: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A message says what no request may say.
    #[error(transparent)]
    Message(#[from] nephrite_proto::ConvertError),
    /// Another core cannot be used, or refused.
    #[error("core {core}: {message}")]
    Remote {
        /// Name and address; of several that were tried, the last.
        core: String,
        /// How a caller can act on it.
        code: ErrorCode,
        /// What it said, or why it could not be asked.
        message: String,
    },
    /// A file is not the one that another process sees under this path.
    #[error(
        "the file has {found} bytes here and {expected} where the case runs: is the shared volume mounted at the same path \
         everywhere? file {}", path.display()
    )]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// Bytes that the other process saw.
        expected: u64,
        /// Bytes seen here.
        found: u64,
    },
    /// More memory than this process may have.
    #[error(transparent)]
    Memory(MemoryError),
    /// There is no room for an array.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// Somebody wrote to a file or replaced it while it was read, or between two readings that must agree.
    #[error("the file changed while it was used: start again once nobody writes to it; file {}", path.display())]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// The part of the scan that a model should look at lies outside of it.
    #[error("the part to look at lies outside of the scan; file {}", path.display())]
    CropOutside {
        /// The scan.
        path: PathBuf,
    },
    /// A sample was asked for of labels that have no voxel within the scan.
    #[error("no voxel of {} lies within the scan: there is nothing to cut out", labels.join(", "))]
    EmptySample {
        /// Names of the labels.
        labels: Vec<String>,
    },
    /// The caller cancelled, or its deadline passed.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// That holds a file, as a user would name it.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

impl From<OptionOutOfRange> for CoreError {
    fn from(wrong: OptionOutOfRange) -> Self {
        CoreError::Field {
            field: wrong.name,
            expected: wrong.expected,
            found: wrong.found.to_string(),
        }
    }
}

impl From<MemoryError> for CoreError {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Cancelled(cancelled) => CoreError::Cancelled(cancelled),
            other => CoreError::Memory(other),
        }
    }
}

impl CoreError {
    /// What a scan does not fit names the scan; what a model does wrong names the model itself.
    pub(crate) fn of_network(error: NnunetError, scan: &Path) -> CoreError {
        match error {
            NnunetError::EmptyGrid { .. }
            | NnunetError::Normalization { .. }
            | NnunetError::OverLimit { .. } => CoreError::Preprocess {
                source: Box::new(error),
                path: scan.to_owned(),
            },
            error => error.into(),
        }
    }
}

impl CoreError {
    /// True if an operation was asked for that is known neither here nor at a service that was named.
    pub fn is_unknown_operation(&self) -> bool {
        matches!(
            self,
            CoreError::Operation(OperationError::UnknownOperation { .. })
        )
    }
}

impl Coded for CoreError {
    fn code(&self) -> ErrorCode {
        match self {
            CoreError::Path(error) => error.code(),
            CoreError::Volume(error) => error.code(),
            CoreError::Dicom(error) => error.code(),
            CoreError::DicomWeb(error) => error.code(),
            CoreError::Address { .. } | CoreError::NoServer { .. } | CoreError::NotFetched { .. } => {
                ErrorCode::InvalidArgument
            }
            CoreError::Object { source, .. } => source.code(),
            CoreError::ResampledContours { .. }
            | CoreError::DicomFile { .. }
            | CoreError::NoScan { .. }
            | CoreError::ContoursWithoutGrid { .. }
            | CoreError::OverlappingSegments { .. } => ErrorCode::InvalidInput,
            CoreError::Resample(error) => error.code(),
            CoreError::Folder(error) => error.code(),
            CoreError::Nnunet(error) => error.code(),
            CoreError::Preprocess { source, .. } => source.code(),
            CoreError::Engine(error) => error.code(),
            CoreError::Cpu(error) => error.code(),
            CoreError::Operation(error) | CoreError::Mask { source: error, .. } => error.code(),
            CoreError::ChannelCount { .. }
            | CoreError::ChannelShape { .. }
            | CoreError::ChannelSpacing { .. }
            | CoreError::PreviousStageElsewhere { .. }
            | CoreError::NotFinite { .. }
            | CoreError::StrictGeometry { .. }
            | CoreError::PreviousStageMissing { .. }
            | CoreError::OtherFile { .. }
            | CoreError::CropOutside { .. }
            | CoreError::EmptySample { .. }
            | CoreError::PreviousStageUnexpected { .. } => ErrorCode::InvalidInput,
            CoreError::OutputIsInput { .. }
            | CoreError::NoSeries { .. }
            | CoreError::Formats(_)
            | CoreError::Codes { .. }
            | CoreError::OutputName { .. }
            | CoreError::Field { .. }
            | CoreError::MaskOutput { .. } => ErrorCode::InvalidArgument,
            CoreError::CardsLost { .. } => ErrorCode::Unavailable,
            CoreError::CardMemory { .. } | CoreError::FileTooLarge { .. } => ErrorCode::LimitExceeded,
            CoreError::Memory(error) => error.code(),
            CoreError::OutOfMemory(error) => error.code(),
            CoreError::Reader { source, .. } | CoreError::NotAMask { source, .. } => source.code(),
            CoreError::Message(error) => error.code(),
            CoreError::Remote { code, .. } => *code,
            CoreError::FileChanged { .. } | CoreError::PrecisionOfExported { .. } => ErrorCode::Environment,
            CoreError::Cancelled(cancelled) => cancelled.code(),
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            CoreError::Field { field, .. } | CoreError::OutputName { field, .. } => Some(field),
            CoreError::PreviousStageMissing { .. } => Some("previous_stage"),
            CoreError::ContoursWithoutGrid { .. } => Some("grid"),
            _ => None,
        }
    }
}
