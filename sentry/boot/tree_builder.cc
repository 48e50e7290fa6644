#include "sentry/boot/tree_builder.h"

#include "sentry/fsimpl/proc.h"

namespace runsc {

Result<void> TreeBuilder::MountType(std::string_view type_name, std::string_view where, uint64_t flags,
                                    std::string_view data, std::string source) {
  FilesystemType* type = kernel_.FindFilesystem(type_name);
  if (type == nullptr) return Errno(ENODEV);
  if (source.empty()) source = type_name;
  if (type_name == "proc" && pid_namespace_)
    return Attach(MakeProc(kernel_, pid_namespace_), where, flags, std::move(source));
  ASSIGN_OR_RETURN(NewFilesystem made, type->Make({source, std::string(data), Credentials::Root()}));
  // As a whole, where Linux's mount would be (config.json's read-only tmpfs is so by its mount).
  if ((flags & MS_RDONLY) != 0 && made.is_new && type_name != "tmpfs") made.filesystem->set_read_only(true);
  return Attach(std::move(made), where, flags, std::move(source));
}

Result<void> TreeBuilder::Attach(NewFilesystem made, std::string_view where, uint64_t flags,
                                 std::string source) {
  ASSIGN_OR_RETURN(VfsPath place, MountPoint(where, made.root->inode()->IsDirectory()));
  return mounts_->Attach(MakeRef<Mount>(std::move(made.filesystem), std::move(made.root),
                                        MountFlagsFrom(flags), std::move(source)),
                         place);
}

PathContext TreeBuilder::Context() const {
  PathContext context;
  context.mounts = mounts_;
  context.root = mounts_->Root();
  context.cwd = context.root;
  context.creds = Credentials::Root();
  context.umask = 0;
  return context;
}

Result<VfsPath> TreeBuilder::MountPoint(std::string_view where, bool directory) {
  PathContext context = Context();
  auto found = Walk(context, context.root, where);
  if (!found.is(ENOENT)) return found;
  for (size_t slash = where.find('/', 1);; slash = where.find('/', slash + 1)) {
    std::string part(where.substr(0, slash));
    bool last = slash == std::string_view::npos;
    if (!last || directory) {
      auto made = VfsMkdir(context, context.root, part, 0755);
      if (!made.ok() && !made.is(EEXIST)) return made.error();
    } else {
      auto made = VfsMknod(context, context.root, part, S_IFREG | 0644, 0);
      if (!made.ok() && !made.is(EEXIST)) return made.error();
    }
    if (last) break;
  }
  return Walk(context, context.root, where);
}

}  // namespace runsc
