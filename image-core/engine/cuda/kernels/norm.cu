// Instance norm: moments of every channel, then scale, shift, sum, and activation in one pass. Values are [voxel, channel].

#define THREADS 256

// Sums of differences from the first voxel, per channel.
struct Moments {
    float sum, squares;
};

__device__ __forceinline__ void gather(const Vec& vector, const float* origin, float* sum, float* squares) {
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        const float d = widen(vector.v[i]) - origin[i];
        sum[i] += d;
        squares[i] = fmaf(d, d, squares[i]);
    }
}

__device__ __forceinline__ void gather_rows(const T* at, u64 stride, u64 v, u64 end, int n_rows, const float* origin, float* sum, float* squares) {
    for (; v + 3 * n_rows < end; v += 4 * n_rows, at += 4 * stride) {
        Vec vectors[4];
#pragma unroll
        for (int k = 0; k < 4; k++) vectors[k] = *reinterpret_cast<const Vec*>(at + k * stride);
#pragma unroll
        for (int k = 0; k < 4; k++) gather(vectors[k], origin, sum, squares);
    }
    for (; v < end; v += n_rows, at += stride) gather(*reinterpret_cast<const Vec*>(at), origin, sum, squares);
}

// Scale and shift of a channel from its moments.
__device__ __forceinline__ float2 scale_and_shift(Moments moments, float origin, float n, float gamma, float beta, float eps) {
    const float mean = moments.sum / n;
    float variance = moments.squares / n - mean * mean;
    variance = variance < 0.f ? 0.f : variance; // NaN stays NaN
    const float scale = gamma / sqrtf(variance + eps);
    return make_float2(scale, beta - (mean + origin) * scale);
}

// Moments of runs of voxels: block b writes partial[b][channel].
extern "C" __global__ void __launch_bounds__(THREADS) moments(const T* x, u64 n_voxels, int n_channels, u64 voxels_per_block, Moments* partial) {
    extern __shared__ Moments shared[];
    const int n_groups = n_channels / VEC, n_rows = THREADS / n_groups;
    const int row = threadIdx.x / n_groups, group = threadIdx.x % n_groups;
    const u64 begin = blockIdx.x * voxels_per_block;
    const u64 end = min(begin + voxels_per_block, n_voxels);
    float origin[VEC], sum[VEC] = {}, squares[VEC] = {};
    load(x + group * VEC, origin);
    if (row < n_rows) {
        gather_rows(x + (begin + row) * n_channels + group * VEC, (u64)n_rows * n_channels, begin + row, end, n_rows, origin, sum, squares);
#pragma unroll
        for (int i = 0; i < VEC; i++) shared[row * n_channels + group * VEC + i] = {sum[i], squares[i]};
    }
    __syncthreads();
    for (int c = threadIdx.x; c < n_channels; c += THREADS) {
        Moments all = {0.f, 0.f};
        for (int r = 0; r < n_rows; r++) {
            all.sum += shared[r * n_channels + c].sum;
            all.squares += shared[r * n_channels + c].squares;
        }
        partial[blockIdx.x * (u64)n_channels + c] = all;
    }
}

// Scale and shift, [2][channel], from the moments of `n_parts` runs. A block has 8 channels; thread (part, channel) sums every 32nd.
extern "C" __global__ void __launch_bounds__(THREADS) finish(
    const Moments* partial, int n_parts, const T* x, u64 n_voxels, int n_channels, const float* gamma, const float* beta, float eps, float* scale_shift) {
    __shared__ Moments shared[32][8];
    const int channel = threadIdx.x % 8, part = threadIdx.x / 8, c = blockIdx.x * 8 + channel;
    Moments all = {0.f, 0.f};
    if (c < n_channels) {
#pragma unroll 4
        for (int p = part; p < n_parts; p += 32) {
            const Moments moments = partial[p * (u64)n_channels + c];
            all.sum += moments.sum;
            all.squares += moments.squares;
        }
    }
    shared[part][channel] = all;
    __syncthreads();
    if (part != 0 || c >= n_channels) return;
    for (int p = 1; p < 32; p++) {
        all.sum += shared[p][channel].sum;
        all.squares += shared[p][channel].squares;
    }
    const float2 result = scale_and_shift(all, widen(x[c]), n_voxels, gamma[c], beta[c], eps);
    scale_shift[c] = result.x;
    scale_shift[n_channels + c] = result.y;
}

// What is added before the activation, and where results go: one place or two, of pitches of their own.
struct Ends {
    const T* other; // null: nothing
    const float* other_scale_shift; // null: as it is
    T* first;
    T* second; // null: nowhere else
    int first_pitch, second_pitch;
    float slope;
};

__device__ __forceinline__ void end_vector(const Ends& ends, float* y, const float* other_scale, u64 v, int c, int n_channels) {
    if (ends.other) {
        float o[VEC];
        load(ends.other + v * n_channels + c, o);
#pragma unroll
        for (int i = 0; i < VEC; i++) y[i] = fmaf(o[i], other_scale[i], y[i]);
    }
#pragma unroll
    for (int i = 0; i < VEC; i++) y[i] = y[i] < 0.f ? y[i] * ends.slope : y[i];
    store(ends.first + v * ends.first_pitch + c, y);
    if (ends.second) store(ends.second + v * ends.second_pitch + c, y);
}

__device__ __forceinline__ void other_scales(const Ends& ends, int c, int n_channels, float* scale, float* shift) {
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        scale[i] = ends.other_scale_shift ? ends.other_scale_shift[c + i] : 1.f;
        if (ends.other_scale_shift) shift[i] += ends.other_scale_shift[n_channels + c + i];
    }
}

// y = activation(x * scale + shift + other * other_scale + other_shift). `scale_shift` may be null: x counts as it is.
extern "C" __global__ void __launch_bounds__(THREADS) activate(const T* x, const float* scale_shift, u64 n_voxels, int n_channels, Ends ends) {
    const int n_groups = n_channels / VEC, n_rows = THREADS / n_groups;
    const int row = threadIdx.x / n_groups, c = threadIdx.x % n_groups * VEC;
    if (row >= n_rows) return;
    float scale[VEC], shift[VEC], other_scale[VEC];
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        scale[i] = scale_shift ? scale_shift[c + i] : 1.f;
        shift[i] = scale_shift ? scale_shift[n_channels + c + i] : 0.f;
    }
    other_scales(ends, c, n_channels, other_scale, shift);
    const u64 step = (u64)gridDim.x * n_rows;
    for (u64 v = (u64)blockIdx.x * n_rows + row; v < n_voxels; v += step) {
        float y[VEC];
        load(x + v * n_channels + c, y);
#pragma unroll
        for (int i = 0; i < VEC; i++) y[i] = fmaf(y[i], scale[i], shift[i]);
        end_vector(ends, y, other_scale, v, c, n_channels);
    }
}

// Norm and activation of a value of few voxels in one go: a block has VEC channels.
extern "C" __global__ void __launch_bounds__(THREADS) norm_few(
    const T* x, u64 n_voxels, int n_channels, const float* gamma, const float* beta, float eps, Ends ends) {
    __shared__ Moments shared[THREADS / 32][VEC];
    const int c = blockIdx.x * VEC, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float origin[VEC], sum[VEC] = {}, squares[VEC] = {}, shift[VEC], scale[VEC], other_scale[VEC];
    load(x + c, origin);
    gather_rows(x + (u64)threadIdx.x * n_channels + c, (u64)THREADS * n_channels, threadIdx.x, n_voxels, THREADS, origin, sum, squares);
#pragma unroll
    for (int i = 0; i < VEC; i++) {
#pragma unroll
        for (int d = 16; d > 0; d /= 2) {
            sum[i] += __shfl_xor_sync(0xffffffff, sum[i], d);
            squares[i] += __shfl_xor_sync(0xffffffff, squares[i], d);
        }
        if (lane == 0) shared[warp][i] = {sum[i], squares[i]};
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        Moments all = shared[0][i];
        for (int w = 1; w < THREADS / 32; w++) {
            all.sum += shared[w][i].sum;
            all.squares += shared[w][i].squares;
        }
        const float2 result = scale_and_shift(all, origin[i], n_voxels, gamma[c + i], beta[c + i], eps);
        scale[i] = result.x;
        shift[i] = result.y;
    }
    other_scales(ends, c, n_channels, other_scale, shift);
    for (u64 v = threadIdx.x; v < n_voxels; v += THREADS) {
        float y[VEC];
        load(x + v * n_channels + c, y);
#pragma unroll
        for (int i = 0; i < VEC; i++) y[i] = fmaf(y[i], scale[i], shift[i]);
        end_vector(ends, y, other_scale, v, c, n_channels);
    }
}
