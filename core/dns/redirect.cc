#include "core/dns/redirect.h"

#include <utility>

#include "core/dns/resolv_conf.h"
#include "core/io/timer.h"

namespace tunproxy::dns {

// A connection to the first resolver that takes one.
class Redirect::Trying final : public net::Attempt {
 public:
  Trying(net::Proxy& proxy, std::vector<Endpoint> resolvers,
         net::Done<std::unique_ptr<net::Stream>> done)
      : proxy_(proxy), resolvers_(std::move(resolvers)), done_(std::move(done)) {
    try_next();
  }

 private:
  void try_next() {
    attempt_ = proxy_.connect(resolvers_[next_++], [this](auto stream) {
      if (!stream && next_ < resolvers_.size()) return try_next();
      std::exchange(done_, nullptr)(std::move(stream));
    });
  }

  net::Proxy& proxy_;
  const std::vector<Endpoint> resolvers_;
  size_t next_ = 0;
  net::Done<std::unique_ptr<net::Stream>> done_;
  std::unique_ptr<net::Attempt> attempt_;
};

// A connection that waits to learn where to go.
class Redirect::Waiting final : public net::Attempt {
 public:
  Waiting(Redirect& redirect, Target target, net::Done<std::unique_ptr<net::Stream>> done)
      : redirect_(redirect),
        target_(std::move(target)),
        done_(std::move(done)),
        timer_(redirect.loop_, [this] { give_up(); }) {
    redirect_.waiting_.push_back(this);
    timer_.start(kResolverWait);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() override { std::erase(redirect_.waiting_, this); }

  void go() {
    timer_.stop();
    attempt_ = redirect_.connect(target_, std::move(done_));
  }

 private:
  void give_up() {
    std::erase(redirect_.waiting_, this);
    std::exchange(done_, nullptr)(Error{ErrorCode::timed_out, "no resolver is known yet"});
  }

  Redirect& redirect_;
  const Target target_;
  net::Done<std::unique_ptr<net::Stream>> done_;
  io::Timer timer_;
  std::unique_ptr<net::Attempt> attempt_;
};

Redirect::Redirect(io::Loop& loop, net::Proxy& proxy,
                   std::optional<std::vector<Endpoint>> resolvers, net::Proxy* to_resolvers)
    : loop_(loop),
      proxy_(proxy),
      to_resolvers_(to_resolvers != nullptr ? *to_resolvers : proxy),
      resolvers_(std::move(resolvers)) {}

Redirect::~Redirect() = default;

std::unique_ptr<net::Attempt> Redirect::connect(const Target& target,
                                                net::Done<std::unique_ptr<net::Stream>> done) {
  if (target.port() != kPort) return proxy_.connect(target, std::move(done));
  if (!resolvers_) return std::make_unique<Waiting>(*this, target, std::move(done));
  if (resolvers_->empty()) return proxy_.connect(target, std::move(done));
  return std::make_unique<Trying>(to_resolvers_, *resolvers_, std::move(done));
}

void Redirect::set_resolvers(std::vector<Endpoint> resolvers) {
  resolvers_ = std::move(resolvers);
  for (Waiting* waiting : std::exchange(waiting_, {})) waiting->go();
}

}  // namespace tunproxy::dns
