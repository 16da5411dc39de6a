// A CUDA kernel as an ordinary function on the CPU. The threads of a block run one after the other; where the kernel
// has barriers, each from barrier to barrier, as fibers on stacks of their own.
#undef _FORTIFY_SOURCE // its longjmp does not know of other stacks
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdlib>

#define __global__
#define __device__
#define __shared__ static

using std::cos;
using std::exp;
using std::log;
using std::log1p;
using std::sin;
using std::sqrt;
using std::tanh;

struct dim3 {
    unsigned x, y, z;
};

static dim3 gridDim, blockDim, blockIdx, threadIdx;

static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}

static inline float __fmul_rn(float a, float b)
{
    return a * b;
}

static const unsigned SHIM_THREADS = 1024, SHIM_STACK = 16384;

struct Fiber {
    jmp_buf place;
    bool done;
};

static Fiber shim_fibers[SHIM_THREADS], *shim_current;
static jmp_buf shim_scheduler;
static ucontext_t shim_unused;
static void (*shim_body)();

static inline void __syncthreads()
{
    if (!_setjmp(shim_current->place)) _longjmp(shim_scheduler, 1);
}

static void shim_run_fiber()
{
    shim_body();
    shim_current->done = true;
    _longjmp(shim_scheduler, 1);
}

static void shim_start_fiber(unsigned thread)
{
    static char *stacks = (char *)malloc((size_t)SHIM_THREADS * SHIM_STACK);
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + (size_t)thread * SHIM_STACK;
    context.uc_stack.ss_size = SHIM_STACK;
    context.uc_link = nullptr;
    makecontext(&context, shim_run_fiber, 0);
    shim_current->done = false;
    swapcontext(&shim_unused, &context);
}

static void shim_choose_thread(unsigned thread)
{
    threadIdx = dim3{thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / blockDim.x / blockDim.y};
}

// 0, or 1 where some threads of the block ended while others wait at a barrier.
static int shim_run_block(unsigned threads, bool reverse)
{
    static volatile unsigned done, started, turn;
    for (done = started = 0; done == 0; started = 1)
        for (turn = 0; turn < threads; turn = turn + 1) {
            unsigned thread = reverse ? threads - 1 - turn : (unsigned)turn;
            shim_current = &shim_fibers[thread];
            shim_choose_thread(thread);
            if (!_setjmp(shim_scheduler)) {
                if (started) _longjmp(shim_current->place, 1);
                shim_start_fiber(thread);
            }
            done = done + shim_current->done;
        }
    return done != threads;
}

static int shim_launch(void (*body)(), bool barriers, dim3 grid, dim3 block, bool reverse)
{
    gridDim = grid, blockDim = block, shim_body = body;
    unsigned threads = block.x * block.y * block.z;
    size_t blocks = (size_t)grid.x * grid.y * grid.z;
    for (size_t b = 0; b < blocks; ++b) {
        size_t at = reverse ? blocks - 1 - b : b;
        blockIdx = dim3{(unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y), (unsigned)(at / grid.x / grid.y)};
        if (barriers) {
            if (shim_run_block(threads, reverse)) return 1;
        } else {
            for (unsigned t = 0; t < threads; ++t) {
                shim_choose_thread(reverse ? threads - 1 - t : t);
                body();
            }
        }
    }
    return 0;
}
