#include "core/ssh/accepted_keys.h"

#include <utility>

#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {

void AcceptedKeys::add(const std::string& name, Bytes key) {
  KnownHost known;
  known.names = name;
  known.type = key_type(key);
  known.blob.assign(key.begin(), key.end());
  const std::lock_guard lock(mutex_);
  keys_.push_back(std::move(known));
}

std::vector<KnownHost> AcceptedKeys::all() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

}  // namespace tunproxy::ssh
