// The two halves of a convolution around its matrix product. REAL is float or double.

struct Geometry {
    int height, width; // of the input
    int kernel_height, kernel_width;
    int output_height, output_width;
    int stride_y, stride_x;
    int top, left; // padding
    int dilation_y, dilation_x;
};

#define ROWS 8 // that one thread of im2col writes

// x (N, C, H, W), any strides (in elements) -> columns (N, OH, OW, KH, KW, C): under every output pixel the patch of
// input that it sees. As a matrix: `rows` rows (n, i, j), and columns (k, l, c). Neighbouring threads write, and read
// from a channels-last x, neighbouring channels; a thread stays in its column and walks down ROWS rows.
extern "C" __global__ void im2col(
    const REAL *x, REAL *columns, Geometry g, long long rows, long long channels,
    long long image_stride, long long channel_stride, long long y_stride, long long x_stride)
{
    int width = g.kernel_height * g.kernel_width * (int)channels;
    int column = blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= width) return;
    int c = column % (int)channels, tap = column / (int)channels;
    int y_offset = tap / g.kernel_width * g.dilation_y - g.top;
    int x_offset = tap % g.kernel_width * g.dilation_x - g.left;

    long long row = ((long long)blockIdx.x * blockDim.y + threadIdx.y) * ROWS;
    int j = (int)row % g.output_width;
    int i = (int)row / g.output_width % g.output_height;
    long long image = (int)row / g.output_width / g.output_height;
    for (int step = 0; step < ROWS && row < rows; ++step, ++row) {
        int in_y = i * g.stride_y + y_offset, in_x = j * g.stride_x + x_offset;
        bool inside = 0 <= in_y && in_y < g.height && 0 <= in_x && in_x < g.width;
        columns[row * width + column] =
            inside ? x[image * image_stride + c * channel_stride + in_y * y_stride + in_x * x_stride] : 0;
        if (++j == g.output_width) {
            j = 0;
            if (++i == g.output_height) {
                i = 0;
                ++image;
            }
        }
    }
}

// The first kernel tap that can meet padded input row `y`, with tap * dilation = y modulo stride; `period` where there
// is none. Such taps lie `period` apart.
static __device__ int first_tap(int y, int stride, int dilation, int period)
{
    int tap = 0;
    while (tap < period && (y - tap * dilation) % stride != 0) ++tap;
    return tap;
}

// columns (N, OH, OW, KH, KW, C) -> x (N, H, W, C), the adjoint of im2col, plus a bias (C,) or null: every input pixel
// gathers what was read from it, tap by tap in a fixed order. The periods are stride / gcd(stride, dilation).
extern "C" __global__ void col2im(
    const REAL *columns, const REAL *bias, REAL *x, Geometry g, long long n, long long channels,
    long long y_period, long long x_period)
{
    long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= n) return;
    int c = (int)element % (int)channels;
    int pixel = (int)element / (int)channels; // over all images
    int in_x = pixel % g.width + g.left;
    int in_y = pixel / g.width % g.height + g.top;
    long long image = pixel / g.width / g.height;

    int first_k = first_tap(in_y, g.stride_y, g.dilation_y, y_period);
    int first_l = first_tap(in_x, g.stride_x, g.dilation_x, x_period);
    REAL sum = 0;
    if (first_k < y_period && first_l < x_period)
        for (int k = first_k; k < g.kernel_height; k += y_period) {
            int i = (in_y - k * g.dilation_y) / g.stride_y;
            if (in_y < k * g.dilation_y || i >= g.output_height) continue;
            for (int l = first_l; l < g.kernel_width; l += x_period) {
                int j = (in_x - l * g.dilation_x) / g.stride_x;
                if (in_x < l * g.dilation_x || j >= g.output_width) continue;
                long long patch = (image * g.output_height + i) * g.output_width + j;
                sum += columns[((patch * g.kernel_height + k) * g.kernel_width + l) * channels + c];
            }
        }
    x[element] = bias ? sum + bias[c] : sum;
}
