/* Memory that a program of a node host is about to use is mapped in one go.
 *
 * In User-Mode Linux each first touch of a page is a signal, two switches to the kernel's process
 * and back: 25 us, with Debian 12's kernel 60 us and more, against 0.1 us on the machine itself. A Python program touches ten
 * thousand pages while it starts, a guest all of its memory. MADV_POPULATE_* makes the pages, and
 * a change of their protection there and back makes the kernel tell the machine of all of them in
 * one message. Loaded into every program by /etc/ld.so.preload; what fails here is left to the
 * ordinary way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define KIB 1024UL
#define MIB (1024 * KIB)
#define FOR_READING 22 /* MADV_POPULATE_READ */
#define FOR_WRITING 23 /* MADV_POPULATE_WRITE */
#define DATA (PROT_READ | PROT_WRITE)
#define CODE (PROT_READ | PROT_EXEC)

/* `beside` is another protection than `prot` that hinders nobody meanwhile. */
static void map_now(uintptr_t from, uintptr_t to, int prot, int beside, int advice) {
    from &= ~(PAGE - 1);
    to = (to + PAGE - 1) & ~(PAGE - 1);
    if (to <= from || madvise((void *)from, to - from, advice) != 0) return;
    syscall(SYS_mprotect, from, to - from, beside);
    syscall(SYS_mprotect, from, to - from, prot);
}

static void map_segment(const ElfW(Phdr) * one, uintptr_t from, uintptr_t read_only_until) {
    uintptr_t to = from + one->p_memsz;
    if (one->p_flags & PF_W) {
        if (read_only_until > from) from = (read_only_until + PAGE - 1) & ~(PAGE - 1);
        map_now(from, to, DATA, PROT_READ | PROT_WRITE | PROT_EXEC, FOR_WRITING);
    } else if (one->p_flags & PF_X) {
        map_now(from, to, CODE, CODE | PROT_WRITE, FOR_READING);
    } else {
        map_now(from, to, PROT_READ, DATA, FOR_READING);
    }
}

static unsigned long known; /* objects that were mapped before */

static int map_object(struct dl_phdr_info *info, size_t size, void *at) {
    (void)size;
    if (++*(unsigned long *)at <= known) return 0;
    uintptr_t read_only_until = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *one = &info->dlpi_phdr[i];
        if (one->p_type == PT_GNU_RELRO)
            read_only_until = info->dlpi_addr + one->p_vaddr + one->p_memsz;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *one = &info->dlpi_phdr[i];
        if (one->p_type == PT_LOAD) map_segment(one, info->dlpi_addr + one->p_vaddr, read_only_until);
    }
    return 0;
}

static void map_new_objects(void) {
    int saved = errno;
    unsigned long at = 0;
    dl_iterate_phdr(map_object, &at);
    known = at;
    errno = saved;
}

/* The heap grows inside the C library, so what it will need is taken, mapped and given back first. */
static void map_heap(size_t size) {
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 512 * MIB);
    mallopt(M_MMAP_THRESHOLD, 32 * MIB);
    mallopt(M_TOP_PAD, 128 * KIB);
    char *heap = malloc(size);
    if (heap == NULL) return;
    uintptr_t from = (uintptr_t)heap;
    map_now(from + PAGE, from + size - PAGE, DATA, DATA | PROT_EXEC, FOR_WRITING);
    free(heap);
}

__attribute__((constructor)) static void start(void) {
    int saved = errno;
    const char *name = program_invocation_short_name;
    int large = strncmp(name, "python", 6) == 0 || strncmp(name, "qemu-system", 11) == 0;
    map_new_objects();
    map_heap(large ? 8 * MIB : 256 * KIB);
    errno = saved;
}

void *mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset) {
    void *found = (void *)syscall(SYS_mmap, at, length, prot, flags, fd, offset);
    int own = (flags & MAP_ANONYMOUS) && (flags & MAP_PRIVATE) && !(flags & MAP_STACK);
    if (found == MAP_FAILED || !own || length < 8 * PAGE) return found;
    int saved = errno;
    uintptr_t from = (uintptr_t)found;
    if (prot == DATA)
        map_now(from, from + (length < 128 * MIB ? length : 128 * MIB), prot, DATA | PROT_EXEC,
                FOR_WRITING);
    else if (prot == (DATA | PROT_EXEC)) /* an emulator's translations: most stays unused */
        map_now(from, from + (length < 8 * MIB ? length : 8 * MIB), prot, DATA, FOR_WRITING);
    errno = saved;
    return found;
}

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

void *dlopen(const char *name, int flags) {
    static void *(*real)(const char *, int);
    if (real == NULL) real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    void *object = real(name, flags);
    if (object != NULL) map_new_objects();
    return object;
}
