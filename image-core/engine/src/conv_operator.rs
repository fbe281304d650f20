//! nephrite's own convolution as an operator in ONNX graphs, for ONNX Runtime's CPU provider.
//!
//! Domain `nephrite`, version 1, operator `Conv`: inputs X `[N, in, z, y, x]`, W `[out, in, kz, 3, 3]` with kz 1 or 3,
//! optionally B `[out]`; output `[N, out, z, y, x]`. As ONNX's `Conv` with pads `(kernel - 1) / 2`, stride 1, dilation 1,
//! group 1. W and B must be constants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephrite_conv::Conv3d;
use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
    ShapeInferenceContext,
};
use ort::value::{Shape, SymbolicDimensions, TensorElementType, TensorRef, TensorValueType, ValueType};

/// The domain with all operators of ours. Once `stop` is set they compute nothing any more and fail.
pub(crate) fn domain(stop: &Arc<AtomicBool>) -> ort::Result<OperatorDomain> {
    OperatorDomain::new("nephrite")?.add(ConvOperator { stop: stop.clone() })
}

struct ConvOperator {
    stop: Arc<AtomicBool>,
}

struct ConvKernel {
    conv: Conv3d,
    stop: Arc<AtomicBool>,
}

impl Operator for ConvOperator {
    type Kernel<'attr> = ConvKernel;

    fn name(&self) -> &str {
        "Conv"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let tensor = TensorElementType::Float32;
        [
            OperatorInput::required(tensor),
            OperatorInput::required(tensor),
            OperatorInput::optional(tensor),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<ConvKernel> {
        let n_inputs = context.inputs()?.len();
        let weight: TensorRef<'_, f32> = context.constant_input::<TensorValueType<f32>>(1)?;
        let (shape, weight) = weight.try_extract_tensor::<f32>()?;
        let [n_out, n_in, z, y, x] = sizes(shape)?;
        let bias: Option<TensorRef<'_, f32>> = if n_inputs > 2 {
            Some(context.constant_input::<TensorValueType<f32>>(2)?)
        } else {
            None
        };
        let bias = bias
            .as_ref()
            .map(|bias| bias.try_extract_tensor::<f32>())
            .transpose()?
            .map(|(_, values)| values);
        Conv3d::new(n_out, n_in, [z, y, x], weight, bias)
            .map(|conv| ConvKernel {
                conv,
                stop: self.stop.clone(),
            })
            .map_err(ort::Error::wrap)
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let inputs = context.inputs();
        let shape_of = |i: usize| inputs.get(i).and_then(ValueType::tensor_shape);
        if let (Some(image), Some(weight)) = (shape_of(0), shape_of(1))
            && let ([batch, _, z, y, x], [n_out, ..]) = (&image[..], &weight[..])
        {
            let shape = Shape::new([*batch, *n_out, *z, *y, *x]);
            let dimension_symbols = SymbolicDimensions::empty(5);
            context.set_output(
                0,
                &ValueType::Tensor {
                    ty: TensorElementType::Float32,
                    shape,
                    dimension_symbols,
                },
            )?;
        }
        Ok(())
    }
}

impl Kernel for ConvKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let ConvKernel { conv, stop } = self;
        let image = context
            .input(0)?
            .ok_or_else(|| ort::Error::new("a convolution without input"))?;
        let (shape, image) = image.try_extract_tensor::<f32>()?;
        let [batch, _, z, y, x] = sizes(shape)?;
        let mut output = context
            .output(0, vec![batch, conv.n_out(), z, y, x])?
            .ok_or_else(|| ort::Error::new("a convolution without output"))?;
        let (_, output) = output.try_extract_tensor_mut::<f32>()?;
        if output.is_empty() {
            return Ok(());
        }
        let items = image
            .chunks_exact(image.len() / batch)
            .zip(output.chunks_exact_mut(output.len() / batch));
        for (image, output) in items {
            let mut outcome = Ok(());
            // On the threads of the session, as any operator of ONNX Runtime.
            conv.run([z, y, x], image, output, |n_tasks, task| {
                let unless_stopped = |i| {
                    if !stop.load(Ordering::Relaxed) {
                        task(i);
                    }
                };
                outcome = context.par_for(n_tasks, 0, unless_stopped)
            })
            .map_err(ort::Error::wrap)?;
            outcome?;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(ort::Error::new("stopped"));
        }
        Ok(())
    }
}

/// Five sizes, none of them open.
fn sizes(shape: &Shape) -> ort::Result<[usize; 5]> {
    let sizes: Vec<usize> = shape
        .iter()
        .filter_map(|&size| usize::try_from(size).ok())
        .collect();
    sizes
        .try_into()
        .map_err(|_| ort::Error::new(format!("a convolution over {shape:?}, expected 5 fixed sizes")))
}
