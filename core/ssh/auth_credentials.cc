#include "core/ssh/auth_credentials.h"

namespace tunproxy::ssh {

std::optional<Secret> Credentials::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = secrets_.find(name);
  if (found == secrets_.end()) return std::nullopt;
  return found->second;
}

void Credentials::remember(const std::string& name, const Secret& secret) {
  const std::lock_guard lock(mutex_);
  secrets_.insert_or_assign(name, Secret(secret));
}

void Credentials::forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  secrets_.erase(name);
}

}  // namespace tunproxy::ssh
