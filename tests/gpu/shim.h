// A CUDA kernel as an ordinary function on the CPU. The threads of a block run one after the other, each from barrier
// to barrier (as fibers) where the kernel has barriers.
#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <vector>

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

struct Fiber {
    ucontext_t context;
    dim3 index;
    bool done;
};

static ucontext_t shim_scheduler;
static Fiber *shim_current;
static void (*shim_body)();

static inline void __syncthreads() { swapcontext(&shim_current->context, &shim_scheduler); }

static void shim_fiber()
{
    shim_body();
    shim_current->done = true;
    swapcontext(&shim_current->context, &shim_scheduler);
}

static const size_t SHIM_STACK = 32768;

// 0, or 1 where some threads of the block ended while others wait at a barrier.
static int shim_run_fibers(std::vector<Fiber> &fibers, std::vector<char> &stacks, bool reverse)
{
    size_t count = fibers.size(), done = 0;
    for (size_t t = 0; t < count; ++t) {
        Fiber &fiber = fibers[t];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = &stacks[t * SHIM_STACK];
        fiber.context.uc_stack.ss_size = SHIM_STACK;
        fiber.context.uc_link = nullptr;
        fiber.done = false;
        makecontext(&fiber.context, shim_fiber, 0);
    }
    while (done == 0) {
        for (size_t t = 0; t < count; ++t) {
            shim_current = &fibers[reverse ? count - 1 - t : t];
            threadIdx = shim_current->index;
            swapcontext(&shim_scheduler, &shim_current->context);
            done += shim_current->done;
        }
    }
    return done != count;
}

static int shim_launch(void (*body)(), bool barriers, dim3 grid, dim3 block, bool reverse)
{
    gridDim = grid, blockDim = block, shim_body = body;
    std::vector<Fiber> fibers;
    for (unsigned z = 0; z < block.z; ++z)
        for (unsigned y = 0; y < block.y; ++y)
            for (unsigned x = 0; x < block.x; ++x) {
                Fiber fiber;
                fiber.index = dim3{x, y, z};
                fibers.push_back(fiber);
            }
    std::vector<char> stacks(barriers ? fibers.size() * SHIM_STACK : 0);
    size_t blocks = (size_t)grid.x * grid.y * grid.z;
    for (size_t b = 0; b < blocks; ++b) {
        size_t at = reverse ? blocks - 1 - b : b;
        blockIdx = dim3{(unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y), (unsigned)(at / grid.x / grid.y)};
        if (barriers) {
            if (shim_run_fibers(fibers, stacks, reverse)) return 1;
        } else {
            for (size_t t = 0; t < fibers.size(); ++t) {
                threadIdx = fibers[reverse ? fibers.size() - 1 - t : t].index;
                body();
            }
        }
    }
    return 0;
}
