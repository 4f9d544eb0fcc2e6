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
/// one hash, and so that guessing by others delays nobody who came before. Passwords that came in
/// clear are hashed as soon as possible, and then forgotten.
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

  /// Some password that came in clear is not hashed yet.
  bool hashes() const { return hashing_ != nullptr; }
  /// With whose hash a password of `name` is compared, which decides how long that takes. REQUIRES:
  /// required()
  const User& compared(const std::string& name) const;

  /// True at once for credentials that were found right before.
  bool remembers(const Credentials& given) const;
  /// Calls `done` from the loop with whether they are right. An unknown name takes as long as a
  /// known one: it is compared with some user's hash, always with the same, so that how long it
  /// takes does not tell it from the name of a user whose hash is of another kind. nullptr: too
  /// many are waiting already. REQUIRES: required()
  std::unique_ptr<net::Attempt> check(Credentials given, std::function<void(bool right)> done);

 private:
  using Digest = std::array<uint8_t, 32>;
  class Check;
  struct Job;
  struct Question;
  struct Known {
    User user;
    std::optional<Digest> right;
  };

  Digest digest(const Credentials& given) const;
  const Known* find(std::string_view name) const;
  Question question_about(const Credentials& given) const;
  void forget_passwords();
  void hash_next();
  void start_next();
  void start(Check& check);
  void on_hashed(std::list<Job>::iterator job);
  void forget(const Check& check);

  io::Loop& loop_;
  Digest key_;
  std::vector<Known> users_;
  uint64_t generation_ = 0;  // counts the sets of users
  std::deque<Check*> waiting_;
  std::list<Job> running_;
  std::unique_ptr<net::Attempt> hashing_;  // a password that came in clear
};

}  // namespace tunproxy::socks5
