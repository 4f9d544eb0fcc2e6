// Global requests: what is asked of the server and of no channel (RFC 4254 §4).
#pragma once

#include <cstddef>
#include <deque>

#include "core/base/error.h"
#include "core/ssh/channel_message.h"

namespace tunproxy::ssh {

/// Who asked. Called while packets are read: it may note and schedule, and ask for more. One of the
/// two is called, unless it was forgotten.
class RequestUser {
 public:
  RequestUser() = default;
  RequestUser(const RequestUser&) = delete;
  RequestUser& operator=(const RequestUser&) = delete;

  virtual void on_request_reply(bool success, MessageReader rest) = 0;
  virtual void on_request_lost(const Error& error) = 0;  ///< the connection is gone

 protected:
  ~RequestUser() = default;
};

/// Those that wait for a reply. Replies have no name: they come in the order of the requests.
class RequestQueue {
 public:
  static constexpr size_t kMax = 1024;

  bool full() const { return users_.size() >= kMax; }
  void push(RequestUser* user) { users_.push_back(user); }
  /// Its reply will come, and go to nobody.
  void forget(const RequestUser* user);
  /// The next one is answered. False: nobody asked.
  bool answer(bool success, MessageReader rest);
  void lose(const Error& error);

 private:
  std::deque<RequestUser*> users_;  // nullptr: forgotten
};

}  // namespace tunproxy::ssh
