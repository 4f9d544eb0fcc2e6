#include "core/name_lane.h"

#include <utility>

namespace tunproxy {

// Asked through the helper; asked again over TCP if that brings nothing.
class NameLane::Exchange final : public net::Attempt {
 public:
  Exchange(NameLane& lane, const Endpoint& server, Bytes query, net::Done<ByteVector> done)
      : lane_(lane),
        server_(server),
        query_(query.begin(), query.end()),
        done_(std::move(done)),
        relay_(lane.carrier_.relay()) {
    attempt_ = relay_->resolve(query_, [this](Result<ByteVector> answer) {
      if (!answer) return over_tcp();
      std::exchange(done_, nullptr)(std::move(answer));
    });
  }

 private:
  void over_tcp() {
    attempt_ = lane_.over_tcp_.exchange(server_, query_, std::exchange(done_, nullptr));
  }

  NameLane& lane_;
  const Endpoint server_;
  const ByteVector query_;
  net::Done<ByteVector> done_;
  std::shared_ptr<udp::RelayClient> relay_;  // outlives its attempt
  std::unique_ptr<net::Attempt> attempt_;
};

std::unique_ptr<net::Attempt> NameLane::exchange(const Endpoint& server, Bytes query,
                                                 net::Done<ByteVector> done) {
  if (carrier_.relay() == nullptr) return over_tcp_.exchange(server, query, std::move(done));
  return std::make_unique<Exchange>(*this, server, query, std::move(done));
}

}  // namespace tunproxy
