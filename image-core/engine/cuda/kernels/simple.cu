// Cutting tiles out of a scan, and means over boxes.

#define SIMPLE_THREADS 256

// One channel-last tile of `patch` at `start` of the padded grid, mirrored along the axes whose bit is set (1: z, 2: y, 4: x).
// The scan is [channel, z, y, x]; outside of it there are zeros.
extern "C" __global__ void __launch_bounds__(SIMPLE_THREADS) tile(
    const T* scan, int n_channels, int grid_z, int grid_y, int grid_x, int start_z, int start_y, int start_x, int flip, T* out, int patch_z,
    int patch_y, int patch_x) {
    const u64 n = (u64)patch_z * patch_y * patch_x;
    const u64 n_scan = (u64)grid_z * grid_y * grid_x;
    for (u64 v = (u64)blockIdx.x * SIMPLE_THREADS + threadIdx.x; v < n; v += (u64)gridDim.x * SIMPLE_THREADS) {
        int x = v % patch_x, y = v / patch_x % patch_y, z = v / ((u64)patch_x * patch_y);
        x = start_x + (flip & 4 ? patch_x - 1 - x : x);
        y = start_y + (flip & 2 ? patch_y - 1 - y : y);
        z = start_z + (flip & 1 ? patch_z - 1 - z : z);
        const bool inside = x >= 0 && x < grid_x && y >= 0 && y < grid_y && z >= 0 && z < grid_z;
        const u64 at = ((u64)z * grid_y + y) * grid_x + x;
        for (int c = 0; c < n_channels; c++) out[v * n_channels + c] = inside ? scan[c * n_scan + at] : (T)0;
    }
}

// Averages over boxes of `stride`.
extern "C" __global__ void __launch_bounds__(SIMPLE_THREADS) pool(
    const T* x, int size_z, int size_y, int size_x, int n_channels, int stride_z, int stride_y, int stride_x, T* y) {
    const int n_groups = n_channels / VEC;
    const int oz = size_z / stride_z, oy = size_y / stride_y, ox = size_x / stride_x;
    const u64 n = (u64)oz * oy * ox * n_groups;
    const float share = 1.f / (stride_z * stride_y * stride_x);
    for (u64 i = (u64)blockIdx.x * SIMPLE_THREADS + threadIdx.x; i < n; i += (u64)gridDim.x * SIMPLE_THREADS) {
        const int c = i % n_groups * VEC;
        const u64 v = i / n_groups;
        const int px = v % ox * stride_x, py = v / ox % oy * stride_y, pz = v / ((u64)ox * oy) * stride_z;
        float sum[VEC] = {};
        for (int dz = 0; dz < stride_z; dz++)
            for (int dy = 0; dy < stride_y; dy++)
                for (int dx = 0; dx < stride_x; dx++) {
                    float value[VEC];
                    load(x + (((u64)(pz + dz) * size_y + py + dy) * size_x + px + dx) * n_channels + c, value);
#pragma unroll
                    for (int k = 0; k < VEC; k++) sum[k] += value[k];
                }
#pragma unroll
        for (int k = 0; k < VEC; k++) sum[k] *= share;
        store(y + v * n_channels + c, sum);
    }
}
