#include "platform/linux/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "platform/linux/files.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace tunproxy::linux_host {
namespace {

constexpr const char* kDirectory = "/run/tunproxy";
constexpr const char* kHeader = "tunproxy journal 1";
constexpr char kHexDigits[] = "0123456789abcdef";

// Everything as one word, also nothing.
std::string to_hex(const std::string& text) {
  std::string hex = "x";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 15];
  }
  return hex;
}

std::string from_hex(const std::string& hex) {
  std::string text;
  const std::string digits = kHexDigits;
  for (size_t i = 1; i + 1 < hex.size(); i += 2) {
    text += static_cast<char>(digits.find(hex[i]) << 4 | digits.find(hex[i + 1]));
  }
  return text;
}

void write_rule(std::ostream& out, const Rule& rule) {
  out << "rule " << static_cast<int>(rule.family) << ' ' << rule.priority << ' ' << rule.table
      << ' ' << rule.mark << ' ' << rule.mark_mask << ' ' << rule.unless_marked << ' '
      << rule.suppress_prefix << ' ' << rule.port << '\n';
}

Rule read_rule(std::istream& in) {
  Rule rule;
  int family = 0;
  in >> family >> rule.priority >> rule.table >> rule.mark >> rule.mark_mask >>
      rule.unless_marked >> rule.suppress_prefix >> rule.port;
  rule.family = family == 4 ? Family::ipv4 : Family::ipv6;
  return rule;
}

void write_backup(std::ostream& out, const FileBackup& backup) {
  out << "file " << to_hex(backup.path) << ' ' << static_cast<int>(backup.kind) << ' '
      << backup.mode << ' ' << backup.owner << ' ' << backup.group << ' ' << to_hex(backup.content)
      << '\n';
}

FileBackup read_backup(std::istream& in) {
  FileBackup backup;
  int kind = 0;
  std::string path;
  std::string content;
  in >> path >> kind >> backup.mode >> backup.owner >> backup.group >> content;
  backup.path = from_hex(path);
  backup.kind = static_cast<FileBackup::Kind>(kind);
  backup.content = from_hex(content);
  return backup;
}

Sysctl read_sysctl(std::istream& in) {
  Sysctl sysctl;
  in >> sysctl.path >> sysctl.before >> sysctl.during;
  return sysctl;
}

LinkSetting read_link(std::istream& in) {
  LinkSetting setting;
  in >> setting.kind >> setting.link;
  for (std::string value; in >> value;) setting.values.push_back(value);
  if (!setting.values.empty()) in.clear();  // the end of the line is no error
  return setting;
}

bool read_line(Journal& journal, std::istream& words) {
  std::string what;
  words >> what;
  if (what == "tun") {
    words >> journal.tun;
  } else if (what == "table") {
    words >> journal.table;
  } else if (what == "rule") {
    journal.rules.push_back(read_rule(words));
  } else if (what == "sysctl") {
    journal.sysctls.push_back(read_sysctl(words));
  } else if (what == "file") {
    journal.resolv_conf = read_backup(words);
  } else if (what == "link") {
    journal.links.push_back(read_link(words));
  } else {
    return false;
  }
  return !words.fail();
}

Error damaged(const std::string& line) {
  return {ErrorCode::general, "the journal in /run/tunproxy is damaged at: " + line};
}

// The cookie is never used twice before a reboot; an inode number can be.
std::string namespace_id() {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (::getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0) {
    return std::to_string(cookie);
  }
  struct stat status {};
  ::stat("/proc/self/ns/net", &status);
  return "i" + std::to_string(status.st_ino);
}

Error needs_root(int error_number) {
  if (error_number == EACCES || error_number == EPERM || error_number == EROFS) {
    return {ErrorCode::no_permission,
            "a tunnel for the whole machine needs root: run it with sudo, tunnel one command with "
            "`-- COMMAND`, or use --no-tun --socks 127.0.0.1:1080"};
  }
  return error_from_errno(error_number, std::string("cannot use ") + kDirectory);
}

Error in_use(int fd) {
  char pid[32] = {};
  const ssize_t n = ::pread(fd, pid, sizeof pid - 1, 0);
  return {ErrorCode::general, "tunproxy already carries this machine's traffic (process " +
                                  std::string(pid, n > 0 ? static_cast<size_t>(n) : 0) +
                                  "): stop it first"};
}

bool still_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

std::string Journal::to_text() const {
  std::ostringstream out;
  out << kHeader << '\n' << "tun " << tun << '\n' << "table " << table << '\n';
  for (const Rule& rule : rules) write_rule(out, rule);
  for (const Sysctl& sysctl : sysctls) {
    out << "sysctl " << sysctl.path << ' ' << sysctl.before << ' ' << sysctl.during << '\n';
  }
  if (resolv_conf) write_backup(out, *resolv_conf);
  for (const LinkSetting& setting : links) {
    out << "link " << setting.kind << ' ' << setting.link;
    for (const std::string& value : setting.values) out << ' ' << value;
    out << '\n';
  }
  return out.str();
}

Result<Journal> Journal::parse(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != kHeader) return damaged(line);
  Journal journal;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    if (!read_line(journal, words)) return damaged(line);
  }
  return journal;
}

Result<JournalFile> JournalFile::lock() {
  if (::geteuid() != 0) return needs_root(EPERM);
  if (::mkdir(kDirectory, 0700) != 0 && errno != EEXIST) return needs_root(errno);
  const std::string stem = std::string(kDirectory) + "/net-" + namespace_id();
  const std::string path = stem + ".lock";
  for (;;) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return needs_root(errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return in_use(fd.get());
    if (!still_at(fd.get(), path)) continue;  // its former owner has just removed it
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
      return needs_root(errno);
    }
    return JournalFile(std::move(fd), stem);
  }
}

JournalFile::~JournalFile() {
  if (!lock_) return;
  ::unlink((stem_ + ".lock").c_str());
  ::rmdir(kDirectory);  // fails while there is something in it
}

Result<std::optional<Journal>> JournalFile::load() const {
  const std::string path = stem_ + ".journal";
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::optional<Journal>();
  auto text = read_file(path);
  if (!text) return text.error();
  auto journal = Journal::parse(*text);
  if (!journal) return journal.error();
  return std::optional<Journal>(std::move(*journal));
}

Result<void> JournalFile::save(const Journal& journal) const {
  return replace_file(stem_ + ".journal", journal.to_text(), 0600);
}

void JournalFile::clear() const {
  ::unlink((stem_ + ".journal").c_str());
}

}  // namespace tunproxy::linux_host
