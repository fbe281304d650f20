// Logits of a tile, and their way into class sums.

// Where a tile lies in class sums, [z, y, x, pitch]. Along one axis they are a ring: indices begin again.
struct Ring {
    int start_z, start_y, start_x, size_z, size_y, size_x, pitch;
};

// No tile is longer than the ring.
__device__ __forceinline__ u32 around(int start, int i, int size) { return start + i < size ? start + i : start + i - size; }

__device__ __forceinline__ u64 in_ring(const Ring& ring, int z, int y, int x) {
    return (((u64)around(ring.start_z, z, ring.size_z) * ring.size_y + around(ring.start_y, y, ring.size_y)) * ring.size_x + around(ring.start_x, x, ring.size_x)) *
        ring.pitch;
}

#define IS_FINITE(x) (fabsf(x) <= 3.4028235e38f)
#define FEW 8

// Logits of a tile by a matrix of [class, depth], for few classes, weighted and added to class sums. A block has a row of the tile.
// `not_finite` counts up where a logit is infinite or NaN. Shared: [class][depth] and biases.
extern "C" __global__ void __launch_bounds__(128) head_few(
    const T* x, const T* w, const float* bias, int depth, int n_classes, int patch_z, int patch_y, int patch_x, int flip,
    const float* importance, float factor, float* sums, Ring ring, u32* not_finite) {
    extern __shared__ float matrix[];
    for (int i = threadIdx.x; i < n_classes * depth; i += 128) matrix[i] = widen(w[i]);
    __syncthreads();
    const int y = blockIdx.x, z = blockIdx.y;
    const int to_y = flip & 2 ? patch_y - 1 - y : y, to_z = flip & 1 ? patch_z - 1 - z : z;
    bool is_finite = true;
    for (int v = threadIdx.x; v < patch_x; v += 128) {
        const T* from = x + (((u64)z * patch_y + y) * patch_x + v) * depth;
        float logits[FEW];
#pragma unroll
        for (int c = 0; c < FEW; c++) logits[c] = c < n_classes ? bias[c] : 0.f;
        for (int k = 0; k < depth; k += VEC) {
            float value[VEC];
            load(from + k, value);
#pragma unroll
            for (int c = 0; c < FEW; c++)
                if (c < n_classes) {
#pragma unroll
                    for (int i = 0; i < VEC; i++) logits[c] = fmaf(value[i], matrix[c * depth + k + i], logits[c]);
                }
        }
        const int to_x = flip & 4 ? patch_x - 1 - v : v;
        const float weight = factor * importance[((u64)to_z * patch_y + to_y) * patch_x + to_x];
        float* to = sums + in_ring(ring, to_z, to_y, to_x);
#pragma unroll
        for (int c = 0; c < FEW; c++)
            if (c < n_classes) {
                is_finite &= IS_FINITE(logits[c]);
                to[c] += logits[c] * weight;
            }
    }
    if (!is_finite) atomicAdd(not_finite, 1);
}

// The same for many classes, on the tensor cores.
extern "C" __global__ void __launch_bounds__(MATRIX_THREADS) head(
    const T* x, const T* w, const float* bias, int depth, int n_classes, int patch_z, int patch_y, int patch_x, int flip,
    const float* importance, float factor, float* sums, Ring ring, u32* not_finite) {
    const u32 n_voxels = (u32)patch_z * patch_y * patch_x;
    const u32 voxel = blockIdx.x * TILE_M;
    const int column = blockIdx.y * 128;
    float logits[2][4][4];
    __shared__ __align__(16) T shared[(TILE_M + 128) * PITCH_K];
    product<4>(logits, x, n_voxels, voxel, w, n_classes, column, depth, shared, false);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, wm = warp / 4, wn = warp % 4, g = lane / 4, t = lane % 4;
    bool is_finite = true;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const u32 v = voxel + (2 * wm + i) * 16 + 8 * h + g;
            if (v >= n_voxels) continue;
            int px = v % patch_x, py = v / patch_x % patch_y, pz = v / (patch_x * patch_y);
            if (flip & 4) px = patch_x - 1 - px;
            if (flip & 2) py = patch_y - 1 - py;
            if (flip & 1) pz = patch_z - 1 - pz;
            const float weight = factor * importance[((u64)pz * patch_y + py) * patch_x + px];
            // The pitch is even.
            float2* to = reinterpret_cast<float2*>(sums + in_ring(ring, pz, py, px) + column + wn * 32 + 2 * t);
            float2 sum[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (column + wn * 32 + 8 * j + 2 * t < n_classes) sum[j] = to[4 * j];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int c = column + wn * 32 + 8 * j + 2 * t;
                if (c >= n_classes) continue;
                const float a = logits[i][j][2 * h] + bias[c], b = logits[i][j][2 * h + 1] + bias[c + 1];
                is_finite &= IS_FINITE(a) && IS_FINITE(b);
                sum[j].x = fmaf(a, weight, sum[j].x);
                sum[j].y = fmaf(b, weight, sum[j].y);
                to[4 * j] = sum[j];
            }
        }
    if (!is_finite) atomicAdd(not_finite, 1);
}
