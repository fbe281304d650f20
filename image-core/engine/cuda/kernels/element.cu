// Elements of activations: half or f32, read and written 16 bytes at a time. No headers: NVRTC alone compiles this.

#if HALF
typedef unsigned short T;
#define VEC 8
#else
typedef float T;
#define VEC 4
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

struct __align__(16) Vec {
    T v[VEC];
};

__device__ __forceinline__ float from_half(unsigned short h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}

__device__ __forceinline__ unsigned short to_half(float f) {
    unsigned short h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}

#if HALF
__device__ __forceinline__ float widen(T x) { return from_half(x); }
__device__ __forceinline__ T narrow(float x) { return to_half(x); }
#else
__device__ __forceinline__ float widen(T x) { return x; }
__device__ __forceinline__ T narrow(float x) { return x; }
#endif

__device__ __forceinline__ void load(const T* p, float* x) {
    Vec v = *reinterpret_cast<const Vec*>(p);
#pragma unroll
    for (int i = 0; i < VEC; i++) x[i] = widen(v.v[i]);
}

__device__ __forceinline__ void store(T* p, const float* x) {
    Vec v;
#pragma unroll
    for (int i = 0; i < VEC; i++) v.v[i] = narrow(x[i]);
    *reinterpret_cast<Vec*>(p) = v;
}
