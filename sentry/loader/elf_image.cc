#include "sentry/loader/elf_image.h"

#include <limits.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "sentry/usermem/user_addr.h"

namespace runsc {
namespace {

constexpr size_t kMaxHeaderBytes = 65536;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 32;

int ProtOf(uint32_t flags) {
  return ((flags & PF_R) != 0 ? PROT_READ : 0) | ((flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((flags & PF_X) != 0 ? PROT_EXEC : 0);
}

bool IsForThisMachine(const Elf64_Ehdr& header) {
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_X86_64 &&
         (header.e_type == ET_EXEC || header.e_type == ET_DYN) && header.e_phentsize == sizeof(Elf64_Phdr);
}

Result<std::string> ReadInterpreter(ElfReader read, const Elf64_Phdr& header) {
  if (header.p_filesz < 2 || header.p_filesz > PATH_MAX) return Errno(ENOEXEC);
  std::string path(header.p_filesz, '\0');
  ASSIGN_OR_RETURN(size_t got, read(header.p_offset, std::as_writable_bytes(std::span(path))));
  if (got != path.size()) return Errno(EIO);
  if (path.back() != '\0') return Errno(ENOEXEC);
  path.resize(std::strlen(path.c_str()));
  if (path.empty()) return Errno(ENOENT);
  return path;
}

Result<void> AddSegment(const Elf64_Phdr& header, uint64_t max_address, ElfImage& image) {
  ElfSegment segment{header.p_vaddr, header.p_offset, header.p_filesz, header.p_memsz,
                     ProtOf(header.p_flags)};
  if (segment.memory_size == 0) return Ok();
  if (segment.file_size > segment.memory_size) return Errno(EINVAL);
  uint64_t end = 0;
  if (__builtin_add_overflow(segment.vaddr, segment.memory_size, &end) || end > max_address)
    return Errno(ENOMEM);
  uint64_t file_end = 0;
  if (__builtin_add_overflow(segment.offset, segment.file_size, &file_end) ||
      file_end > static_cast<uint64_t>(INT64_MAX) - kPageSize) {
    return Errno(EINVAL);
  }
  if (segment.file_size > 0 && ((segment.offset ^ segment.vaddr) & kPageMask) != 0) return Errno(EINVAL);
  // Ascending order is what elf(5) asks for, and what the extent is computed from.
  if (!image.segments.empty() && segment.vaddr < image.segments.back().vaddr) return Errno(EINVAL);
  if (header.p_align > 1 && header.p_align <= kMaxAlignment && (header.p_align & (header.p_align - 1)) == 0)
    image.alignment = std::max<uint64_t>(image.alignment, header.p_align);
  image.segments.push_back(segment);
  return Ok();
}

}  // namespace

Result<ElfImage> ElfImage::Parse(ElfReader read, uint64_t max_address) {
  Elf64_Ehdr header;
  ASSIGN_OR_RETURN(size_t got, read(0, std::as_writable_bytes(std::span(&header, 1))));
  if (got != sizeof(header) || !IsForThisMachine(header)) return Errno(ENOEXEC);
  size_t bytes = size_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (bytes == 0 || bytes > kMaxHeaderBytes) return Errno(ENOEXEC);
  if (header.e_phoff > static_cast<uint64_t>(INT64_MAX) - bytes) return Errno(ENOEXEC);
  std::vector<Elf64_Phdr> headers(header.e_phnum);
  ASSIGN_OR_RETURN(got, read(header.e_phoff, std::as_writable_bytes(std::span(headers))));
  if (got != bytes) return Errno(ENOEXEC);

  ElfImage image;
  image.position_independent = header.e_type == ET_DYN;
  image.entry = header.e_entry;
  image.header_offset = header.e_phoff;
  image.header_count = header.e_phnum;
  image.alignment = kPageSize;
  bool has_interpreter = false;
  for (const Elf64_Phdr& program : headers) {
    if (program.p_type == PT_LOAD) {
      RETURN_IF_ERROR(AddSegment(program, max_address, image));
    } else if (program.p_type == PT_INTERP && !has_interpreter) {
      has_interpreter = true;
      ASSIGN_OR_RETURN(image.interpreter, ReadInterpreter(read, program));
    } else if (program.p_type == PT_GNU_STACK) {
      image.executable_stack = (program.p_flags & PF_X) != 0;
    }
  }
  if (image.segments.empty()) return Errno(ENOEXEC);

  image.start = PageRoundDown(image.segments.front().vaddr);
  uint64_t end = 0;
  for (const ElfSegment& segment : image.segments) {
    end = std::max(end, segment.vaddr + segment.memory_size);
    // As Linux 5.18 and later: the segment that holds the headers says where they are.
    if (segment.offset <= image.header_offset && image.header_offset - segment.offset < segment.file_size)
      image.headers_address = image.header_offset - segment.offset + segment.vaddr;
  }
  std::optional<uint64_t> rounded = PageRoundUp(end);
  if (!rounded || *rounded > max_address) return Errno(ENOMEM);
  image.end = *rounded;
  return image;
}

}  // namespace runsc
