#include "core/socks5/users.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "core/base/unique_fd.h"
#include "core/socks5/password_hash.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {
namespace {

constexpr size_t kMaxFile = 256 * 1024;
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

struct PasswordFile {
  std::string text;
  bool is_private = false;
};

bool may_be_password(std::string_view text) {
  return text.find('\0') == std::string_view::npos && Credentials{"x", std::string(text)}.check();
}

Error bad_file(const std::string& file, std::string_view what) {
  return {ErrorCode::usage, fmt::format("the password file {} {}", file, what)};
}

Result<PasswordFile> read_file(const std::string& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat about {};
  if (!fd || ::fstat(fd.get(), &about) != 0) {
    return bad_file(file, fmt::format("cannot be read: {}", std::strerror(errno)));
  }
  PasswordFile read{{}, (about.st_mode & kOthers) == 0};
  char buffer[4096];
  ssize_t got = 0;
  while ((got = ::read(fd.get(), buffer, sizeof buffer)) > 0) {
    read.text.append(buffer, static_cast<size_t>(got));
    if (read.text.size() > kMaxFile) return bad_file(file, "is too long");
  }
  ::OPENSSL_cleanse(buffer, sizeof buffer);
  if (got < 0) return bad_file(file, fmt::format("cannot be read: {}", std::strerror(errno)));
  return read;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// Behind "NAME:" of the user's line, whatever stands there.
std::optional<std::string_view> entry_of(std::string_view name,
                                         const std::vector<std::string_view>& lines) {
  for (const std::string_view line : lines) {
    const bool is_users =
        line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':';
    if (is_users) return line.substr(name.size() + 1);
  }
  return std::nullopt;
}

Result<User> user_with_hash(std::string_view name, std::string_view hash, const std::string& file) {
  const std::string text(hash);
  if (!knows_hash(text)) {
    return bad_file(file, fmt::format("has a hash for {} that is unknown or too weak: make one "
                                      "with 'mkpasswd' or 'htpasswd -nB {}'",
                                      name, name));
  }
  return User{std::string(name), text};
}

Result<User> user_with_password(std::string_view name, std::string_view password,
                                const PasswordFile& read, const std::string& file) {
  if (!read.is_private) {
    return bad_file(file, fmt::format("holds a password that others may read: 'chmod 600 {}', or "
                                      "put a hash there, made with 'mkpasswd'",
                                      file));
  }
  if (!may_be_password(password)) {
    return bad_file(file, "holds a password that is longer than 255 bytes or has a NUL");
  }
  return User{std::string(name), "", std::string(password)};
}

}  // namespace

Result<User> load_user(std::string_view name, const std::string& file) {
  if (!Credentials{std::string(name), "x"}.check() || name.find(':') != std::string_view::npos) {
    return Error{ErrorCode::usage, "a SOCKS user name has 1 to 255 bytes and no colon"};
  }
  Result<PasswordFile> read = read_file(file);
  if (!read) return read.error();
  const std::vector<std::string_view> lines = lines_of(read->text);
  const auto found = [&]() -> Result<User> {
    if (lines.empty()) return bad_file(file, "is empty");
    if (const auto entry = entry_of(name, lines)) return user_with_hash(name, *entry, file);
    if (lines.size() > 1) return bad_file(file, fmt::format("has no line \"{}:HASH\"", name));
    if (lines[0].starts_with('$')) return user_with_hash(name, lines[0], file);
    const bool is_others = lines[0].find(":$") != std::string_view::npos;
    if (is_others) return bad_file(file, fmt::format("has no line \"{}:HASH\"", name));
    return user_with_password(name, lines[0], *read, file);
  }();
  ::OPENSSL_cleanse(read->text.data(), read->text.size());
  return found;
}

Result<std::string> hash_password(const std::string& password) {
  if (!may_be_password(password)) {
    return Error{ErrorCode::usage, "a SOCKS5 password has 1 to 255 bytes and no NUL"};
  }
  return make_hash(password);
}

bool password_matches(const std::string& password, const std::string& hash) {
  // A NUL would hide what follows it.
  return password.find('\0') == std::string::npos && hash_matches(password, hash);
}

}  // namespace tunproxy::socks5
