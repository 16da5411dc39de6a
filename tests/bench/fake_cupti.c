/* As much of CUPTI as minigan.bench.cupti calls, with a device that runs what `work` is told. */
#include <stddef.h>
#include <stdint.h>

typedef void (*Requested)(uint8_t **, size_t *, size_t *);
typedef void (*Completed)(void *, uint32_t, uint8_t *, size_t, size_t);
typedef struct { uint32_t kind, more[3]; uint64_t start, end, padding; } Record;

static Requested requested;
static Completed completed;
static uint8_t *buffer;
static size_t size, used;
static int enabled[16], failing;

static void give_back(void) {
    uint8_t *full = buffer;
    buffer = 0;
    if (full) completed(0, 0, full, size, used);
}

int cuptiActivityRegisterCallbacks(Requested r, Completed c) { requested = r; completed = c; return 0; }
int cuptiActivityEnable(uint32_t kind) { enabled[kind] = 1; return failing; }
int cuptiActivityDisable(uint32_t kind) { enabled[kind] = 0; return 0; }
int cuptiActivityFlushAll(uint32_t flag) { give_back(); return flag == 1 ? 0 : 1; }

int cuptiActivityGetNextRecord(uint8_t *given, size_t valid, Record **record) {
    Record *next = *record ? *record + 1 : (Record *)given;
    if ((uint8_t *)(next + 1) > given + valid) return 12; /* no more */
    *record = next;
    return 0;
}

void work(uint32_t kind, uint64_t start, uint64_t end, size_t per_buffer) {
    size_t most;
    if (!enabled[kind]) return;
    if (buffer && used >= per_buffer * sizeof(Record)) give_back();
    if (!buffer) { requested(&buffer, &size, &most); used = 0; }
    Record record = {kind, {0, 0, 0}, start, end, 0};
    *(Record *)(buffer + used) = record;
    used += sizeof(Record);
}

void fail(int status) { failing = status; }
