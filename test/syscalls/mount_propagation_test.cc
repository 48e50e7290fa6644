// Shared subtrees (mount_namespaces(7), Documentation/filesystems/sharedsubtree.rst): peer groups, slaves,
// unbindable mounts, and what is mounted and unmounted along.
#include <thread>

#include "test/syscalls/mount_table.h"

namespace {

int Pivot(const char* to, const char* old) { return static_cast<int>(syscall(SYS_pivot_root, to, old)); }

// "a" is a shared tmpfs with directories x and y, "b" a bind mount of it.
struct Peers : Scratch {
  Peers() {
    MakeDirs({"a", "b", "c"});
    ASSERT_OK(Tmpfs("a"));
    MakeDirs({"a/x", "a/y"});
    ASSERT_OK(Share("a", MS_SHARED));
    ASSERT_OK(Mount("a", "b", MS_BIND));
  }
};

}  // namespace

TEST(arguments) {
  Scratch s;
  MakeDirs({"a", "b"});
  EXPECT_ERRNO(Share("a", MS_SHARED), EINVAL);
  EXPECT_ERRNO(Share("none", MS_SHARED), ENOENT);
  ASSERT_OK(Tmpfs("a"));
  for (unsigned long type : {MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE}) {
    EXPECT_OK(Share("a", type));
    EXPECT_OK(Share("a", type | MS_REC | MS_SILENT));
    EXPECT_ERRNO(Share("a", type | MS_RDONLY), EINVAL);
    EXPECT_ERRNO(Share("a", type | MS_NOSUID), EINVAL);
  }
  EXPECT_ERRNO(Share("a", MS_SHARED | MS_PRIVATE), EINVAL);
  EXPECT_ERRNO(Share("a", MS_SLAVE | MS_SHARED), EINVAL);
  EXPECT_ERRNO(mount(nullptr, reinterpret_cast<char*>(8), nullptr, MS_SHARED, nullptr), EFAULT);
  EXPECT_ERRNO(mount(reinterpret_cast<char*>(8), "a", nullptr, MS_SHARED, nullptr), EFAULT);
  EXPECT_ERRNO(mount(nullptr, "a", reinterpret_cast<char*>(8), MS_SHARED, nullptr), EFAULT);
  // Other work comes first.
  ASSERT_OK(Share("a", MS_PRIVATE));
  ASSERT_OK(Mount("a", "b", MS_BIND | MS_SHARED));
  EXPECT_EQ(MountOn(s / "b").shared, 0);
  ASSERT_EQ(setegid(1), 0);
  ASSERT_EQ(seteuid(1), 0);
  EXPECT_ERRNO(Share("a", MS_SHARED), EPERM);
}

TEST(mountinfo_names_the_groups) {
  Peers s;
  MountEntry a = MountOn(s / "a"), b = MountOn(s / "b");
  EXPECT_GT(a.shared, 0);
  EXPECT_EQ(b.shared, a.shared);
  EXPECT_EQ(a.master, 0);
  ASSERT_OK(Share("b", MS_SLAVE));
  b = MountOn(s / "b");
  EXPECT_EQ(b.shared, 0);
  EXPECT_EQ(b.master, a.shared);
  ASSERT_OK(Share("b", MS_SHARED));
  b = MountOn(s / "b");
  EXPECT_GT(b.shared, 0);
  EXPECT_NE(b.shared, a.shared);
  EXPECT_EQ(b.master, a.shared);
  ASSERT_OK(Share("b", MS_UNBINDABLE));
  b = MountOn(s / "b");
  EXPECT_EQ(b.shared, 0);
  EXPECT_EQ(b.master, 0);
  EXPECT_TRUE(b.unbindable);
  ASSERT_OK(Share("b", MS_SLAVE));  // of nobody
  EXPECT_TRUE(MountOn(s / "b").unbindable);
  ASSERT_OK(Share("b", MS_SHARED));
  EXPECT_FALSE(MountOn(s / "b").unbindable);
  ASSERT_OK(Share("a", MS_SLAVE));  // was alone in its group
  a = MountOn(s / "a");
  EXPECT_EQ(a.shared, 0);
  EXPECT_EQ(a.master, 0);
}

TEST(peers_get_what_is_mounted_and_lose_what_is_unmounted) {
  Peers s;
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(Touch("a/x/f"));
  EXPECT_OK(access("b/x/f", F_OK));
  EXPECT_GT(MountOn(s / "a/x").shared, 0);
  EXPECT_EQ(MountOn(s / "a/x").shared, MountOn(s / "b/x").shared);
  ASSERT_OK(Tmpfs("b/y"));
  EXPECT_EQ(MountsOn(s / "a/y").size(), 1u);
  ASSERT_OK(umount("b/x"));
  EXPECT_EQ(MountsOn(s / "a/x").size(), 0u);
  // A directory that the other does not show.
  ASSERT_OK(mkdir("a/y/inner", 0755));
  ASSERT_OK(Mount("a/y", "c", MS_BIND));
  ASSERT_OK(Tmpfs("a/x"));
  EXPECT_EQ(MountsOn(s / "c/x").size(), 0u);
  ASSERT_OK(Tmpfs("c/inner"));
  EXPECT_EQ(MountsOn(s / "a/y/inner").size(), 1u);
  EXPECT_EQ(MountsOn(s / "b/y/inner").size(), 1u);
}

TEST(slaves_only_receive) {
  Peers s;
  ASSERT_OK(Share("b", MS_SLAVE));
  ASSERT_OK(Tmpfs("a/x"));
  EXPECT_EQ(MountOn(s / "b/x").master, MountOn(s / "a/x").shared);
  EXPECT_EQ(MountOn(s / "b/x").shared, 0);
  ASSERT_OK(Tmpfs("b/y"));
  EXPECT_EQ(MountsOn(s / "a/y").size(), 0u);
  EXPECT_EQ(MountOn(s / "b/y").shared, 0);
  ASSERT_OK(umount("b/x"));
  EXPECT_EQ(MountsOn(s / "a/x").size(), 1u);
  ASSERT_OK(umount("a/x"));
  EXPECT_EQ(MountsOn(s / "a/x").size(), 0u);
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(umount("a/x"));
  EXPECT_EQ(MountsOn(s / "b/x").size(), 0u);
}

TEST(a_slave_can_be_shared) {
  Peers s;
  ASSERT_OK(Share("b", MS_SLAVE));
  ASSERT_OK(Share("b", MS_SHARED));
  ASSERT_OK(Mount("b", "c", MS_BIND));
  EXPECT_EQ(MountOn(s / "c").shared, MountOn(s / "b").shared);
  EXPECT_EQ(MountOn(s / "c").master, MountOn(s / "a").shared);
  ASSERT_OK(Tmpfs("a/x"));
  MountEntry a = MountOn(s / "a/x"), b = MountOn(s / "b/x"), c = MountOn(s / "c/x");
  EXPECT_EQ(b.master, a.shared);
  EXPECT_EQ(c.master, a.shared);
  EXPECT_GT(b.shared, 0);
  EXPECT_NE(b.shared, a.shared);
  EXPECT_EQ(c.shared, b.shared);
  ASSERT_OK(Tmpfs("c/y"));
  EXPECT_EQ(MountsOn(s / "b/y").size(), 1u);
  EXPECT_EQ(MountsOn(s / "a/y").size(), 0u);
  // One leaves the two: it follows those that stay.
  ASSERT_OK(Share("c", MS_SLAVE));
  EXPECT_EQ(MountOn(s / "c").master, MountOn(s / "b").shared);
  // The last of a group goes: who followed it follows its master.
  ASSERT_OK(umount2("b", MNT_DETACH));
  EXPECT_EQ(MountOn(s / "c").master, MountOn(s / "a").shared);
  ASSERT_OK(umount2("a", MNT_DETACH));
  EXPECT_EQ(MountOn(s / "c").master, 0);
}

TEST(slaves_of_slaves_follow_the_nearest_copy) {
  Peers s;
  MakeDirs({"d", "a/y/in"});
  // b shows only a/y and is shared; c follows b, and d follows c.
  ASSERT_OK(umount("b"));
  ASSERT_OK(Mount("a/y", "b", MS_BIND));
  ASSERT_OK(Share("b", MS_SLAVE));
  ASSERT_OK(Share("b", MS_SHARED));
  ASSERT_OK(Mount("b", "c", MS_BIND));
  ASSERT_OK(Share("c", MS_SLAVE));
  ASSERT_OK(Share("c", MS_SHARED));
  ASSERT_OK(Mount("c", "d", MS_BIND));
  ASSERT_OK(Share("d", MS_SLAVE));
  ASSERT_OK(Tmpfs("a/y/in"));
  EXPECT_EQ(MountOn(s / "b/in").master, MountOn(s / "a/y/in").shared);
  EXPECT_EQ(MountOn(s / "c/in").master, MountOn(s / "b/in").shared);
  EXPECT_EQ(MountOn(s / "d/in").master, MountOn(s / "c/in").shared);
  EXPECT_EQ(MountOn(s / "d/in").shared, 0);
  ASSERT_OK(Tmpfs("a/x"));
  EXPECT_EQ(MountsOn(s / "d/x").size(), 0u);
  ASSERT_OK(umount("a/y/in"));
  EXPECT_EQ(MountsOn(s / "d/in").size(), 0u);
}

TEST(a_group_without_the_place_is_passed_over) {
  Scratch s;
  MakeDirs({"a", "b", "c", "d"});
  ASSERT_OK(Tmpfs("a"));
  MakeDirs({"a/x", "a/x/in", "a/y"});
  ASSERT_OK(Share("a", MS_SHARED));
  // b and c are peers that follow a; d follows them. Then b goes, and c shows a/y only.
  ASSERT_OK(Mount("a", "b", MS_BIND));
  ASSERT_OK(Share("b", MS_SLAVE));
  ASSERT_OK(Share("b", MS_SHARED));
  ASSERT_OK(Mount("b/y", "c", MS_BIND));
  ASSERT_OK(Mount("b", "d", MS_BIND));
  ASSERT_OK(Share("d", MS_SLAVE));
  ASSERT_OK(umount("b"));
  EXPECT_EQ(MountOn(s / "d").master, MountOn(s / "c").shared);
  ASSERT_OK(Tmpfs("a/x/in"));
  EXPECT_EQ(MountOn(s / "d/x/in").master, MountOn(s / "a/x/in").shared);
  EXPECT_EQ(MountsOn(s / "c/x/in").size(), 0u);
  ASSERT_OK(umount("a/x/in"));
  EXPECT_EQ(MountsOn(s / "d/x/in").size(), 0u);
}

TEST(trees_propagate_as_a_whole) {
  Peers s;
  MakeDirs({"t"});
  ASSERT_OK(Tmpfs("t"));
  MakeDirs({"t/one", "t/two", "t/two/deep"});
  ASSERT_OK(Tmpfs("t/one"));
  ASSERT_OK(Mount("t", "t/two/deep", MS_BIND));
  ASSERT_OK(Mount("t", "a/x", MS_BIND | MS_REC));
  EXPECT_EQ(MountsOn(s / "b/x").size(), 1u);
  EXPECT_EQ(MountOn(s / "b/x/one").shared, MountOn(s / "a/x/one").shared);
  EXPECT_EQ(MountOn(s / "b/x/two/deep").shared, MountOn(s / "a/x/two/deep").shared);
  EXPECT_EQ(MountOn(s / "t/one").shared, 0);
  EXPECT_ERRNO(umount("b/x"), EBUSY);
  ASSERT_OK(umount2("b/x", MNT_DETACH));
  EXPECT_EQ(MountsOn(s / "a/x").size(), 0u);
  EXPECT_EQ(MountsOn(s / "a/x/one").size(), 0u);
  EXPECT_EQ(MountsOn(s / "b/x/two/deep").size(), 0u);
}

TEST(unbindable) {
  Peers s;
  MakeDirs({"t", "u"});
  ASSERT_OK(Tmpfs("t"));
  MakeDirs({"t/one", "t/two"});
  ASSERT_OK(Tmpfs("t/one"));
  ASSERT_OK(Tmpfs("t/two"));
  ASSERT_OK(Share("t/one", MS_UNBINDABLE));
  EXPECT_ERRNO(Mount("t/one", "u", MS_BIND), EINVAL);
  ASSERT_OK(Mount("t", "u", MS_BIND | MS_REC));
  EXPECT_EQ(MountsOn(s / "u/one").size(), 0u);
  EXPECT_EQ(MountsOn(s / "u/two").size(), 1u);
  EXPECT_ERRNO(Mount("t", "a/x", MS_MOVE), EINVAL);
  ASSERT_OK(Share("t/one", MS_PRIVATE));
  ASSERT_OK(Mount("t", "a/x", MS_MOVE));
  EXPECT_EQ(MountsOn(s / "b/x/one").size(), 1u);
  EXPECT_GT(MountOn(s / "b/x/one").shared, 0);
}

TEST(moves) {
  Peers s;
  ASSERT_OK(Tmpfs("a/x"));
  EXPECT_ERRNO(Mount("a/x", "c", MS_MOVE), EINVAL);  // out of a shared mount
  EXPECT_ERRNO(Mount("a", "a/y", MS_MOVE), ELOOP);
  EXPECT_ERRNO(Mount("c", "a/y", MS_MOVE), EINVAL);  // no mount
  ASSERT_OK(Mount("a", "c", MS_MOVE));               // a shared mount itself may move
  EXPECT_EQ(MountOn(s / "c").shared, MountOn(s / "b").shared);
  ASSERT_OK(Tmpfs("c/y"));
  EXPECT_EQ(MountsOn(s / "b/y").size(), 1u);
  ASSERT_OK(umount("b/y"));
  // Into a mount that its own peer is moved below.
  ASSERT_OK(Mount("b", "c/y", MS_MOVE));
  EXPECT_EQ(MountsOn(s / "c/y").size(), 1u);
  EXPECT_EQ(MountsOn(s / "c/y/y").size(), 1u);
  EXPECT_EQ(MountsOn(s / "c/y/y/y").size(), 0u);
}

TEST(a_mount_with_others_below_stays) {
  Peers s;
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(mkdir("a/x/sub", 0755));
  ASSERT_OK(Share("b/x", MS_PRIVATE));
  ASSERT_OK(Tmpfs("b/x/sub"));
  EXPECT_EQ(MountsOn(s / "a/x/sub").size(), 0u);
  ASSERT_OK(umount("a/x"));
  EXPECT_EQ(MountsOn(s / "a/x").size(), 0u);
  EXPECT_EQ(MountsOn(s / "b/x").size(), 1u);
  EXPECT_EQ(MountsOn(s / "b/x/sub").size(), 1u);
}

TEST(a_busy_receiver_keeps_all) {
  Peers s;
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(Touch("a/x/f"));
  int fd = ASSERT_OK(open("b/x/f", O_RDONLY));
  EXPECT_ERRNO(umount("a/x"), EBUSY);
  EXPECT_EQ(MountsOn(s / "a/x").size(), 1u);
  EXPECT_EQ(MountsOn(s / "b/x").size(), 1u);
  ASSERT_OK(umount2("a/x", MNT_DETACH));
  EXPECT_EQ(MountsOn(s / "b/x").size(), 0u);
  char byte;
  EXPECT_EQ(read(fd, &byte, 1), 0);
}

TEST(what_is_mounted_there_already_stays_on_top) {
  Peers s;
  ASSERT_OK(Share("b", MS_SLAVE));
  ASSERT_OK(Tmpfs("b/x"));
  ASSERT_OK(Touch("b/x/own"));
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(Touch("a/x/masters"));
  EXPECT_EQ(MountsOn(s / "b/x").size(), 2u);
  EXPECT_OK(access("b/x/own", F_OK));
  ASSERT_OK(umount("b/x"));
  EXPECT_OK(access("b/x/masters", F_OK));
  // And the lower one can be pulled out.
  ASSERT_OK(Tmpfs("b/x"));
  ASSERT_OK(Touch("b/x/own"));
  ASSERT_OK(umount("a/x"));
  EXPECT_EQ(MountsOn(s / "b/x").size(), 1u);
  EXPECT_OK(access("b/x/own", F_OK));
  MountEntry b = MountOn(s / "b");
  EXPECT_EQ(MountOn(s / "b/x").parent, b.id);
}

TEST(mounting_on_a_shared_mount_that_is_its_own_peer) {
  Peers s;
  ASSERT_OK(Mount("a", "a/x", MS_BIND));
  EXPECT_EQ(MountsOn(s / "a/x").size(), 1u);
  EXPECT_EQ(MountsOn(s / "b/x").size(), 1u);
  EXPECT_EQ(MountsOn(s / "a/x/x").size(), 0u);
  EXPECT_EQ(MountOn(s / "a/x").shared, MountOn(s / "a").shared);
  EXPECT_EQ(MountOn(s / "b/x").shared, MountOn(s / "a").shared);
  ASSERT_OK(Tmpfs("b/x/y"));
  for (const char* at : {"a/y", "b/y", "a/x/y", "b/x/y"}) EXPECT_EQ(MountsOn(s / at).size(), 1u);
  ASSERT_OK(umount("a/y"));
  for (const char* at : {"a/y", "b/y", "a/x/y", "b/x/y"}) EXPECT_EQ(MountsOn(s / at).size(), 0u);
  // A bind mount over itself.
  ASSERT_OK(Mount("b", "b", MS_BIND));
  EXPECT_EQ(MountsOn(s / "b").size(), 2u);
}

TEST(namespaces_share_the_groups) {
  Peers s;
  ASSERT_OK(Share("b", MS_SLAVE));
  MountEntry a = MountOn(s / "a");
  int ready[2], go[2];
  ASSERT_OK(pipe(ready));
  ASSERT_OK(pipe(go));
  pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    bool fine = unshare(CLONE_NEWNS) == 0;
    fine = fine && MountOn(s / "a").shared == a.shared && MountOn(s / "b").master == a.shared;
    fine = fine && write(ready[1], "x", 1) == 1 && read(go[0], &byte, 1) == 1;
    fine = fine && MountsOn(s / "a/x").size() == 1 && MountsOn(s / "b/x").size() == 1;
    fine = fine && MountsOn(s / "c").empty();  // what is private stays out
    fine = fine && mount("t", "a/y", "tmpfs", 0, nullptr) == 0 && mount("t", "b/x", "tmpfs", 0, nullptr) == 0;
    _exit(fine ? 0 : 1);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_OK(Tmpfs("a/x"));
  ASSERT_OK(Tmpfs("c"));
  ASSERT_EQ(write(go[1], "x", 1), 1);
  int status;
  ASSERT_OK(waitpid(child, &status, 0));
  EXPECT_EQ(status, 0);
  EXPECT_EQ(MountsOn(s / "a/y").size(), 1u);
  EXPECT_EQ(MountsOn(s / "b/y").size(), 1u);
  EXPECT_EQ(MountsOn(s / "b/x").size(), 1u);
}

TEST(propagate_from_names_the_nearest_that_is_seen) {
  Scratch s;
  MakeDirs({"seen", "seen/a", "seen/c", "seen/proc", "hidden"});
  ASSERT_OK(Mount("/proc", "seen/proc", MS_BIND));
  ASSERT_OK(Tmpfs("seen/a"));
  ASSERT_OK(Share("seen/a", MS_SHARED));
  ASSERT_OK(Mount("seen/a", "hidden", MS_BIND));
  ASSERT_OK(Share("hidden", MS_SLAVE));
  ASSERT_OK(Share("hidden", MS_SHARED));
  ASSERT_OK(Mount("hidden", "seen/c", MS_BIND));
  ASSERT_OK(Share("seen/c", MS_SLAVE));
  MountEntry a = MountOn(s / "seen/a"), b = MountOn(s / "hidden"), c = MountOn(s / "seen/c");
  EXPECT_EQ(c.master, b.shared);
  EXPECT_EQ(c.propagate_from, 0);
  ASSERT_OK(chroot("seen"));
  c = MountOn("/c");
  EXPECT_EQ(c.master, b.shared);
  EXPECT_EQ(c.propagate_from, a.shared);
  EXPECT_EQ(MountOn("/a").shared, a.shared);
}

TEST(pivot_root_refuses_shared_mounts) {
  Scratch s;
  MakeDirs({"new"});
  ASSERT_OK(Tmpfs("new"));
  MakeDirs({"new/old"});
  ASSERT_OK(Share("new", MS_SHARED));
  EXPECT_ERRNO(Pivot("new", "new/old"), EINVAL);  // where the old root would go
  ASSERT_OK(Share("new", MS_PRIVATE));
  ASSERT_OK(Share(".", MS_SHARED));
  EXPECT_ERRNO(Pivot("new", "new/old"), EINVAL);  // what the new root stands on
  ASSERT_OK(Share(".", MS_PRIVATE));
  ASSERT_OK(Pivot("new", "new/old"));
}

// Each binds all there is at once on all of them, which squares their number.
TEST(growth_ends_with_nothing_half_done) {
  Scratch s;
  MakeDirs({"a"});
  ASSERT_OK(Tmpfs("a"));
  ASSERT_OK(Share("a", MS_SHARED));
  int failed_at = 0;
  for (int i = 0; i < 24 && failed_at == 0; ++i) {
    std::string name = "a/d" + std::to_string(i);
    ASSERT_OK(mkdir(name.c_str(), 0755));
    size_t before = MountTable().size();
    if (Mount("a", name.c_str(), MS_BIND | MS_REC) == 0) {
      EXPECT_GT(MountTable().size(), before);
      continue;
    }
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(MountTable().size(), before);
    EXPECT_EQ(MountsOn(s / name).size(), 0u);
    failed_at = i;
  }
  EXPECT_EQ(failed_at, 4);  // after 2, 6, 42 and 1806 mounts
  ASSERT_OK(umount2("a", MNT_DETACH));
  EXPECT_EQ(MountsOn(s / "a").size(), 0u);
  ASSERT_OK(Tmpfs("a"));
}

TEST(racing_mounts_and_umounts) {
  Peers s;
  ASSERT_OK(Mount("b", "c", MS_BIND));
  ASSERT_OK(Share("c", MS_SLAVE));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      const char* place = t % 2 == 0 ? "a/x" : "b/x";
      for (int i = 0; i < 150; ++i) {
        (void)Tmpfs(place);
        if (i % 7 == t) (void)Share("b", i % 2 == 0 ? MS_SLAVE : MS_SHARED);
        if (i % 5 == t) (void)Mount("a", "c/y", MS_BIND | MS_REC);
        (void)umount2("c/y", MNT_DETACH);
        (void)umount2(place, i % 3 == 0 ? MNT_DETACH : 0);
        (void)access("c/x/y", F_OK);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const char* top : {"a", "b", "c"}) {
    while (!MountsOn(s / top).empty()) ASSERT_OK(umount2(top, MNT_DETACH));
  }
  for (const MountEntry& entry : MountTable()) EXPECT_FALSE(entry.point.starts_with(s / "a"));
  EXPECT_OK(rmdir("a"));
}
