// The Philox-4x64-10 stream (Salmon et al. 2011) and what is made of its bits. A thread makes one block of four words.
// The first block is number `counter` + *moved + 1; moved (or null) lets a recorded launch advance along the stream.
// REAL is float or double.

typedef unsigned long long word;

#define ROUNDS 10

static __device__ void philox(word block, word key0, word key1, word *w)
{
    w[0] = block, w[1] = w[2] = w[3] = 0;
    for (int round = 0; round < ROUNDS; ++round) {
        word high0 = __umul64hi(0xD2E7470EE14C6C93ULL, w[0]), low0 = 0xD2E7470EE14C6C93ULL * w[0];
        word high1 = __umul64hi(0xCA5A826395121157ULL, w[2]), low1 = 0xCA5A826395121157ULL * w[2];
        w[0] = high1 ^ w[1] ^ key0, w[1] = low1;
        w[2] = high0 ^ w[3] ^ key1, w[3] = low0;
        key0 += 0x9E3779B97F4A7C15ULL, key1 += 0xBB67AE8584CAA73BULL;
    }
}

// `first` is the number of the first element this thread makes, of `per_block` elements.
#define BLOCK_OF_WORDS(per_block)                                               \
    long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;        \
    long long first = thread * per_block;                                       \
    if (first >= n) return;                                                     \
    word w[4];                                                                  \
    philox(counter + (moved ? *moved : 0) + 1 + thread, key0, key1, w);

extern "C" __global__ void random_bits(
    unsigned long long *out, long long n, unsigned long long key0, unsigned long long key1,
    unsigned long long counter, const unsigned long long *moved)
{
    BLOCK_OF_WORDS(4)
    for (int k = 0; k < 4 && first + k < n; ++k) out[first + k] = w[k];
}

// The top 24 (float) or 53 (double) bits of a word as a fraction of 1.
extern "C" __global__ void random_uniform(
    REAL *out, long long n, unsigned long long key0, unsigned long long key1,
    unsigned long long counter, const unsigned long long *moved)
{
    BLOCK_OF_WORDS(4)
    const int bits = sizeof(REAL) == 4 ? 24 : 53;
    for (int k = 0; k < 4 && first + k < n; ++k)
        out[first + k] = (REAL)(w[k] >> (64 - bits)) / (REAL)(1ULL << bits);
}

// Box and Muller (1958) in double precision: two normal numbers from the two halves of a word.
extern "C" __global__ void random_normal(
    REAL *out, long long n, unsigned long long key0, unsigned long long key1,
    unsigned long long counter, const unsigned long long *moved)
{
    BLOCK_OF_WORDS(8)
    for (int k = 0; k < 4 && first + 2 * k < n; ++k) {
        double u = ((double)(w[k] >> 32) + 1.0) / 4294967296.0;
        double angle = (double)(w[k] & 0xFFFFFFFFULL) * (6.283185307179586 / 4294967296.0);
        double radius = sqrt(-2.0 * log(u));
        out[first + 2 * k] = (REAL)(radius * cos(angle));
        if (first + 2 * k + 1 < n) out[first + 2 * k + 1] = (REAL)(radius * sin(angle));
    }
}

extern "C" __global__ void dropout_mask(
    bool *out, long long n, unsigned long long key0, unsigned long long key1,
    unsigned long long counter, const unsigned long long *moved, long long threshold)
{
    BLOCK_OF_WORDS(16)
    for (int k = 0; k < 16 && first + k < n; ++k)
        out[first + k] = ((w[k / 4] >> (16 * (k % 4))) & 0xFFFF) < threshold;
}
