// Keeps the large blocks of memory that XLA frees, for its next step.
//
// XLA's CPU client asks for a step's memory, a gigabyte or so, anew for every step, by
// posix_memalign. glibc either maps it anew each time, and the kernel zeroes it page by page,
// which takes a third of a step; or, told to keep it, loses a few bytes at its end to whatever is
// small, and needs two or three times as much. Here the calls that one shared object makes of
// posix_memalign and free lead to a list of such blocks. They are blocks of malloc's own, so
// that whoever else frees one does no harm.

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace {

#if defined(__x86_64__)
constexpr uint32_t kSlotTypes[] = {R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT, R_X86_64_64};
#elif defined(__aarch64__)
constexpr uint32_t kSlotTypes[] = {R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT, R_AARCH64_ABS64};
#else
constexpr uint32_t kSlotTypes[] = {0};
#endif

// What is smaller malloc keeps by itself: it maps blocks of more than 32 MiB at most.
constexpr size_t kSmallest = size_t{16} << 20;
// A step's results are ready some microseconds before its memory is given back; so the next step
// waits for it: long where it could use it, and briefly where it could only be freed.
constexpr auto kPatience = std::chrono::milliseconds(50);
constexpr auto kPatienceForOthers = std::chrono::milliseconds(5);
constexpr int kBlocks = 256;
// Of blocks that are prepared: XLA asks for 64 bytes, and they begin behind malloc's own numbers.
constexpr size_t kAlignment = 64;
constexpr size_t kPiece = size_t{8} << 20;
constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE: since Linux 5.14, refused before

struct Block {
  void* address;
  size_t size;  // usable bytes
  bool idle;
};

std::mutex mutex;
std::condition_variable freed;
Block blocks[kBlocks];  // an entry without an address is free
size_t idle_bytes = 0;
size_t requests = 0;  // for such blocks, in all
size_t served = 0;    // of them, by a block that was kept

void Forget(Block& block) {
  if (block.idle) idle_bytes -= block.size;
  block = {};
}

// Gives all idle blocks back: a program that needs others has begun.
void FreeIdle() {
  for (Block& block : blocks) {
    if (block.address == nullptr || !block.idle) continue;
    void* address = block.address;
    Forget(block);
    free(address);
  }
}

// The smallest block, idle or not, that can serve a request.
Block* Find(size_t alignment, size_t size, bool idle) {
  Block* best = nullptr;
  for (Block& block : blocks) {
    if (block.address == nullptr || block.idle != idle) continue;
    const bool fits = block.size >= size && block.size - size <= size / 8;
    const bool aligned = reinterpret_cast<uintptr_t>(block.address) % alignment == 0;
    if (fits && aligned && (best == nullptr || block.size < best->size)) best = &block;
  }
  return best;
}

// Whether there was room for it.
bool Enter(void* address, bool idle) {
  Block* entry = nullptr;
  for (Block& block : blocks) {
    // An entry of this address is left of a block that somebody else has freed.
    if (block.address == address) Forget(block);
    if (block.address == nullptr && entry == nullptr) entry = &block;
  }
  if (entry == nullptr) return false;
  *entry = {address, malloc_usable_size(address), idle};
  if (idle) idle_bytes += entry->size;
  return true;
}

int Allocate(void** result, size_t alignment, size_t size) {
  if (size < kSmallest) return posix_memalign(result, alignment, size);
  std::unique_lock<std::mutex> lock(mutex);
  ++requests;
  Block* block = Find(alignment, size, true);
  if (block == nullptr) {
    const bool in_use = Find(alignment, size, false) != nullptr;
    freed.wait_for(lock, in_use ? kPatience : kPatienceForOthers,
                   [&] { return (block = Find(alignment, size, true)) != nullptr; });
  }
  if (block != nullptr) {
    block->idle = false;
    idle_bytes -= block->size;
    ++served;
    *result = block->address;
    return 0;
  }
  FreeIdle();
  const int error = posix_memalign(result, alignment, size);
  if (error == 0) Enter(*result, false);
  return error;
}

void Free(void* address) {
  // Before the lock: almost all that is freed is small.
  if (address != nullptr && malloc_usable_size(address) >= kSmallest) {
    std::lock_guard<std::mutex> lock(mutex);
    for (Block& block : blocks) {
      if (block.address != address) continue;
      if (block.idle) return;
      if (block.size != malloc_usable_size(address)) {
        Forget(block);
        break;
      }
      block.idle = true;
      idle_bytes += block.size;
      freed.notify_all();
      return;
    }
  }
  free(address);
}

bool IsKept(const void* address, size_t size) {
  std::lock_guard<std::mutex> lock(mutex);
  for (const Block& block : blocks) {
    if (block.address == address) return block.size == size;
  }
  return false;
}

struct Redirection {
  const char* name;
  uintptr_t target;
};

const Redirection kRedirections[] = {
    {"posix_memalign", reinterpret_cast<uintptr_t>(&Allocate)},
    {"free", reinterpret_cast<uintptr_t>(&Free)},
};

// How the page at an address may be used, PROT_READ and so on; -1 where that can't be found out.
int Protection(uintptr_t address) {
  FILE* maps = fopen("/proc/self/maps", "re");
  if (maps == nullptr) return -1;
  int protection = -1;
  char line[4096 + 128];  // a path, and what stands before it
  while (protection < 0 && fgets(line, sizeof line, maps) != nullptr) {
    uintptr_t begin, end;
    char may[5];
    if (sscanf(line, "%lx-%lx %4s", &begin, &end, may) != 3) continue;
    if (address < begin || address >= end) continue;
    protection = (may[0] == 'r' ? PROT_READ : 0) | (may[1] == 'w' ? PROT_WRITE : 0) |
                 (may[2] == 'x' ? PROT_EXEC : 0);
  }
  fclose(maps);
  return protection;
}

bool Write(uintptr_t slot, uintptr_t value) {
  const uintptr_t page_size = sysconf(_SC_PAGESIZE);
  void* page = reinterpret_cast<void*>(slot & ~(page_size - 1));
  const int before = Protection(slot);
  if (before < 0) return false;
  // The slots of libraries that were bound when they were loaded are read-only since.
  if (mprotect(page, page_size, before | PROT_WRITE) != 0) return false;
  *reinterpret_cast<uintptr_t*>(slot) = value;
  mprotect(page, page_size, before);
  return true;
}

struct Search {
  const char* file;
  int redirected;
};

// Redirects the slots in one table of relocations.
void RedirectTable(const dl_phdr_info& object, const ElfW(Rela) * table, size_t bytes,
                   const ElfW(Sym) * symbols, const char* names, Search& search) {
  for (size_t i = 0; i < bytes / sizeof(ElfW(Rela)); ++i) {
    const ElfW(Rela) & entry = table[i];
    bool is_slot = false;
    for (uint32_t type : kSlotTypes) is_slot |= ELF64_R_TYPE(entry.r_info) == type;
    if (!is_slot || entry.r_addend != 0) continue;
    const ElfW(Sym) & symbol = symbols[ELF64_R_SYM(entry.r_info)];
    if (symbol.st_shndx != SHN_UNDEF) continue;
    for (const Redirection& redirection : kRedirections) {
      if (strcmp(names + symbol.st_name, redirection.name) == 0) {
        search.redirected += Write(object.dlpi_addr + entry.r_offset, redirection.target);
      }
    }
  }
}

int RedirectObject(dl_phdr_info* object, size_t, void* data) {
  Search& search = *static_cast<Search*>(data);
  if (strcmp(object->dlpi_name, search.file) != 0) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const ElfW(Sym)* symbols = nullptr;
    const char* names = nullptr;
    const ElfW(Rela) * tables[2] = {};
    size_t sizes[2] = {};
    auto* entry =
        reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      switch (entry->d_tag) {
        case DT_SYMTAB:
          symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
          break;
        case DT_STRTAB:
          names = reinterpret_cast<const char*>(entry->d_un.d_ptr);
          break;
        case DT_JMPREL:
          tables[0] = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
          break;
        case DT_PLTRELSZ:
          sizes[0] = entry->d_un.d_val;
          break;
        case DT_RELA:
          tables[1] = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
          break;
        case DT_RELASZ:
          sizes[1] = entry->d_un.d_val;
          break;
      }
    }
    if (symbols == nullptr || names == nullptr) continue;
    for (int t = 0; t < 2; ++t) {
      if (tables[t] != nullptr) RedirectTable(*object, tables[t], sizes[t], symbols, names, search);
    }
  }
  return 1;
}

}  // namespace

// Redirects the calls that the loaded shared object `file` makes; returns how many places of it
// were changed, 0 where it is not loaded or of another make.
extern "C" int hierseg_keep_large_blocks(const char* file) {
  Search search{file, 0};
  dl_iterate_phdr(RedirectObject, &search);
  std::lock_guard<std::mutex> lock(mutex);
  if (search.redirected == 0) FreeIdle();  // blocks that were prepared for it
  return search.redirected;
}

// Makes a block for the first request of about this size, and has the kernel supply its pages:
// otherwise it does so one by one, when a step first writes to them. The block may be taken, and
// even be freed, meanwhile. Nothing is done where there is such a block. Calls may be redirected
// before or afterwards.
extern "C" void hierseg_prepare_block(size_t size) {
  void* address = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (size < kSmallest || Find(kAlignment, size, true) != nullptr) return;
    FreeIdle();
    if (posix_memalign(&address, kAlignment, size) != 0) return;
    size = malloc_usable_size(address);
    if (!Enter(address, true)) return free(address);
  }
  const uintptr_t page_size = sysconf(_SC_PAGESIZE);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(address) + size) / page_size * page_size;
  uintptr_t page = reinterpret_cast<uintptr_t>(address) / page_size * page_size + page_size;
  // Piece by piece: whoever maps memory waits for one.
  for (size_t piece; page < end && IsKept(address, size); page += piece) {
    piece = end - page < kPiece ? end - page : kPiece;
    if (madvise(reinterpret_cast<void*>(page), piece, kPopulateWrite) != 0) return;
  }
}

// Of blocks that are large enough to be kept.
struct Counts {
  uint64_t requests;    // for one, since the calls were redirected
  uint64_t served;      // of them, by one that was kept
  uint64_t idle_bytes;  // kept for later
  uint64_t in_use;      // handed out and not freed
};

extern "C" void hierseg_count_blocks(Counts* counts) {
  std::lock_guard<std::mutex> lock(mutex);
  *counts = {requests, served, idle_bytes, 0};
  for (const Block& block : blocks) counts->in_use += block.address != nullptr && !block.idle;
}
