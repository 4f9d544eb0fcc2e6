// AcceptedKeys: host keys that were accepted but could not be written down, for as long as the
// tunnel runs.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy::ssh {

/// Shared by the connections of one tunnel, so that none asks again, or takes another key without a
/// word. Thread-safe.
class AcceptedKeys {
 public:
  /// `name` is one of known_hosts_name(), or an alias.
  void add(const std::string& name, Bytes key);
  std::vector<KnownHost> all() const;

 private:
  mutable std::mutex mutex_;
  std::vector<KnownHost> keys_;
};

}  // namespace tunproxy::ssh
