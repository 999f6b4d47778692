/* Runs the index's kernel on random segments and compares it with counting bits one by one. test_sanitizers.py compiles
   it with sanitizers. Runs every implementation that this processor supports. Exits 0 if all results agree. */

#include "../../hashdb/index/kernel.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The usual number of queries, and a number so large that the kernel sorts them. */
enum { CASES = 400, ASKED = 5, MAX_ASKED = SORTED + ASKED, CHUNKS = 32 };

#define CHECK(holds)                                                              \
    do {                                                                          \
        if (!(holds)) {                                                           \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #holds);     \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

static uint64_t state = 88172645463325252u;

static uint64_t random_word(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int below(int many) { return (int)(random_word() % (uint64_t)many); }

/* Allocates exactly this many bytes, so that the sanitizer finds an access beyond them. */
static void *allocate(size_t bytes) {
    void *got = malloc(bytes ? bytes : 1);
    CHECK(got);
    return got;
}

static unsigned count_bits(uint64_t word) {
    unsigned count = 0;
    for (; word; word &= word - 1) count++;
    return count;
}

static unsigned distance_of(const uint64_t *a, const uint64_t *b, int words) {
    unsigned distance = 0;
    for (int w = 0; w < words; w++) distance += count_bits(a[w] ^ b[w]);
    return distance;
}

/* A chunk of a value, computed bit by bit. */
static uint32_t plain_chunk(const uint64_t *value, int words, int shift, int width) {
    uint32_t chunk = 0;
    for (int bit = 0; bit < width; bit++) {
        int place = shift + bit;
        chunk |= (uint32_t)(value[words - 1 - place / 64] >> (place % 64) & 1) << bit;
    }
    return chunk;
}

static void flip(uint64_t *value, int words, int times) {
    while (times--) {
        int bit = below(64 * words);
        value[bit / 64] ^= UINT64_C(1) << (bit % 64);
    }
}

/* Values that are random, equal, nearly zero, or complements of each other. */
static void fill(uint64_t *values, int64_t rows, int words, int kind) {
    for (int64_t row = 0; row < rows; row++)
        for (int w = 0; w < words; w++) {
            uint64_t *word = values + row * words + w;
            if (kind == 0) *word = random_word();
            if (kind == 1) *word = UINT64_C(0x9e3779b97f4a7c15);
            if (kind == 2) *word = below(8) ? 0 : UINT64_C(1) << below(64);
            if (kind == 3) *word = row % 2 ? UINT64_MAX : 0;
        }
}

/* The flips of a chunk, sorted. */
static uint32_t *flips_of(int width, int radius, int32_t *count) {
    uint32_t *flips = allocate(sizeof *flips << width);
    *count = 0;
    for (uint32_t mask = 0; radius >= 0 && mask >> width == 0;)
        if ((int)count_bits(mask) <= radius) flips[(*count)++] = mask++;
        else mask += mask & -mask; /* The flips between have all of its bits, and more. */
    return flips;
}

/* The distance of each value from each query, by counting: one row of distances for each query. */
static uint16_t *distances_of(const uint64_t *values, int64_t rows, int words, const uint64_t *queries, int64_t many) {
    uint16_t *distances = allocate((size_t)(rows * many) * sizeof *distances);
    for (int64_t q = 0; q < many; q++)
        for (int64_t row = 0; row < rows; row++)
            distances[q * rows + row] = (uint16_t)distance_of(values + row * words, queries + q * words, words);
    return distances;
}

/* Checks that the hits are those that counting finds, each once. Hits beyond the buffer are only counted. */
static void compare(const uint16_t *distances, int64_t rows, int64_t many, int radius, const Hits *hits) {
    uint8_t *seen = allocate((size_t)(rows * many));
    int64_t expected = 0, found = hits->count < hits->room ? hits->count : hits->room;
    memset(seen, 0, (size_t)(rows * many));
    for (int64_t i = 0; i < rows * many; i++) expected += distances[i] <= radius;
    CHECK(hits->count == expected);
    for (int64_t i = 0; i < found; i++) {
        uint32_t q = hits->queries[i], row = hits->rows[i];
        CHECK(q < many && row < rows && !seen[q * rows + row]++);
        CHECK(hits->distances[i] == distances[q * rows + row]);
        CHECK(hits->distances[i] <= radius);
    }
    free(seen);
}

/* Sorts values of 64 bits and removes duplicates; returns how many are left. */
static int64_t sort_distinct(uint64_t *values, int64_t rows) {
    int64_t kept = 0;
    for (int64_t i = 1; i < rows; i++)
        for (int64_t j = i; j && values[j - 1] > values[j]; j--) {
            uint64_t other = values[j];
            values[j] = values[j - 1];
            values[j - 1] = other;
        }
    for (int64_t i = 0; i < rows; i++)
        if (!i || values[i] != values[kept - 1]) values[kept++] = values[i];
    return kept;
}

static void check_order(const uint64_t *values, int64_t rows, int words, int shift, int width, uint32_t base,
                        const uint32_t *table, const uint32_t *entry_rows, const uint64_t *entry_values) {
    CHECK(table[0] == base && table[(size_t)1 << width] == base + rows);
    for (uint32_t value = 0; value >> width == 0; value++) {
        CHECK(table[value] <= table[value + 1]);
        for (uint32_t at = table[value] - base; at < table[value + 1] - base; at++) {
            const uint64_t *one = entry_rows ? values + (int64_t)entry_rows[at] * words : entry_values + at;
            CHECK(plain_chunk(one, words, shift, width) == value);
            if (at == table[value] - base) continue;
            CHECK(entry_rows ? entry_rows[at - 1] < entry_rows[at] : entry_values[at - 1] < entry_values[at]);
        }
    }
}

typedef struct {
    Segment segment;
    Probes probes;
    uint8_t widths[CHUNKS], shifts[CHUNKS];
    int64_t bases[CHUNKS];
    int8_t radii[CHUNKS];
    const uint32_t *flips[CHUNKS];
    int32_t counts[CHUNKS];
    uint64_t *lanes[2], *entry_values;
    uint32_t *offsets, *entry_rows;
} Case;

/* Makes chunks of 8 to 12 bits. One may have up to 17, rarely 20, and is searched at radius 1 at most. */
static void make_chunks(Case *c, int words, int64_t rows) {
    int left = 64 * words, chunks = 0, wide = below(2);
    int64_t places = 0;
    while (left) {
        int width = wide && left >= 40 ? 13 + below(below(8) ? 5 : 8) : 8 + below(5);
        wide = 0;
        if (left - width < 8) width = left < 20 ? left : 10;
        left -= width;
        c->widths[chunks] = (uint8_t)width;
        c->shifts[chunks] = (uint8_t)left;
        c->bases[chunks++] = places;
        places += ((int64_t)1 << width) + 1;
    }
    c->offsets = allocate((size_t)places * sizeof *c->offsets);
    c->entry_rows = words == 1 ? NULL : allocate((size_t)(rows * chunks) * sizeof *c->entry_rows);
    c->entry_values = words == 1 ? allocate((size_t)(rows * chunks) * sizeof *c->entry_values) : NULL;
    c->segment.chunks = chunks;
}

/* Sets the radii of the m chunks for a radius r = m·a + b: b + 1 of them have a, the others a − 1. */
static void set_radii(Case *c, int radius, int64_t limit) {
    int chunks = c->segment.chunks;
    for (int chunk = 0; chunk < chunks; chunk++) {
        c->radii[chunk] = (int8_t)(chunk <= radius % chunks ? radius / chunks : radius / chunks - 1);
        c->flips[chunk] = flips_of(c->widths[chunk], c->radii[chunk], &c->counts[chunk]);
    }
    c->probes = (Probes){c->radii, c->flips, c->counts, limit};
}

static Case *make_case(const uint64_t *values, int64_t rows, int words, int radius, int64_t limit) {
    Case *c = allocate(sizeof *c);
    size_t width = words == 1 ? 1 : 2;
    make_chunks(c, words, rows);
    for (int chunk = 0; chunk < c->segment.chunks; chunk++) {
        uint32_t base = (uint32_t)(chunk * rows), *table = c->offsets + c->bases[chunk];
        uint32_t *entry_rows = words == 1 ? NULL : c->entry_rows + base;
        uint64_t *entry_values = words == 1 ? c->entry_values + base : NULL;
        hashdb_order(values, rows, words, c->shifts[chunk], c->widths[chunk], base, table, entry_rows, entry_values);
        check_order(values, rows, words, c->shifts[chunk], c->widths[chunk], base, table, entry_rows, entry_values);
    }
    for (int lane = 0; lane < 2; lane++) {
        c->lanes[lane] = allocate((size_t)rows * width * sizeof(uint64_t));
        for (int64_t row = 0; row < rows && lane * 2 < words; row++)
            memcpy(c->lanes[lane] + (size_t)row * width, values + row * words + 2 * lane, width * sizeof(uint64_t));
    }
    c->segment = (Segment){c->lanes[0], words == 1 ? NULL : c->lanes[1], rows,       c->segment.chunks, c->widths,
                           c->shifts,   c->bases,                        c->offsets, c->entry_rows, c->entry_values};
    set_radii(c, radius, limit);
    return c;
}

static void free_case(Case *c) {
    for (int chunk = 0; chunk < c->segment.chunks; chunk++) free((void *)c->flips[chunk]);
    free(c->lanes[0]);
    free(c->lanes[1]);
    free(c->offsets);
    free(c->entry_rows);
    free(c->entry_values);
    free(c);
}

static Hits allocate_hits(int64_t many) {
    size_t count = (size_t)many;
    uint32_t *queries = allocate(count * sizeof *queries), *rows = allocate(count * sizeof *rows);
    uint16_t *distances = allocate(count * sizeof *distances);
    return (Hits){queries, rows, distances, allocate(count * 32), many, 0};
}

static void free_hits(Hits *hits) {
    free(hits->queries);
    free(hits->rows);
    free(hits->distances);
    free(hits->values);
}

/* Lists the implementations that this processor supports, and the one that is chosen. */
static int list_variants(const Variant **all) {
    int many = 0;
    all[many++] = &variant_portable;
    all[many++] = best_variant();
#ifdef CLONES
    if (has_popcnt()) all[many++] = &variant_popcnt;
    if (has_avx2()) all[many++] = &variant_avx2;
    if (has_wide()) all[many++] = &variant_wide;
#endif
    return many;
}

static void damage(Case *c, const uint64_t *queries, int words, Hits *hits) {
    int64_t rows = c->segment.rows, chunks = c->segment.chunks;
    (void)words;
    c->probes.limit = INT64_MAX;
    for (int64_t i = 0; i < rows * chunks; i++) {
        if (c->entry_rows) c->entry_rows[i] = (uint32_t)rows + (uint32_t)(i % 2 ? 0 : 1u << 31);
        else c->entry_values[i] = random_word();
    }
    hashdb_probe(&c->segment, &c->probes, queries, ASKED, 64, hits);
    for (int chunk = 0; chunk < chunks; chunk++)
        for (size_t place = 0; place <= (size_t)1 << c->widths[chunk]; place++)
            c->offsets[c->bases[chunk] + (int64_t)place] = (uint32_t)random_word();
    CHECK(hashdb_probe(&c->segment, &c->probes, queries, ASKED, 64, hits) == -1);
}

/* Checks one query over a segment with tables and the same values without tables: each value is found twice. The bytes
   of a value are in big-endian order. */
static void check_near(Case *c, const uint16_t *distances, int64_t rows, int words, const uint64_t *query, int radius,
                       Hits *hits) {
    uint8_t asked[32];
    Segment plain = c->segment;
    Part parts[] = {{&c->segment, &c->probes}, {&plain, NULL}};
    Parts all = {parts, 2, words, radius};
    int64_t expected = 0;
    plain.entry_values = NULL;
    plain.chunks = 0;
    for (int octet = 0; octet < 8 * words; octet++) asked[octet] = (uint8_t)(query[octet / 8] >> (56 - octet % 8 * 8));
    for (int64_t row = 0; row < rows; row++) expected += 2 * (distances[row] <= radius);
    CHECK(hashdb_near(&all, asked, hits) == expected && hits->count == expected);
    for (int64_t i = 0; i < expected && i < hits->room; i++) {
        uint64_t found[4] = {0};
        for (int octet = 0; octet < 8 * words; octet++)
            found[octet / 8] = found[octet / 8] << 8 | hits->values[8 * words * i + octet];
        CHECK(hits->distances[i] == distance_of(found, query, words) && hits->distances[i] <= radius);
    }
}

static void run(int number) {
    static const int64_t sizes[] = {0, 1, 2, 15, 16, 17, 100, 2047, 2048, 2049};
    int words = number % 2 ? 4 : 1, kind = below(4);
    int64_t rows = sizes[number % (int)(sizeof sizes / sizeof *sizes)];
    /* Up to radius 1 a chunk, and sometimes up to 3: larger radii take too long. */
    int radius = below(number % 5 ? 10 * words : 20 * words), limit = number % 3 ? 1 << 30 : below(200);
    int asked = rows <= 100 && number / 10 % 3 == 0 ? MAX_ASKED : ASKED;
    uint64_t *values = allocate((size_t)(rows * words) * sizeof *values), queries[MAX_ASKED * 4];
    fill(values, rows, words, kind);
    if (words == 1) rows = sort_distinct(values, rows);
    fill(queries, asked, words, 0);
    for (int q = 0; q < asked && rows; q++) {
        memcpy(queries + q * words, values + below((int)rows) * words, (size_t)words * sizeof *values);
        if (q == 1)
            for (int w = 0; w < words; w++) queries[words + w] = ~queries[words + w];
        if (q > 1) flip(queries + q * words, words, radius + q - 2);
    }
    uint16_t *distances = distances_of(values, rows, words, queries, asked);
    Case *c = make_case(values, rows, words, radius, limit);
    const Variant *all[5];
    Hits hits = allocate_hits(number % 4 ? rows * asked : below(8));
    for (int variant = list_variants(all); variant--;) {
        hits.count = 0;
        CHECK(probe(&c->segment, &c->probes, queries, asked, (unsigned)radius, &hits, all[variant]) == DONE);
        for (int64_t i = 0; words == 1 && i < hits.count && i < hits.room; i++)
            hits.rows[i] = row_at(&c->segment, hits.rows[i]);
        compare(distances, rows, asked, radius, &hits);
        for (int far = 0; far < 2; far++) {
            int reach = far ? 64 * words : radius;
            hits.count = 0;
            all[variant]->scan(&c->segment, queries, asked, 0, (unsigned)reach, &hits);
            compare(distances, rows, asked, reach, &hits);
        }
    }
    compare(distances, rows, 0, radius, &(Hits){.count = hashdb_scan(&c->segment, queries, 0, radius, &hits)});
    for (int q = 0; q < ASKED; q++)
        check_near(c, distances + q * rows, rows, words, queries + q * words, radius, &hits);
    CHECK(hashdb_probe(&c->segment, &c->probes, queries, asked, radius, &hits) == hits.count);
    compare(distances, rows, asked, radius, &hits);
    damage(c, queries, words, &hits);
    free_hits(&hits);
    free_case(c);
    free(distances);
    free(values);
}

int main(void) {
    CHECK(hashdb_version() == VERSION);
    for (int number = 0; number < CASES; number++) run(number);
    return 0;
}
