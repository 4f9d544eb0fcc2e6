// Authenticator: finds out whether a user's password is right (RFC 1929), without holding up the
// loop.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/io/loop.h"
#include "core/socks5/users.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Owned by a Server, in whose loop thread it lives. Passwords are hashed in the thread pool, a few
/// at a time and in the order in which they came. The last right password of each user is
/// remembered (as a keyed digest of no use elsewhere), so that a browser's fifty connections cost
/// one hash, and so that guessing by others delays nobody who came before.
class Authenticator {
 public:
  static constexpr size_t kMaxParallel = 2;
  static constexpr size_t kMaxWaiting = 256;

  Authenticator(io::Loop& loop, std::vector<User> users);
  ~Authenticator();
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  /// From now on these are the users; what was remembered is forgotten. Checks that are under way
  /// go by the former users.
  void set_users(std::vector<User> users);
  /// Nobody has to authenticate where there are no users.
  bool required() const { return !users_.empty(); }

  /// True at once for credentials that were found right before.
  bool remembers(const Credentials& given) const;
  /// Calls `done` from the loop with whether they are right. An unknown user takes as long as a
  /// known one. nullptr: too many are waiting already. REQUIRES: required()
  std::unique_ptr<net::Attempt> check(Credentials given, std::function<void(bool right)> done);

 private:
  using Digest = std::array<uint8_t, 32>;
  class Check;
  struct Job;
  struct Known {
    User user;
    std::optional<Digest> right;
  };

  Digest digest(const Credentials& given) const;
  const Known* find(std::string_view name) const;
  void start_next();
  void start(Check& check);
  void on_hashed(std::list<Job>::iterator job);
  void forget(const Check& check);

  io::Loop& loop_;
  Digest key_;
  std::vector<Known> users_;
  std::deque<Check*> waiting_;
  std::list<Job> running_;
};

}  // namespace tunproxy::socks5
