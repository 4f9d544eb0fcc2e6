#include "core/name_lane.h"

#include <utility>

namespace tunproxy {

// Asked through the helper; over TCP as well if that brings nothing soon. The first answer counts.
class NameLane::Exchange final : public net::Attempt {
 public:
  Exchange(NameLane& lane, const Endpoint& server, Bytes query, net::Done<ByteVector> done)
      : lane_(lane),
        server_(server),
        query_(query.begin(), query.end()),
        done_(std::move(done)),
        relay_(lane.carrier_.relay()),
        hedge_(lane.loop_, [this] { ask_over_tcp(); }) {
    by_relay_ = relay_->resolve(query_, [this](Result<ByteVector> answer) {
      by_relay_failed_ = !answer;
      on_outcome(std::move(answer));
    });
    hedge_.start(relay_->doubted() ? 0ms : kPatience);
  }

 private:
  void ask_over_tcp() {
    hedge_.stop();
    if (over_tcp_ != nullptr) return;
    over_tcp_ = lane_.over_tcp_.exchange(server_, query_, [this](Result<ByteVector> answer) {
      over_tcp_failed_ = !answer;
      on_outcome(std::move(answer));
    });
  }

  // May destroy this.
  void on_outcome(Result<ByteVector> answer) {
    if (!done_) return;  // the other way was faster
    if (answer || (by_relay_failed_ && over_tcp_failed_)) {
      hedge_.stop();
      return std::exchange(done_, nullptr)(std::move(answer));
    }
    if (by_relay_failed_) ask_over_tcp();
  }

  NameLane& lane_;
  const Endpoint server_;
  const ByteVector query_;
  net::Done<ByteVector> done_;
  std::shared_ptr<udp::RelayClient> relay_;  // outlives its attempt
  bool by_relay_failed_ = false;
  bool over_tcp_failed_ = false;
  std::unique_ptr<net::Attempt> by_relay_;
  std::unique_ptr<net::Attempt> over_tcp_;
  io::Timer hedge_;
};

std::unique_ptr<net::Attempt> NameLane::exchange(const Endpoint& server, Bytes query,
                                                 net::Done<ByteVector> done) {
  if (carrier_.relay() == nullptr) return over_tcp_.exchange(server, query, std::move(done));
  return std::make_unique<Exchange>(*this, server, query, std::move(done));
}

}  // namespace tunproxy
