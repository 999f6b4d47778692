/* The inner loops of hashdb.index.segment: probe, fetch, verify.

   Plain C without Python's headers, called by ctypes, which lets go of the interpreter's lock. On x86-64 the same text
   is compiled three times, and the processor is asked which it can run: popcnt makes a probe twice as fast, and
   vpopcntdq a scan of many queries two to three times.

   A value of 256 bits is two lanes of two words each, so that the first lane alone tells nearly all strangers apart, at
   one line of memory a candidate. Values of 64 bits stand in every table themselves, so that a bucket of them is read
   from one end to the other. */

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
enum { VERSION = 3 };
/* How probing a query ends. */
enum { DONE, TOO_MANY, DAMAGED };
enum { BLOCK = 16, AHEAD = 32, SCAN_ROWS = 2048 };

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
    const uint32_t *const *masks; /* per chunk, what to XOR its value with */
    const int32_t *counts;        /* how many masks each chunk has */
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

INLINE void verify(const Segment *s, const Probes *p, const uint64_t *query, uint32_t number, unsigned radius,
                   int chunk, uint32_t row, Hits *hits) {
    const uint64_t *lane = s->first + 2 * (size_t)row;
    uint64_t difference[4] = {lane[0] ^ query[0], lane[1] ^ query[1]};
    unsigned distance = BITS(difference[0]) + BITS(difference[1]);
    if (distance > radius) return;
    lane = s->second + 2 * (size_t)row;
    difference[2] = lane[0] ^ query[2];
    difference[3] = lane[1] ^ query[3];
    distance += BITS(difference[2]) + BITS(difference[3]);
    if (distance <= radius && !found_before(s, p, difference, 4, chunk)) tell(hits, number, row, distance);
}

/* A bucket of values of 64 bits; told is the place in the order. */
INLINE void verify_bucket(const Segment *s, const Probes *p, uint64_t query, uint32_t number, unsigned radius, int chunk,
                          uint32_t start, uint32_t end, Hits *hits) {
    for (uint32_t at = start; at < end; at++) {
        uint64_t difference = s->ordered[at] ^ query;
        unsigned distance = BITS(difference);
        if (distance <= radius && !found_before(s, p, &difference, 1, chunk)) tell(hits, number, at, distance);
    }
}

/* Some look-ups of one query: the place in the table, and what stands there once it is read. */
typedef struct {
    const uint32_t *places[BLOCK];
    uint32_t starts[BLOCK], ends[BLOCK];
    uint8_t chunks[BLOCK];
    int many;
} Block;

/* Where the look-ups of one query go on. */
typedef struct {
    int chunk;
    int32_t mask;
} Place;

/* Take the next look-ups of a query, and have their places in the tables fetched. */
INLINE void take_block(const Segment *s, const Probes *p, const uint64_t *query, int words, Place *next, Block *block) {
    block->many = 0;
    while (block->many < BLOCK && next->chunk < s->chunks) {
        int chunk = next->chunk, room = BLOCK - block->many;
        int32_t left = p->radii[chunk] < 0 ? 0 : p->counts[chunk] - next->mask, some = left < room ? left : room;
        const uint32_t *table = s->offsets + s->bases[chunk], *masks = p->masks[chunk] + next->mask;
        uint32_t value = chunk_of(query, words, s->shifts[chunk], s->widths[chunk]);
        for (int32_t i = 0; i < some; i++) {
            const uint32_t *place = table + (value ^ masks[i]);
            PREFETCH(place);
            block->places[block->many] = place;
            block->chunks[block->many++] = (uint8_t)chunk;
        }
        next->mask += some;
        if (some == left) *next = (Place){chunk + 1, 0};
    }
}

/* Read where the buckets of a block are, and have them fetched. Sizes come from the tables alone, so that a bucket which
   has more rows than are `left` to verify is not read. */
INLINE int open_block(const Segment *s, Block *block, int words, int64_t *left) {
    uint64_t most = (uint64_t)s->rows * (uint64_t)s->chunks;
    unsigned outside = 0;
    for (int i = 0; i < block->many; i++) {
        uint32_t start = block->places[i][0], end = block->places[i][1];
        if (words == 1) {
            PREFETCH(s->ordered + start);
            PREFETCH(s->ordered + start + 8);
        } else {
            PREFETCH(s->ids + start);
            PREFETCH(s->ids + end);
        }
        outside |= (start > end) | (end > most);
        *left -= (uint32_t)(end - start);
        block->starts[i] = start;
        block->ends[i] = end;
    }
    return outside ? DAMAGED : *left < 0 ? TOO_MANY : DONE;
}

/* Rows that are fetched and then verified, first in first out. */
typedef struct {
    uint32_t rows[AHEAD];
    uint8_t chunks[AHEAD];
    uint32_t queued, done;
} Ring;

INLINE void verify_next(const Segment *s, const Probes *p, const uint64_t *query, uint32_t number, unsigned radius,
                        Ring *ring, Hits *hits) {
    uint32_t at = ring->done++ % AHEAD;
    verify(s, p, query, number, radius, ring->chunks[at], ring->rows[at], hits);
}

/* Verify the rows of a block's buckets, of 256 bits as each row has had time to be fetched. */
INLINE int read_block(const Segment *s, const Probes *p, const uint64_t *query, uint32_t number, unsigned radius,
                      const Block *block, Ring *ring, Hits *hits, int words) {
    for (int i = 0; i < block->many; i++) {
        if (words == 1) {
            verify_bucket(s, p, *query, number, radius, block->chunks[i], block->starts[i], block->ends[i], hits);
            continue;
        }
        for (uint32_t at = block->starts[i]; at < block->ends[i]; at++) {
            uint32_t row = s->ids[at];
            if (row >= (uint64_t)s->rows) return DAMAGED;
            PREFETCH(s->first + 2 * (size_t)row);
            if (ring->queued - ring->done == AHEAD) verify_next(s, p, query, number, radius, ring, hits);
            ring->rows[ring->queued % AHEAD] = row;
            ring->chunks[ring->queued++ % AHEAD] = block->chunks[i];
        }
    }
    return DONE;
}

/* One query: while the buckets of a block are read, those of the next one are on their way, and of the one after it the
   places in the tables. */
INLINE int probe_query(const Segment *s, const Probes *p, const uint64_t *query, uint32_t number, unsigned radius,
                       Hits *hits, int words) {
    Block blocks[3];
    Ring ring = {.queued = 0, .done = 0};
    Place next = {0, 0};
    int64_t left = p->limit;
    int end;
    take_block(s, p, query, words, &next, &blocks[0]);
    take_block(s, p, query, words, &next, &blocks[1]);
    if ((end = open_block(s, &blocks[0], words, &left)) != DONE) return end;
    for (unsigned block = 0; blocks[block % 3].many; block++) {
        take_block(s, p, query, words, &next, &blocks[(block + 2) % 3]);
        if ((end = open_block(s, &blocks[(block + 1) % 3], words, &left)) != DONE) return end;
        end = read_block(s, p, query, number, radius, &blocks[block % 3], &ring, hits, words);
        if (end != DONE) return end;
    }
    while (ring.done < ring.queued) verify_next(s, p, query, number, radius, &ring, hits);
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
        int64_t before = hits->count;
        int end = probe_query(s, p, query, (uint32_t)q, radius, hits, words);
        if (end == DAMAGED) return DAMAGED;
        if (end == DONE) continue;
        hits->count = before;
        scan(s, query, 1, (uint32_t)q, radius, hits);
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
    if (best_probe()(s, p, queries, many, (unsigned)radius, hits, best_scan()) != DONE) return -1;
    for (int64_t i = 0; s->ordered && i < hits->count && i < hits->room; i++)
        if ((hits->rows[i] = row_at(s, hits->rows[i])) == s->rows) return -1;
    return hits->count;
}

/* The same by comparing every row. */
EXPORT int64_t hashdb_scan(const Segment *s, const uint64_t *queries, int64_t many, int32_t radius, Hits *hits) {
    hits->count = 0;
    best_scan()(s, queries, many, 0, (unsigned)radius, hits);
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
    Scan *scan = best_scan();
    Probe *probe = best_probe();
    hits->count = 0;
    for (int32_t i = 0; i < parts->many; i++) {
        const Segment *s = parts->parts[i].segment;
        const Probes *p = parts->parts[i].probes;
        int64_t at = hits->count;
        if (!p) scan(s, query, 1, 0, (unsigned)parts->radius, hits);
        else if (probe(s, p, query, 1, (unsigned)parts->radius, hits, scan) != DONE) return -1;
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
