// Adding a key to a known_hosts file.
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/unique_fd.h"
#include "core/ssh/fingerprint.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy::ssh {
namespace {

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

std::string read_all(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result<void> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_from_errno(errno, "writing");
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return error_from_errno(errno, "writing");
  return {};
}

/// Whose file it was, it stays: root may act on behalf of a user.
void keep_owner(int fd, const std::string& file, const std::string& directory) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 && ::stat(directory.c_str(), &status) != 0) return;
  if (::geteuid() == 0 && ::fchown(fd, status.st_uid, status.st_gid) != 0) return;
}

Result<void> replace(const std::string& file, std::string_view content) {
  const std::string directory = std::filesystem::path(file).parent_path().string();
  std::string temporary = file + ".XXXXXX";
  UniqueFd fd(::mkstemp(temporary.data()));  // mode 0600
  if (!fd) return error_from_errno(errno, "making a file beside " + file);
  keep_owner(fd.get(), file, directory);
  Result<void> done = write_all(fd.get(), content);
  if (done && std::rename(temporary.c_str(), file.c_str()) != 0) {
    done = error_from_errno(errno, "replacing " + file);
  }
  if (!done) ::unlink(temporary.c_str());
  return done;
}

}  // namespace

Result<void> add_known_host(const std::string& file, std::string_view name, Bytes key) {
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(file, ignored);
  const std::string path = real.empty() ? file : real.string();
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (!directory.empty() && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return error_from_errno(errno, "making the directory " + directory);
  }
  if (::access(path.c_str(), F_OK) == 0 && ::access(path.c_str(), R_OK) != 0) {
    return error_from_errno(errno, "reading " + path);
  }
  std::string content = read_all(path);
  const KnownHosts known = KnownHosts::load({path});
  const bool hashed = std::any_of(known.lines().begin(), known.lines().end(),
                                  [](const KnownHost& line) { return line.hashed(); });
  if (!content.empty() && content.back() != '\n') content += '\n';
  content += (hashed ? hash_name(name) : std::string(name)) + " " + std::string(key_type(key)) +
             " " + base64_encode(key) + "\n";
  return replace(path, content);
}

}  // namespace tunproxy::ssh
