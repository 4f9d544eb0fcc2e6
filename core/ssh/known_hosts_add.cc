// Adding a key to a known_hosts file.
#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "core/base/unique_fd.h"
#include "core/ssh/fingerprint.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy::ssh {
namespace {

constexpr int kReplacements = 5;
constexpr size_t kSaltSize = 20;  // of SHA-1's output, as ssh-keygen makes them

std::string hash_name(std::string_view name) {
  std::array<uint8_t, kSaltSize> salt{};
  RAND_bytes(salt.data(), static_cast<int>(salt.size()));
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HMAC(EVP_sha1(), salt.data(), static_cast<int>(salt.size()), as_bytes(name).data(), name.size(),
       digest.data(), &length);
  return "|1|" + base64_encode(salt) + "|" + base64_encode({digest.data(), length});
}

Error failed(std::string_view doing, const std::string& file) {
  return error_from_errno(errno, std::string(doing) + " " + file);
}

bool same_file(int fd, const std::string& path) {
  struct stat open_one {};
  struct stat named {};
  return ::fstat(fd, &open_one) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

/// Whose directory it is, theirs is a new file in it: root may act on behalf of a user.
void keep_owner(int fd, const std::string& directory) {
  struct stat status {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &status) != 0) return;
  if (::fchown(fd, status.st_uid, status.st_gid) != 0) return;
}

bool ends_in_a_line(int fd) {
  struct stat status {};
  char last = '\n';
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) return true;
  return ::pread(fd, &last, 1, status.st_size - 1) != 1 || last == '\n';
}

/// All in one write: the system appends it as a whole.
Result<void> append_line(int fd, std::string line, const std::string& path) {
  if (!ends_in_a_line(fd)) line.insert(0, 1, '\n');
  ssize_t n = 0;
  while ((n = ::write(fd, line.data(), line.size())) < 0 && errno == EINTR) continue;
  if (n < 0) return failed("writing", path);
  if (static_cast<size_t>(n) < line.size()) {
    return Error{ErrorCode::general, "writing " + path + ": the disk is full"};
  }
  // What is not a file cannot be synchronised.
  if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) return failed("writing", path);
  return {};
}

UniqueFd open_to_append(const std::string& path, const std::string& directory) {
  constexpr int kFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY;
  UniqueFd fd(::open(path.c_str(), kFlags));
  if (fd || errno != ENOENT) return fd;
  fd.reset(::open(path.c_str(), kFlags | O_CREAT, 0600));
  if (fd) keep_owner(fd.get(), directory);
  return fd;
}

}  // namespace

std::string known_host_line(std::string_view name, Bytes key) {
  return fmt::format("{} {} {}", name, key_type(key), base64_encode(key));
}

Result<void> add_known_host(const std::string& file, std::string_view name, Bytes key, bool hash) {
  const std::string directory = std::filesystem::path(file).parent_path().string();
  if (!directory.empty() && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return failed("making the directory", directory);
  }
  // Someone may put another file in its place (ssh-keygen -R): then that one lacks the line.
  for (int tries = 0; tries < kReplacements; ++tries) {
    const UniqueFd fd = open_to_append(file, directory);
    if (!fd) return failed("opening", file);
    const KnownHosts known = KnownHosts::load({file});
    if (known.look_up_name(name, key).verdict == KnownHosts::Verdict::match) return {};
    const bool hashed = hash || std::any_of(known.lines().begin(), known.lines().end(),
                                            [](const KnownHost& line) { return line.hashed(); });
    const std::string line =
        known_host_line(hashed ? hash_name(name) : std::string(name), key) + "\n";
    if (auto added = append_line(fd.get(), line, file); !added) return added;
    if (same_file(fd.get(), file)) return {};
  }
  return Error{ErrorCode::general, file + " is replaced again and again"};
}

}  // namespace tunproxy::ssh
