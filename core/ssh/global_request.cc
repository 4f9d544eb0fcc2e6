#include "core/ssh/global_request.h"

#include <algorithm>
#include <utility>

namespace tunproxy::ssh {

void RequestQueue::forget(const RequestUser* user) {
  std::replace_if(
      users_.begin(), users_.end(), [user](const RequestUser* other) { return other == user; },
      nullptr);
}

bool RequestQueue::answer(bool success, MessageReader rest) {
  if (users_.empty()) return false;
  RequestUser* user = users_.front();
  users_.pop_front();
  if (user != nullptr) user->on_request_reply(success, rest);
  return true;
}

void RequestQueue::lose(const Error& error) {
  for (RequestUser* user : std::exchange(users_, {})) {
    if (user != nullptr) user->on_request_lost(error);
  }
}

}  // namespace tunproxy::ssh
