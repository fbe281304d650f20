//! Convolutions of cuDNN, chosen and prepared once, run often. Through its graph interface, which alone tells whether an engine
//! gives the same bytes every time.

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use cudarc::cudnn::sys as dnn;
use cudarc::driver::sys::CUdeviceptr;
use dnn::cudnnBackendAttributeName_t as Attribute;
use dnn::cudnnBackendAttributeType_t as Type;
use dnn::cudnnBackendDescriptorType_t as Kind;

use super::queue::{Line, Queue};
use crate::CudaError;
use crate::convolution_shape::ConvolutionShape;
use crate::precision::{Element, Precision};

const PREPARING: &str = "preparing a convolution";

fn check(doing: &'static str, status: dnn::cudnnStatus_t) -> Result<(), CudaError> {
    if status == dnn::cudnnStatus_t::CUDNN_STATUS_SUCCESS {
        return Ok(());
    }
    let mut reason = [0u8; 512];
    unsafe { dnn::cudnnGetLastErrorString(reason.as_mut_ptr().cast(), reason.len()) };
    let reason = CStr::from_bytes_until_nul(&reason).map(|text| text.to_string_lossy().into_owned());
    let (status, reason) = (format!("{status:?}"), reason.unwrap_or_default());
    Err(CudaError::Dnn {
        doing,
        status,
        reason,
    })
}

/// cuDNN on a card. Used by the one that has the card's line.
#[derive(Debug)]
pub(super) struct DnnHandle {
    queue: Arc<Queue>,
    handle: dnn::cudnnHandle_t,
}

// The handle is used from one thread at a time, the one that has the line.
unsafe impl Send for DnnHandle {}
unsafe impl Sync for DnnHandle {}

impl DnnHandle {
    pub(super) fn new(queue: &Arc<Queue>) -> Result<Self, CudaError> {
        const STARTING: &str = "starting cuDNN";
        queue.bind()?;
        let mut handle = std::ptr::null_mut();
        check(STARTING, unsafe { dnn::cudnnCreate(&mut handle) })?;
        let started = DnnHandle {
            queue: queue.clone(),
            handle,
        };
        check(STARTING, unsafe {
            dnn::cudnnSetStream(handle, queue.stream().cast())
        })?;
        Ok(started)
    }
}

impl Drop for DnnHandle {
    fn drop(&mut self) {
        if self.queue.bind().is_ok() {
            unsafe { dnn::cudnnDestroy(self.handle) };
        }
    }
}

#[derive(Debug)]
struct Descriptor(dnn::cudnnBackendDescriptor_t);

impl Drop for Descriptor {
    fn drop(&mut self) {
        unsafe { dnn::cudnnBackendDestroyDescriptor(self.0) };
    }
}

impl Descriptor {
    fn new(kind: Kind) -> Result<Self, CudaError> {
        let mut descriptor = std::ptr::null_mut();
        check(PREPARING, unsafe {
            dnn::cudnnBackendCreateDescriptor(kind, &mut descriptor)
        })?;
        Ok(Descriptor(descriptor))
    }

    /// `V` is what `kind` stands for.
    fn set<V>(&self, attribute: Attribute, kind: Type, values: &[V]) -> Result<(), CudaError> {
        let (n, values) = (values.len() as i64, values.as_ptr().cast::<c_void>());
        check(PREPARING, unsafe {
            dnn::cudnnBackendSetAttribute(self.0, attribute, kind, n, values)
        })
    }

    fn set_descriptor(&self, attribute: Attribute, value: &Descriptor) -> Result<(), CudaError> {
        self.set(attribute, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, &[value.0])
    }

    fn set_integers(&self, attribute: Attribute, values: &[i64]) -> Result<(), CudaError> {
        self.set(attribute, Type::CUDNN_TYPE_INT64, values)
    }

    fn finalize(self) -> Result<Self, CudaError> {
        check(PREPARING, unsafe { dnn::cudnnBackendFinalize(self.0) })?;
        Ok(self)
    }

    /// How many values an attribute has.
    fn count(&self, attribute: Attribute, kind: Type) -> Result<usize, CudaError> {
        let mut n = 0;
        let none = std::ptr::null_mut();
        check(PREPARING, unsafe {
            dnn::cudnnBackendGetAttribute(self.0, attribute, kind, 0, &mut n, none)
        })?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    /// Writes up to `values.len()` values; gives how many there are. `V` is what `kind` stands for.
    fn get<V>(&self, attribute: Attribute, kind: Type, values: &mut [V]) -> Result<usize, CudaError> {
        let mut n = 0;
        let (max, values) = (values.len() as i64, values.as_mut_ptr().cast::<c_void>());
        check(PREPARING, unsafe {
            dnn::cudnnBackendGetAttribute(self.0, attribute, kind, max, &mut n, values)
        })?;
        Ok(usize::try_from(n).unwrap_or(0))
    }
}

/// Names of the tensors.
const X: i64 = 1;
const W: i64 = 2;
const Y: i64 = 3;

/// Channels last: `[1, c, z, y, x]` with the strides of `[z, y, x, c]`.
fn tensor(
    name: i64,
    n: usize,
    c: usize,
    size: [usize; 3],
    data: dnn::cudnnDataType_t,
) -> Result<Descriptor, CudaError> {
    let [n, c, z, y, x] = [n, c, size[0], size[1], size[2]].map(|len| len as i64);
    let descriptor = Descriptor::new(Kind::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?;
    descriptor.set_integers(Attribute::CUDNN_ATTR_TENSOR_UNIQUE_ID, &[name])?;
    descriptor.set(
        Attribute::CUDNN_ATTR_TENSOR_DATA_TYPE,
        Type::CUDNN_TYPE_DATA_TYPE,
        &[data],
    )?;
    descriptor.set_integers(Attribute::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &[16])?;
    descriptor.set_integers(Attribute::CUDNN_ATTR_TENSOR_DIMENSIONS, &[n, c, z, y, x])?;
    descriptor.set_integers(
        Attribute::CUDNN_ATTR_TENSOR_STRIDES,
        &[c * z * y * x, 1, c * y * x, c * x, c],
    )?;
    descriptor.finalize()
}

/// A convolution as a graph of one operation, with all that it refers to.
struct OneConvolution {
    graph: Descriptor,
    parts: Vec<Descriptor>,
}

impl OneConvolution {
    fn new(dnn: &DnnHandle, shape: &ConvolutionShape, element: Element) -> Result<Self, CudaError> {
        let data = match element {
            Element::Half => dnn::cudnnDataType_t::CUDNN_DATA_HALF,
            Element::Single => dnn::cudnnDataType_t::CUDNN_DATA_FLOAT,
        };
        let x = tensor(X, 1, shape.n_in, shape.input, data)?;
        let w = tensor(W, shape.n_out, shape.n_in, shape.kernel, data)?;
        let y = tensor(Y, 1, shape.n_out, shape.output, data)?;
        let convolution = Descriptor::new(Kind::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?;
        let padding = shape.kernel.map(|taps| ((taps - 1) / 2) as i64);
        let stride = shape.stride.map(|step| step as i64);
        convolution.set_integers(Attribute::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, &[3])?;
        convolution.set_integers(Attribute::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &padding)?;
        convolution.set_integers(Attribute::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &padding)?;
        convolution.set_integers(Attribute::CUDNN_ATTR_CONVOLUTION_DILATIONS, &[1, 1, 1])?;
        convolution.set_integers(Attribute::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &stride)?;
        let sums = [dnn::cudnnDataType_t::CUDNN_DATA_FLOAT];
        convolution.set(
            Attribute::CUDNN_ATTR_CONVOLUTION_COMP_TYPE,
            Type::CUDNN_TYPE_DATA_TYPE,
            &sums,
        )?;
        let mode = [dnn::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION];
        convolution.set(
            Attribute::CUDNN_ATTR_CONVOLUTION_CONV_MODE,
            Type::CUDNN_TYPE_CONVOLUTION_MODE,
            &mode,
        )?;
        let convolution = convolution.finalize()?;
        let operation = Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)?;
        operation.set_descriptor(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, &x)?;
        operation.set_descriptor(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, &w)?;
        operation.set_descriptor(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, &y)?;
        operation.set_descriptor(
            Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            &convolution,
        )?;
        operation.set(
            Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            Type::CUDNN_TYPE_FLOAT,
            &[1f32],
        )?;
        operation.set(
            Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
            Type::CUDNN_TYPE_FLOAT,
            &[0f32],
        )?;
        let operation = operation.finalize()?;
        let graph = Descriptor::new(Kind::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
        graph.set(
            Attribute::CUDNN_ATTR_OPERATIONGRAPH_HANDLE,
            Type::CUDNN_TYPE_HANDLE,
            &[dnn.handle],
        )?;
        graph.set_descriptor(Attribute::CUDNN_ATTR_OPERATIONGRAPH_OPS, &operation)?;
        let graph = graph.finalize()?;
        Ok(OneConvolution {
            graph,
            parts: vec![x, w, y, convolution, operation],
        })
    }

    /// What cuDNN's heuristics propose, best first, and what they were asked with.
    fn configurations(
        &self,
        mode: dnn::cudnnBackendHeurMode_t,
    ) -> Result<(Vec<Descriptor>, Descriptor), CudaError> {
        let heuristics = Descriptor::new(Kind::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?;
        heuristics.set_descriptor(Attribute::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &self.graph)?;
        heuristics.set(
            Attribute::CUDNN_ATTR_ENGINEHEUR_MODE,
            Type::CUDNN_TYPE_HEUR_MODE,
            &[mode],
        )?;
        let heuristics = heuristics.finalize()?;
        let kind = Type::CUDNN_TYPE_BACKEND_DESCRIPTOR;
        let n = heuristics.count(Attribute::CUDNN_ATTR_ENGINEHEUR_RESULTS, kind)?;
        let one = |_| Descriptor::new(Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        let mut configurations: Vec<Descriptor> = (0..n).map(one).collect::<Result<_, _>>()?;
        let mut pointers: Vec<_> = configurations
            .iter()
            .map(|configuration| configuration.0)
            .collect();
        let n = heuristics.get(Attribute::CUDNN_ATTR_ENGINEHEUR_RESULTS, kind, &mut pointers)?;
        configurations.truncate(n);
        Ok((configurations, heuristics))
    }
}

/// A prepared convolution.
#[derive(Debug)]
pub(crate) struct PreparedConvolution {
    plan: Descriptor,
    workspace: usize,
    /// What the plan refers to.
    _parts: Vec<Descriptor>,
    /// Ends after the plan.
    _dnn: Arc<DnnHandle>,
}

// Descriptors are used from one thread at a time, the one that has the line.
unsafe impl Send for PreparedConvolution {}
unsafe impl Sync for PreparedConvolution {}

impl PreparedConvolution {
    /// The first of what cuDNN proposes that may be taken: the same bytes every time, sums in f32, factors of the precision, and no
    /// more workspace than `max_workspace`. Timing them all gained nothing on networks of nnU-Net.
    pub(super) fn new(
        dnn: &Arc<DnnHandle>,
        shape: &ConvolutionShape,
        precision: Precision,
        max_workspace: usize,
    ) -> Result<Self, CudaError> {
        let _line = dnn.queue.line()?;
        use dnn::cudnnBackendHeurMode_t::{CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
        for mode in [CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK] {
            let one = OneConvolution::new(dnn, shape, precision.element())?;
            let (configurations, heuristics) = one.configurations(mode)?;
            for configuration in configurations {
                if !may_take(&configuration, precision)? {
                    continue;
                }
                // A proposal that cannot be prepared is no proposal.
                let Ok(plan) = plan(dnn, &configuration) else {
                    continue;
                };
                let workspace = workspace_of(&plan)?;
                if workspace > max_workspace {
                    continue;
                }
                let mut parts = one.parts;
                parts.extend([one.graph, heuristics, configuration]);
                return Ok(PreparedConvolution {
                    plan,
                    workspace,
                    _parts: parts,
                    _dnn: dnn.clone(),
                });
            }
        }
        let layer = format!("{shape:?}");
        Err(CudaError::Unsupported {
            layer,
            reason: "cuDNN has no convolution for it",
        })
    }

    /// Bytes that it needs while it runs.
    pub(crate) fn workspace(&self) -> usize {
        self.workspace
    }

    /// Queues the convolution.
    ///
    /// # Safety
    /// The pointers are to memory of the card of the handle, as large as shape and workspace say.
    pub(super) unsafe fn run(
        &self,
        _line: &Line<'_>,
        dnn: &DnnHandle,
        [x, w, y]: [CUdeviceptr; 3],
        workspace: CUdeviceptr,
    ) -> Result<(), CudaError> {
        let pack = Descriptor::new(Kind::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?;
        pack.set_integers(Attribute::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &[X, W, Y])?;
        pack.set(
            Attribute::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
            Type::CUDNN_TYPE_VOID_PTR,
            &[x, w, y],
        )?;
        pack.set(
            Attribute::CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
            Type::CUDNN_TYPE_VOID_PTR,
            &[workspace],
        )?;
        let pack = pack.finalize()?;
        check("running a convolution", unsafe {
            dnn::cudnnBackendExecute(dnn.handle, self.plan.0, pack.0)
        })
    }
}

fn plan(dnn: &DnnHandle, configuration: &Descriptor) -> Result<Descriptor, CudaError> {
    let plan = Descriptor::new(Kind::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?;
    plan.set(
        Attribute::CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
        Type::CUDNN_TYPE_HANDLE,
        &[dnn.handle],
    )?;
    plan.set_descriptor(Attribute::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration)?;
    plan.finalize()
}

fn workspace_of(plan: &Descriptor) -> Result<usize, CudaError> {
    let mut bytes = [0i64];
    plan.get(
        Attribute::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
        Type::CUDNN_TYPE_INT64,
        &mut bytes,
    )?;
    Ok(usize::try_from(bytes[0]).unwrap_or(usize::MAX))
}

/// Whether an engine gives the same bytes every time, and computes in what it should.
fn may_take(configuration: &Descriptor, precision: Precision) -> Result<bool, CudaError> {
    use dnn::cudnnBackendNumericalNote_t as Note;
    let engine = Descriptor::new(Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?;
    let mut engines = [engine.0];
    configuration.get(
        Attribute::CUDNN_ATTR_ENGINECFG_ENGINE,
        Type::CUDNN_TYPE_BACKEND_DESCRIPTOR,
        &mut engines,
    )?;
    let mut notes = [Note::CUDNN_NUMERICAL_NOTE_TYPE_COUNT; 16];
    let n = engine.get(
        Attribute::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
        Type::CUDNN_TYPE_NUMERICAL_NOTE,
        &mut notes,
    )?;
    let has = |note: Note| notes[..n.min(notes.len())].contains(&note);
    let is_rounded =
        has(Note::CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) || has(Note::CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    let is_refused = has(Note::CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
        || has(Note::CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
        || has(Note::CUDNN_NUMERICAL_NOTE_WINOGRAD)
        || precision == Precision::Single && is_rounded;
    Ok(!is_refused)
}
