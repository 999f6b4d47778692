/* The inner loop of hashdb.hashing.reductions: a grey picture reduced as Pillow's Lanczos filter does it, to the bit.

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

/* What hashdb.hashing.reductions expects: count up when a function changes. */
enum { VERSION = 1 };
enum { BITS = 22, LARGEST = 64 };

/* What each of `size` samples is made of: `count` of the `length` there are, from `first` on, weighed. */
typedef struct {
    int64_t room;
    int64_t first[LARGEST], count[LARGEST];
    int32_t *weights; /* size rows of `room` */
} Weights;

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) {
    return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static int weigh(Weights *made, int64_t length, int32_t size) {
    double scale = (double)length / size, support = 3.0 * scale, inverse = 1.0 / scale;
    made->room = (int64_t)ceil(support) * 2 + 1;
    made->weights = malloc((size_t)(made->room * size) * sizeof *made->weights);
    double *row = malloc((size_t)made->room * sizeof *row);
    if (made->weights == NULL || row == NULL) {
        free(made->weights);
        free(row);
        return 0;
    }
    for (int32_t place = 0; place < size; place++) {
        double center = (place + 0.5) * scale, sum = 0.0;
        int64_t first = (int64_t)(center - support + 0.5), last = (int64_t)(center + support + 0.5);
        if (first < 0) first = 0;
        if (last > length) last = length;
        for (int64_t i = 0; i < last - first; i++) {
            row[i] = lanczos(((double)(i + first) - center + 0.5) * inverse);
            sum += row[i];
        }
        for (int64_t i = 0; i < last - first; i++) {
            double weight = (sum != 0.0 ? row[i] / sum : row[i]) * (1 << BITS);
            made->weights[place * made->room + i] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        made->first[place] = first;
        made->count[place] = last - first;
    }
    free(row);
    return 1;
}

INLINE uint8_t rounded(int32_t sum) {
    int32_t value = sum >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

INLINE void weighted(const uint8_t *pixels, int64_t width, int64_t height, int32_t size, const Weights *across,
                     const Weights *down, uint8_t *between, uint8_t *out) {
    for (int64_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < size; x++) {
            const uint8_t *from = pixels + y * width + across->first[x];
            const int32_t *weights = across->weights + x * across->room;
            int32_t sum = 1 << (BITS - 1);
            for (int64_t i = 0; i < across->count[x]; i++) sum += from[i] * weights[i];
            between[y * size + x] = rounded(sum);
        }
    }
    for (int32_t y = 0; y < size; y++) {
        int32_t sums[LARGEST];
        for (int32_t x = 0; x < size; x++) sums[x] = 1 << (BITS - 1);
        for (int64_t i = 0; i < down->count[y]; i++) {
            const uint8_t *from = between + (down->first[y] + i) * size;
            int32_t weight = down->weights[y * down->room + i];
            for (int32_t x = 0; x < size; x++) sums[x] += from[x] * weight;
        }
        for (int32_t x = 0; x < size; x++) out[y * size + x] = rounded(sums[x]);
    }
}

#ifdef WIDE
__attribute__((target("avx2"))) static void weighted_wide(const uint8_t *pixels, int64_t width, int64_t height,
                                                          int32_t size, const Weights *across, const Weights *down,
                                                          uint8_t *between, uint8_t *out) {
    weighted(pixels, width, height, size, across, down, between, out);
}
#endif

EXPORT int32_t hashdb_version(void) {
    return VERSION;
}

/* Reduce width x height pixels, both greater than size, to size x size of at most 64; 0 where there is no memory. */
EXPORT int32_t hashdb_reduce(const uint8_t *pixels, int64_t width, int64_t height, int32_t size, uint8_t *out) {
    Weights across, down;
    if (size < 1 || size > LARGEST || width <= size || height <= size || !weigh(&across, width, size)) return 0;
    if (!weigh(&down, height, size)) {
        free(across.weights);
        return 0;
    }
    uint8_t *between = malloc((size_t)(height * size));
    if (between != NULL) {
#ifdef WIDE
        if (__builtin_cpu_supports("avx2"))
            weighted_wide(pixels, width, height, size, &across, &down, between, out);
        else
#endif
            weighted(pixels, width, height, size, &across, &down, between, out);
    }
    free(between);
    free(down.weights);
    free(across.weights);
    return between != NULL;
}
