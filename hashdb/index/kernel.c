/* The inner loops of hashdb.index.segment: probe, fetch, verify.

   Plain C without Python's headers, called by ctypes, which lets go of the interpreter's lock. On x86-64 the same text
   is compiled several times, and the processor is asked which it can run: popcnt makes a probe twice as fast, and
   vpopcntdq a scan of many queries two to three times. AVX2 counts no bits by itself, so its scan is written by hand.

   A value of 256 bits is two lanes of two words each, so that the first lane alone tells nearly all strangers apart, at
   one line of memory a candidate. Values of 64 bits stand in every table themselves, so that a bucket of them is read
   from one end to the other. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* With PLAIN, as for a compiler that knows C alone. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(PLAIN)
#ifdef __x86_64__
#define CLONES 1
#include <immintrin.h>
#endif
#define EXPORT __attribute__((visibility("default")))
#define PREFETCH(address) __builtin_prefetch(address)
#define BITS(word) ((unsigned)__builtin_popcountll(word))
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#else
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif
#define PREFETCH(address) ((void)(address))
#define INLINE static inline
#define NOINLINE
INLINE unsigned BITS(uint64_t word) {
    unsigned count = 0;
    for (; word; word &= word - 1) count++;
    return count;
}
#endif

/* What hashdb.index.kernel expects: count up when a structure or a function changes. */
enum { VERSION = 4 };
/* How probing a query ends. */
enum { DONE, TOO_MANY, DAMAGED };
/* Look-ups in a block, rows that are fetched before the first of them is verified, rows that are copied at once. */
enum { BLOCK = 16, AHEAD = 32, STEP = 8, QUEUE = AHEAD + BLOCK * STEP };
/* Queries that are searched together, how many are worth sorting, and the bits that number the parts of a table. */
enum { TOGETHER = 1024, SORTED = 128, PART = 8, PARTS = 1 << PART };
enum { SCAN_ROWS = 2048 };

typedef struct {
    const uint64_t *first;   /* rows × 2 words (256 bits) or rows × 1 (64 bits) */
    const uint64_t *second;  /* rows × 2 words, or NULL for 64 bits */
    int64_t rows;            /* fewer than 2^32, and so is rows × chunks */
    int32_t chunks;
    const uint8_t *widths;   /* bits of each chunk, at most 32 */
    const uint8_t *shifts;   /* place of each chunk: its lowest bit, counted from the lowest of the value */
    const int64_t *bases;    /* where each chunk's table begins in offsets */
    const uint32_t *offsets; /* per chunk 2^width + 1 places in ids */
    const uint32_t *ids;     /* rows in the order of each chunk's value, one chunk after the other (256 bits) */
    const uint64_t *ordered; /* the same with the values themselves, of which the first are in rows' order (64 bits) */
} Segment;

typedef struct {
    const int8_t *radii;          /* radius of each chunk, −1 where it is not probed */
    const uint32_t *const *flips; /* per chunk, what to XOR its value with, sorted */
    const int32_t *counts;        /* how many flips each chunk has */
    int64_t limit;                /* candidates up to which they are verified: with more, all rows are compared */
} Probes;

typedef struct {
    uint32_t *queries;
    uint32_t *rows;
    uint16_t *distances;
    uint8_t *values; /* room for 32 octets a hit, which hashdb_near fills */
    int64_t room;
    int64_t count; /* hits found; those past the room are counted, not written */
} Hits;

typedef struct {
    const Segment *segment;
    const Probes *probes; /* NULL: every row is compared */
} Part;

typedef struct {
    const Part *parts;
    int32_t many;
    int32_t words;
    int32_t radius;
} Parts;

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

/* Tell for each of some first lanes whether it is near that of a query, and whether any is; `near` is unset if none. */
typedef unsigned Compare(const uint64_t *lanes, int64_t rows, const uint64_t *query, unsigned radius, uint8_t *near);

INLINE unsigned compare_lanes(const uint64_t *lanes, int64_t rows, const uint64_t *query, unsigned radius,
                              uint8_t *near) {
    uint64_t q0 = query[0], q1 = query[1];
    unsigned any = 0;
    for (int64_t i = 0; i < rows; i++) any |= near[i] = BITS(lanes[2 * i] ^ q0) + BITS(lanes[2 * i + 1] ^ q1) <= radius;
    return any;
}

/* Every row against every query, a block of rows at a time, so that a batch reads memory once. The queries are numbered
   from `number` on. */
INLINE void scan_all(const Segment *s, const uint64_t *queries, int64_t many, uint32_t number, unsigned radius,
                     Hits *hits, Compare *lanes) {
    uint8_t near[SCAN_ROWS];
    for (int64_t from = 0; from < s->rows; from += SCAN_ROWS) {
        int64_t rows = s->rows - from < SCAN_ROWS ? s->rows - from : SCAN_ROWS;
        for (int64_t q = 0; q < many; q++) {
            unsigned any = 0;
            if (!s->second) {
                const uint64_t *value = s->first + from, query = queries[q];
                for (int64_t i = 0; i < rows; i++) any |= near[i] = BITS(value[i] ^ query) <= radius;
            } else {
                any = lanes(s->first + 2 * from, rows, queries + 4 * q, radius, near);
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

/* Some look-ups: the place in a table, and what stands there once it is read. A tag names the chunk and the query. */
typedef struct {
    const uint32_t *places[BLOCK];
    uint32_t starts[BLOCK], ends[BLOCK], tags[BLOCK];
    int many;
} Block;

/* Rows of 256 bits that look-ups led to, with the tags of these: the first ones are verified, the next ones fetched. */
typedef struct {
    uint32_t rows[QUEUE + BLOCK * STEP], tags[QUEUE + BLOCK * STEP];
    int fetched, many;
} Candidates;

typedef struct Way Way;

/* A search of some queries that is under way: of a look-up, the place in the table is fetched, then the bucket, then the
   rows, and meanwhile others are worked on. */
typedef struct {
    const Segment *segment;
    const Probes *probes;
    const Way *way;
    const uint64_t *queries;
    uint32_t number; /* of the first query */
    int words;
    unsigned radius;
    Hits *hits;
    unsigned block; /* the number of the block that is filled */
    Block blocks[3];
    Candidates candidates;
    int64_t left[TOGETHER]; /* candidates of each query that may still be verified: below zero, there are too many */
} Search;

/* What depends on the processor. */
struct Way {
    void (*scan)(const Segment *, const uint64_t *queries, int64_t many, uint32_t number, unsigned radius, Hits *);
    int (*verify_rows)(Search *, int last);
    void (*verify_values)(Search *, const Block *);
};

/* Called for few candidates, so that the loops over all of them stay short. */
typedef void Check(Search *, uint32_t tag, uint32_t row);

INLINE void tell_once(Search *search, uint32_t tag, const uint64_t *difference, uint32_t row) {
    uint32_t query = tag % TOGETHER;
    unsigned distance = 0;
    for (int word = 0; word < search->words; word++) distance += BITS(difference[word]);
    if (distance > search->radius) return;
    if (found_before(search->segment, search->probes, difference, search->words, (int)(tag / TOGETHER))) return;
    tell(search->hits, search->number + query, row, distance);
}

INLINE void check_row(Search *search, uint32_t tag, uint32_t row) {
    const uint64_t *query = search->queries + 4 * (size_t)(tag % TOGETHER);
    const uint64_t *first = search->segment->first + 2 * (size_t)row, *second = search->segment->second + 2 * (size_t)row;
    uint64_t difference[] = {first[0] ^ query[0], first[1] ^ query[1], second[0] ^ query[2], second[1] ^ query[3]};
    tell_once(search, tag, difference, row);
}

INLINE void check_value(Search *search, uint32_t tag, uint32_t place) {
    uint64_t difference = search->segment->ordered[place] ^ search->queries[tag % TOGETHER];
    tell_once(search, tag, &difference, place);
}

/* Whether the first lane of a candidate is near its query, which excludes nearly all. */
INLINE int may_be_near(const uint64_t *first, const uint64_t *queries, uint32_t row, uint32_t tag, unsigned radius) {
    const uint64_t *lane = first + 2 * (size_t)row, *query = queries + 4 * (size_t)(tag % TOGETHER);
    return BITS(lane[0] ^ query[0]) + BITS(lane[1] ^ query[1]) <= radius;
}

/* Fetch the new candidates, and verify as many of those that were fetched before; `last` means all. */
INLINE int verify_rows(Search *search, int last, Check *check) {
    const uint64_t *first = search->segment->first, *queries = search->queries;
    Candidates *c = &search->candidates;
    uint32_t *rows = c->rows, *tags = c->tags, most = (uint32_t)search->segment->rows;
    unsigned radius = search->radius;
    int many = c->many, at = c->fetched, kept = many < AHEAD ? many : AHEAD;
    for (; at < kept; at++) {
        if (rows[at] >= most) return DAMAGED;
        PREFETCH(first + 2 * (size_t)rows[at]);
    }
    for (; at < many; at++) {
        if (rows[at] >= most) return DAMAGED;
        PREFETCH(first + 2 * (size_t)rows[at]);
        int before = at - AHEAD;
        if (may_be_near(first, queries, rows[before], tags[before], radius)) check(search, tags[before], rows[before]);
    }
    memmove(rows, rows + many - kept, AHEAD * sizeof *rows);
    memmove(tags, tags + many - kept, AHEAD * sizeof *tags);
    c->many = c->fetched = last ? 0 : kept;
    for (at = 0; last && at < kept; at++)
        if (may_be_near(first, queries, rows[at], tags[at], radius)) check(search, tags[at], rows[at]);
    return DONE;
}

/* The values of 64 bits in the buckets of a block; told is the place in the order. */
INLINE void verify_values(Search *search, const Block *block, Check *check) {
    const uint64_t *ordered = search->segment->ordered;
    unsigned radius = search->radius;
    for (int i = 0; i < block->many; i++) {
        uint64_t query = search->queries[block->tags[i] % TOGETHER];
        for (uint32_t at = block->starts[i], end = block->ends[i]; at < end; at++)
            if (BITS(ordered[at] ^ query) <= radius) check(search, block->tags[i], at);
    }
}

/* Read where the buckets of a block are, and have them fetched. Sizes come from the tables alone, so that a bucket which
   has more rows than are `left` to verify is not read. */
INLINE int open_block(Search *search, Block *block, const char *entries, size_t size) {
    int64_t most = search->segment->rows * search->segment->chunks, outside = 0;
    for (int i = 0; i < block->many; i++) {
        int64_t start = block->places[i][0], end = block->places[i][1];
        int64_t *left = search->left + block->tags[i] % TOGETHER;
        PREFETCH(entries + size * (size_t)start);
        PREFETCH(entries + size * (size_t)(start + STEP));
        /* A usual bucket of values has three lines of memory, of rows at most two. */
        if (size == sizeof(uint64_t)) PREFETCH(entries + size * (size_t)(start + 2 * STEP));
        outside |= (end - start) | (most - end);
        *left -= (uint32_t)(end - start);
        block->starts[i] = (uint32_t)start;
        block->ends[i] = (uint32_t)(*left < 0 ? start : end);
    }
    return outside < 0 ? DAMAGED : DONE;
}

/* Take the rows of any bucket, one by one. */
static NOINLINE int take_one_by_one(Search *search, uint32_t start, uint32_t end, uint32_t tag) {
    Candidates *c = &search->candidates;
    for (uint32_t at = start; at < end; at++) {
        c->rows[c->many] = search->segment->ids[at];
        c->tags[c->many++] = tag;
        if (c->many >= QUEUE && search->way->verify_rows(search, 0) != DONE) return DAMAGED;
    }
    return DONE;
}

/* Take the rows in the buckets of a block. Nearly all have few: to copy as many as most have is faster than to count. */
static int take_rows(Search *search, const Block *block) {
    const uint32_t *ids = search->segment->ids;
    int64_t most = search->segment->rows * search->segment->chunks - STEP;
    Candidates *c = &search->candidates;
    for (int i = 0; i < block->many; i++) {
        uint32_t start = block->starts[i], end = block->ends[i], tag = block->tags[i];
        if (end - start > STEP || start > most) {
            if (take_one_by_one(search, start, end, tag) != DONE) return DAMAGED;
            continue;
        }
        memcpy(c->rows + c->many, ids + start, STEP * sizeof *ids);
        for (int copy = 0; copy < STEP; copy++) c->tags[c->many + copy] = tag;
        c->many += (int)(end - start);
    }
    return search->way->verify_rows(search, 0);
}

/* Begin another block: of the one before the last, fetch the buckets, and read those that were fetched before. */
static int next_block(Search *search) {
    unsigned last = search->block++;
    Block *before = &search->blocks[(last + 1) % 3];
    Block *opened = &search->blocks[(last + 2) % 3];
    const Segment *s = search->segment;
    int end;
    if (search->words == 1) {
        end = open_block(search, opened, (const char *)s->ordered, sizeof *s->ordered);
        if (end == DONE) search->way->verify_values(search, before);
    } else {
        end = open_block(search, opened, (const char *)s->ids, sizeof *s->ids);
        if (end == DONE) end = take_rows(search, before);
    }
    before->many = 0;
    return end;
}

/* Look up one query in the table of a chunk, by some flips. */
INLINE int look_up(Search *search, int chunk, uint32_t query, uint32_t value, const uint32_t *flips, int32_t many) {
    const uint32_t *table = search->segment->offsets + search->segment->bases[chunk];
    uint32_t tag = (uint32_t)chunk * TOGETHER + query;
    if (search->left[query] < 0) return DONE;
    while (many) {
        Block *block = &search->blocks[search->block % 3];
        int32_t room = BLOCK - block->many, some = many < room ? many : room;
        for (int32_t i = 0; i < some; i++) {
            const uint32_t *place = table + (value ^ flips[i]);
            PREFETCH(place);
            block->places[block->many + i] = place;
            block->tags[block->many + i] = tag;
        }
        block->many += some;
        if (block->many == BLOCK && next_block(search) != DONE) return DAMAGED;
        flips += some;
        many -= some;
    }
    return DONE;
}

/* Look up many queries in the table of a chunk, one part of the table after the other, so that a part is fetched once
   for all of them. The flips are sorted, so that those which lead from one part to the same other one follow each other. */
static int look_up_sorted(Search *search, int chunk, const uint32_t *values, int many) {
    const uint32_t *flips = search->probes->flips[chunk];
    int32_t groups[PARTS + 1], count = 0;
    unsigned width = search->segment->widths[chunk], low = width > PART ? width - PART : 0;
    uint16_t order[TOGETHER], starts[PARTS + 1] = {0};
    for (int q = 0; q < many; q++) starts[values[q] >> low]++;
    for (int part = 0; part < PARTS; part++) starts[part + 1] = (uint16_t)(starts[part + 1] + starts[part]);
    for (int q = many; q--;) order[--starts[values[q] >> low]] = (uint16_t)q;
    for (int32_t m = 0; m < search->probes->counts[chunk]; m++)
        if (!m || flips[m] >> low != flips[m - 1] >> low) groups[count++] = m;
    groups[count] = search->probes->counts[chunk];
    for (uint32_t part = 0; part < PARTS; part++)
        for (int32_t group = 0; group < count; group++) {
            const uint32_t *some = flips + groups[group];
            uint32_t home = part ^ some[0] >> low;
            for (int i = starts[home]; i < starts[home + 1]; i++)
                if (look_up(search, chunk, order[i], values[order[i]], some, groups[group + 1] - groups[group]) != DONE)
                    return DAMAGED;
        }
    return DONE;
}

static int look_up_all(Search *search, int many) {
    const Segment *s = search->segment;
    const Probes *p = search->probes;
    uint32_t values[TOGETHER];
    for (int chunk = 0; chunk < s->chunks; chunk++) {
        if (p->radii[chunk] < 0) continue;
        for (int q = 0; q < many; q++)
            values[q] = chunk_of(search->queries + search->words * q, search->words, s->shifts[chunk], s->widths[chunk]);
        if (many >= SORTED) {
            if (look_up_sorted(search, chunk, values, many) != DONE) return DAMAGED;
            continue;
        }
        for (int q = 0; q < many; q++)
            if (look_up(search, chunk, (uint32_t)q, values[q], p->flips[chunk], p->counts[chunk]) != DONE) return DAMAGED;
    }
    for (int block = 0; block < 3; block++)
        if (next_block(search) != DONE) return DAMAGED;
    return search->words == 1 ? DONE : search->way->verify_rows(search, 1);
}

/* Each query by its chunks, or by a scan where these have too many candidates. */
static int probe(const Segment *s, const Probes *p, const uint64_t *queries, int64_t many, unsigned radius, Hits *hits,
                 const Way *way) {
    Search search;
    search.segment = s;
    search.probes = p;
    search.way = way;
    search.words = s->second ? 4 : 1;
    search.radius = radius;
    search.hits = hits;
    search.block = 0;
    for (int block = 0; block < 3; block++) search.blocks[block].many = 0;
    search.candidates.fetched = search.candidates.many = 0;
    for (int64_t first = 0; first < many; first += TOGETHER) {
        int some = (int)(many - first < TOGETHER ? many - first : TOGETHER);
        search.queries = queries + search.words * first;
        search.number = (uint32_t)first;
        for (int q = 0; q < some; q++) search.left[q] = p->limit;
        int64_t before = hits->count;
        int scanned = 0;
        if (look_up_all(&search, some) != DONE) return DAMAGED;
        for (int q = 0; q < some; q++) scanned += search.left[q] < 0;
        if (!scanned) continue;
        /* Some candidates of these queries were told. */
        hits->count = before;
        for (int q = 0; q < some; q++) search.left[q] = search.left[q] < 0 ? -1 : p->limit;
        if (look_up_all(&search, some) != DONE) return DAMAGED;
        for (int q = 0; q < some; q++)
            if (search.left[q] < 0)
                way->scan(s, search.queries + search.words * q, 1, search.number + (uint32_t)q, radius, hits);
    }
    return DONE;
}

/* The same text for a processor: `counting` is what it counts bits with, `scanning` what it scans with, by `lanes`. */
#define WAY(name, counting, scanning, lanes)                                                                           \
    scanning static void scan_##name(const Segment *s, const uint64_t *queries, int64_t many, uint32_t number,         \
                                     unsigned radius, Hits *hits) {                                                    \
        scan_all(s, queries, many, number, radius, hits, lanes);                                                       \
    }                                                                                                                  \
    counting static NOINLINE void row_##name(Search *search, uint32_t tag, uint32_t row) {                             \
        check_row(search, tag, row);                                                                                   \
    }                                                                                                                  \
    counting static NOINLINE void value_##name(Search *search, uint32_t tag, uint32_t place) {                         \
        check_value(search, tag, place);                                                                               \
    }                                                                                                                  \
    counting static int rows_##name(Search *search, int last) { return verify_rows(search, last, row_##name); }        \
    counting static void values_##name(Search *search, const Block *block) {                                           \
        verify_values(search, block, value_##name);                                                                    \
    }                                                                                                                  \
    static const Way way_##name = {scan_##name, rows_##name, values_##name};

WAY(portable, , , compare_lanes)
#ifdef CLONES
#define HAS(features) __attribute__((target(features)))
WAY(popcnt, HAS("popcnt"), HAS("popcnt"), compare_lanes)
WAY(wide, HAS("popcnt"), HAS("popcnt,avx512f,avx512bw,avx512vl,avx512vpopcntdq"), compare_lanes)

/* Eight lanes at a time: a table tells the bits of each half of an octet. The sums of four vectors share one. */
HAS("popcnt,avx2")
static inline unsigned compare_lanes_avx2(const uint64_t *lanes, int64_t rows, const uint64_t *query, unsigned radius,
                                    uint8_t *near) {
    const __m256i bits = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                          0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i half = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
    const __m256i limit = _mm256_set1_epi16((short)(radius < 128 ? radius + 1 : 129));
    const __m256i asked = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)query));
    unsigned any = 0;
    int64_t i = 0;
    for (; i + 8 <= rows; i += 8) {
        __m256i sums = zero;
        for (int pair = 3; pair >= 0; pair--) {
            __m256i lane = _mm256_loadu_si256((const __m256i *)(lanes + 2 * i + 4 * pair));
            __m256i differ = _mm256_xor_si256(lane, asked);
            __m256i low = _mm256_shuffle_epi8(bits, _mm256_and_si256(differ, half));
            __m256i high = _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(differ, 4), half));
            __m256i sum = _mm256_sad_epu8(_mm256_add_epi8(low, high), zero);
            sums = _mm256_or_si256(_mm256_slli_epi64(sums, 16), sum);
        }
        sums = _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0x4e));
        unsigned found = (unsigned)_mm256_movemask_epi8(_mm256_cmpgt_epi16(limit, sums));
        if (!found) continue;
        if (!any) memset(near, 0, (size_t)rows);
        any = 1;
        for (int row = 0; row < 8; row++) near[i + row] = found >> (16 * (row % 2) + row / 2 * 2) & 1;
    }
    for (; i < rows; i++) {
        if (BITS(lanes[2 * i] ^ query[0]) + BITS(lanes[2 * i + 1] ^ query[1]) > radius) continue;
        if (!any) memset(near, 0, (size_t)rows);
        any = near[i] = 1;
    }
    return any;
}
WAY(avx2, HAS("popcnt"), HAS("popcnt,avx2"), compare_lanes_avx2)

static int has_popcnt(void) { return __builtin_cpu_supports("popcnt") != 0; }
static int has_avx2(void) { return has_popcnt() && __builtin_cpu_supports("avx2") != 0; }
static int has_wide(void) {
    return __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static const Way *best_way(void) {
#ifdef CLONES
    if (has_wide()) return &way_wide;
    if (has_avx2()) return &way_avx2;
    if (has_popcnt()) return &way_popcnt;
#endif
    return &way_portable;
}

EXPORT int32_t hashdb_version(void) { return VERSION; }

/* The row of the value at a place in the order; the number of rows where the file is damaged. The first chunk's order is
   that of the rows, which are sorted. */
static uint32_t row_at(const Segment *s, uint32_t place) {
    int64_t low = 0, high = s->rows;
    uint64_t value = s->ordered[place];
    if (place < s->rows) return place;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->first[middle] < value) low = middle + 1;
        else high = middle;
    }
    return (uint32_t)(low < s->rows && s->first[low] == value ? low : s->rows);
}

/* Find the rows within the radius of each query by the tables. Returns how many there are, −1 where the tables point
   outside of the arrays: a file that was damaged must not be more than an error. */
EXPORT int64_t hashdb_probe(const Segment *s, const Probes *p, const uint64_t *queries, int64_t many, int32_t radius,
                            Hits *hits) {
    hits->count = 0;
    if (probe(s, p, queries, many, (unsigned)radius, hits, best_way()) != DONE) return -1;
    for (int64_t i = 0; s->ordered && i < hits->count && i < hits->room; i++)
        if ((hits->rows[i] = row_at(s, hits->rows[i])) == s->rows) return -1;
    return hits->count;
}

/* The same by comparing every row. */
EXPORT int64_t hashdb_scan(const Segment *s, const uint64_t *queries, int64_t many, int32_t radius, Hits *hits) {
    hits->count = 0;
    best_way()->scan(s, queries, many, 0, (unsigned)radius, hits);
    return hits->count;
}

/* A value in octets, most significant first; of 64 bits by its place in the order where there is one. */
INLINE void spell(const Segment *s, uint32_t row, int words, uint8_t *octets) {
    for (int word = 0; word < words; word++) {
        uint64_t part = words > 1 ? (word < 2 ? s->first : s->second)[2 * (size_t)row + word % 2]
                                  : (s->ordered ? s->ordered : s->first)[row];
        for (int octet = 0; octet < 8; octet++) octets[8 * word + octet] = (uint8_t)(part >> (56 - 8 * octet));
    }
}

/* One query over many segments, each searched by its tables or, where it has no probes, by comparing every row. The query
   and what is found are octets, most significant first: of each hit the value, one after the other, and its distance.
   Returns how many there are, −1 where tables are damaged. */
EXPORT int64_t hashdb_near(const Parts *parts, const uint8_t *value, Hits *hits) {
    uint64_t query[4] = {0};
    int words = parts->words;
    for (int octet = 0; octet < 8 * words; octet++) query[octet / 8] = query[octet / 8] << 8 | value[octet];
    const Way *way = best_way();
    hits->count = 0;
    for (int32_t i = 0; i < parts->many; i++) {
        const Segment *s = parts->parts[i].segment;
        const Probes *p = parts->parts[i].probes;
        int64_t at = hits->count;
        if (!p) way->scan(s, query, 1, 0, (unsigned)parts->radius, hits);
        else if (probe(s, p, query, 1, (unsigned)parts->radius, hits, way) != DONE) return -1;
        for (; at < hits->count && at < hits->room; at++) spell(s, hits->rows[at], words, hits->values + 8 * words * at);
    }
    return hits->count;
}

/* Sort the rows by a chunk of their values (rows × words, most significant first): `table` gets 2^width + 1 places, each
   counted from `base`, and `ids` the rows, or for 64 bits `ordered` the values. */
EXPORT void hashdb_order(const uint64_t *values, int64_t rows, int32_t words, int32_t shift, int32_t width, uint32_t base,
                         uint32_t *table, uint32_t *ids, uint64_t *ordered) {
    int64_t buckets = (int64_t)1 << width;
    for (int64_t b = 0; b <= buckets; b++) table[b] = 0;
    for (int64_t row = 0; row < rows; row++)
        table[chunk_of(values + row * words, words, (unsigned)shift, (unsigned)width) + 1]++;
    for (int64_t b = 0; b < buckets; b++) table[b + 1] += table[b];
    /* table[b] is where bucket b goes on; when all are placed, it is where b + 1 begins, so move it back by one. */
    for (int64_t row = 0; row < rows; row++) {
        uint32_t at = table[chunk_of(values + row * words, words, (unsigned)shift, (unsigned)width)]++;
        if (ids) ids[at] = (uint32_t)row;
        else ordered[at] = values[row];
    }
    for (int64_t b = buckets; b > 0; b--) table[b] = table[b - 1] + base;
    table[0] = base;
}

#ifdef _WIN32
/* What its linker is told to export; no one imports this as a module. */
EXPORT void *PyInit__kernel(void) { return NULL; }
#endif
