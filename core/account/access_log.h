// AccessLog: one line of JSON for each flow that ended, in a file.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "core/account/flow.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/io/loop.h"

namespace tunproxy::account {

/// Lives in one loop thread; the thread pool writes. Hosts stand there as a hash with a key of this
/// run alone, which tells the same from the other and no more, unless asked otherwise. Whatever
/// becomes of the disk, flows go on: lines that it does not take in time are lost and counted.
class AccessLog {
 public:
  static constexpr size_t kMaxBuffered = 1024 * 1024;  ///< bytes that wait; then lines are lost

  struct Options {
    std::string file;
    bool clear_hosts = false;
  };
  /// Creates the file with mode 0600, or appends. Error usage if that cannot be.
  static Result<std::unique_ptr<AccessLog>> open(io::Loop& loop, Options options);
  /// Writes what waits.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  void write(const Flow& flow, const Ending& ending);
  /// What is written from now on goes to a new file of that name, for who rotates logs. If that
  /// fails, to the old one.
  Result<void> reopen();
  uint64_t lost() const;  ///< lines

 private:
  class File;

  AccessLog(io::Loop& loop, Options options);
  std::string host_text(const Target& target) const;
  void flush();

  io::Loop& loop_;
  const Options options_;
  std::array<uint8_t, 32> key_{};
  std::shared_ptr<File> file_;  // the thread pool's as well
  std::string buffer_;
  uint64_t lost_ = 0;
  std::unique_ptr<net::Attempt> writing_;
  io::Task flush_;
};

}  // namespace tunproxy::account
