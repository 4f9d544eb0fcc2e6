#include "core/ssh/probe.h"

#include <utility>

namespace tunproxy::ssh {

Probe::Probe(ChannelMux& mux, net::Done<void> done)
    : mux_(mux), delivery_(mux.loop(), std::move(done)) {
  if (mux.request(keepalive_request(), this)) return;
  delivery_.settle(mux.error() != nullptr ? *mux.error()
                                          : Error{ErrorCode::limit, "too many requests wait"});
}

}  // namespace tunproxy::ssh
