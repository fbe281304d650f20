// From class sums to labels on the grid of the scan, and what class sums need besides.

// Where an index of the scan reads: two indices of class sums, and how much of each.
struct Tap {
    int lo, hi;
    float w_lo, w_hi;
};

// Adds the importance of a tile to the weights of the ring, once per place of a tile.
extern "C" __global__ void __launch_bounds__(SIMPLE_THREADS) add_weights(
    const float* importance, int patch_z, int patch_y, int patch_x, float* weights, Ring ring) {
    const u32 n = (u32)patch_z * patch_y * patch_x;
    for (u32 v = blockIdx.x * SIMPLE_THREADS + threadIdx.x; v < n; v += gridDim.x * SIMPLE_THREADS) {
        const int x = v % patch_x, y = v / patch_x % patch_y, z = v / (patch_x * patch_y);
        weights[in_ring(ring, z, y, x)] += importance[v];
    }
}

// Class sums, [z, y, x, pitch], with their weights, [z, y, x].
struct Sums {
    const float* sums;
    const float* weights;
    int size_y, size_x, pitch, n_classes;
};

// A box of voxels of the scan.
struct Box {
    const Tap* taps_z;
    const Tap* taps_y;
    const Tap* taps_x;
    int size_z, size_y, size_x;
};

// The class sums between which a voxel lies, and what each is multiplied by.
struct Corners {
    const float* from[8];
    float factor[8];
};

__device__ __forceinline__ Corners corners_of(const Sums& sums, const Box& box, int z, int y, int x) {
    const Tap tz = box.taps_z[z], ty = box.taps_y[y], tx = box.taps_x[x];
    Corners corners;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        const u64 at = ((u64)(k & 4 ? tz.hi : tz.lo) * sums.size_y + (k & 2 ? ty.hi : ty.lo)) * sums.size_x + (k & 1 ? tx.hi : tx.lo);
        const float w = (k & 4 ? tz.w_hi : tz.w_lo) * (k & 2 ? ty.w_hi : ty.w_lo) * (k & 1 ? tx.w_hi : tx.w_lo);
        corners.from[k] = sums.sums + at * sums.pitch;
        corners.factor[k] = w == 0.f ? 0.f : w / sums.weights[at];
    }
    return corners;
}

__device__ __forceinline__ float logit_of(const Corners& corners, int c) {
    float logit = 0.f;
#pragma unroll
    for (int k = 0; k < 8; k++)
        if (corners.factor[k] != 0.f) logit = fmaf(corners.from[k][c], corners.factor[k], logit);
    return logit;
}

// The first of the largest logits of each voxel, [z, y, x]; with `class_order`, what the last region that is on writes.
template <typename L>
__device__ __forceinline__ void labels_of(const Sums& sums, const Box& box, const unsigned short* class_order, L* labels) {
    const int x = blockIdx.x * 32 + threadIdx.x % 32, y = blockIdx.y * 8 + threadIdx.x / 32, z = blockIdx.z;
    if (x >= box.size_x || y >= box.size_y) return;
    const Corners corners = corners_of(sums, box, z, y, x);
    float largest = 0.f;
    int decision = 0;
    for (int c = 0; c < sums.n_classes; c++) {
        const float logit = logit_of(corners, c);
        if (class_order) {
            if (logit > 8.94e-8f) decision = class_order[c]; // where a sigmoid in f32 leaves one half
        } else if (c == 0 || logit > largest) {
            largest = logit;
            decision = c;
        }
    }
    labels[((u64)z * box.size_y + y) * box.size_x + x] = decision;
}

#define MANY_WARPS 4
#define INFINITY_F __int_as_float(0x7f800000)

// A class of a column of class sums, mixed between its four rows.
__device__ __forceinline__ float column(const Sums& sums, const u64* row, const float* w, int x, int c, bool is_class) {
    float logit = 0.f;
#pragma unroll
    for (int k = 0; k < 4; k++)
        if (w[k] != 0.f) {
            const u64 at = row[k] + x;
            if (is_class) logit = fmaf(sums.sums[at * sums.pitch + c], w[k] / sums.weights[at], logit);
        }
    return logit;
}

// The same for many classes: a warp has up to 32 voxels of a row, and a thread every 32nd class. Columns of class sums are mixed along
// z and y once, and serve the voxels between them.
template <typename L>
__device__ __forceinline__ void labels_of_row(const Sums& sums, const Box& box, const unsigned short* class_order, L* labels) {
    const u32 all = 0xffffffff;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int x0 = (blockIdx.x * MANY_WARPS + warp) * 32, y = blockIdx.y, z = blockIdx.z;
    if (x0 >= box.size_x) return;
    const int n_x = min(32, box.size_x - x0);
    const Tap tz = box.taps_z[z], ty = box.taps_y[y];
    const Tap mine = box.taps_x[x0 + min(lane, n_x - 1)];
    u64 row[4];
    float w[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        row[k] = ((u64)(k & 2 ? tz.hi : tz.lo) * sums.size_y + (k & 1 ? ty.hi : ty.lo)) * sums.size_x;
        w[k] = (k & 2 ? tz.w_hi : tz.w_lo) * (k & 1 ? ty.w_hi : ty.w_lo);
    }
    float largest = 0.f; // of the voxel of this lane
    int decision = class_order ? 0 : -1;
    int region = -1;
    for (int c0 = 0; c0 < sums.n_classes; c0 += 32) {
        const int c = c0 + lane;
        const bool is_class = c < sums.n_classes;
        int have_lo = -1, have_hi = -1;
        float lo = 0.f, hi = 0.f;
        for (int i = 0; i < n_x; i++) {
            const int i_lo = __shfl_sync(all, mine.lo, i), i_hi = __shfl_sync(all, mine.hi, i);
            const float w_lo = __shfl_sync(all, mine.w_lo, i), w_hi = __shfl_sync(all, mine.w_hi, i);
            if (i_lo != have_lo) {
                lo = i_lo == have_hi ? hi : column(sums, row, w, i_lo, c, is_class);
                have_lo = i_lo;
            }
            if (w_hi != 0.f && i_hi != have_hi) {
                hi = i_hi == have_lo ? lo : column(sums, row, w, i_hi, c, is_class);
                have_hi = i_hi;
            }
            float logit = lo * w_lo;
            if (w_hi != 0.f) logit = fmaf(hi, w_hi, logit);
            if (class_order) {
                const u32 on = __ballot_sync(all, is_class && logit > 8.94e-8f);
                if (lane == i && on) region = c0 + 31 - __clz(on);
                continue;
            }
            // the first of the largest of these classes
            float best = is_class ? logit : -INFINITY_F;
            int at = c;
#pragma unroll
            for (int d = 16; d > 0; d /= 2) {
                const float other = __shfl_xor_sync(all, best, d);
                const int other_at = __shfl_xor_sync(all, at, d);
                if (other > best || (other == best && other_at < at)) {
                    best = other;
                    at = other_at;
                }
            }
            if (lane == i && (decision < 0 || best > largest)) {
                largest = best;
                decision = at;
            }
        }
    }
    if (class_order) decision = region < 0 ? 0 : class_order[region];
    if (lane < n_x) labels[((u64)z * box.size_y + y) * box.size_x + x0 + lane] = decision;
}

extern "C" __global__ void __launch_bounds__(32 * MANY_WARPS) labels_of_many_u8(
    Sums sums, Box box, const unsigned short* class_order, unsigned char* labels) {
    labels_of_row(sums, box, class_order, labels);
}

extern "C" __global__ void __launch_bounds__(32 * MANY_WARPS) labels_of_many_u16(
    Sums sums, Box box, const unsigned short* class_order, unsigned short* labels) {
    labels_of_row(sums, box, class_order, labels);
}

extern "C" __global__ void __launch_bounds__(256) labels_u8(Sums sums, Box box, const unsigned short* class_order, unsigned char* labels) {
    labels_of(sums, box, class_order, labels);
}

extern "C" __global__ void __launch_bounds__(256) labels_u16(Sums sums, Box box, const unsigned short* class_order, unsigned short* labels) {
    labels_of(sums, box, class_order, labels);
}

// Logits of the same voxels, [class, z, y, x].
extern "C" __global__ void __launch_bounds__(256) logits_of(Sums sums, Box box, float* logits) {
    const int x = blockIdx.x * 32 + threadIdx.x % 32, y = blockIdx.y * 8 + threadIdx.x / 32, z = blockIdx.z;
    if (x >= box.size_x || y >= box.size_y) return;
    const Corners corners = corners_of(sums, box, z, y, x);
    for (int c = 0; c < sums.n_classes; c++)
        logits[(((u64)c * box.size_z + z) * box.size_y + y) * box.size_x + x] = logit_of(corners, c);
}
