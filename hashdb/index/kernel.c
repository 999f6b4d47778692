/* The inner loops of hashdb.index.segment: probe, fetch, verify. hashdb.index.vectors says how tables are laid out.

   Plain C without Python's headers, called by ctypes, which releases the interpreter's lock. On x86-64 the same text is
   compiled several times, and the processor is asked which it can run: popcnt makes a probe twice as fast, and
   vpopcntdq a scan of many queries two to three times. AVX2 counts no bits by itself, so its scan is written by hand.

   A value of 256 bits is two lanes of two words each. The first lane alone excludes nearly all values that are not near
   the query, and costs one line of memory a candidate. The tables of 64-bit values have the values themselves, so that
   a bucket is read from one end to the other. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* With PLAIN, as for a compiler that has only standard C. */
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

/* What hashdb.index.kernel expects: add 1 when a structure or a function changes. */
enum { VERSION = 4 };
/* How probing a query ends. */
enum { DONE, TOO_MANY, DAMAGED };
/* Look-ups in a block, rows that are fetched before the first of them is verified, rows that are copied at once. */
enum { BLOCK = 16, AHEAD = 32, STEP = 8, QUEUE = AHEAD + BLOCK * STEP };
/* Queries that are searched together, how many are worth sorting, and the bits that number the parts of a table. */
enum { TOGETHER = 1024, SORTED = 128, PART = 8, PARTS = 1 << PART };
enum { SCAN_ROWS = 2048 };

typedef struct {
    const uint64_t *first;        /* rows × 2 words (256 bits) or rows × 1 (64 bits) */
    const uint64_t *second;       /* rows × 2 words, or NULL for 64 bits */
    int64_t rows;                 /* fewer than 2^32, and so is rows × chunks */
    int32_t chunks;
    const uint8_t *widths;        /* bits of each chunk, at most 32 */
    const uint8_t *shifts;        /* position of the lowest bit of each chunk, counted from that of the value */
    const int64_t *bases;         /* where each chunk's table begins in offsets */
    const uint32_t *offsets;      /* per chunk 2^width + 1: where each bucket's entries begin, and the last ones end */
    const uint32_t *entry_rows;   /* 256 bits: the rows, sorted by each chunk's value, one chunk after the other */
    const uint64_t *entry_values; /* 64 bits: the values, sorted so; those of the first chunk are `first` */
} Segment;

typedef struct {
    const int8_t *radii;          /* radius of each chunk, −1 where it is not looked up */
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
    int32_t count;
    int32_t words;
    int32_t radius;
} Parts;

/* Add a hit, or only count it if there is no room. */
INLINE void add_hit(Hits *hits, uint32_t query, uint32_t row, unsigned distance) {
    if (hits->count < hits->room) {
        hits->queries[hits->count] = query;
        hits->rows[hits->count] = row;
        hits->distances[hits->count] = (uint16_t)distance;
    }
    hits->count++;
}

/* The chunk's bits of a value whose words are most significant first. */
INLINE uint32_t chunk_of(const uint64_t *value, int words, unsigned shift, unsigned width) {
    int word = words - 1 - (int)(shift / 64);
    unsigned bit = shift % 64;
    uint64_t part = value[word] >> bit;
    if (bit + width > 64 && word > 0) part |= value[word - 1] << (64 - bit);
    return (uint32_t)(part & ((UINT64_C(1) << width) - 1));
}

/* Whether a chunk before this one finds the row too, so that each becomes one hit. */
INLINE int found_before(const Segment *s, const Probes *p, const uint64_t *difference, int words, int chunk) {
    for (int c = 0; c < chunk; c++) {
        if (p->radii[c] < 0) continue;
        if ((int)BITS(chunk_of(difference, words, s->shifts[c], s->widths[c])) <= p->radii[c]) return 1;
    }
    return 0;
}

/* Return whether any of some first lanes is near that of a query. If so, `near` says which; else `near` is unset. */
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
INLINE void scan_all(const Segment *s, const uint64_t *queries, int64_t count, uint32_t number, unsigned radius,
                     Hits *hits, Compare *lanes) {
    uint8_t near[SCAN_ROWS];
    for (int64_t from = 0; from < s->rows; from += SCAN_ROWS) {
        int64_t rows = s->rows - from < SCAN_ROWS ? s->rows - from : SCAN_ROWS;
        for (int64_t q = 0; q < count; q++) {
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
                if (distance <= radius) add_hit(hits, number + (uint32_t)q, row, distance);
            }
        }
    }
}

/* Some look-ups: where the bucket's offset is, and once that is read, where its entries start and end. A tag has the
   numbers of the chunk and of the query: chunk × TOGETHER + query. */
typedef struct {
    const uint32_t *offsets[BLOCK];
    uint32_t starts[BLOCK], ends[BLOCK], tags[BLOCK];
    int count;
} Block;

/* Rows of 256 bits that look-ups led to, with the tags of these: the first ones are verified, the next ones fetched. */
typedef struct {
    uint32_t rows[QUEUE + BLOCK * STEP], tags[QUEUE + BLOCK * STEP];
    int fetched, count;
} Candidates;

typedef struct Variant Variant;

/* A search of some queries. Of each look-up, the offset is fetched from memory, then the bucket, then the rows, and
   meanwhile others are worked on. */
typedef struct {
    const Segment *segment;
    const Probes *probes;
    const Variant *variant;
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
struct Variant {
    void (*scan)(const Segment *, const uint64_t *queries, int64_t count, uint32_t number, unsigned radius, Hits *);
    int (*verify_rows)(Search *, int last);
    void (*verify_values)(Search *, const Block *);
};

/* Called for few candidates, so that the loops over all of them stay short. */
typedef void Check(Search *, uint32_t tag, uint32_t row);

INLINE void add_hit_once(Search *search, uint32_t tag, const uint64_t *difference, uint32_t row) {
    uint32_t query = tag % TOGETHER;
    unsigned distance = 0;
    for (int word = 0; word < search->words; word++) distance += BITS(difference[word]);
    if (distance > search->radius) return;
    if (found_before(search->segment, search->probes, difference, search->words, (int)(tag / TOGETHER))) return;
    add_hit(search->hits, search->number + query, row, distance);
}

INLINE void check_row(Search *search, uint32_t tag, uint32_t row) {
    const uint64_t *query = search->queries + 4 * (size_t)(tag % TOGETHER);
    const uint64_t *first = search->segment->first + 2 * (size_t)row, *second = search->segment->second + 2 * (size_t)row;
    uint64_t difference[] = {first[0] ^ query[0], first[1] ^ query[1], second[0] ^ query[2], second[1] ^ query[3]};
    add_hit_once(search, tag, difference, row);
}

INLINE void check_value(Search *search, uint32_t tag, uint32_t position) {
    uint64_t difference = search->segment->entry_values[position] ^ search->queries[tag % TOGETHER];
    add_hit_once(search, tag, &difference, position);
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
    int count = c->count, at = c->fetched, kept = count < AHEAD ? count : AHEAD;
    for (; at < kept; at++) {
        if (rows[at] >= most) return DAMAGED;
        PREFETCH(first + 2 * (size_t)rows[at]);
    }
    for (; at < count; at++) {
        if (rows[at] >= most) return DAMAGED;
        PREFETCH(first + 2 * (size_t)rows[at]);
        int before = at - AHEAD;
        if (may_be_near(first, queries, rows[before], tags[before], radius)) check(search, tags[before], rows[before]);
    }
    memmove(rows, rows + count - kept, AHEAD * sizeof *rows);
    memmove(tags, tags + count - kept, AHEAD * sizeof *tags);
    c->count = c->fetched = last ? 0 : kept;
    for (at = 0; last && at < kept; at++)
        if (may_be_near(first, queries, rows[at], tags[at], radius)) check(search, tags[at], rows[at]);
    return DONE;
}

/* Verify the values of 64 bits in the buckets of a block; a hit has the position of the entry instead of a row. */
INLINE void verify_values(Search *search, const Block *block, Check *check) {
    const uint64_t *entry_values = search->segment->entry_values;
    unsigned radius = search->radius;
    for (int i = 0; i < block->count; i++) {
        uint64_t query = search->queries[block->tags[i] % TOGETHER];
        for (uint32_t at = block->starts[i], end = block->ends[i]; at < end; at++)
            if (BITS(entry_values[at] ^ query) <= radius) check(search, block->tags[i], at);
    }
}

/* Read where the buckets of a block are, and fetch them. Their sizes come from the offsets alone, so that a bucket with
   more rows than are `left` to verify is not read. */
INLINE int open_block(Search *search, Block *block, const char *entries, size_t size) {
    int64_t most = search->segment->rows * search->segment->chunks, outside = 0;
    for (int i = 0; i < block->count; i++) {
        int64_t start = block->offsets[i][0], end = block->offsets[i][1];
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
        c->rows[c->count] = search->segment->entry_rows[at];
        c->tags[c->count++] = tag;
        if (c->count >= QUEUE && search->variant->verify_rows(search, 0) != DONE) return DAMAGED;
    }
    return DONE;
}

/* Take the rows in the buckets of a block. Nearly all have few: to copy as many as most have is faster than to count. */
static int take_rows(Search *search, const Block *block) {
    const uint32_t *entry_rows = search->segment->entry_rows;
    int64_t most = search->segment->rows * search->segment->chunks - STEP;
    Candidates *c = &search->candidates;
    for (int i = 0; i < block->count; i++) {
        uint32_t start = block->starts[i], end = block->ends[i], tag = block->tags[i];
        if (end - start > STEP || start > most) {
            if (take_one_by_one(search, start, end, tag) != DONE) return DAMAGED;
            continue;
        }
        memcpy(c->rows + c->count, entry_rows + start, STEP * sizeof *entry_rows);
        for (int copy = 0; copy < STEP; copy++) c->tags[c->count + copy] = tag;
        c->count += (int)(end - start);
    }
    return search->variant->verify_rows(search, 0);
}

/* Begin another block of look-ups. The offsets of the block before the last one have arrived by now: fetch its buckets.
   The buckets of the block before that have arrived too: read them. */
static int next_block(Search *search) {
    unsigned last = search->block++;
    Block *before = &search->blocks[(last + 1) % 3];
    Block *opened = &search->blocks[(last + 2) % 3];
    const Segment *s = search->segment;
    int end;
    if (search->words == 1) {
        end = open_block(search, opened, (const char *)s->entry_values, sizeof *s->entry_values);
        if (end == DONE) search->variant->verify_values(search, before);
    } else {
        end = open_block(search, opened, (const char *)s->entry_rows, sizeof *s->entry_rows);
        if (end == DONE) end = take_rows(search, before);
    }
    before->count = 0;
    return end;
}

/* Look up one query in the table of a chunk, by some flips. */
INLINE int look_up(Search *search, int chunk, uint32_t query, uint32_t value, const uint32_t *flips, int32_t count) {
    const uint32_t *table = search->segment->offsets + search->segment->bases[chunk];
    uint32_t tag = (uint32_t)chunk * TOGETHER + query;
    if (search->left[query] < 0) return DONE;
    while (count) {
        Block *block = &search->blocks[search->block % 3];
        int32_t room = BLOCK - block->count, some = count < room ? count : room;
        for (int32_t i = 0; i < some; i++) {
            const uint32_t *offset = table + (value ^ flips[i]);
            PREFETCH(offset);
            block->offsets[block->count + i] = offset;
            block->tags[block->count + i] = tag;
        }
        block->count += some;
        if (block->count == BLOCK && next_block(search) != DONE) return DAMAGED;
        flips += some;
        count -= some;
    }
    return DONE;
}

/* Look up many queries in the table of a chunk, one part of the table after the other, so that a part is fetched once
   for all of them. The flips are sorted, so that those which lead from one part to the same other one follow each other. */
static int look_up_sorted(Search *search, int chunk, const uint32_t *values, int count) {
    const uint32_t *flips = search->probes->flips[chunk];
    int32_t groups[PARTS + 1], group_count = 0;
    unsigned width = search->segment->widths[chunk], low = width > PART ? width - PART : 0;
    uint16_t order[TOGETHER], starts[PARTS + 1] = {0};
    for (int q = 0; q < count; q++) starts[values[q] >> low]++;
    for (int part = 0; part < PARTS; part++) starts[part + 1] = (uint16_t)(starts[part + 1] + starts[part]);
    for (int q = count; q--;) order[--starts[values[q] >> low]] = (uint16_t)q;
    for (int32_t m = 0; m < search->probes->counts[chunk]; m++)
        if (!m || flips[m] >> low != flips[m - 1] >> low) groups[group_count++] = m;
    groups[group_count] = search->probes->counts[chunk];
    for (uint32_t part = 0; part < PARTS; part++)
        for (int32_t group = 0; group < group_count; group++) {
            const uint32_t *some = flips + groups[group];
            uint32_t home = part ^ some[0] >> low;
            for (int i = starts[home]; i < starts[home + 1]; i++)
                if (look_up(search, chunk, order[i], values[order[i]], some, groups[group + 1] - groups[group]) != DONE)
                    return DAMAGED;
        }
    return DONE;
}

static int look_up_all(Search *search, int count) {
    const Segment *s = search->segment;
    const Probes *p = search->probes;
    uint32_t values[TOGETHER];
    for (int chunk = 0; chunk < s->chunks; chunk++) {
        if (p->radii[chunk] < 0) continue;
        for (int q = 0; q < count; q++)
            values[q] = chunk_of(search->queries + search->words * q, search->words, s->shifts[chunk], s->widths[chunk]);
        if (count >= SORTED) {
            if (look_up_sorted(search, chunk, values, count) != DONE) return DAMAGED;
            continue;
        }
        for (int q = 0; q < count; q++)
            if (look_up(search, chunk, (uint32_t)q, values[q], p->flips[chunk], p->counts[chunk]) != DONE) return DAMAGED;
    }
    for (int block = 0; block < 3; block++)
        if (next_block(search) != DONE) return DAMAGED;
    return search->words == 1 ? DONE : search->variant->verify_rows(search, 1);
}

/* Search each query by the tables, or by a scan if it has too many candidates. */
static int probe(const Segment *s, const Probes *p, const uint64_t *queries, int64_t count, unsigned radius, Hits *hits,
                 const Variant *variant) {
    Search search;
    search.segment = s;
    search.probes = p;
    search.variant = variant;
    search.words = s->second ? 4 : 1;
    search.radius = radius;
    search.hits = hits;
    search.block = 0;
    for (int block = 0; block < 3; block++) search.blocks[block].count = 0;
    search.candidates.fetched = search.candidates.count = 0;
    for (int64_t first = 0; first < count; first += TOGETHER) {
        int some = (int)(count - first < TOGETHER ? count - first : TOGETHER);
        search.queries = queries + search.words * first;
        search.number = (uint32_t)first;
        for (int q = 0; q < some; q++) search.left[q] = p->limit;
        int64_t before = hits->count;
        int scanned = 0;
        if (look_up_all(&search, some) != DONE) return DAMAGED;
        for (int q = 0; q < some; q++) scanned += search.left[q] < 0;
        if (!scanned) continue;
        /* Some queries must be scanned, and some of their hits are added already: search the others again. */
        hits->count = before;
        for (int q = 0; q < some; q++) search.left[q] = search.left[q] < 0 ? -1 : p->limit;
        if (look_up_all(&search, some) != DONE) return DAMAGED;
        for (int q = 0; q < some; q++)
            if (search.left[q] < 0)
                variant->scan(s, search.queries + search.words * q, 1, search.number + (uint32_t)q, radius, hits);
    }
    return DONE;
}

/* The same text for one kind of processor: `counting` is what it counts bits with, `scanning` what it scans with, and
   `lanes` the function that compares lanes. */
#define VARIANT(name, counting, scanning, lanes)                                                                       \
    scanning static void scan_##name(const Segment *s, const uint64_t *queries, int64_t count, uint32_t number,        \
                                     unsigned radius, Hits *hits) {                                                    \
        scan_all(s, queries, count, number, radius, hits, lanes);                                                      \
    }                                                                                                                  \
    counting static NOINLINE void row_##name(Search *search, uint32_t tag, uint32_t row) {                             \
        check_row(search, tag, row);                                                                                   \
    }                                                                                                                  \
    counting static NOINLINE void value_##name(Search *search, uint32_t tag, uint32_t position) {                      \
        check_value(search, tag, position);                                                                            \
    }                                                                                                                  \
    counting static int rows_##name(Search *search, int last) { return verify_rows(search, last, row_##name); }        \
    counting static void values_##name(Search *search, const Block *block) {                                           \
        verify_values(search, block, value_##name);                                                                    \
    }                                                                                                                  \
    static const Variant variant_##name = {scan_##name, rows_##name, values_##name};

VARIANT(portable, , , compare_lanes)
#ifdef CLONES
#define HAS(features) __attribute__((target(features)))
VARIANT(popcnt, HAS("popcnt"), HAS("popcnt"), compare_lanes)
VARIANT(wide, HAS("popcnt"), HAS("popcnt,avx512f,avx512bw,avx512vl,avx512vpopcntdq"), compare_lanes)

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
VARIANT(avx2, HAS("popcnt"), HAS("popcnt,avx2"), compare_lanes_avx2)

static int has_popcnt(void) { return __builtin_cpu_supports("popcnt") != 0; }
static int has_avx2(void) { return has_popcnt() && __builtin_cpu_supports("avx2") != 0; }
static int has_wide(void) {
    return __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static const Variant *best_variant(void) {
#ifdef CLONES
    if (has_wide()) return &variant_wide;
    if (has_avx2()) return &variant_avx2;
    if (has_popcnt()) return &variant_popcnt;
#endif
    return &variant_portable;
}

EXPORT int32_t hashdb_version(void) { return VERSION; }

/* The row of the value at a position among the entries: its position in `first`, which has the entries of the first
   chunk. The number of rows if the file is damaged. */
static uint32_t row_at(const Segment *s, uint32_t position) {
    int64_t low = 0, high = s->rows;
    uint64_t value = s->entry_values[position];
    if (position < s->rows) return position;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->first[middle] < value) low = middle + 1;
        else high = middle;
    }
    return (uint32_t)(low < s->rows && s->first[low] == value ? low : s->rows);
}

/* Find the rows within the radius of each query by the tables. Returns how many there are, −1 where the tables point
   outside of the arrays: a file that was damaged must not be more than an error. */
EXPORT int64_t hashdb_probe(const Segment *s, const Probes *p, const uint64_t *queries, int64_t count, int32_t radius,
                            Hits *hits) {
    hits->count = 0;
    if (probe(s, p, queries, count, (unsigned)radius, hits, best_variant()) != DONE) return -1;
    for (int64_t i = 0; s->entry_values && i < hits->count && i < hits->room; i++)
        if ((hits->rows[i] = row_at(s, hits->rows[i])) == s->rows) return -1;
    return hits->count;
}

/* The same by comparing every row. */
EXPORT int64_t hashdb_scan(const Segment *s, const uint64_t *queries, int64_t count, int32_t radius, Hits *hits) {
    hits->count = 0;
    best_variant()->scan(s, queries, count, 0, (unsigned)radius, hits);
    return hits->count;
}

/* Write the value of a hit in octets, most significant first. With tables of 64-bit values, `row` is a position among
   their entries. */
INLINE void write_value(const Segment *s, uint32_t row, int words, uint8_t *octets) {
    for (int word = 0; word < words; word++) {
        uint64_t part = words > 1 ? (word < 2 ? s->first : s->second)[2 * (size_t)row + word % 2]
                                  : (s->entry_values ? s->entry_values : s->first)[row];
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
    const Variant *variant = best_variant();
    hits->count = 0;
    for (int32_t i = 0; i < parts->count; i++) {
        const Segment *s = parts->parts[i].segment;
        const Probes *p = parts->parts[i].probes;
        int64_t at = hits->count;
        if (!p) variant->scan(s, query, 1, 0, (unsigned)parts->radius, hits);
        else if (probe(s, p, query, 1, (unsigned)parts->radius, hits, variant) != DONE) return -1;
        for (; at < hits->count && at < hits->room; at++)
            write_value(s, hits->rows[at], words, hits->values + 8 * words * at);
    }
    return hits->count;
}

/* Sort the rows by a chunk of their values (rows × words, most significant first): `table` gets 2^width + 1 offsets, each
   counted from `base`, and `entry_rows` the rows, or for 64 bits `entry_values` the values. */
EXPORT void hashdb_order(const uint64_t *values, int64_t rows, int32_t words, int32_t shift, int32_t width, uint32_t base,
                         uint32_t *table, uint32_t *entry_rows, uint64_t *entry_values) {
    int64_t buckets = (int64_t)1 << width;
    for (int64_t b = 0; b <= buckets; b++) table[b] = 0;
    for (int64_t row = 0; row < rows; row++)
        table[chunk_of(values + row * words, words, (unsigned)shift, (unsigned)width) + 1]++;
    for (int64_t b = 0; b < buckets; b++) table[b + 1] += table[b];
    /* table[b] is where bucket b goes on; when all are placed, it is where b + 1 begins, so move it back by one. */
    for (int64_t row = 0; row < rows; row++) {
        uint32_t at = table[chunk_of(values + row * words, words, (unsigned)shift, (unsigned)width)]++;
        if (entry_rows) entry_rows[at] = (uint32_t)row;
        else entry_values[at] = values[row];
    }
    for (int64_t b = buckets; b > 0; b--) table[b] = table[b - 1] + base;
    table[0] = base;
}

#ifdef _WIN32
/* Its linker must export this; nobody imports this as a module. */
EXPORT void *PyInit__kernel(void) { return NULL; }
#endif
