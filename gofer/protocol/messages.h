// The Gofer's wire protocol. A message is one packet of a SOCK_SEQPACKET socket: a
// Header, then the fields of the request or reply. The Sentry asks, the Gofer answers
// each request with one reply of the same tag, in any order. Donated descriptors
// travel with a reply as SCM_RIGHTS; a request never carries any.
//
// A node is a file that the Gofer holds for this connection, named by an id that the
// Gofer chose. Names are single components: not empty, not "." or "..", without '/'
// or NUL. The Gofer never follows a symlink. It checks what a root may be used for
// (read-only roots give EROFS), not what the guest's user may do: that is the Sentry's.
//
// A message that does not decode closes the connection. All numbers are Linux's.
#ifndef GOFER_PROTOCOL_MESSAGES_H_
#define GOFER_PROTOCOL_MESSAGES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace runsc::gofer {

inline constexpr size_t kMaxMessage = 72 * 1024;  // header and fields
inline constexpr size_t kMaxReadDir = 64 * 1024;
inline constexpr size_t kMaxXattr = 64 * 1024;       // XATTR_SIZE_MAX
inline constexpr size_t kMaxWalk = 32;               // names in one Walk
inline constexpr size_t kMaxWalkEach = 64;           // names in one WalkEach
inline constexpr size_t kMaxClose = 4096;            // nodes in one Close
inline constexpr size_t kMaxOpenEach = 16;           // names in one OpenEach
inline constexpr size_t kMaxDonated = kMaxOpenEach;  // descriptors with one reply; one but for OpenEach

using NodeId = uint32_t;

enum class MessageType : uint16_t {
  kAttach = 1,
  kWalk,
  kStatAt,
  kGetAttr,
  kSetAttr,
  kOpen,
  kCreate,
  kMkdir,
  kSymlink,
  kMknod,
  kLink,
  kUnlink,
  kRename,
  kReadLink,
  kReadDir,
  kStatFs,
  kGetXattr,
  kSetXattr,
  kListXattr,
  kRemoveXattr,
  kFSync,
  kClose,
  kConnect,
  kWatch,
  kWalkEach,
  kOpenEach,
};

// Sixteen bytes before the fields of every message.
struct Header {
  uint32_t length = 0;  // of the whole packet
  uint16_t type = 0;    // MessageType, in the reply too
  uint16_t fds = 0;     // descriptors donated with it
  uint32_t tag = 0;
  uint32_t error = 0;  // replies: an errno, and then there are no fields; else 0
};
static_assert(sizeof(Header) == 16);

struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  template <typename F>
  void Fields(F& f) {
    f(seconds, nanoseconds);
  }
  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

// statx(2).
struct Attributes {
  uint32_t mode = 0;  // with S_IFMT
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;
  uint32_t block_size = 0;
  uint32_t dev_major = 0, dev_minor = 0;
  uint32_t rdev_major = 0, rdev_minor = 0;
  uint64_t ino = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  Timestamp atime, mtime, ctime, btime;
  template <typename F>
  void Fields(F& f) {
    f(mode, uid, gid, nlink, block_size, dev_major, dev_minor, rdev_major, rdev_minor, ino, size, blocks,
      atime, mtime, ctime, btime);
  }
  friend bool operator==(const Attributes&, const Attributes&) = default;
};

struct Empty {
  template <typename F>
  void Fields(F&) {}
};

struct AttributesReply {
  Attributes attributes;
  template <typename F>
  void Fields(F& f) {
    f(attributes);
  }
};

struct NodeReply {
  NodeId node = 0;
  Attributes attributes;
  template <typename F>
  void Fields(F& f) {
    f(node, attributes);
  }
};

// User or group ids, `count` from `first` on.
struct IdRange {
  uint32_t first = 0;
  uint32_t count = 0;
  template <typename F>
  void Fields(F& f) {
    f(first, count);
  }
};
// Which ids the files of a root may have.
struct OwnerIds {
  uint32_t limited = 0;  // 0: all, and the lists are empty
  std::vector<IdRange> users, groups;
  template <typename F>
  void Fields(F& f) {
    f(limited, users, groups);
  }
  bool HasUser(uint32_t id) const { return limited == 0 || Contains(users, id); }
  bool HasGroup(uint32_t id) const { return limited == 0 || Contains(groups, id); }

 private:
  static bool Contains(const std::vector<IdRange>& ranges, uint32_t id) {
    return std::any_of(ranges.begin(), ranges.end(), [id](const IdRange& range) {
      return id >= range.first && id - range.first < range.count;
    });
  }
};

struct AttachReply {
  NodeId node = 0;
  Attributes attributes;
  OwnerIds owners;
  template <typename F>
  void Fields(F& f) {
    f(node, attributes, owners);
  }
};
// A root of the Gofer, by its index in GoferOptions::roots. EINVAL: no such root.
struct Attach {
  static constexpr MessageType kType = MessageType::kAttach;
  using Reply = AttachReply;
  uint32_t root = 0;
  template <typename F>
  void Fields(F& f) {
    f(root);
  }
};

struct WalkReply {
  std::vector<NodeReply> found;
  // Why it ended before the last name, or 0: ENOENT and such for the name after the
  // last found one. A found symlink, or a file with names after it, also ends the walk.
  uint32_t stop = 0;
  std::string link_target;  // of the last found one, if that is a symlink
  template <typename F>
  void Fields(F& f) {
    f(found, stop, link_target);
  }
};
// Looks up names[0] in `parent`, names[1] in that, …: up to kMaxWalk. Every found node
// is the caller's to Close. ENFILE: no more nodes; close some. With `open`, the last name
// comes with a descriptor for reading if it is a regular file that can be opened.
struct Walk {
  static constexpr MessageType kType = MessageType::kWalk;
  static constexpr bool kMayDonate = true;
  using Reply = WalkReply;
  NodeId parent = 0;
  std::vector<std::string> names;
  uint8_t open = 0;
  template <typename F>
  void Fields(F& f) {
    f(parent, names, open);
  }
};

// The attributes of a directory's entry without making a node of it.
struct StatAt {
  static constexpr MessageType kType = MessageType::kStatAt;
  using Reply = AttributesReply;
  NodeId parent = 0;
  std::string name;
  template <typename F>
  void Fields(F& f) {
    f(parent, name);
  }
};

struct GetAttr {
  static constexpr MessageType kType = MessageType::kGetAttr;
  using Reply = AttributesReply;
  NodeId node = 0;
  template <typename F>
  void Fields(F& f) {
    f(node);
  }
};

inline constexpr uint32_t kSetMode = 1;
inline constexpr uint32_t kSetUid = 2;
inline constexpr uint32_t kSetGid = 4;
inline constexpr uint32_t kSetSize = 8;  // regular files
inline constexpr uint32_t kSetAtime = 16;
inline constexpr uint32_t kSetMtime = 32;
inline constexpr uint32_t kSetAtimeNow = 64;
inline constexpr uint32_t kSetMtimeNow = 128;

// Size first, then owner, mode, times; stops at the first failure.
struct SetAttr {
  static constexpr MessageType kType = MessageType::kSetAttr;
  using Reply = AttributesReply;
  NodeId node = 0;
  uint32_t valid = 0;  // kSet*
  uint32_t mode = 0;   // permission bits
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  Timestamp atime, mtime;
  template <typename F>
  void Fields(F& f) {
    f(node, valid, mode, uid, gid, size, atime, mtime);
  }
};

// Donates a descriptor of a regular file (or of a fifo, if the Gofer allows it).
// `flags`: the access mode and O_TRUNC. EACCES: a device or socket. EISDIR.
struct Open {
  static constexpr MessageType kType = MessageType::kOpen;
  using Reply = AttributesReply;
  NodeId node = 0;
  uint32_t flags = 0;
  template <typename F>
  void Fields(F& f) {
    f(node, flags);
  }
};

// Makes a regular file (EEXIST if the name is taken) and donates a descriptor of it.
struct Create {
  static constexpr MessageType kType = MessageType::kCreate;
  using Reply = NodeReply;
  NodeId parent = 0;
  std::string name;
  uint32_t flags = 0;  // access mode
  uint32_t mode = 0;
  uint32_t uid = 0, gid = 0;
  template <typename F>
  void Fields(F& f) {
    f(parent, name, flags, mode, uid, gid);
  }
};

struct Mkdir {
  static constexpr MessageType kType = MessageType::kMkdir;
  using Reply = NodeReply;
  NodeId parent = 0;
  std::string name;
  uint32_t mode = 0;
  uint32_t uid = 0, gid = 0;
  template <typename F>
  void Fields(F& f) {
    f(parent, name, mode, uid, gid);
  }
};

struct Symlink {
  static constexpr MessageType kType = MessageType::kSymlink;
  using Reply = NodeReply;
  NodeId parent = 0;
  std::string name;
  std::string target;
  uint32_t uid = 0, gid = 0;
  template <typename F>
  void Fields(F& f) {
    f(parent, name, target, uid, gid);
  }
};

// Regular files, fifos and (unconnected) sockets. EPERM: devices.
struct Mknod {
  static constexpr MessageType kType = MessageType::kMknod;
  using Reply = NodeReply;
  NodeId parent = 0;
  std::string name;
  uint32_t mode = 0;  // with S_IFMT
  uint32_t uid = 0, gid = 0;
  template <typename F>
  void Fields(F& f) {
    f(parent, name, mode, uid, gid);
  }
};

struct Link {
  static constexpr MessageType kType = MessageType::kLink;
  using Reply = AttributesReply;
  NodeId node = 0;
  NodeId parent = 0;
  std::string name;
  template <typename F>
  void Fields(F& f) {
    f(node, parent, name);
  }
};

struct Unlink {
  static constexpr MessageType kType = MessageType::kUnlink;
  using Reply = Empty;
  NodeId parent = 0;
  std::string name;
  uint32_t flags = 0;  // AT_REMOVEDIR
  template <typename F>
  void Fields(F& f) {
    f(parent, name, flags);
  }
};

struct Rename {
  static constexpr MessageType kType = MessageType::kRename;
  using Reply = Empty;
  NodeId old_parent = 0;
  std::string old_name;
  NodeId new_parent = 0;
  std::string new_name;
  uint32_t flags = 0;  // RENAME_NOREPLACE, RENAME_EXCHANGE
  template <typename F>
  void Fields(F& f) {
    f(old_parent, old_name, new_parent, new_name, flags);
  }
};

struct ReadLinkReply {
  std::string target;
  template <typename F>
  void Fields(F& f) {
    f(target);
  }
};
struct ReadLink {
  static constexpr MessageType kType = MessageType::kReadLink;
  using Reply = ReadLinkReply;
  NodeId node = 0;
  template <typename F>
  void Fields(F& f) {
    f(node);
  }
};

struct DirectoryEntry {
  uint64_t ino = 0;
  uint64_t next = 0;  // the cookie with which the entry after this one is read
  uint8_t type = 0;   // DT_*
  std::string name;
  std::vector<Attributes> attributes;  // one if they were asked for; none on a mount point
  template <typename F>
  void Fields(F& f) {
    f(ino, next, type, name, attributes);
  }
};
struct ReadDirReply {
  std::vector<NodeReply> directory;     // what `name` was, if there was one
  std::vector<DirectoryEntry> entries;  // without "." and ".."
  uint8_t end = 0;                      // nothing comes after these
  template <typename F>
  void Fields(F& f) {
    f(directory, entries, end);
  }
};
// Which entries of a listing come with their attributes.
inline constexpr uint8_t kNoAttributes = 0;
inline constexpr uint8_t kDirectoryAttributes = 1;
inline constexpr uint8_t kAllAttributes = 2;
// Lists `node`; or, with a name, looks that up first, as a Walk would.
struct ReadDir {
  static constexpr MessageType kType = MessageType::kReadDir;
  using Reply = ReadDirReply;
  NodeId node = 0;
  uint64_t cookie = 0;  // 0: from the start
  std::string name;
  uint8_t attributes = kNoAttributes;
  template <typename F>
  void Fields(F& f) {
    f(node, cookie, name, attributes);
  }
};

// statfs(2).
struct StatFsReply {
  uint64_t type = 0, block_size = 0, fragment_size = 0, blocks = 0, blocks_free = 0, blocks_available = 0;
  uint64_t files = 0, files_free = 0, name_length = 0, flags = 0;
  template <typename F>
  void Fields(F& f) {
    f(type, block_size, fragment_size, blocks, blocks_free, blocks_available, files, files_free, name_length,
      flags);
  }
};
struct StatFs {
  static constexpr MessageType kType = MessageType::kStatFs;
  using Reply = StatFsReply;
  NodeId node = 0;
  template <typename F>
  void Fields(F& f) {
    f(node);
  }
};

// Extended attributes of regular files and directories; EOPNOTSUPP for others.
struct GetXattrReply {
  std::string value;
  template <typename F>
  void Fields(F& f) {
    f(value);
  }
};
struct GetXattr {
  static constexpr MessageType kType = MessageType::kGetXattr;
  using Reply = GetXattrReply;
  NodeId node = 0;
  std::string name;
  template <typename F>
  void Fields(F& f) {
    f(node, name);
  }
};
struct SetXattr {
  static constexpr MessageType kType = MessageType::kSetXattr;
  using Reply = Empty;
  NodeId node = 0;
  std::string name;
  std::string value;
  uint32_t flags = 0;  // XATTR_CREATE, XATTR_REPLACE
  template <typename F>
  void Fields(F& f) {
    f(node, name, value, flags);
  }
};
struct ListXattrReply {
  std::vector<std::string> names;
  template <typename F>
  void Fields(F& f) {
    f(names);
  }
};
struct ListXattr {
  static constexpr MessageType kType = MessageType::kListXattr;
  using Reply = ListXattrReply;
  NodeId node = 0;
  template <typename F>
  void Fields(F& f) {
    f(node);
  }
};
struct RemoveXattr {
  static constexpr MessageType kType = MessageType::kRemoveXattr;
  using Reply = Empty;
  NodeId node = 0;
  std::string name;
  template <typename F>
  void Fields(F& f) {
    f(node, name);
  }
};

// For directories; a regular file is synced on its donated descriptor.
struct FSync {
  static constexpr MessageType kType = MessageType::kFSync;
  using Reply = Empty;
  NodeId node = 0;
  template <typename F>
  void Fields(F& f) {
    f(node);
  }
};

// Forgets up to kMaxClose nodes; ids that are none are ignored.
struct Close {
  static constexpr MessageType kType = MessageType::kClose;
  using Reply = Empty;
  std::vector<NodeId> nodes;
  template <typename F>
  void Fields(F& f) {
    f(nodes);
  }
};

// Donates a socket that is connected to the unix socket `node`. ECONNREFUSED unless
// the Gofer was told to allow it.
struct Connect {
  static constexpr MessageType kType = MessageType::kConnect;
  using Reply = Empty;
  NodeId node = 0;
  uint32_t type = 0;  // SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
  template <typename F>
  void Fields(F& f) {
    f(node, type);
  }
};

struct WatchReply {
  int32_t watch = 0;      // what events name the node by
  Attributes attributes;  // as they were once the watch had begun
  template <typename F>
  void Fields(F& f) {
    f(watch, attributes);
  }
};
// From now on until the node is closed, changes of it are told as events of inotify(7): of a
// directory's entries and attributes; of any other file's bytes, attributes and links, by whatever
// name they are made. With `donate` the queue that the events of the node's root come in is donated:
// once a connection, then EBUSY.
// EOPNOTSUPP: others can change this filesystem without this kernel's knowing. ENOSPC, EMFILE: limits
// of the Gofer or of the host.
struct Watch {
  static constexpr MessageType kType = MessageType::kWatch;
  static constexpr bool kMayDonate = true;
  using Reply = WatchReply;
  NodeId node = 0;
  uint8_t donate = 0;
  template <typename F>
  void Fields(F& f) {
    f(node, donate);
  }
};

struct WalkEachResult {
  uint32_t error = 0;  // why there is nothing else
  NodeId node = 0;
  int32_t watch = -1;  // -1: it could not be watched
  Attributes attributes;
  std::string link_target;  // of a symlink, if it is not long
  template <typename F>
  void Fields(F& f) {
    f(error, node, watch, attributes, link_target);
  }
};
struct WalkEachReply {
  std::vector<WalkEachResult> results;  // one a name
  template <typename F>
  void Fields(F& f) {
    f(results);
  }
};
// Looks up each of up to kMaxWalkEach names in `parent` and watches what it finds, as Watch does: what a
// program that goes through a directory will ask for one by one.
struct WalkEach {
  static constexpr MessageType kType = MessageType::kWalkEach;
  using Reply = WalkEachReply;
  NodeId parent = 0;
  std::vector<std::string> names;
  template <typename F>
  void Fields(F& f) {
    f(parent, names);
  }
};

struct OpenEachResult {
  uint32_t error = 0;  // why there is nothing else
  NodeId node = 0;
  uint8_t opened = 0;  // a descriptor came; those of all results come in their order
  Attributes attributes;
  template <typename F>
  void Fields(F& f) {
    f(error, node, opened, attributes);
  }
};
struct OpenEachReply {
  std::vector<OpenEachResult> results;  // one a name
  template <typename F>
  void Fields(F& f) {
    f(results);
  }
};
// Looks up each of up to kMaxOpenEach names in `parent`, with descriptors for reading of those that are
// regular files and can be opened: what a program that reads a directory's files will ask for one by one.
struct OpenEach {
  static constexpr MessageType kType = MessageType::kOpenEach;
  static constexpr bool kDonatesMany = true;
  using Reply = OpenEachReply;
  NodeId parent = 0;
  std::vector<std::string> names;
  template <typename F>
  void Fields(F& f) {
    f(parent, names);
  }
};

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_MESSAGES_H_
