// Products of voxels by channels and a small matrix, on the tensor cores in half, by plain sums in f32. The two uses: the
// transposed convolution whose kernel is its stride, and the segmentation head.

#define TILE_M 64      // voxels of a block
#define TILE_K (HALF ? 64 : 16) // input channels at a time
#define WARPS 8
#define MATRIX_THREADS 256

#if HALF
#define PITCH_K (TILE_K + 8)  // rows begin in other banks
__device__ __forceinline__ void multiply(float* c, const u32* a, const u32* b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
#define PITCH_K (TILE_K + 4)
#endif

// Rows `first..first + n` of [row, depth] into shared memory, TILE_K columns from `k` on; zero beyond either.
__device__ __forceinline__ void fetch(T* shared, const T* x, u64 first, u64 n_rows, int n, int depth, int k) {
    const int per_row = TILE_K / VEC;
    for (int i = threadIdx.x; i < n * per_row; i += MATRIX_THREADS) {
        int r = i / per_row, c = i % per_row * VEC;
        Vec v = {};
        if (first + r < n_rows && k + c < depth) v = *reinterpret_cast<const Vec*>(x + (first + r) * depth + k + c);
        *reinterpret_cast<Vec*>(shared + r * PITCH_K + c) = v;
    }
}

// TILE_M voxels from `voxel` on by TILE_N rows of `w` from `column` on: [voxel, depth] times [n, depth] transposed.
// A thread gets for i < 2, j < N8, h < 2 the sums of voxel 16 (2 wm + i) + 8 h + lane / 4 and of columns
// wn * 8 N8 + 8 j + lane % 4 * 2 and the next one, where wm = warp / 4 and wn = warp % 4.
// `has_matrix`: the rows of `w` are in shared memory already, if they fit.
// `shared` has room for TILE_M + 32 N8 rows of PITCH_K.
template <int N8>
__device__ void product(float (&sums)[2][N8][4], const T* x, u64 n_voxels, u64 voxel, const T* w, int n, int column, int depth, T* shared, bool has_matrix) {
    const int TILE_N = 4 * 8 * N8;
    T* a = shared;
    T* b = shared + TILE_M * PITCH_K;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, wm = warp / 4, wn = warp % 4, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < N8; j++)
#pragma unroll
            for (int q = 0; q < 4; q++) sums[i][j][q] = 0.f;
    for (int k = 0; k < depth; k += TILE_K) {
        __syncthreads();
        fetch(a, x, voxel, n_voxels, TILE_M, depth, k);
        if (!has_matrix || depth > TILE_K) fetch(b, w, column, n, TILE_N, depth, k);
        __syncthreads();
#if HALF
#pragma unroll
        for (int kk = 0; kk < TILE_K; kk += 16) {
            u32 af[2][4], bf[N8][2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const T* row = a + ((2 * wm + i) * 16 + g) * PITCH_K + kk + 2 * t;
                af[i][0] = *(const u32*)row;
                af[i][1] = *(const u32*)(row + 8 * PITCH_K);
                af[i][2] = *(const u32*)(row + 8);
                af[i][3] = *(const u32*)(row + 8 * PITCH_K + 8);
            }
#pragma unroll
            for (int j = 0; j < N8; j++) {
                const T* row = b + (wn * 8 * N8 + 8 * j + g) * PITCH_K + kk + 2 * t;
                bf[j][0] = *(const u32*)row;
                bf[j][1] = *(const u32*)(row + 8);
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < N8; j++) multiply(sums[i][j], af[i], bf[j]);
        }
#else
        for (int kk = 0; kk < TILE_K; kk++) {
            float af[2][2], bf[N8][2];
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int h = 0; h < 2; h++) af[i][h] = a[((2 * wm + i) * 16 + 8 * h + g) * PITCH_K + kk];
#pragma unroll
            for (int j = 0; j < N8; j++)
#pragma unroll
                for (int h = 0; h < 2; h++) bf[j][h] = b[(wn * 8 * N8 + 8 * j + 2 * t + h) * PITCH_K + kk];
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < N8; j++)
#pragma unroll
                    for (int q = 0; q < 4; q++) sums[i][j][q] = fmaf(af[i][q / 2], bf[j][q % 2], sums[i][j][q]);
        }
#endif
    }
}

// Transposed convolution whose kernel is its stride: every voxel of x, [z, y, x, depth], makes a box. `w` is
// [tap, out, in]; `y` is a value of `pitch` channels, of which it writes n_out. blockIdx.x: voxels, blockIdx.y: columns.
extern "C" __global__ void __launch_bounds__(MATRIX_THREADS) upsample(
    const T* x, const T* w, const float* bias, int size_z, int size_y, int size_x, int depth, int n_out, int stride_z, int stride_y,
    int stride_x, T* y, int pitch) {
    const int TILE_N = 128, PITCH_N = HALF ? TILE_N + VEC : TILE_N;
    __shared__ __align__(16) T shared[(TILE_M + TILE_N) * PITCH_K + TILE_M * PITCH_N];
    const u32 n_voxels = (u32)size_z * size_y * size_x;
    const int n = stride_z * stride_y * stride_x * n_out;
    const int column = blockIdx.y * TILE_N;
    const u32 per_row = min(TILE_N, n - column) / VEC;
    T* results = shared + (TILE_M + TILE_N) * PITCH_K;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, wm = warp / 4, wn = warp % 4, g = lane / 4, t = lane % 4;
    // A thread writes the same columns of every voxel.
    __shared__ u64 boxes[TILE_M];
    const u32 c = threadIdx.x % per_row * VEC, n_rows = MATRIX_THREADS / per_row;
    const u32 tap = (column + c) / n_out, out = (column + c) % n_out;
    const u64 tap_offset = ((u64)(tap / (stride_x * stride_y)) * size_y * stride_y + tap / stride_x % stride_y) * size_x * stride_x + tap % stride_x;
    for (u32 tile = blockIdx.x; tile * TILE_M < n_voxels; tile += gridDim.x) {
        const u32 voxel = tile * TILE_M;
        float sums[2][4][4];
        product<4>(sums, x, n_voxels, voxel, w, n, column, depth, shared, tile != blockIdx.x);
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    T* to = results + ((2 * wm + i) * 16 + 8 * h + g) * PITCH_N + wn * 32 + 8 * j + 2 * t;
#if HALF
                    *(u32*)to = (u32)narrow(sums[i][j][2 * h]) | (u32)narrow(sums[i][j][2 * h + 1]) << 16;
#else
                    to[0] = sums[i][j][2 * h];
                    to[1] = sums[i][j][2 * h + 1];
#endif
                }
        if (threadIdx.x < TILE_M) {
            const u32 v = voxel + threadIdx.x;
            const u32 vx = v % size_x, vy = v / size_x % size_y, vz = v / (size_x * size_y);
            boxes[threadIdx.x] = ((u64)vz * stride_z * size_y * stride_y + vy * stride_y) * size_x * stride_x + vx * stride_x;
        }
        __syncthreads();
        // Vectors of one voxel and tap lie side by side in the result.
        for (u32 row = threadIdx.x / per_row; row < TILE_M && voxel + row < n_voxels; row += n_rows) {
            if (threadIdx.x >= n_rows * per_row) break;
            const u64 at = (boxes[row] + tap_offset) * pitch + out;
            if (bias) {
                float value[VEC];
                load(results + row * PITCH_N + c, value);
#pragma unroll
                for (int k = 0; k < VEC; k++) value[k] += bias[out + k];
                store(y + at, value);
            } else {
                *reinterpret_cast<Vec*>(y + at) = *reinterpret_cast<Vec*>(results + row * PITCH_N + c);
            }
        }
    }
}
