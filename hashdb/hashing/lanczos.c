/* The inner loop of hashdb.hashing.pictures: a grey picture reduced as Pillow's Lanczos filter does it, to the bit.

   The arithmetic is that of Pillow's Resample.c for 8 bits a sample: weights in double precision, rounded to 22 bits
   behind the point, whole numbers from there on, first across and then down. Plain C without Python's headers, called by
   ctypes; on x86-64 the same text is compiled twice, and the processor is asked which it can run. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if (defined(__GNUC__) || defined(__clang__)) && !defined(PLAIN)
#ifdef __x86_64__
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

/* What hashdb.hashing.pictures expects: count up when a function changes. */
enum { VERSION = 2 };
enum { BITS = 22, HALF = 1 << (BITS - 1), LARGEST = 64 };

/* What each of `size` samples is made of: `count` of the `length` there are, from `first` on, weighed. A row of int32
   for each sample: `first`, `count`, and room for the weights. */
enum { FIRST, COUNT, HEAD };

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) {
    return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

INLINE uint8_t rounded(int32_t sum) {
    int32_t value = sum >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

INLINE void weighted(const uint8_t *pixels, int64_t width, int64_t height, int32_t size, const int32_t *across,
                     int64_t across_row, const int32_t *down, int64_t down_row, uint8_t *between, uint8_t *out) {
    for (int64_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < size; x++) {
            const int32_t *row = across + x * across_row, *weights = row + HEAD;
            const uint8_t *from = pixels + y * width + row[FIRST];
            int32_t sum = HALF;
            for (int32_t i = 0; i < row[COUNT]; i++) sum += from[i] * weights[i];
            between[y * size + x] = rounded(sum);
        }
    }
    for (int32_t place = 0; place < size; place++) {
        const int32_t *row = down + place * down_row, *weights = row + HEAD;
        int32_t sums[LARGEST];
        for (int32_t x = 0; x < size; x++) sums[x] = HALF;
        for (int32_t i = 0; i < row[COUNT]; i++) {
            const uint8_t *from = between + ((int64_t)row[FIRST] + i) * size;
            for (int32_t x = 0; x < size; x++) sums[x] += from[x] * weights[i];
        }
        for (int32_t x = 0; x < size; x++) out[place * size + x] = rounded(sums[x]);
    }
}

#ifdef WIDE
__attribute__((target("avx2"))) static void weighted_wide(const uint8_t *pixels, int64_t width, int64_t height,
                                                          int32_t size, const int32_t *across, int64_t across_row,
                                                          const int32_t *down, int64_t down_row, uint8_t *between,
                                                          uint8_t *out) {
    weighted(pixels, width, height, size, across, across_row, down, down_row, between, out);
}
#endif

EXPORT int32_t hashdb_version(void) {
    return VERSION;
}

/* How many int32 a row of `hashdb_weights` has; 0 for what is not reduced: size is 1 to 64, length greater. */
EXPORT int64_t hashdb_row(int64_t length, int32_t size) {
    if (size < 1 || size > LARGEST || length <= size || length > INT32_MAX / 8) return 0;
    return HEAD + (int64_t)ceil(3.0 * ((double)length / size)) * 2 + 1;
}

/* The weights for reducing `length` samples to `size`, as that many rows; 0 where there is no memory. */
EXPORT int32_t hashdb_weights(int64_t length, int32_t size, int32_t *made) {
    int64_t wide = hashdb_row(length, size);
    double scale = (double)length / size, support = 3.0 * scale, inverse = 1.0 / scale;
    double *values = wide ? malloc((size_t)wide * sizeof *values) : NULL;
    if (values == NULL) return 0;
    for (int32_t place = 0; place < size; place++) {
        int32_t *row = made + place * wide;
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

/* Reduce width x height pixels to size x size, by the weights for either length; 0 where there is no memory. */
EXPORT int32_t hashdb_reduce(const uint8_t *pixels, int64_t width, int64_t height, int32_t size, const int32_t *across,
                             const int32_t *down, uint8_t *out) {
    int64_t across_row = hashdb_row(width, size), down_row = hashdb_row(height, size);
    uint8_t *between = across_row && down_row ? malloc((size_t)(height * size)) : NULL;
    if (between == NULL) return 0;
#ifdef WIDE
    if (__builtin_cpu_supports("avx2"))
        weighted_wide(pixels, width, height, size, across, across_row, down, down_row, between, out);
    else
#endif
        weighted(pixels, width, height, size, across, across_row, down, down_row, between, out);
    free(between);
    return 1;
}
