#include "core/account/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::account {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kHashShown = 16;  // bytes

Result<UniqueFd> open_file(const std::string& name) {
  // Not blocking: a FIFO without a reader must not hold us up.
  UniqueFd fd(::open(name.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600));
  if (fd) return fd;
  Error error = error_from_errno(errno, "the access log " + name);
  error.code = ErrorCode::usage;
  return error;
}

}  // namespace

// The file as the thread pool sees it. Only write() may take long.
class AccessLog::File {
 public:
  explicit File(UniqueFd fd) : fd_(std::move(fd)) {}

  /// What write() is to write.
  void give(std::string lines) {
    const std::lock_guard lock(given_mutex_);
    given_ += lines;
  }
  /// The next write() goes there.
  void replace(UniqueFd fd) {
    const std::lock_guard lock(given_mutex_);
    replacement_ = std::move(fd);
  }

  void write() {
    const std::lock_guard writing(write_mutex_);
    std::string text;
    {
      const std::lock_guard lock(given_mutex_);
      text = std::exchange(given_, {});
      if (replacement_) {
        fd_ = std::exchange(replacement_, {});
        torn_ = false;
      }
    }
    if (torn_ && !text.empty()) text.insert(0, "\n");
    const size_t taken = write_some(text);
    if (taken > 0) torn_ = text[taken - 1] != '\n';
    const auto rest = text.begin() + static_cast<ptrdiff_t>(taken);
    lost_ += static_cast<uint64_t>(std::count(rest, text.end(), '\n'));
  }

  uint64_t lost() const { return lost_; }

 private:
  size_t write_some(std::string_view text) const {
    size_t at = 0;
    while (at < text.size()) {
      const ssize_t taken = ::write(fd_.get(), text.data() + at, text.size() - at);
      if (taken < 0 && errno == EINTR) continue;
      if (taken <= 0) break;
      at += static_cast<size_t>(taken);
    }
    return at;
  }

  std::mutex given_mutex_;
  std::string given_;
  UniqueFd replacement_;
  std::mutex write_mutex_;
  UniqueFd fd_;
  bool torn_ = false;  // the last line is not whole
  std::atomic<uint64_t> lost_ = 0;
};

Result<std::unique_ptr<AccessLog>> AccessLog::open(io::Loop& loop, Options options) {
  auto fd = open_file(options.file);
  if (!fd) return fd.error();
  std::unique_ptr<AccessLog> log(new AccessLog(loop, std::move(options)));
  if (RAND_bytes(log->key_.data(), static_cast<int>(log->key_.size())) != 1) {
    return Error{ErrorCode::general, "no random numbers for the access log"};
  }
  log->file_ = std::make_shared<File>(std::move(*fd));
  return log;
}

AccessLog::AccessLog(io::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)), flush_(loop, [this] { flush(); }) {}

AccessLog::~AccessLog() {
  if (!file_) return;
  writing_.reset();
  file_->give(std::move(buffer_));
  file_->write();
}

void AccessLog::write(const Flow& flow, const Ending& ending) {
  if (buffer_.size() >= kMaxBuffered) {
    ++lost_;
    return;
  }
  Json line;
  line["time"] = time_text(flow.started_at);
  line["id"] = flow.id;
  line["source"] = to_string(flow.source);
  line["command"] = to_string(flow.command);
  line["protocol"] = rules::to_string(flow.protocol());
  if (!flow.user.empty()) line["user"] = flow.user;
  line["host"] = host_text(flow.target);
  line["port"] = flow.target.port();
  line["way"] = rules::to_string(flow.way);
  line["rule"] = flow.rule;
  line["up"] = flow.up;
  line["down"] = flow.down;
  line["ms"] = (loop_.now() - flow.started).count();
  line["end"] = ending.text();
  // What a client calls a name or a user need not be UTF-8.
  buffer_ += line.dump(-1, ' ', false, Json::error_handler_t::replace);
  buffer_ += '\n';
  flush_.schedule();
}

std::string AccessLog::host_text(const Target& target) const {
  const std::string host = target.host();
  if (options_.clear_hosts) return host;
  std::array<uint8_t, EVP_MAX_MD_SIZE> hash{};
  unsigned length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), as_bytes(host).data(), host.size(),
       hash.data(), &length);
  return fmt::format("#{:02x}", fmt::join(hash.begin(), hash.begin() + kHashShown, ""));
}

// One piece of work at a time; what comes meanwhile goes with the next.
void AccessLog::flush() {
  if (writing_ || buffer_.empty()) return;
  file_->give(std::exchange(buffer_, {}));
  writing_ = loop_.work([file = file_] { file->write(); },
                        [this] {
                          writing_.reset();
                          flush();
                        });
}

Result<void> AccessLog::reopen() {
  auto fd = open_file(options_.file);
  if (!fd) return fd.error();
  file_->replace(std::move(*fd));
  return {};
}

uint64_t AccessLog::lost() const {
  return lost_ + file_->lost();
}

}  // namespace tunproxy::account
