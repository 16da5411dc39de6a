// Sums and moments of every channel, and what is done with numbers of every channel: batch normalisation, a bias and an
// activation. REAL is float or double.
//
// An array lies in memory as (outer, channels, inner): inner is 1 for channels-last images and for rows of features,
// height * width for images that are C-ordered. Position p of a channel, 0 <= p < outer * inner, is element
// address(p, channel). A block (lanes x 256 / lanes threads) reduces one chunk of the positions of `lanes` neighbouring
// channels: every thread its share one by one, then the threads of a lane pairwise. The order of additions depends on
// the shape alone, so results are reproducible. More than one chunk: a second launch reduces the chunks' results.

#define THREADS 256

static __device__ long long address(unsigned p, long long channel, long long channels, unsigned inner)
{
    if (inner == 1) return p * channels + channel;
    return (p / inner * channels + channel) * inner + p % inner;
}

#define CHANNEL_AND_CHUNK                                                       \
    long long channel = (long long)blockIdx.x * blockDim.x + threadIdx.x;       \
    unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;                   \
    long long first = blockIdx.y * chunk;                                       \
    long long last = first + chunk < positions ? first + chunk : positions;

// The sum over the threads of a lane, for the lane's thread of row 0.
static __device__ REAL sum_of_lane(REAL sum, REAL *shared, unsigned thread)
{
    shared[thread] = sum;
    __syncthreads();
    for (unsigned rows = blockDim.y / 2; rows > 0; rows /= 2) {
        if (threadIdx.y < rows) shared[thread] += shared[thread + rows * blockDim.x];
        __syncthreads();
    }
    return shared[thread];
}

// sums (chunks, channels)
extern "C" __global__ void channel_sums(
    const REAL *x, REAL *sums, long long channels, long long inner, long long positions, long long chunk)
{
    __shared__ REAL shared[THREADS];
    CHANNEL_AND_CHUNK
    REAL sum = 0;
    if (channel < channels)
        for (long long p = first + threadIdx.y; p < last; p += blockDim.y)
            sum += x[address(p, channel, channels, inner)];
    sum = sum_of_lane(sum, shared, thread);
    if (threadIdx.y == 0 && channel < channels) sums[blockIdx.y * channels + channel] = sum;
}

// sums (chunks, channels) of cotangent * xhat, where xhat = (x - mean) * inv_std
extern "C" __global__ void batch_norm_scale_grad(
    const REAL *cotangent, const REAL *x, const REAL *mean, const REAL *inv_std, REAL *sums,
    long long channels, long long inner, long long positions, long long chunk)
{
    __shared__ REAL shared[THREADS];
    CHANNEL_AND_CHUNK
    REAL sum = 0;
    if (channel < channels)
        for (long long p = first + threadIdx.y; p < last; p += blockDim.y) {
            long long i = address(p, channel, channels, inner);
            sum += cotangent[i] * ((x[i] - mean[channel]) * inv_std[channel]);
        }
    sum = sum_of_lane(sum, shared, thread);
    if (threadIdx.y == 0 && channel < channels) sums[blockIdx.y * channels + channel] = sum;
}

// sums (chunks, 1) of scale * (softplus(x) - target * x) over all elements: one channel, inner = 1
extern "C" __global__ void binary_cross_entropy(
    const REAL *x, REAL *sums, long long channels, long long inner, long long positions, long long chunk,
    double target, double scale)
{
    __shared__ REAL shared[THREADS];
    CHANNEL_AND_CHUNK
    REAL sum = 0;
    if (channel < channels)
        for (long long p = first + threadIdx.y; p < last; p += blockDim.y) {
            REAL logit = x[address(p, channel, channels, inner)];
            REAL linear = logit > 0 ? (REAL)(1 - target) * logit : (REAL)-target * logit;
            sum += linear + log1p(exp(logit > 0 ? -logit : logit));
        }
    sum = sum_of_lane(sum, shared, thread);
    if (threadIdx.y == 0 && channel < channels) sums[blockIdx.y * channels + channel] = sum * (REAL)scale;
}

// Count, mean, and sum of squared distances to the mean: of one element after the other (Welford 1962), and of two
// disjoint sets (Chan, Golub and LeVeque 1983). Nothing cancels, however far the mean is from 0.
struct Moments {
    REAL count, mean, squares;
};

static __device__ void include(Moments &m, REAL x)
{
    REAL distance = x - m.mean;
    m.count += 1;
    m.mean += distance / m.count;
    m.squares += distance * (x - m.mean);
}

static __device__ void merge(Moments &m, REAL count, REAL mean, REAL squares)
{
    if (count == 0) return;
    REAL total = m.count + count, distance = mean - m.mean;
    m.mean += distance * (count / total);
    m.squares += squares + distance * distance * (m.count * (count / total));
    m.count = total;
}

// means, variances (chunks, channels): of every chunk by itself
extern "C" __global__ void channel_moments(
    const REAL *x, REAL *means, REAL *variances, long long channels, long long inner, long long positions,
    long long chunk)
{
    __shared__ REAL counts[THREADS], shared_means[THREADS], squares[THREADS];
    CHANNEL_AND_CHUNK
    Moments m = {0, 0, 0};
    if (channel < channels)
        for (long long p = first + threadIdx.y; p < last; p += blockDim.y)
            include(m, x[address(p, channel, channels, inner)]);
    counts[thread] = m.count, shared_means[thread] = m.mean, squares[thread] = m.squares;
    __syncthreads();
    for (unsigned rows = blockDim.y / 2; rows > 0; rows /= 2) {
        if (threadIdx.y < rows) {
            unsigned other = thread + rows * blockDim.x;
            merge(m, counts[other], shared_means[other], squares[other]);
            counts[thread] = m.count, shared_means[thread] = m.mean, squares[thread] = m.squares;
        }
        __syncthreads();
    }
    if (threadIdx.y == 0 && channel < channels) {
        means[blockIdx.y * channels + channel] = m.mean;
        variances[blockIdx.y * channels + channel] = m.squares / m.count;
    }
}

// means, variances (chunks, channels) -> mean, variance (channels,): one thread a channel
extern "C" __global__ void merge_moments(
    const REAL *means, const REAL *variances, REAL *mean, REAL *variance,
    long long channels, long long positions, long long chunk)
{
    long long channel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels) return;
    Moments m = {0, 0, 0};
    for (long long first = 0, i = channel; first < positions; first += chunk, i += channels) {
        REAL count = first + chunk < positions ? chunk : positions - first;
        merge(m, count, means[i], variances[i] * count);
    }
    mean[channel] = m.mean;
    variance[channel] = m.squares / m.count;
}

#define ELEMENT_AND_CHANNEL                                                     \
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;             \
    if (i >= n) return;                                                         \
    unsigned channel = (unsigned)i / (unsigned)inner % (unsigned)channels;

extern "C" __global__ void batch_norm(
    const REAL *x, const REAL *gamma, const REAL *beta, const REAL *mean, const REAL *inv_std, REAL *y,
    long long n, long long channels, long long inner)
{
    ELEMENT_AND_CHANNEL
    y[i] = (x[i] - mean[channel]) * (inv_std[channel] * gamma[channel]) + beta[channel];
}

extern "C" __global__ void batch_norm_input_grad(
    const REAL *cotangent, const REAL *x, const REAL *gamma, const REAL *mean, const REAL *inv_std,
    const REAL *sum_cotangent, const REAL *sum_product, REAL *out, long long n, long long channels, long long inner)
{
    ELEMENT_AND_CHANNEL
    REAL count = n / channels;
    REAL xhat = (x[i] - mean[channel]) * inv_std[channel];
    out[i] = gamma[channel] * inv_std[channel]
        * (cotangent[i] - sum_cotangent[channel] / count - xhat * (sum_product[channel] / count));
}

extern "C" __global__ void bias_leaky_relu(
    const REAL *x, const REAL *bias, REAL *y, long long n, long long channels, long long inner, double slope)
{
    ELEMENT_AND_CHANNEL
    REAL z = x[i] + bias[channel];
    y[i] = z > 0 || z != z ? z : slope == 0 ? 0 : z * (REAL)slope;
}
