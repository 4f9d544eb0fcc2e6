#include "core/base/secret.h"

#include <cstring>

namespace tunproxy {
namespace {

void* (*const volatile overwrite)(void*, int, size_t) = std::memset;

}  // namespace

void wipe(void* bytes, size_t size) {
  if (size > 0) overwrite(bytes, 0, size);
}

void wipe(std::string& text) {
  wipe(text.data(), text.size());
  text.clear();
}

Secret::Secret(std::string_view text)
    : text_(std::make_unique<char[]>(text.size() + 1)), size_(text.size()) {
  text.copy(text_.get(), text.size());
}

Secret Secret::take(std::string& text) {
  Secret secret(text);
  wipe(text);
  return secret;
}

Secret::~Secret() {
  if (text_) wipe(text_.get(), size_);
}

void Secret::swap(Secret& other) noexcept {
  std::swap(text_, other.text_);
  std::swap(size_, other.size_);
}

}  // namespace tunproxy
