/* The inner loops of hashdb.index.segment: probe, fetch, verify.

   Plain C without Python's headers, called by ctypes, which lets go of the interpreter's lock. On x86-64 the same text
   is compiled three times, and the processor is asked which it can run: popcnt makes a probe twice as fast, and
   vpopcntdq a scan of many queries two to three times.

   A value of 64 bits is one word; one of 256 bits is two lanes of two words each, so that the first lane alone tells
   nearly all strangers apart, at one line of memory a candidate. */

#include <stddef.h>
#include <stdint.h>

/* With PLAIN, as for a compiler that knows C alone. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(PLAIN)
#ifdef __x86_64__
#define CLONES 1
#endif
#define EXPORT __attribute__((visibility("default")))
#define PREFETCH(address) __builtin_prefetch(address)
#define BITS(word) ((unsigned)__builtin_popcountll(word))
#define INLINE static inline __attribute__((always_inline))
#else
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif
#define PREFETCH(address) ((void)0)
#define INLINE static inline
INLINE unsigned BITS(uint64_t word) {
    unsigned count = 0;
    for (; word; word &= word - 1) count++;
    return count;
}
#endif

/* What hashdb.index.kernel expects: count up when a structure or a function changes. */
enum { VERSION = 2 };
/* How probing a chunk ends. */
enum { DONE, TOO_MANY, DAMAGED };
enum { BLOCK = 64, AHEAD = 16, SCAN_ROWS = 2048 };

typedef struct {
    const uint64_t *first;   /* rows × 2 words (256 bits) or rows × 1 (64 bits) */
    const uint64_t *second;  /* rows × 2 words, or NULL for 64 bits */
    int64_t rows;            /* fewer than 2^32, and so is rows × chunks */
    int32_t chunks;
    const uint8_t *widths;   /* bits of each chunk, at most 32 */
    const uint8_t *shifts;   /* place of each chunk: its lowest bit, counted from the lowest of the value */
    const int64_t *bases;    /* where each chunk's table begins in offsets */
    const uint32_t *offsets; /* per chunk 2^width + 1 places in ids */
    const uint32_t *ids;     /* rows in the order of each chunk's value, one chunk after the other */
} Segment;

typedef struct {
    const int8_t *radii;          /* radius of each chunk, −1 where it is not probed */
    const uint32_t *const *masks; /* per chunk, what to XOR its value with */
    const int32_t *counts;        /* how many masks each chunk has */
    int64_t limit;                /* candidates up to which they are verified: with more, all rows are compared */
} Probes;

typedef struct {
    uint32_t *queries;
    uint32_t *rows;
    uint16_t *distances;
    int64_t room;
    int64_t count; /* hits found; those past the room are counted, not written */
} Hits;

INLINE void tell(Hits *hits, uint32_t query, uint32_t row, unsigned distance) {
    if (hits->count < hits->room) {
        hits->queries[hits->count] = query;
        hits->rows[hits->count] = row;
        hits->distances[hits->count] = (uint16_t)distance;
    }
    hits->count++;
}

/* The chunk's bits of a value whose words stand most significant first. */
INLINE uint32_t chunk_of(const uint64_t *value, int words, unsigned shift, unsigned width) {
    int place = words - 1 - (int)(shift / 64);
    unsigned bit = shift % 64;
    uint64_t part = value[place] >> bit;
    if (bit + width > 64 && place > 0) part |= value[place - 1] << (64 - bit);
    return (uint32_t)(part & ((UINT64_C(1) << width) - 1));
}

/* Whether a chunk before this one finds the row too, so that each is told once. */
INLINE int found_before(const Segment *s, const Probes *p, const uint64_t *difference, int words, int chunk) {
    for (int c = 0; c < chunk; c++) {
        if (p->radii[c] < 0) continue;
        if ((int)BITS(chunk_of(difference, words, s->shifts[c], s->widths[c])) <= p->radii[c]) return 1;
    }
    return 0;
}

INLINE void verify(const Segment *s, const Probes *p, const uint64_t *query, uint32_t number, unsigned radius,
                   int chunk, uint32_t row, Hits *hits, int words) {
    uint64_t difference[4];
    unsigned distance;
    if (words == 1) {
        difference[0] = s->first[row] ^ query[0];
        distance = BITS(difference[0]);
        if (distance > radius) return;
    } else {
        const uint64_t *lane = s->first + 2 * (size_t)row;
        difference[0] = lane[0] ^ query[0];
        difference[1] = lane[1] ^ query[1];
        distance = BITS(difference[0]) + BITS(difference[1]);
        if (distance > radius) return;
        lane = s->second + 2 * (size_t)row;
        difference[2] = lane[0] ^ query[2];
        difference[3] = lane[1] ^ query[3];
        distance += BITS(difference[2]) + BITS(difference[3]);
        if (distance > radius) return;
    }
    if (!found_before(s, p, difference, words, chunk)) tell(hits, number, row, distance);
}

/* One chunk of one query: its buckets a block at a time, each fetched ahead of its use. Sizes come from the table
   alone, so that a bucket which has more rows than are `left` to verify is not read. */
INLINE int probe_chunk(const Segment *s, const Probes *p, const uint64_t *query, uint32_t number, unsigned radius,
                       int chunk, Hits *hits, int64_t *left, int words) {
    uint64_t most = (uint64_t)s->rows * (uint64_t)s->chunks;
    const uint32_t *table = s->offsets + s->bases[chunk];
    const uint32_t *masks = p->masks[chunk];
    uint32_t value = chunk_of(query, words, s->shifts[chunk], s->widths[chunk]);
    uint32_t starts[BLOCK], ends[BLOCK], ring[AHEAD];
    int32_t total = p->counts[chunk];
    uint64_t queued = 0, done = 0;
    for (int32_t from = 0; from < total; from += BLOCK) {
        int32_t many = total - from < BLOCK ? total - from : BLOCK;
        unsigned outside = 0;
        for (int32_t i = 0; i < many; i++) PREFETCH(table + (value ^ masks[from + i]));
        for (int32_t i = 0; i < many; i++) {
            const uint32_t *place = table + (value ^ masks[from + i]);
            starts[i] = place[0];
            ends[i] = place[1];
            PREFETCH(s->ids + starts[i]);
            outside |= (starts[i] > ends[i]) | (ends[i] > most);
            *left -= (uint32_t)(ends[i] - starts[i]);
        }
        if (outside) return DAMAGED;
        if (*left < 0) return TOO_MANY;
        for (int32_t i = 0; i < many; i++) {
            for (uint32_t at = starts[i]; at < ends[i]; at++) {
                uint32_t row = s->ids[at];
                if (row >= (uint64_t)s->rows) return DAMAGED;
                PREFETCH(s->first + (words == 1 ? 1 : 2) * (size_t)row);
                if (queued - done == AHEAD)
                    verify(s, p, query, number, radius, chunk, ring[done++ % AHEAD], hits, words);
                ring[queued++ % AHEAD] = row;
            }
        }
    }
    while (done < queued) verify(s, p, query, number, radius, chunk, ring[done++ % AHEAD], hits, words);
    return DONE;
}

/* Every row against every query, a block of rows at a time, so that a batch reads memory once. The queries are numbered
   from `number` on. */
INLINE void scan_all(const Segment *s, const uint64_t *queries, int64_t many, uint32_t number, unsigned radius,
                     Hits *hits) {
    uint8_t near[SCAN_ROWS];
    for (int64_t from = 0; from < s->rows; from += SCAN_ROWS) {
        int64_t rows = s->rows - from < SCAN_ROWS ? s->rows - from : SCAN_ROWS;
        for (int64_t q = 0; q < many; q++) {
            unsigned any = 0;
            if (!s->second) {
                const uint64_t *value = s->first + from, query = queries[q];
                for (int64_t i = 0; i < rows; i++) any |= near[i] = BITS(value[i] ^ query) <= radius;
            } else {
                const uint64_t *value = s->first + 2 * from, q0 = queries[4 * q], q1 = queries[4 * q + 1];
                for (int64_t i = 0; i < rows; i++)
                    any |= near[i] = BITS(value[2 * i] ^ q0) + BITS(value[2 * i + 1] ^ q1) <= radius;
            }
            if (!any) continue;
            for (int64_t i = 0; i < rows; i++) {
                if (!near[i]) continue;
                uint32_t row = (uint32_t)(from + i);
                unsigned distance;
                if (!s->second) {
                    distance = BITS(s->first[row] ^ queries[q]);
                } else {
                    const uint64_t *a = s->first + 2 * (size_t)row, *b = s->second + 2 * (size_t)row;
                    const uint64_t *v = queries + 4 * q;
                    distance = BITS(a[0] ^ v[0]) + BITS(a[1] ^ v[1]) + BITS(b[0] ^ v[2]) + BITS(b[1] ^ v[3]);
                }
                if (distance <= radius) tell(hits, number + (uint32_t)q, row, distance);
            }
        }
    }
}

typedef void Scan(const Segment *, const uint64_t *queries, int64_t many, uint32_t number, unsigned radius, Hits *);
typedef int Probe(const Segment *, const Probes *, const uint64_t *queries, int64_t many, unsigned radius, Hits *, Scan *);

/* Each query by its chunks, or by a scan where these have too many candidates. */
INLINE int probe_words(const Segment *s, const Probes *p, const uint64_t *queries, int64_t many, unsigned radius,
                       Hits *hits, Scan *scan, int words) {
    for (int64_t q = 0; q < many; q++) {
        const uint64_t *query = queries + words * q;
        int64_t left = p->limit, before = hits->count;
        for (int c = 0; c < s->chunks; c++) {
            if (p->radii[c] < 0) continue;
            int end = probe_chunk(s, p, query, (uint32_t)q, radius, c, hits, &left, words);
            if (end == DONE) continue;
            if (end == DAMAGED) return DAMAGED;
            hits->count = before;
            scan(s, query, 1, (uint32_t)q, radius, hits);
            break;
        }
    }
    return DONE;
}

/* The same text for a processor; `attributes` is what it has. */
#define SCAN(name, attributes)                                                                                         \
    attributes static void name(const Segment *s, const uint64_t *queries, int64_t many, uint32_t number,              \
                                unsigned radius, Hits *hits) {                                                         \
        scan_all(s, queries, many, number, radius, hits);                                                              \
    }
#define PROBE(name, attributes)                                                                                        \
    attributes static int name(const Segment *s, const Probes *p, const uint64_t *queries, int64_t many,               \
                               unsigned radius, Hits *hits, Scan *scan) {                                              \
        return s->second ? probe_words(s, p, queries, many, radius, hits, scan, 4)                                     \
                         : probe_words(s, p, queries, many, radius, hits, scan, 1);                                    \
    }

SCAN(scan_portable, )
PROBE(probe_portable, )
#ifdef CLONES
SCAN(scan_popcnt, __attribute__((target("popcnt"))))
PROBE(probe_popcnt, __attribute__((target("popcnt"))))
SCAN(scan_wide, __attribute__((target("popcnt,avx512f,avx512bw,avx512vl,avx512vpopcntdq"))))

static int has_popcnt(void) { return __builtin_cpu_supports("popcnt") != 0; }
static int has_wide(void) {
    return __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static Scan *best_scan(void) {
#ifdef CLONES
    if (has_wide()) return scan_wide;
    if (has_popcnt()) return scan_popcnt;
#endif
    return scan_portable;
}

static Probe *best_probe(void) {
#ifdef CLONES
    if (has_popcnt()) return probe_popcnt;
#endif
    return probe_portable;
}

EXPORT int32_t hashdb_version(void) { return VERSION; }

/* Find the rows within the radius of each query by the tables. Returns how many there are, −1 where the tables point
   outside of the arrays: a file that was damaged must not be more than an error. */
EXPORT int64_t hashdb_probe(const Segment *s, const Probes *p, const uint64_t *queries, int64_t many, int32_t radius,
                            Hits *hits) {
    hits->count = 0;
    return best_probe()(s, p, queries, many, (unsigned)radius, hits, best_scan()) == DONE ? hits->count : -1;
}

/* The same by comparing every row. */
EXPORT int64_t hashdb_scan(const Segment *s, const uint64_t *queries, int64_t many, int32_t radius, Hits *hits) {
    hits->count = 0;
    best_scan()(s, queries, many, 0, (unsigned)radius, hits);
    return hits->count;
}

/* Sort the rows by a chunk of their values (rows × words, most significant first): `table` gets 2^width + 1 places, each
   counted from `base`, and `ids` the rows. */
EXPORT void hashdb_order(const uint64_t *values, int64_t rows, int32_t words, int32_t shift, int32_t width, uint32_t base,
                         uint32_t *table, uint32_t *ids) {
    int64_t buckets = (int64_t)1 << width;
    for (int64_t b = 0; b <= buckets; b++) table[b] = 0;
    for (int64_t row = 0; row < rows; row++)
        table[chunk_of(values + row * words, words, (unsigned)shift, (unsigned)width) + 1]++;
    for (int64_t b = 0; b < buckets; b++) table[b + 1] += table[b];
    /* table[b] is where bucket b goes on; when all are placed, it is where b + 1 begins, so move it back by one. */
    for (int64_t row = 0; row < rows; row++)
        ids[table[chunk_of(values + row * words, words, (unsigned)shift, (unsigned)width)]++] = (uint32_t)row;
    for (int64_t b = buckets; b > 0; b--) table[b] = table[b - 1] + base;
    table[0] = base;
}

#ifdef _WIN32
/* What its linker is told to export; no one imports this as a module. */
EXPORT void *PyInit__kernel(void) { return NULL; }
#endif
