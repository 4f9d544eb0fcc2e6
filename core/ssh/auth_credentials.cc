#include "core/ssh/auth_credentials.h"

#include <openssl/crypto.h>

#include <utility>

namespace tunproxy::ssh {

Secret::Secret(std::string_view text)
    : text_(std::make_unique<char[]>(text.size() + 1)), size_(text.size()) {
  text.copy(text_.get(), text.size());
}

Secret Secret::take(std::string& text) {
  Secret secret(text);
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
  return secret;
}

Secret::~Secret() {
  if (text_) OPENSSL_cleanse(text_.get(), size_);
}

void Secret::swap(Secret& other) noexcept {
  std::swap(text_, other.text_);
  std::swap(size_, other.size_);
}

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
