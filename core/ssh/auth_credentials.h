// What the user answered, for as long as the tunnel lives.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/secret.h"

namespace tunproxy::ssh {

/// What the user answered and the server took, so that the next connection asks nothing. Shared by
/// the connections of one tunnel; thread-safe; nothing of it is ever written anywhere.
class Credentials {
 public:
  std::optional<Secret> find(const std::string& name) const;
  void remember(const std::string& name, const Secret& secret);
  void forget(const std::string& name);

  /// False: the last login needed the user for something that no other can repeat: a code, a touch
  /// of a security key. Logins that ask nobody would fail.
  bool repeatable() const { return repeatable_; }
  void set_repeatable(bool is) { repeatable_ = is; }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Secret> secrets_;
  std::atomic<bool> repeatable_ = true;
};

}  // namespace tunproxy::ssh
