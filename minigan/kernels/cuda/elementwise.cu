// Element-wise kernels over n elements that lie one after the other in memory. REAL is float or double.
// Parameters are pointers, long long, or double, which is what Python's arrays, ints and floats become.

#define ELEMENT                                                                 \
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;             \
    if (i >= n) return;

extern "C" __global__ void leaky_relu(const REAL *x, REAL *y, long long n, double slope)
{
    ELEMENT
    bool kept = x[i] > 0 || x[i] != x[i];
    y[i] = kept ? x[i] : slope == 0 ? 0 : x[i] * (REAL)slope;
}

extern "C" __global__ void leaky_relu_grad(const REAL *cotangent, const REAL *x, REAL *out, long long n, double slope)
{
    ELEMENT
    out[i] = x[i] > 0 ? cotangent[i] : slope == 0 ? 0 : cotangent[i] * (REAL)slope;
}

extern "C" __global__ void tanh_grad(const REAL *cotangent, const REAL *y, REAL *out, long long n)
{
    ELEMENT
    out[i] = cotangent[i] * (1 - y[i] * y[i]);
}

static __device__ REAL logistic(REAL x)
{
    REAL e = exp(x > 0 ? -x : x);
    return (x > 0 ? 1 : e) / (1 + e);
}

extern "C" __global__ void sigmoid(const REAL *x, REAL *y, long long n)
{
    ELEMENT
    y[i] = logistic(x[i]);
}

extern "C" __global__ void softplus(const REAL *x, REAL *y, long long n)
{
    ELEMENT
    y[i] = x[i] > 0 ? x[i] + log1p(exp(-x[i])) : log1p(exp(x[i]));
}

extern "C" __global__ void mask_scale(const REAL *x, const bool *mask, REAL *y, long long n, double scale)
{
    ELEMENT
    y[i] = mask[i] ? x[i] * (REAL)scale : 0;
}

// The product is rounded before 1 is subtracted, as on the host.
extern "C" __global__ void scaled_bytes(const unsigned char *x, REAL *y, long long n)
{
    ELEMENT
    y[i] = __fmul_rn((float)x[i], (float)(2.0 / 255)) - 1;
}

// The cotangent is one element.
extern "C" __global__ void binary_cross_entropy_grad(
    const REAL *cotangent, const REAL *x, REAL *out, long long n, double target, double scale)
{
    ELEMENT
    REAL difference = (1 - (REAL)target) * logistic(x[i]) - (REAL)target * logistic(-x[i]);
    out[i] = cotangent[0] * (REAL)scale * difference;
}

// out (rows, width), n elements: row r is the sum of those rows k of x (count, width) for which index[k] is r (or
// r - rows), one after another.
extern "C" __global__ void scatter_rows(
    const REAL *x, const long long *index, REAL *out, long long n, long long rows, long long width, long long count)
{
    ELEMENT
    long long row = i / width, column = i % width;
    REAL sum = 0;
    for (long long k = 0; k < count; ++k)
        if (index[k] == row || index[k] == row - rows) sum += x[k * width + column];
    out[i] = sum;
}
