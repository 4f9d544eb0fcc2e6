#include "platform/linux/outside_group.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include "core/base/log.h"
#include "platform/linux/files.h"
#include "platform/linux/private_names.h"

namespace tunproxy::linux_host {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "tunproxy-outside-";
constexpr const char* kInstead =
    ": a ProxyCommand cannot be led past the tunnel of a whole machine here; use -- COMMAND, or "
    "--no-tun --socks 127.0.0.1:1080, or --jump or --via in its place";
constexpr int kEndings = 100;  // looks at a group whose processes are being killed
constexpr useconds_t kBetweenEndings = 10'000;

Error cannot(const std::string& why) {
  return {ErrorCode::no_permission, why + kInstead};
}

Error cannot(const char* doing, int error_number) {
  return cannot(error_from_errno(error_number, doing).message);
}

// Where the unified hierarchy is mounted; empty: nowhere.
std::string unified_mount() {
  const auto mounts = read_file("/proc/self/mounts");
  std::istringstream lines(mounts ? *mounts : "");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string device, at, type;
    if (words >> device >> at >> type && type == "cgroup2") return at;
  }
  return "";
}

// Our own group there. A mount may show only a part of the hierarchy: then it is the part's root.
std::string own_group(const std::string& mount) {
  const auto groups = read_file("/proc/self/cgroup");
  std::istringstream lines(groups ? *groups : "");
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::/")) continue;
    std::string path = mount + line.substr(3);
    while (path.ends_with('/')) path.pop_back();
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) return path;
  }
  return mount;
}

// Of processes that were killed, also of one that had our number. The kernel keeps a group that has
// a process.
void remove_orphans(const std::string& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    const int owner = std::atoi(name.c_str() + std::string_view(kPrefix).size());
    const bool dead = owner == ::getpid() || (::kill(owner, 0) != 0 && errno == ESRCH);
    if (owner > 0 && dead) ::rmdir(entry.path().c_str());
  }
}

long bpf(bpf_cmd command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

// socket->mark = mark; return 1 (allowed).
UniqueFd load_marker(uint32_t mark) {
  bpf_insn program[4] = {};
  program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  program[0].dst_reg = BPF_REG_2;
  program[0].imm = static_cast<int32_t>(mark);
  program[1].code = BPF_STX | BPF_MEM | BPF_W;
  program[1].dst_reg = BPF_REG_1;
  program[1].src_reg = BPF_REG_2;
  program[1].off = offsetof(bpf_sock, mark);
  program[2].code = BPF_ALU64 | BPF_MOV | BPF_K;
  program[2].dst_reg = BPF_REG_0;
  program[2].imm = 1;
  program[3].code = BPF_JMP | BPF_EXIT;
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_SOCK;
  attributes.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
  attributes.insns = reinterpret_cast<uintptr_t>(program);
  attributes.insn_cnt = std::size(program);
  attributes.license = reinterpret_cast<uintptr_t>("MIT");
  return UniqueFd(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
}

// A link goes with its last descriptor, which a crash closes.
UniqueFd attach(const UniqueFd& program, const UniqueFd& group) {
  bpf_attr attributes{};
  attributes.link_create.prog_fd = static_cast<uint32_t>(program.get());
  attributes.link_create.target_fd = static_cast<uint32_t>(group.get());
  attributes.link_create.attach_type = BPF_CGROUP_INET_SOCK_CREATE;
  return UniqueFd(static_cast<int>(bpf(BPF_LINK_CREATE, attributes)));
}

}  // namespace

Result<std::unique_ptr<OutsideGroup>> OutsideGroup::create(uint32_t mark) {
  const std::string mount = unified_mount();
  if (mount.empty()) return cannot("this system has no cgroup version 2");
  const std::string parent = own_group(mount);
  remove_orphans(parent);
  const std::string path = parent + "/" + kPrefix + std::to_string(::getpid());
  if (::mkdir(path.c_str(), 0755) != 0) return cannot("cannot make a cgroup", errno);
  std::unique_ptr<OutsideGroup> group(new OutsideGroup(path, mark));
  if (auto opened = group->open(); !opened) return opened.error();
  return group;
}

Result<void> OutsideGroup::open() {
  resolv_conf_ = uplink_resolv_conf();
  directory_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  processes_.reset(::openat(directory_.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
  if (!directory_ || !processes_) return cannot("cannot use a cgroup", errno);
  const UniqueFd program = load_marker(mark_);
  if (!program) return cannot("cannot load a BPF program", errno);
  link_ = attach(program, directory_);
  if (!link_) return cannot("cannot attach a BPF program to a cgroup (Linux 5.7)", errno);
  return {};
}

io::PrepareChild OutsideGroup::prepare_child() const {
  return [this] { return enter(); };
}

// In the child, before it becomes the command.
const char* OutsideGroup::enter() const {
  if (::write(processes_.get(), "0", 1) != 1) return "enter the cgroup outside the tunnel";
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint32_t mark = 0;
  socklen_t length = sizeof mark;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, &length);
  if (mark != mark_) return "get past the tunnel";
  if (::unshare(CLONE_NEWNS) != 0) return "have a mount namespace";
  return install_private_names(resolv_conf_) ? nullptr : "have its own resolv.conf";
}

OutsideGroup::~OutsideGroup() {
  if (const UniqueFd kill_all(::openat(directory_.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
      kill_all) {
    (void)!::write(kill_all.get(), "1", 1);
  }
  int looks = 0;
  while (::rmdir(path_.c_str()) != 0 && errno == EBUSY && ++looks < kEndings) {
    ::usleep(kBetweenEndings);
  }
  std::error_code ignored;
  if (fs::exists(path_, ignored)) log::warn("cannot remove the cgroup {}", path_);
}

}  // namespace tunproxy::linux_host
