/* The inner loops of hashdb.hashing.reductions: a picture's pixels reduced for PDQ, phash256 and phash.

   Pixels are rows of bytes: red, green, blue, and with `channels` 4 one that is not read. Plain C without Python's
   headers, called by ctypes; on x86-64 the same text is compiled twice, and the processor is asked which it can run. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if (defined(__GNUC__) || defined(__clang__)) && !defined(PLAIN)
#ifdef __x86_64__
#include <immintrin.h>
#define WIDE 1
#endif
#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#else
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif
#define INLINE static inline
#endif

/* What hashdb.hashing.reductions expects: add 1 when a function changes. */
enum { VERSION = 3 };

EXPORT int32_t hashdb_version(void) {
    return VERSION;
}

/* PDQ. A picture is blurred and sampled at 64 x 64 places, by one band of weights for each place of either side. The
   sums are those of NumPy's einsum in hashdb.hashing.reductions, in the same order. */

enum { SAMPLES = 64, CHUNK = 32 };

/* Add a strip of the picture to the blurred lines. `sums` has a line of `size` for each band. The strip has `rows` lines
   of `size` bytes, from line `top` of the picture on. A band has the lines `edges[0]` to `edges[1]` of the picture, and
   a row of `longest` weights. */
INLINE void blend(const uint8_t *pixels, int64_t size, int64_t top, int64_t rows, const int32_t *edges,
                  const float *weights, int64_t longest, float *sums) {
    for (int64_t band = 0; band < SAMPLES; band++) {
        int64_t first = edges[2 * band], last = edges[2 * band + 1];
        int64_t from = first > top ? first - top : 0, to = last < top + rows ? last - top : rows;
        if (from >= to) continue;
        const float *weight = weights + band * longest + (top + from - first);
        const uint8_t *lines = pixels + from * size;
        float *sum = sums + band * size;
        int64_t count = to - from;
        int64_t x = 0;
        for (; x + CHUNK <= size; x += CHUNK) {
            float chunk[CHUNK];
            for (int i = 0; i < CHUNK; i++) chunk[i] = sum[x + i];
            for (int64_t y = 0; y < count; y++)
                for (int i = 0; i < CHUNK; i++) chunk[i] += weight[y] * lines[y * size + x + i];
            for (int i = 0; i < CHUNK; i++) sum[x + i] = chunk[i];
        }
        for (; x < size; x++)
            for (int64_t y = 0; y < count; y++) sum[x] += weight[y] * lines[y * size + x];
    }
}

/* The sum of products in four lanes, in the order of NumPy: of 16 numbers the last four come first. */
INLINE float product(const float *a, const float *b, int64_t count) {
    float lanes[4] = {0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int64_t from = i + 12; from >= i; from -= 4)
            for (int lane = 0; lane < 4; lane++) lanes[lane] += a[from + lane] * b[from + lane];
    for (; i < count; i++) lanes[i % 4] += a[i] * b[i];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

/* Blur and sample the luminance of the blurred lines across, at 64 places. `line` has room for a line. */
INLINE void sample_all(const float *sums, int64_t width, int32_t channels, const int32_t *edges, const float *weights,
                       int64_t longest, float *line, float *out) {
    for (int64_t row = 0; row < SAMPLES; row++) {
        const float *colour = sums + row * width * channels;
        for (int64_t x = 0; x < width; x++, colour += channels)
            line[x] = colour[0] * 0.299f + colour[1] * 0.587f + colour[2] * 0.114f;
        for (int64_t band = 0; band < SAMPLES; band++)
            *out++ = product(weights + band * longest, line + edges[2 * band], edges[2 * band + 1] - edges[2 * band]);
    }
}

/* phash256 and phash. A picture is made grey and reduced as Pillow's Lanczos filter does it, to the bit. The arithmetic
   is that of Pillow's Resample.c for 8 bits a sample: weights in double precision, rounded to 22 bits behind the point,
   whole numbers from there on, first across and then down. */

enum { BITS = 22, HALF = 1 << (BITS - 1), LARGEST = 64, LANES = 16, LINES = 4, LOW_BITS = 15 };

/* A table of weights reduces `length` samples to `size`. It has a row of int32 for each of these: the first sample that
   counts, how many count, and room for their weights. */
enum { FIRST, COUNT, HEAD };

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) {
    return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

/* The sum of weighed samples as 8 bits. HALF is in it already. */
INLINE uint8_t round_sum(int32_t sum) {
    int32_t value = sum >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Pillow's 8-bit luminance of a row. Four channels are read at once, which takes a third of the time. */
INLINE void make_grey(const uint8_t *pixels, int64_t width, int32_t channels, int16_t *grey) {
    for (int64_t x = 0; x < width; x++, pixels += channels) {
        uint32_t pixel = pixels[0] | (uint32_t)pixels[1] << 8 | (uint32_t)pixels[2] << 16;
        if (channels == 4) memcpy(&pixel, pixels, sizeof pixel);
        uint32_t red = pixel & 255, green = pixel >> 8 & 255, blue = pixel >> 16 & 255;
        grey[x] = (int16_t)((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
    }
}

/* A table of weights, each split into its low 15 bits and the others: processors multiply and add whole numbers of 16
   bits at twice the rate of 32. Weights of 0 fill each row up to whole LANES. */
typedef struct {
    int64_t row, longest;
    int16_t *low, *high;
} Split;

/* Reduce the width of `lines` rows of a grey picture, which are `stride` apart, to `size`. */
INLINE void reduce_across(const int16_t *grey, int64_t stride, int32_t lines, int32_t size, const int32_t *table,
                          const Split *split, uint8_t *out) {
    for (int32_t x = 0; x < size; x++, table += split->row) {
        const int16_t *low = split->low + x * split->longest, *high = split->high + x * split->longest;
        for (int32_t line = 0; line < lines; line++) {
            const int16_t *from = grey + line * stride + table[FIRST];
            uint32_t lows = HALF, highs = 0;
            for (int32_t i = 0; i < table[COUNT]; i++) {
                lows += (uint32_t)(from[i] * low[i]);
                highs += (uint32_t)(from[i] * high[i]);
            }
            out[line * size + x] = round_sum((int32_t)(lows + (highs << LOW_BITS)));
        }
    }
}

/* Reduce the height of a picture of the width `size` to `size`; `row` is the length of a row of the table. */
INLINE void reduce_down(const uint8_t *narrowed, int32_t size, const int32_t *table, int64_t row, uint8_t *out) {
    for (int32_t place = 0; place < size; place++, table += row) {
        const uint8_t *from = narrowed + (int64_t)table[FIRST] * size;
        int32_t sums[LARGEST];
        for (int32_t x = 0; x < size; x++) sums[x] = HALF;
        for (int32_t i = 0; i < table[COUNT]; i++, from += size)
            for (int32_t x = 0; x < size; x++) sums[x] += from[x] * table[HEAD + i];
        for (int32_t x = 0; x < size; x++) *out++ = round_sum(sums[x]);
    }
}

#ifdef WIDE
#define AVX2 __attribute__((target("avx2"))) static
#define EITHER(name, ...) (__builtin_cpu_supports("avx2") ? name##_wide(__VA_ARGS__) : name(__VA_ARGS__))

AVX2 void blend_wide(const uint8_t *pixels, int64_t size, int64_t top, int64_t rows, const int32_t *edges,
                     const float *weights, int64_t longest, float *sums) {
    blend(pixels, size, top, rows, edges, weights, longest, sums);
}

AVX2 void make_grey_wide(const uint8_t *pixels, int64_t width, int32_t channels, int16_t *grey) {
    if (channels == 4)
        make_grey(pixels, width, 4, grey);
    else
        make_grey(pixels, width, 3, grey);
}

/* LINES rows at once, since they share the weights and the sums across lanes. */
AVX2 void reduce_across_wide(const int16_t *grey, int64_t stride, int32_t lines, int32_t size, const int32_t *table,
                             const Split *split, uint8_t *out) {
    if (lines != LINES) {
        reduce_across(grey, stride, lines, size, table, split, out);
        return;
    }
    for (int32_t x = 0; x < size; x++, table += split->row) {
        const int16_t *low = split->low + x * split->longest, *high = split->high + x * split->longest;
        const int16_t *from = grey + table[FIRST];
        __m256i lows[LINES] = {0}, highs[LINES] = {0};
        for (int32_t i = 0; i < table[COUNT]; i += LANES) {
            __m256i l = _mm256_loadu_si256((const void *)(low + i)), h = _mm256_loadu_si256((const void *)(high + i));
            for (int line = 0; line < LINES; line++) {
                __m256i pixels = _mm256_loadu_si256((const void *)(from + line * stride + i));
                lows[line] = _mm256_add_epi32(lows[line], _mm256_madd_epi16(pixels, l));
                highs[line] = _mm256_add_epi32(highs[line], _mm256_madd_epi16(pixels, h));
            }
        }
        for (int line = 0; line < LINES; line++)
            lows[line] = _mm256_add_epi32(lows[line], _mm256_slli_epi32(highs[line], LOW_BITS));
        __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(lows[0], lows[1]), _mm256_hadd_epi32(lows[2], lows[3]));
        __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
        sums = _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(HALF)), BITS);
        sums = _mm_packs_epi32(sums, sums);
        uint32_t octets = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(sums, sums));
        for (int line = 0; line < LINES; line++) out[line * size + x] = (uint8_t)(octets >> 8 * line);
    }
}

AVX2 void reduce_down_wide(const uint8_t *narrowed, int32_t size, const int32_t *table, int64_t row, uint8_t *out) {
    reduce_down(narrowed, size, table, row, out);
}
#else
#define EITHER(name, ...) name(__VA_ARGS__)
#endif

EXPORT void hashdb_blend(const uint8_t *pixels, int64_t size, int64_t top, int64_t rows, const int32_t *edges,
                         const float *weights, int64_t longest, float *sums) {
    EITHER(blend, pixels, size, top, rows, edges, weights, longest, sums);
}

/* Return 0 if there is no memory. */
EXPORT int32_t hashdb_sample(const float *sums, int64_t width, int32_t channels, const int32_t *edges,
                             const float *weights, int64_t longest, float *out) {
    float *line = malloc((size_t)width * sizeof *line);
    if (line == NULL) return 0;
    sample_all(sums, width, channels, edges, weights, longest, line, out);
    free(line);
    return 1;
}

/* How many int32 a row of `hashdb_weights` has; 0 unless `size` is 1 to 64, and `length` is greater. */
EXPORT int64_t hashdb_row(int64_t length, int32_t size) {
    if (size < 1 || size > LARGEST || length <= size || length > INT32_MAX / 8) return 0;
    return HEAD + (int64_t)ceil(3.0 * ((double)length / size)) * 2 + 1;
}

/* Write the weights for reducing `length` samples to `size`, as that many rows; return 0 if there is no memory. */
EXPORT int32_t hashdb_weights(int64_t length, int32_t size, int32_t *made) {
    int64_t row_length = hashdb_row(length, size);
    double scale = (double)length / size, support = 3.0 * scale, inverse = 1.0 / scale;
    double *values = row_length ? malloc((size_t)row_length * sizeof *values) : NULL;
    if (values == NULL) return 0;
    for (int32_t place = 0; place < size; place++) {
        int32_t *row = made + place * row_length;
        double center = (place + 0.5) * scale, sum = 0.0;
        int64_t first = (int64_t)(center - support + 0.5), last = (int64_t)(center + support + 0.5);
        if (first < 0) first = 0;
        if (last > length) last = length;
        for (int64_t i = 0; i < last - first; i++) {
            values[i] = lanczos(((double)(i + first) - center + 0.5) * inverse);
            sum += values[i];
        }
        for (int64_t i = 0; i < last - first; i++) {
            double weight = (sum != 0.0 ? values[i] / sum : values[i]) * (1 << BITS);
            row[HEAD + i] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        row[FIRST] = (int32_t)first;
        row[COUNT] = (int32_t)(last - first);
    }
    free(values);
    return 1;
}

/* Split a table of weights; return 0 if there is no memory. */
static int32_t split(int64_t width, int32_t size, const int32_t *table, Split *made) {
    int64_t row = hashdb_row(width, size), longest = (row - HEAD + LANES - 1) / LANES * LANES, many = longest * size;
    made->row = row;
    made->longest = longest;
    made->low = row ? calloc((size_t)(2 * many), sizeof *made->low) : NULL;
    if (made->low == NULL) return 0;
    made->high = made->low + many;
    for (int64_t x = 0; x < size; x++, table += row)
        for (int64_t i = 0; i < table[COUNT]; i++) {
            made->low[x * longest + i] = (int16_t)(table[HEAD + i] & ((1 << LOW_BITS) - 1));
            made->high[x * longest + i] = (int16_t)(table[HEAD + i] >> LOW_BITS);
        }
    return 1;
}

/* Make `rows` lines of pixels grey and reduce their width to each of `count` sizes, two at most, by the weights for
   each. Return 0 if there is no memory. */
EXPORT int32_t hashdb_across(const uint8_t *pixels, int64_t width, int32_t channels, int64_t rows, int32_t count,
                             const int32_t *sizes, const int32_t *const *tables, uint8_t *const *targets) {
    Split splits[2] = {0};
    int64_t stride = width + LANES;
    int16_t *grey = calloc((size_t)(LINES * stride), sizeof *grey);
    int32_t done = grey != NULL && count <= 2;
    for (int32_t k = 0; done && k < count; k++) done = split(width, sizes[k], tables[k], splits + k);
    for (int64_t y = 0; done && y < rows; y += LINES) {
        int32_t lines = rows - y < LINES ? (int32_t)(rows - y) : LINES;
        for (int32_t line = 0; line < lines; line++)
            EITHER(make_grey, pixels + (y + line) * width * channels, width, channels, grey + line * stride);
        for (int32_t k = 0; k < count; k++)
            EITHER(reduce_across, grey, stride, lines, sizes[k], tables[k], splits + k, targets[k] + y * sizes[k]);
    }
    for (int32_t k = 0; k < 2; k++) free(splits[k].low);
    free(grey);
    return done;
}

/* Reduce the height of a picture of `rows` lines of `size` samples to `size`. */
EXPORT void hashdb_down(const uint8_t *narrowed, int64_t rows, int32_t size, const int32_t *table, uint8_t *out) {
    EITHER(reduce_down, narrowed, size, table, hashdb_row(rows, size), out);
}
