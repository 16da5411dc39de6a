// One step of an average or an optimizer over n numbers that lie one after the other, in place. REAL is float or double.
// `recorded` (or null) holds, for a recorded launch, the numbers that change from step to step: those given after n.

#define ELEMENT                                                                 \
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;             \
    if (i >= n) return;

#define PIECES 32

// Arrays that follow one another in `out`: where each lies, and where in `out` it ends.
struct Pieces {
    const REAL *array[PIECES];
    long long end[PIECES];
};

extern "C" __global__ void gather(Pieces pieces, REAL *out, long long n)
{
    ELEMENT
    int piece = 0;
    while (i >= pieces.end[piece]) ++piece;
    out[i] = pieces.array[piece][piece ? i - pieces.end[piece - 1] : i];
}

extern "C" __global__ void average_step(
    REAL *average, const REAL *value, long long n, double rate, const double *recorded)
{
    ELEMENT
    if (recorded) rate = *recorded;
    average[i] += (REAL)rate * (value[i] - average[i]);
}

extern "C" __global__ void sgd_step(
    REAL *p, const REAL *g, long long n, double lr, double weight_decay, const double *recorded)
{
    ELEMENT
    if (recorded) lr = *recorded;
    p[i] -= (REAL)lr * (g[i] + (REAL)weight_decay * p[i]);
}

extern "C" __global__ void sgd_momentum_step(
    REAL *p, const REAL *g, REAL *velocity, long long n, double lr, double momentum, double nesterov,
    double weight_decay, const double *recorded)
{
    ELEMENT
    if (recorded) lr = *recorded;
    REAL gradient = g[i] + (REAL)weight_decay * p[i];
    REAL v = (REAL)momentum * velocity[i] + gradient;
    velocity[i] = v;
    p[i] -= (REAL)lr * (nesterov ? gradient + (REAL)momentum * v : v);
}

extern "C" __global__ void rmsprop_step(
    REAL *p, const REAL *g, REAL *square, long long n, double lr, double alpha, double eps, double weight_decay,
    const double *recorded)
{
    ELEMENT
    if (recorded) lr = *recorded;
    REAL gradient = g[i] + (REAL)weight_decay * p[i];
    REAL s = (REAL)alpha * square[i] + (REAL)(1 - alpha) * (gradient * gradient);
    square[i] = s;
    p[i] -= (REAL)lr * gradient / (sqrt(s) + (REAL)eps);
}

// rate = lr * sqrt(1 - beta2^step) / (1 - beta1^step) and eps = eps * sqrt(1 - beta2^step) carry the bias corrections;
// coupled weight decay is added to g, decoupled (AdamW) multiplies p by keep = 1 - lr * weight_decay.
extern "C" __global__ void adam_step(
    REAL *p, const REAL *g, REAL *m, REAL *v, long long n, double rate, double eps, double keep, double beta1,
    double beta2, double weight_decay, const double *recorded)
{
    ELEMENT
    if (recorded) rate = recorded[0], eps = recorded[1], keep = recorded[2];
    REAL parameter = p[i] * (REAL)keep;
    REAL gradient = g[i] + (REAL)weight_decay * parameter;
    REAL mean = (REAL)beta1 * m[i] + (REAL)(1 - beta1) * gradient;
    REAL square = (REAL)beta2 * v[i] + (REAL)(1 - beta2) * (gradient * gradient);
    m[i] = mean;
    v[i] = square;
    p[i] = parameter - (REAL)rate * mean / (sqrt(square) + (REAL)eps);
}
