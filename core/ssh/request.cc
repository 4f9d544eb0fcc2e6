#include "core/ssh/request.h"

namespace tunproxy::ssh {

Request::Request(io::Loop& loop, bool repeatable)
    : repeatable_(repeatable), loop_(loop), deadline_(loop, [this] {
        leave();
        end(why_);  // may destroy this
      }) {}

void Request::wait(List& waiting, Duration bound, Error why) {
  forget();
  session_ = nullptr;
  why_ = std::move(why);
  join(waiting);
  if (!waits_until_) waits_until_ = loop_.now() + bound;
  deadline_.start(*waits_until_ - loop_.now());
}

void Request::serve(List& served, Session& session) {
  deadline_.stop();
  forget();
  session_ = &session;
  join(served);
  begin(session);
}

void Request::fail(Error why) {
  leave();
  forget();
  session_ = nullptr;
  why_ = std::move(why);
  deadline_.start(0ms);
}

void Request::join(List& list) {
  if (list_ != nullptr) {
    list.splice(list.end(), *list_, place_);
  } else {
    place_ = list.insert(list.end(), this);
  }
  list_ = &list;
}

void Request::leave() {
  if (list_ != nullptr) std::exchange(list_, nullptr)->erase(place_);
  deadline_.stop();
}

}  // namespace tunproxy::ssh
