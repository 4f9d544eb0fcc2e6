// What the user answered, for as long as the tunnel lives.
#pragma once

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

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Secret> secrets_;
};

}  // namespace tunproxy::ssh
