// Secrets in memory: wiped when their owner is done with them.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/bytes.h"

namespace tunproxy::ssh {

/// A password, a passphrase or a private key. NUL-terminated for C; wiped when destroyed or moved
/// over.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view text);
  /// Wipes `text`.
  static Secret take(std::string& text);
  Secret(Secret&& other) noexcept { swap(other); }
  Secret& operator=(Secret&& other) noexcept {
    Secret old(std::move(*this));  // wiped here
    swap(other);
    return *this;
  }
  Secret(const Secret& other) : Secret(other.text()) {}
  Secret& operator=(const Secret& other) { return *this = Secret(other); }
  ~Secret();

  const char* c_str() const { return text_ ? text_.get() : ""; }
  size_t size() const { return size_; }
  std::string_view text() const { return {c_str(), size_}; }

 private:
  void swap(Secret& other) noexcept;

  std::unique_ptr<char[]> text_;
  size_t size_ = 0;
};

/// What the user answered and the server took, so that the next connection asks nothing. Shared by
/// the connections of one tunnel; thread-safe; nothing of it is ever written anywhere.
class Credentials {
 public:
  std::optional<Secret> find(const std::string& name) const;
  void remember(const std::string& name, const Secret& secret);
  void forget(const std::string& name);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Secret> secrets_;
};

}  // namespace tunproxy::ssh
