// Secret: a text in memory that is wiped when its owner is done with it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tunproxy {

/// Overwrites; the compiler may not leave it out.
void wipe(void* bytes, size_t size);
/// The same, and empties it.
void wipe(std::string& text);

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

}  // namespace tunproxy
