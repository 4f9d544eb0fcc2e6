#include "core/ssh/jump.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::ssh {

// One server, and the way that leads through it.
class JumpChain::Hop final : public net::Proxy {
 public:
  Hop(io::Loop& loop, JumpHop hop, JumpChain& chain)
      : chain_(chain), name_(std::move(hop.name)), supervisor_(loop, std::move(hop.options)) {
    supervisor_.on_state([this](auto state, const Error* error) { on_state(state, error); });
  }

  void start(net::Done<void> done) {
    supervisor_.start([this, done = std::move(done)](Result<void> started) {
      if (!started) return done(named("the jump host", started.error()));
      up_ = true;
      log::info("the jump host {} is connected", name_);
      done({});
    });
  }

  Supervisor& supervisor() { return supervisor_; }

  net::Proxy& urgent() { return urgent_; }

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override {
    return connect_by(supervisor_, target, std::move(done));
  }

 private:
  // The same, before everything else that goes this way.
  struct Urgent final : net::Proxy {
    explicit Urgent(Hop& its_hop) : hop(its_hop) {}
    std::unique_ptr<net::Attempt> connect(const Target& target,
                                          net::Done<std::unique_ptr<net::Stream>> done) override {
      return hop.connect_by(hop.supervisor_.expedited(), target, std::move(done));
    }
    Hop& hop;
  };

  std::unique_ptr<net::Attempt> connect_by(net::Proxy& way, const Target& target,
                                           net::Done<std::unique_ptr<net::Stream>> done) {
    return way.connect(target, [this, done = std::move(done)](auto stream) {
      if (!stream) return done(named("through the jump host", stream.error()));
      done(std::move(stream));
    });
  }

  Error named(const char* which, const Error& error) const {
    return {error.code, fmt::format("{} {}: {}", which, name_, error.message)};
  }

  void on_state(Supervisor::State state, const Error* error) {
    if (!up_) return on_start_state(state);
    switch (state) {
      case Supervisor::State::reconnecting:
        return log::warn("the connection to the jump host {} is lost ({})", name_, error->message);
      case Supervisor::State::online:
        return log::info("the jump host {} is connected again", name_);
      case Supervisor::State::failed:
        if (chain_.failed_) chain_.failed_(named("the jump host", *error));
        return;
      case Supervisor::State::idle:
      case Supervisor::State::connecting:
      case Supervisor::State::authenticating:
      case Supervisor::State::stopped:
        return;
    }
  }

  // start() tells of the outcome.
  void on_start_state(Supervisor::State state) {
    const bool under_way =
        state == Supervisor::State::connecting || state == Supervisor::State::authenticating;
    if (under_way && chain_.starting_) chain_.starting_(state);
  }

  JumpChain& chain_;
  const std::string name_;
  bool up_ = false;  // it was connected once
  Supervisor supervisor_;
  Urgent urgent_{*this};
};

JumpChain::JumpChain(io::Loop& loop, std::vector<JumpHop> hops) {
  assert(!hops.empty());
  for (JumpHop& hop : hops) {
    if (!hops_.empty()) hop.options.way = &way();
    hop.options.bears_others = true;
    hops_.push_back(std::make_unique<Hop>(loop, std::move(hop), *this));
  }
}

// Each goes before what carries it.
JumpChain::~JumpChain() {
  while (!hops_.empty()) hops_.pop_back();
}

void JumpChain::network_changed() {
  for (const auto& hop : hops_) hop->supervisor().network_changed();
}

void JumpChain::pause() {
  for (const auto& hop : hops_) hop->supervisor().pause();
}

void JumpChain::wake() {
  for (const auto& hop : hops_) hop->supervisor().wake();
}

net::Proxy& JumpChain::way() {
  return *hops_.back();
}

net::Proxy& JumpChain::urgent_way() {
  return hops_.back()->urgent();
}

SessionLoad JumpChain::load() const {
  return hops_.back()->supervisor().load();
}

void JumpChain::start(net::Done<void> done) {
  started_ = std::move(done);
  start_from(0);
}

void JumpChain::start_from(size_t index) {
  hops_[index]->start([this, index](Result<void> started) {
    const bool last = index + 1 == hops_.size();
    if (!started || last) return finish(std::move(started));
    start_from(index + 1);
  });
}

void JumpChain::finish(Result<void> outcome) {
  std::exchange(started_, nullptr)(std::move(outcome));
}

}  // namespace tunproxy::ssh
