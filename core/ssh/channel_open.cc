#include "core/ssh/channel_open.h"

#include <utility>

#include "core/ssh/channel.h"

namespace tunproxy::ssh {

ChannelOpen::ChannelOpen(ChannelMux& mux, const Target& target,
                         net::Done<std::unique_ptr<net::Stream>> done)
    : mux_(mux), slot_(nullptr), done_(std::move(done)), deliver_(mux.loop(), [this] {
        auto outcome = std::move(*outcome_);
        std::exchange(done_, nullptr)(std::move(outcome));  // may destroy this
      }) {
  slot_ = mux.open_direct_tcpip(target, this);
  if (slot_ != nullptr) return;
  settle(mux.error() != nullptr ? Error{ErrorCode::host_unreachable, mux.error()->message}
                                : Error{ErrorCode::limit, "too many connections"});
}

ChannelOpen::~ChannelOpen() {
  if (slot_ != nullptr) mux_.release(*slot_);
}

// The channel takes over at once, since data may follow in the same breath.
void ChannelOpen::on_open() {
  settle(std::unique_ptr<net::Stream>(std::make_unique<Channel>(mux_, *slot_)));
}

void ChannelOpen::settle(Result<std::unique_ptr<net::Stream>> outcome) {
  slot_ = nullptr;
  outcome_ = std::move(outcome);
  deliver_.schedule();
}

}  // namespace tunproxy::ssh
