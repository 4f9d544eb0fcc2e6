// Journal: what this program has put in place on the machine, written down before it is done, so
// that another process can undo it after a crash.
//
// One for each network namespace, in /run/tunproxy (root only): net-ID.journal, replaced as a
// whole, and net-ID.lock, locked for as long as its process lives. A journal without a locked lock
// is a leftover.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "platform/linux/dns_config.h"
#include "platform/linux/routes.h"

namespace tunproxy::linux_host {

struct Journal {
  std::string tun;
  uint32_t table = 0;
  std::vector<Rule> rules;
  std::vector<Sysctl> sysctls;
  std::optional<FileBackup> resolv_conf;
  std::vector<LinkSetting> links;  ///< of systemd-resolved

  std::string to_text() const;
  static Result<Journal> parse(const std::string& text);
  bool operator==(const Journal&) const = default;
};

class JournalFile {
 public:
  /// Takes the lock of the caller's network namespace. Error: another live tunproxy has it (says
  /// which process), or no permission.
  static Result<JournalFile> lock();
  JournalFile(JournalFile&&) noexcept = default;
  JournalFile& operator=(JournalFile&&) noexcept = default;
  /// Gives the lock back and removes its file; a journal that was not cleared stays.
  ~JournalFile();

  /// Empty: nothing is left over.
  Result<std::optional<Journal>> load() const;
  Result<void> save(const Journal& journal) const;
  void clear() const;

 private:
  JournalFile(UniqueFd lock, std::string stem) : lock_(std::move(lock)), stem_(std::move(stem)) {}

  UniqueFd lock_;
  std::string stem_;  // path without suffix
};

}  // namespace tunproxy::linux_host
